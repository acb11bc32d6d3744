package operator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// wants is a call that somebody wants placed, and the question about it.
func wants(t *testing.T, l *ledger.Ledger, to, task string, at time.Time) (*phone.Call, phone.Question) {
	t.Helper()
	n := parse(t, to)
	q, err := l.Ask(t.Context(), phone.Question{Principal: "local", Order: phone.Order{To: n, Task: task}, Provider: "pamela", Worst: phone.Micros(1_000_000, "USD"), AskedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	c := phone.Begin(ledger.NewCallID(), "local", "pamela", "acc", phone.Order{To: n, Task: task}, at)
	c.Worst = phone.Micros(1_000_000, "USD")
	return c, q
}

// standing is what a person has said about a call.
func standing(t *testing.T, l *ledger.Ledger, c *phone.Call) string {
	t.Helper()
	f, err := l.Facts(t.Context(), c)
	switch {
	case err != nil:
		t.Fatal(err)
	case f.Approved && f.Declined:
		return "both"
	case f.Approved:
		return "approved"
	case f.Declined:
		return "declined"
	}
	return ""
}

func TestApprove(t *testing.T) {
	l, now := openLedger(t), time.Now()
	c, q := wants(t, l, "+12025550143", "Book a table", now)
	for _, wrong := range []string{"", "0", "143", "00143", "0142", "+12025550143", "12025550143", "yes", "０１４３"} {
		err := Approve(t.Context(), l, q, wrong, now)
		if e := phone.AsError(err); e == nil || e.Code != phone.Refused || e.Reason != "wrong_digits" {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if s := standing(t, l, c); s != "" {
		t.Fatalf("wrong digits made it %s", s)
	}
	if err := Approve(t.Context(), l, phone.Question{}, "", now); err == nil {
		t.Error("a question about nobody was allowed")
	}
	if err := Approve(t.Context(), l, q, "0143", now); err != nil {
		t.Fatal(err)
	}
	if s := standing(t, l, c); s != "approved" {
		t.Errorf("it is %q", s)
	}
	if err := Approve(t.Context(), l, q, "0143", now); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("approved twice: %v", err)
	}
	later := *c
	later.CreatedAt = now.Add(5*time.Minute + time.Second)
	if s := standing(t, l, &later); s != "" {
		t.Errorf("after five minutes it is still %s", s)
	}
	// It is for this number, task and provider, at this price, and for who asked.
	for name, change := range map[string]func(c *phone.Call){
		"number":    func(c *phone.Call) { c.Order.To = parse(t, "+12025550144") },
		"task":      func(c *phone.Call) { c.Order.Task += "." },
		"provider":  func(c *phone.Call) { c.Provider = "stepone" },
		"price":     func(c *phone.Call) { c.Worst = phone.Micros(1_000_001, "USD") },
		"currency":  func(c *phone.Call) { c.Worst = phone.Micros(1_000_000, "CNY") },
		"principal": func(c *phone.Call) { c.Principal = "somebody else" },
	} {
		other := *c
		change(&other)
		if s := standing(t, l, &other); s != "" {
			t.Errorf("with another %s it is %s", name, s)
		}
	}

	c, q = wants(t, l, "+12025550144", "Book a table", now)
	if err := Decline(t.Context(), l, q, now); err != nil {
		t.Fatal(err)
	}
	if s := standing(t, l, c); s != "declined" {
		t.Errorf("it is %q", s)
	}
}

func TestWaiting(t *testing.T) {
	l, now := openLedger(t), time.Now()
	wants(t, l, "+12025550199", "too old", now.Add(-2*time.Hour))
	for n := range listed + 3 {
		q := phone.Question{
			Principal: fmt.Sprint(n % 2), Order: phone.Order{To: parse(t, fmt.Sprintf("+120255501%02d", n)), Task: "x"}, Provider: "pamela",
			AskedAt: now.Add(-time.Duration(n) * time.Minute),
		}
		if _, err := l.Ask(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	all, more, err := Waiting(t.Context(), l, now)
	if err != nil || len(all) != listed || more != 3 {
		t.Fatalf("%d and %d more, %v", len(all), more, err)
	}
	for n, q := range all {
		if want := fmt.Sprintf("+120255501%02d", n); q.Order.To.E164() != want {
			t.Errorf("%d. is %s, not %s", n, q.Order.To.E164(), want)
		}
	}
}

func TestSwitchDialing(t *testing.T) {
	l := openLedger(t)
	off := func() string {
		t.Helper()
		why, err := l.WhyOff(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return why
	}
	for _, why := range []string{"", "it runs wild"} {
		if err := SwitchDialing(t.Context(), l, false, why); err != nil || !strings.Contains(off(), why) || off() == "" {
			t.Errorf("%q: %v, %q", why, err, off())
		}
	}
	if err := SwitchDialing(t.Context(), l, false, "a\nb"); phone.CodeOf(err) != phone.Invalid {
		t.Errorf("%v", err)
	}
	if err := SwitchDialing(t.Context(), l, true, ""); err != nil || off() != "" {
		t.Errorf("%v, %q", err, off())
	}
}
