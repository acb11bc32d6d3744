package providertest

import (
	"context"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// finding is the adapter with another Find.
type finding struct {
	*plain
	find func(p *plain, ctx context.Context, o phone.Order) ([]phone.Ref, error)
}

func (m finding) Find(ctx context.Context, o phone.Order, _ time.Time) ([]phone.Ref, error) {
	return m.find(m.plain, ctx, o)
}

func findsSo(find func(p *plain, ctx context.Context, o phone.Order) ([]phone.Ref, error)) func(*plain) providers.Driver {
	return func(p *plain) providers.Driver { return finding{p, find} }
}

func findMutants() []mutant {
	type ctx = context.Context
	always := func(string) bool { return true }
	return []mutant{
		{"finds nothing ever", "a dial whose answer was lost is found again", findsSo(func(*plain, ctx, phone.Order) ([]phone.Ref, error) { return nil, nil })},
		{"makes a name up", "a dial whose answer was lost is found again", findsSo(func(*plain, ctx, phone.Order) ([]phone.Ref, error) { return []phone.Ref{"c99"}, nil })},
		{"finds a call that is there", "a dial that never happened is not found", findsSo(func(p *plain, c ctx, _ phone.Order) ([]phone.Ref, error) { return p.found(c, always) })},
		{"makes an error of nothing", "a dial that never happened is not found", findsSo(func(p *plain, c ctx, o phone.Order) ([]phone.Ref, error) {
			refs, err := p.Find(c, o, time.Time{})
			if len(refs) == 0 && err == nil {
				err = phone.Errorf(phone.NotFound, "There is no such call.")
			}
			return refs, err
		})},
		{"looks at the number alone", "another call to the same number is not taken for it", findsSo(func(p *plain, c ctx, _ phone.Order) ([]phone.Ref, error) { return p.found(c, always) })},
		{"takes an error for an empty list", "a list that cannot be read shows nothing", findsSo(func(p *plain, c ctx, o phone.Order) ([]phone.Ref, error) {
			refs, _ := p.Find(c, o, time.Time{})
			return refs, nil
		})},
	}
}
