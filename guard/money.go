package guard

import (
	"time"

	"github.com/outdial/outdial/phone"
)

const (
	aMonth       = 30 * aDay
	longestOfAll = time.Hour // that any request may ask for
)

// Price is what a call through a provider costs a started minute, and at worst; zero Money where no rate is set. Calls that
// ring nobody cost nothing, unless a rate is set for them.
func (g *Guard) Price(provider string, longest time.Duration) (perMinute, worst phone.Money) {
	rate, ok := g.Rates[provider]
	if !ok {
		return phone.Money{}, phone.Money{}
	}
	return rate, phone.WorstCase(rate, longest)
}

// Length is how long a call may last: as asked for, or as long as the operator allows.
func (g *Guard) Length(o phone.Order) time.Duration {
	switch {
	case o.MaxDuration > 0:
		return o.MaxDuration
	case g.Longest > 0:
		return g.Longest
	}
	return longestOfAll
}

// money keeps what is spent and what may yet be within the budgets.
func (g *Guard) money(w Wish, f phone.Facts) *Refusal {
	if len(g.BudgetCall)+len(g.BudgetDay)+len(g.BudgetPrincipal)+len(g.BudgetMonth) == 0 {
		return nil
	}
	rate, ok := g.Rates[w.Provider]
	switch {
	case !ok && w.RingsNo:
		return nil
	case !ok:
		return refuse("It is not known what a call through %s costs, so it fits no budget. The operator can set its rate.", w.Title)
	}
	worst := phone.WorstCase(rate, w.Longest)
	if r := g.BudgetCall.refusal(worst, w.Bounded, "a call", nil, 0, f.Now); r != nil {
		return r
	}
	if r := g.BudgetDay.refusal(worst, w.Bounded, "24 hours", f.Spent, aDay, f.Now); r != nil {
		return r
	}
	if r := g.BudgetPrincipal.refusal(worst, w.Bounded, "one principal in 24 hours", f.Own, aDay, f.Now); r != nil {
		return r
	}
	return g.BudgetMonth.refusal(worst, w.Bounded, "30 days", f.Spent, aMonth, f.Now)
}

// refusal says why a call of this worst case does not fit into the budget for a span.
func (b Budget) refusal(worst phone.Money, bounded bool, span string, spent []phone.Charge, within time.Duration, now time.Time) *Refusal {
	if len(b) == 0 {
		return nil
	}
	limit, named := b[worst.Currency()]
	if !named {
		return refuse("There is no budget for %s in %s, so no call is paid in it. The operator can set one.", span, worst.Currency())
	}
	if limit.Micros() == 0 {
		return nil
	}
	left := limit.Micros() - worst.Micros()
	if left < 0 {
		hint := "The operator can raise it."
		if bounded {
			hint = "A shorter call may fit: set max_duration_seconds."
		}
		return refuse("The call may cost %s at worst; the budget for %s is %s. %s", worst, span, limit, hint)
	}
	sum := int64(0)
	for _, c := range spent { // the newest first
		if !c.At.Add(within).After(now) {
			break
		}
		if sum += c.Money.Micros(); sum > left {
			return refuse("The call may cost %s at worst, and of the budget for %s, %s, too little is left.", worst, span, limit).until(c.At.Add(within))
		}
	}
	return nil
}
