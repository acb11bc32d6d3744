package switchboard

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"pgregory.net/rapid"
)

// booked is a call and what it must count for.
type booked struct {
	ledger.Held
	at     time.Time
	charge phone.Money
}

// till is a ledger with the guard before it, and what both must have in common.
type till struct {
	*ledger.Ledger
	guard *guard.Guard
	now   time.Time
	calls []*booked

	reserved, refused, settled int
}

// prices draws what calls cost and what may be spent: one provider's currency is in no budget, and one has no rate.
func prices(t *rapid.T) guard.Policy {
	money := func(name, currency string, least, most int64) phone.Money {
		return phone.Micros(rapid.Int64Range(least, most).Draw(t, name)*10_000, currency)
	}
	p := guard.Policy{
		Rates: map[string]phone.Money{
			"a": money("rate of a", "USD", 0, 20), "b": money("rate of b", "USD", 1, 50), "c": money("rate of c", "CNY", 1, 100), "d": phone.Micros(1, "EUR"),
		},
		BudgetDay:   guard.Budget{"USD": money("USD a day", "USD", 0, 300), "CNY": money("CNY a day", "CNY", 1, 1000)},
		BudgetMonth: guard.Budget{"USD": money("USD a month", "USD", 0, 2000), "CNY": money("CNY a month", "CNY", 1, 3000)},
	}
	if rapid.Bool().Draw(t, "each call") {
		p.BudgetCall = guard.Budget{"USD": money("USD a call", "USD", 0, 200), "CNY": money("CNY a call", "CNY", 0, 500)}
	}
	return p
}

// spans are the windows of the budgets.
func (x *till) spans() map[time.Duration]guard.Budget {
	return map[time.Duration]guard.Budget{24 * time.Hour: x.guard.BudgetDay, 30 * 24 * time.Hour: x.guard.BudgetMonth}
}

// sum is what the calls of a currency count for in a window.
func (x *till) sum(currency string, after, until time.Time) (micros int64) {
	for _, c := range x.calls {
		if c.at.After(after) && !c.at.After(until) && c.charge.Currency() == currency {
			micros += c.charge.Micros()
		}
	}
	return micros
}

// holds says that no budget is overdrawn in the windows that end now, and that the ledger tells the guard what was spent.
func (x *till) holds(t *rapid.T) {
	for span, budget := range x.spans() {
		for currency, limit := range budget {
			if sum := x.sum(currency, x.now.Add(-span), x.now); limit.Micros() > 0 && sum > limit.Micros() {
				t.Fatalf("%s of %s within %s", phone.Micros(sum, currency), limit, span)
			}
		}
	}
	for _, currency := range []string{"USD", "CNY"} {
		probe := phone.Begin("probe", "me", "a", "acc", phone.Order{}, x.now)
		probe.Worst = phone.Micros(1, currency)
		f, err := x.Facts(context.Background(), probe)
		if err != nil {
			t.Fatal(err)
		}
		told := int64(0)
		for _, c := range f.Spent {
			told += c.Money.Micros()
		}
		if sum := x.sum(currency, x.now.Add(-30*24*time.Hour), x.now); told != sum {
			t.Fatalf("the ledger tells of %s, and it is %s", phone.Micros(told, currency), phone.Micros(sum, currency))
		}
	}
}

// reserve asks for one more call, which must be refused where it does not fit, and no other.
func (x *till) reserve(t *rapid.T) {
	number, err := phone.ParseNumber(fmt.Sprintf("+8613800%06d", len(x.calls)+x.refused), "")
	if err != nil {
		t.Fatal(err)
	}
	provider := rapid.SampledFrom([]string{"a", "b", "c", "a", "b", "c", "d", "e"}).Draw(t, "provider")
	longest := time.Duration(rapid.IntRange(1, 1200).Draw(t, "longest")) * time.Second
	c := phone.Begin(ledger.NewCallID(), "me", provider, "acc", phone.Order{To: number, Task: "x", MaxDuration: longest}, x.now)
	c.PerMinute, c.Worst = x.guard.Price(provider, longest)
	in := ledger.Intent{Call: c, Params: c.ID, Names: []string{c.ID}, Known: []string{c.ID}}
	h, replayed, err := x.Reserve(context.Background(), in, func(f phone.Facts) error {
		if all := x.guard.Judge(guard.Wish{To: number, Provider: provider, Title: provider, Longest: longest, MayPlace: true}, f); len(all) > 0 {
			return all[0].Err()
		}
		return nil
	})
	worst := c.PerMinute.Times(started(longest))
	if err == nil {
		if replayed || h.Worst != worst || provider > "c" {
			t.Fatalf("through %s with the worst case %s: %+v", provider, worst, h.Call)
		}
		x.calls = append(x.calls, &booked{h, x.now, worst})
		x.reserved++
		return
	}
	if phone.AsError(err).Reason != "budget_exceeded" {
		t.Fatal(err)
	}
	x.refused++
	fits := provider <= "c"
	if limit := x.guard.BudgetCall[worst.Currency()].Micros(); limit > 0 && worst.Micros() > limit {
		fits = false
	}
	for span, budget := range x.spans() { // what was spent is kept by the hour, so an hour longer
		limit := budget[worst.Currency()].Micros()
		if limit > 0 && x.sum(worst.Currency(), x.now.Add(-span-time.Hour), x.now)+worst.Micros() > limit {
			fits = false
		}
	}
	if fits {
		t.Fatalf("%s through %s is refused, and fits: %v", worst, provider, err)
	}
}

// started are the minutes that are paid.
func started(d time.Duration) int64 { return max(1, int64((d+time.Minute-1)/time.Minute)) }

// settle lets something become known of a call. That somebody was called whom all held for not called is left out: such an
// answer is a fact, and can overdraw a budget.
func (x *till) settle(t *rapid.T) {
	var open []*booked
	for _, c := range x.calls {
		if !c.Ended() {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return
	}
	x.settled++
	c := rapid.SampledFrom(open).Draw(t, "of")
	free := phone.Micros(0, c.Worst.Currency())
	ref := phone.Ref("ref of " + c.ID)
	why := &phone.Failure{Code: rapid.SampledFrom([]phone.Code{phone.Unavailable, phone.Invalid, phone.Exhausted}).Draw(t, "why"), Message: "x"}
	lost := &phone.Failure{Code: phone.Uncertain, Message: "x"}
	do := map[ledger.Dial][]string{
		ledger.Sending: {"placed", "rejected", "unknown", "resolve too early"},
		ledger.Unknown: {"placed", "rejected", "unknown", "never placed", "not dialed", "dialed", "dialed as"},
		ledger.Placed:  {"placed", "rejected", "unknown", "rings", "ends", "ends", "ends"},
	}
	var h ledger.Held
	var err error
	ctx := context.Background()
	switch what := rapid.SampledFrom(do[c.Dial]).Draw(t, "what"); what {
	case "placed":
		h, err = x.Placed(ctx, c.ID, ref)
	case "rejected":
		if h, err = x.Rejected(ctx, c.ID, why); c.Dial != ledger.Placed {
			c.charge = free
		}
	case "unknown":
		h, err = x.Unknown(ctx, c.ID, lost)
	case "never placed":
		h, err = x.NeverPlaced(ctx, c.ID, why)
		c.charge = free
	case "not dialed":
		h, err = x.Resolve(ctx, c.ID, false, "", why)
		c.charge = free
	case "dialed":
		h, err = x.Resolve(ctx, c.ID, true, "", nil)
	case "dialed as":
		h, err = x.Resolve(ctx, c.ID, true, ref, nil)
	case "resolve too early":
		if _, err = x.Resolve(ctx, c.ID, false, "", why); phone.AsError(err).Reason != "not_unconfirmed" {
			t.Fatalf("a dial under way was resolved: %v", err)
		}
		h, err = c.Held, nil
	case "rings", "ends":
		e := phone.Event{Seq: c.Seq + 1, At: time.Now().UTC(), Body: phone.Progress{State: phone.WrappingUp}}
		if what == "ends" {
			e.Body, c.charge = end(t, c.Call)
		}
		h = c.Held
		if !x.Follows(h) { // nobody follows what was uncertain, until it is taken up
			claimed, err := x.ClaimOne(ctx, c.ID, time.Now())
			if err != nil || len(claimed) != 1 {
				t.Fatalf("%d claimed, %v", len(claimed), err)
			}
			h = claimed[0]
		}
		h.Call = h.Clone()
		h.Apply(e)
		err = x.Append(ctx, h.Call, h.Epoch, []phone.Event{e})
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.Held = h; c.Charge() != c.charge || c.charge.Micros() > c.Worst.Micros() {
		t.Fatalf("%s, %s counts for %s and not for %s", c.Status, c.Dial, c.Charge(), c.charge)
	}
	now, err := x.Call(ctx, "me", c.ID)
	if err != nil || now.Charge() != c.charge {
		t.Fatalf("on disk it counts for %s, not for %s: %v", now.Charge(), c.charge, err)
	}
}

// end draws the end of a call, and what it must count for.
func end(t *rapid.T, c *phone.Call) (phone.Ended, phone.Money) {
	e := phone.Ended{Record: phone.Complete, Outcome: rapid.SampledFrom([]phone.Outcome{
		phone.Completed, phone.NoAnswer, phone.Busy, phone.Declined, phone.Voicemail, phone.Failed, phone.Cancelled, phone.UnknownOutcome,
	}).Draw(t, "outcome")}
	counts := c.PerMinute
	if e.Outcome == phone.Completed || e.Outcome == phone.UnknownOutcome {
		counts = c.Worst
	}
	if rapid.Bool().Draw(t, "with a duration") {
		d := time.Duration(rapid.Int64Range(0, int64(c.Order.MaxDuration)).Draw(t, "duration"))
		e.Duration, counts = &d, c.PerMinute.Times(started(d))
	}
	switch rapid.IntRange(0, 3).Draw(t, "cost") {
	case 0:
		counts = phone.Micros(rapid.Int64Range(0, c.Worst.Micros()).Draw(t, "told"), c.Worst.Currency())
		e.Cost = &phone.Cost{Money: counts}
	case 1:
		e.Cost = &phone.Cost{Money: phone.Micros(1_000_000_000, "JPY")} // in which nothing is counted
	}
	return e, counts
}

// Whatever becomes of calls, in whatever order and over months: what is spent and what may be spent yet stay within the
// budgets, and nothing that fits is refused.
func TestBudgetNeverExceeded(t *testing.T) {
	const steps = 100
	var all till
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		if one() > 1 && rounds >= 2 {
			return // a part, with the race detector
		}
		rounds++
		path := filepath.Join(t.TempDir(), fmt.Sprint(rounds, ".db"))
		l, err := ledger.Open(context.Background(), "sqlite:"+path, ledger.Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer l.Close()
		x := &till{Ledger: l, guard: guard.New(prices(rt)), now: time.Now().UTC().Truncate(time.Microsecond).AddDate(-1, 0, 0)}
		for range steps {
			switch rapid.IntRange(0, 8).Draw(rt, "step") {
			case 0, 1, 2, 3:
				x.reserve(rt)
			case 4, 5, 6:
				x.settle(rt)
			case 7:
				x.now = x.now.Add(time.Duration(rapid.IntRange(1, 120).Draw(rt, "minutes")) * time.Minute)
			case 8:
				x.now = x.now.Add(rapid.SampledFrom([]time.Duration{ // the windows' edges are where a call is lost
					time.Hour, 8 * time.Hour, 24*time.Hour - time.Second, 24 * time.Hour, 10 * 24 * time.Hour, 30*24*time.Hour - time.Second,
				}).Draw(rt, "later"))
			}
			x.holds(rt)
		}
		all.reserved, all.refused, all.settled = all.reserved+x.reserved, all.refused+x.refused, all.settled+x.settled
	})
	t.Logf("%d steps: %d calls reserved, %d refused, %d times something became known", rounds*steps, all.reserved, all.refused, all.settled)
	if min(all.reserved, all.refused, all.settled) < rounds {
		t.Error("too little happened to show anything")
	}
}
