package operator

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// Standing is how things stand on a ledger, for all who use it.
type Standing struct {
	Open      []*phone.Call // that go on or are unconfirmed, without what was said, the newest first
	AtOnce    int           // how many of them count for the limit of calls at once
	WhyOff    string        // dialing is switched off in the ledger; empty: it is on
	Paused    []Pause
	Budgets   []Budget         // of all together, then those of each principal
	Processes []ledger.Process // besides this one
	Unread    int              // webhooks that nobody has read yet
	Questions int              // to a person, that wait for an answer
	Bytes     int64            // that the ledger takes
}

// Pause is a provider that is left alone, or a principal whose requests are refused, for a while.
type Pause struct {
	Provider, Principal string // one of them
	Times               int    // that it failed, or was refused, of late
	Until               time.Time
}

// Budget is what of one budget is used. Limit is zero Money where none is set.
type Budget struct {
	Period string // day (24 hours) or month (30 days)
	ledger.Spending
	Limit phone.Money
}

// Status tells how things stand under a policy, for all principals. It changes nothing, and works beside other processes.
func Status(ctx context.Context, l *ledger.Ledger, p guard.Policy, now time.Time) (s Standing, err error) {
	if s.Open, err = l.OpenCalls(ctx); err != nil {
		return s, err
	}
	g := guard.New(p)
	for _, c := range s.Open {
		if !c.Simulated && g.Occupies(c, now) {
			s.AtOnce++
		}
	}
	if s.WhyOff, err = l.WhyOff(ctx); err != nil {
		return s, err
	}
	if s.Paused, err = pauses(ctx, l, p, now); err != nil {
		return s, err
	}
	if s.Budgets, err = Budgets(ctx, l, p, now); err != nil {
		return s, err
	}
	own, err := ownBudgets(ctx, l, p, now)
	if err != nil {
		return s, err
	}
	s.Budgets = append(s.Budgets, own...)
	if s.Processes, err = l.Processes(ctx); err != nil {
		return s, err
	}
	if s.Unread, err = l.UnreadLetters(ctx); err != nil {
		return s, err
	}
	questions, err := l.Waiting(ctx, now)
	if err != nil {
		return s, err
	}
	s.Questions = len(questions)
	s.Bytes, err = l.Size(ctx)
	return s, err
}

func pauses(ctx context.Context, l *ledger.Ledger, p guard.Policy, now time.Time) (all []Pause, err error) {
	t, err := l.Troubles(ctx, now)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(t.Faults)) {
		if until := p.ProviderPaused(t.Faults[name]); until.After(now) {
			all = append(all, Pause{Provider: name, Times: len(t.Faults[name]), Until: until})
		}
	}
	for _, who := range slices.Sorted(maps.Keys(t.Refusals)) {
		if until := p.PrincipalPaused(t.Refusals[who]); until.After(now) {
			all = append(all, Pause{Principal: who, Times: len(t.Refusals[who]), Until: until})
		}
	}
	return all, nil
}

// Budgets tells what of each budget is used by all together, day before month, by currency: of those that are set, and of
// every currency that calls were paid in.
func Budgets(ctx context.Context, l *ledger.Ledger, p guard.Policy, now time.Time) (all []Budget, err error) {
	for _, period := range []struct {
		name   string
		within time.Duration
		limits guard.Budget
	}{{"day", day, p.BudgetDay}, {"month", 30 * day, p.BudgetMonth}} {
		each, err := l.Spending(ctx, period.within, now)
		if err != nil {
			return nil, err
		}
		used := map[string]ledger.Spending{}
		for currency := range period.limits {
			used[currency] = ledger.Spending{Spent: phone.Micros(0, currency), Reserved: phone.Micros(0, currency)}
		}
		for _, one := range each {
			currency := one.Spent.Currency()
			used[currency] = ledger.Spending{
				Spent:    phone.Micros(used[currency].Spent.Micros()+one.Spent.Micros(), currency),
				Reserved: phone.Micros(used[currency].Reserved.Micros()+one.Reserved.Micros(), currency),
			}
		}
		for _, currency := range slices.Sorted(maps.Keys(used)) {
			all = append(all, Budget{period.name, used[currency], period.limits[currency]})
		}
	}
	return all, nil
}

// ownBudgets tells what each principal has used of its own, where principals have one.
func ownBudgets(ctx context.Context, l *ledger.Ledger, p guard.Policy, now time.Time) (all []Budget, err error) {
	if len(p.BudgetPrincipal) == 0 {
		return nil, nil
	}
	each, err := l.Spending(ctx, day, now)
	if err != nil {
		return nil, err
	}
	for _, one := range each {
		if limit, ok := p.BudgetPrincipal[one.Spent.Currency()]; ok {
			all = append(all, Budget{"day", one, limit})
		}
	}
	return all, nil
}

const day = 24 * time.Hour
