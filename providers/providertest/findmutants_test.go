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
	find func(p *plain, ctx context.Context, o phone.Order) ([]phone.Listed, error)
}

func (m finding) Find(ctx context.Context, o phone.Order, _ time.Time) ([]phone.Listed, error) {
	return m.find(m.plain, ctx, o)
}

func findsSo(find func(p *plain, ctx context.Context, o phone.Order) ([]phone.Listed, error)) func(*plain) providers.Driver {
	return func(p *plain) providers.Driver { return finding{p, find} }
}

func findMutants() []mutant {
	type ctx = context.Context
	always := func(string) bool { return true }
	return []mutant{
		{"finds nothing ever", "a dial whose answer was lost is found again", findsSo(func(*plain, ctx, phone.Order) ([]phone.Listed, error) { return nil, nil })},
		{"makes a name up", "a dial whose answer was lost is found again", findsSo(func(*plain, ctx, phone.Order) ([]phone.Listed, error) {
			return []phone.Listed{{Ref: "c99", Match: phone.Sure}}, nil
		})},
		{"finds a call that is there", "a dial that never happened is not found", findsSo(func(p *plain, c ctx, _ phone.Order) ([]phone.Listed, error) { return p.found(c, always) })},
		{"makes an error of nothing", "a dial that never happened is not found", findsSo(func(p *plain, c ctx, o phone.Order) ([]phone.Listed, error) {
			found, err := p.Find(c, o, time.Time{})
			if len(found) == 0 && err == nil {
				err = phone.Errorf(phone.NotFound, "There is no such call.")
			}
			return found, err
		})},
		{"looks at the number alone", "another call to the same number is not taken for it", findsSo(func(p *plain, c ctx, _ phone.Order) ([]phone.Listed, error) { return p.found(c, always) })},
		{"takes an error for an empty list", "a list that cannot be read shows nothing", findsSo(func(p *plain, c ctx, o phone.Order) ([]phone.Listed, error) {
			found, _ := p.Find(c, o, time.Time{})
			return found, nil
		})},
	}
}
