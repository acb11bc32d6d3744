package operator

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// The whole ledger is told, whoever's calls they are, as the guard's rules count it.
func TestStatus(t *testing.T) {
	path := "sqlite:" + filepath.Join(t.TempDir(), "outdial.db")
	open := func() *ledger.Ledger {
		l, err := ledger.Open(t.Context(), path, ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	l, server := open(), open()
	now, n := time.Now(), 0
	place := func(who, provider, currency string, placed time.Time) *phone.Call {
		t.Helper()
		n++
		to, err := phone.ParseNumber(fmt.Sprintf("+8613800138%03d", n), "")
		if err != nil {
			t.Fatal(err)
		}
		c := phone.Begin(ledger.NewCallID(), who, provider, "acc", phone.Order{To: to, Task: "x"}, placed)
		c.PerMinute, c.Worst = phone.Micros(100_000, currency), phone.Micros(1_000_000, currency)
		if _, _, err := server.Reserve(t.Context(), ledger.Intent{Call: c, Params: "p"}, func(phone.Facts) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return c
	}
	uncertain := func(c *phone.Call) *phone.Call {
		t.Helper()
		if _, err := server.Unknown(t.Context(), c.ID, &phone.Failure{Code: phone.Uncertain}); err != nil {
			t.Fatal(err)
		}
		return c
	}
	live := place("alice", "stepone", "CNY", now.Add(-time.Minute))
	if _, err := server.Placed(t.Context(), live.ID, "r1"); err != nil {
		t.Fatal(err)
	}
	unsure := []*phone.Call{
		uncertain(place("bob", "pamela", "USD", now.Add(-2*time.Minute))), uncertain(place("carol", "pamela", "USD", now.Add(-3*time.Minute))),
	}
	old := uncertain(place("bob", "pamela", "USD", now.Add(-25*time.Hour)))
	for range 3 {
		if err := server.Refused(t.Context(), "mallory", false, now.Add(-time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.SwitchDialing(t.Context(), "it runs wild"); err != nil {
		t.Fatal(err)
	}

	policy := guard.Policy{
		Longest: 10 * time.Minute, PauseFailures: 2, PauseRefusals: 3,
		BudgetDay:       guard.Budget{"USD": phone.Micros(5_000_000, "USD")},
		BudgetPrincipal: guard.Budget{"USD": phone.Micros(3_000_000, "USD")},
		BudgetMonth:     guard.Budget{"CNY": phone.Micros(50_000_000, "CNY"), "EUR": phone.Micros(1_000_000, "EUR")},
	}
	s, err := Status(t.Context(), l, policy, now)
	if err != nil {
		t.Fatal(err)
	}
	var open2 []string
	for _, c := range s.Open {
		open2 = append(open2, c.ID+" "+string(c.Status))
	}
	if diff := cmp.Diff([]string{live.ID + " queued", unsure[0].ID + " unconfirmed", unsure[1].ID + " unconfirmed", old.ID + " unconfirmed"}, open2); diff != "" {
		t.Errorf("the open calls:\n%s", diff)
	}
	if s.AtOnce != 3 || s.WhyOff != "it runs wild" || s.Unread != 0 || s.Questions != 0 || s.Bytes < 4096 {
		t.Errorf("%+v", s)
	}
	if len(s.Paused) != 2 || s.Paused[0].Provider != "pamela" || s.Paused[0].Times != 2 || !s.Paused[0].Until.After(now.Add(7*time.Minute)) ||
		s.Paused[1].Principal != "mallory" || s.Paused[1].Until.Sub(now) > 15*time.Minute {
		t.Errorf("paused: %+v", s.Paused)
	}
	var budgets []string
	for _, b := range s.Budgets {
		budgets = append(budgets, fmt.Sprintf("%s %v %v %v", strings.TrimSpace(b.Principal+" "+b.Period), b.Spent, b.Reserved, b.Limit.Amount()))
	}
	if diff := cmp.Diff([]string{
		"day CNY 0.00 CNY 1.00 0.00", "day USD 0.00 USD 2.00 5.00",
		"month CNY 0.00 CNY 1.00 50.00", "month EUR 0.00 EUR 0.00 1.00", "month USD 0.00 USD 3.00 0.00",
		"bob day USD 0.00 USD 1.00 3.00", "carol day USD 0.00 USD 1.00 3.00",
	}, budgets); diff != "" {
		t.Errorf("budgets:\n%s", diff)
	}
	if len(s.Processes) != 1 || s.Processes[0].Calls != 1 || !s.Processes[0].ExpiresAt.After(now) {
		t.Errorf("processes: %+v", s.Processes)
	}

	// What is over is spent and no longer reserved.
	if _, err := Resolve(t.Context(), l, unsure[0].ID, Finding{Dialed: true}); err != nil {
		t.Fatal(err)
	}
	all, err := Budgets(t.Context(), l, policy, now)
	if err != nil || all[1].Spent.Micros() == 0 || all[1].Reserved.Micros() != 1_000_000 {
		t.Errorf("%+v, %v", all, err)
	}
}
