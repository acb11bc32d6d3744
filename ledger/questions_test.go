package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// asked is a question about a call to a number.
func asked(t *testing.T, l *Ledger, change func(*phone.Question)) phone.Question {
	t.Helper()
	q := phone.Question{
		Principal: "local", Order: wish(t, "+8613800138000", "", "p").Call.Order, Provider: "stepone", Longest: time.Minute, Worst: phone.Micros(10, "USD"), AskedAt: now(),
	}
	if change != nil {
		change(&q)
	}
	q, err := l.Ask(t.Context(), q)
	if err != nil || q.ID == "" {
		t.Fatalf("%+v, %v", q, err)
	}
	return q
}

func TestAQuestionIsAskedOnce(t *testing.T) {
	l := fresh(t)
	first := asked(t, l, nil)
	if again := asked(t, l, nil); again.ID != first.ID {
		t.Error("the same question is asked twice")
	}
	for name, change := range map[string]func(*phone.Question){
		"who asks":   func(q *phone.Question) { q.Principal = "she" },
		"whom":       func(q *phone.Question) { q.Order.To = number(t, "+8613800138001") },
		"what for":   func(q *phone.Question) { q.Order.Task = "y" },
		"told what":  func(q *phone.Question) { q.Order.Options = map[string]any{"instructions": "y"} },
		"heard":      func(q *phone.Question) { q.Heard = true },
		"by whom":    func(q *phone.Question) { q.Provider = "pamela" },
		"how much":   func(q *phone.Question) { q.Worst = phone.Micros(11, "USD") },
		"which":      func(q *phone.Question) { q.Worst = phone.Micros(10, "CNY") },
		"long since": func(q *phone.Question) { q.AskedAt = now().Add(61 * time.Minute) },
	} {
		if other := asked(t, l, change); other.ID == first.ID {
			t.Errorf("another question, %s, is the same", name)
		}
	}
	newest := func(a, b phone.Question) int { return b.AskedAt.Compare(a.AskedAt) }
	if all, err := l.Waiting(t.Context(), now()); err != nil || len(all) != 10 || !slices.IsSortedFunc(all, newest) {
		t.Errorf("%d wait, %v", len(all), err)
	}
	if all, err := l.Waiting(t.Context(), now().Add(3*time.Hour)); err != nil || len(all) != 0 {
		t.Errorf("%d wait for ever, %v", len(all), err)
	}
}

// A yes is for one call of one number, task, provider and price, for five minutes.
func TestAnApprovalIsUsedOnce(t *testing.T) {
	l := fresh(t)
	q := asked(t, l, nil)
	wanted := func(change func(*Intent)) Intent {
		in := wish(t, "+8613800138000", "", "p").costing(10, 10)
		if change != nil {
			change(&in)
		}
		return in
	}
	approved := func(in Intent) bool {
		t.Helper()
		f, err := l.Facts(t.Context(), in.Call)
		if err != nil {
			t.Fatal(err)
		}
		return f.Approved
	}
	if approved(wanted(nil)) {
		t.Fatal("approved before anybody said so")
	}
	if err := l.Answer(t.Context(), q.ID, true, now()); err != nil {
		t.Fatal(err)
	}
	if !approved(wanted(nil)) {
		t.Fatal("a yes allows nothing")
	}
	for name, change := range map[string]func(*Intent){
		"another number":   func(in *Intent) { in.Call.Order.To = number(t, "+8613800138001") },
		"another task":     func(in *Intent) { in.Call.Order.Task = "X" },
		"another name":     func(in *Intent) { in.Call.Order.CallerName = "The Tax Office" },
		"other words":      func(in *Intent) { in.Call.Order.Options = map[string]any{"instructions": "y"} },
		"another provider": func(in *Intent) { in.Call.Provider = "pamela" },
		"somebody else":    func(in *Intent) { in.Call.Principal = "she" },
		"more money":       func(in *Intent) { in.Call.Worst = phone.Micros(11, "USD") },
		"other money":      func(in *Intent) { in.Call.Worst = phone.Micros(10, "CNY") },
		"too late":         func(in *Intent) { in.Call.CreatedAt = now().Add(5*time.Minute + time.Second) },
	} {
		if approved(wanted(change)) {
			t.Errorf("a yes allows %s", name)
		}
	}
	if !approved(wanted(func(in *Intent) { in.Call.Worst = phone.Micros(9, "USD") })) {
		t.Error("a yes does not allow less money")
	}
	if err := l.Answer(t.Context(), q.ID, true, now()); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("answered twice: %v", err)
	}
	no := func(phone.Facts) error { return phone.Errorf(phone.Refused, "no") }
	if _, _, err := l.Reserve(t.Context(), wanted(nil), no); err == nil || !approved(wanted(nil)) {
		t.Error("a call that was refused has used up the approval")
	}
	reserve(t, l, wanted(nil))
	if approved(wanted(nil)) {
		t.Error("a yes allows two calls")
	}
	for range 1000 { // nothing brings it back
		if err := l.Answer(t.Context(), q.ID, true, now()); phone.CodeOf(err) != phone.NotFound {
			t.Fatal(err)
		}
	}
	if approved(wanted(nil)) {
		t.Error("an approval came back")
	}
}

func TestANoIsRemembered(t *testing.T) {
	l := fresh(t)
	q := asked(t, l, nil)
	if err := l.Answer(t.Context(), q.ID, false, now()); err != nil {
		t.Fatal(err)
	}
	c := wish(t, "+8613800138000", "", "p").costing(10, 10).Call
	if f, err := l.Facts(t.Context(), c); err != nil || f.Approved || !f.Declined {
		t.Errorf("%+v, %v", f, err)
	}
	c.CreatedAt = now().Add(6 * time.Minute)
	if f, err := l.Facts(t.Context(), c); err != nil || f.Declined {
		t.Errorf("a no lasts for ever: %v", err)
	}
	if err := l.Answer(t.Context(), q.ID, true, now()); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("a no was turned into a yes: %v", err)
	}
	again := asked(t, l, nil)
	for i, answer := range []bool{true, false} {
		if err := l.Answer(t.Context(), again.ID, answer, now()); err != nil {
			t.Errorf("%d. answer: %v", i, err)
		}
	}
	if f, err := l.Facts(t.Context(), wish(t, "+8613800138000", "", "p").costing(10, 10).Call); err != nil || f.Approved || !f.Declined {
		t.Errorf("a no after a yes: %+v, %v", f, err)
	}
	if err := l.Answer(t.Context(), "ask_nobody", true, now()); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("%v", err)
	}
	late := asked(t, l, func(q *phone.Question) { q.AskedAt = now().Add(-61 * time.Minute) })
	if err := l.Answer(t.Context(), late.ID, true, now()); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("an hour later: %v", err)
	}
}

// An agent that asks and asks does not bury what matters.
func TestFewQuestionsWait(t *testing.T) {
	l := fresh(t)
	for i := range mostWaiting {
		asked(t, l, func(q *phone.Question) { q.Order.Task = string(rune('a' + i)) })
	}
	q := asked(t, l, func(q *phone.Question) { q.Order.Task = "a" })
	if _, err := l.Ask(t.Context(), phone.Question{Principal: "local", Order: phone.Order{To: q.Order.To}, AskedAt: now()}); phone.CodeOf(err) != phone.Exhausted {
		t.Errorf("%v", err)
	}
	if _, err := l.Ask(t.Context(), phone.Question{Principal: "she", Order: phone.Order{To: q.Order.To}, AskedAt: now()}); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	if err := l.Answer(t.Context(), q.ID, false, now()); err != nil {
		t.Fatal(err)
	}
	asked(t, l, func(q *phone.Question) { q.Order.Task = "another" })
	if _, err := l.Ask(t.Context(), phone.Question{Principal: "local", Order: phone.Order{To: q.Order.To}, AskedAt: now()}); phone.CodeOf(err) != phone.Exhausted {
		t.Errorf("one more: %v", err)
	}
	asked(t, l, func(q *phone.Question) { q.AskedAt = now().Add(61 * time.Minute) }) // the others wait no longer
}
