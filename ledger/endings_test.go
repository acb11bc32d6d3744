package ledger

import (
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// ending is a call that has ended with what was heard; its record is awaited no more.
func ending(t *testing.T, l *Ledger, number string) Held {
	t.Helper()
	h, err := l.Placed(t.Context(), reserve(t, l, wish(t, number, "", "p")).ID, phone.Ref("r"+number))
	if err != nil {
		t.Fatal(err)
	}
	settle(t, l, &h)
	return h
}

func settle(t *testing.T, l *Ledger, h *Held) {
	t.Helper()
	after := h.Clone()
	events := h.Settle(now())
	for _, e := range events {
		after.Apply(e)
	}
	if err := l.Append(t.Context(), after, h.Epoch, events); err != nil {
		t.Fatal(err)
	}
	h.Call = after
}

// An end is one process's to tell at a time, for a minute; again if it did not live to say that it has, or could not, less and
// less often and for a day; never once it was told, and not for a record that comes later.
func TestEndingsAreToldOnce(t *testing.T) {
	path := t.TempDir() + "/outdial.db"
	l, other := open(t, path), open(t, path)
	h := ending(t, l, "+8613800138000")
	ago := now().Add(-time.Hour)
	take := func(want int) Ending {
		t.Helper()
		var all []Ending
		for _, one := range []*Ledger{l, other, l} {
			due, err := one.Endings(t.Context(), ago, now(), 10)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, due...)
		}
		if len(all) != 1 && want > 0 || want == 0 && len(all) > 0 {
			t.Fatalf("%+v, wanted the %d. try", all, want)
		}
		if want == 0 {
			return Ending{}
		}
		if all[0].Tries != want || all[0].CallID != h.ID || all[0].Outcome != phone.UnknownOutcome {
			t.Fatalf("%+v, wanted the %d. try", all[0], want)
		}
		return all[0]
	}
	dueIn := func() time.Duration {
		t.Helper()
		at, err := column[int64](t.Context(), l.read, `SELECT due FROM endings WHERE call_id = ?`, h.ID)
		if err != nil || len(at) != 1 {
			t.Fatal(at, err)
		}
		if at[0] == 0 {
			return 0
		}
		return time.Until(moment(at[0])).Round(time.Second)
	}
	passes := func() { change(t, l, `UPDATE endings SET due = 1 WHERE due > 0`) }

	// One takes it while the other, which has seen that it is due, waits for its turn.
	began, taken := make(chan struct{}), make(chan error, 1)
	go func() {
		taken <- l.do(t.Context(), "test", func(tx *transaction) error {
			close(began)
			<-time.After(100 * time.Millisecond)
			_, err := tx.Exec(`UPDATE endings SET due = ?, tries = 1`, micros(tx.now(now()).Add(tellWithin)))
			return err
		})
	}()
	<-began
	if due, err := other.Endings(t.Context(), ago, now(), 10); err != nil || len(due) > 0 {
		t.Errorf("two processes tell it at once: %+v, %v", due, err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	take(0)
	passes()
	take(2)
	if left := dueIn(); left < 55*time.Second || left > time.Minute {
		t.Errorf("the next one may tell it in %v", left)
	}
	take(0)
	passes() // and nobody said that it was told
	e := take(3)
	for tries, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 3: 20 * time.Second, 99: time.Hour} {
		e.Tries = tries
		if again, err := l.Untold(t.Context(), e, now()); err != nil || !again || dueIn() < want-2*time.Second || dueIn() > want {
			t.Errorf("after %d tries: again %v in %v, not in %v, %v", tries, again, dueIn(), want, err)
		}
	}
	take(0)
	passes()
	e = take(4)
	late := e
	late.At = now().Add(-24 * time.Hour)
	if again, err := l.Untold(t.Context(), late, now()); err != nil || again || dueIn() != 0 {
		t.Errorf("after a day: again %v in %v, %v", again, dueIn(), err)
	}
	change(t, l, `UPDATE endings SET due = 1`)
	take(5)
	if err := l.Told(t.Context(), h.ID); err != nil {
		t.Fatal(err)
	}
	if dueIn() != 0 {
		t.Errorf("it was told, and is told again in %v", dueIn())
	}

	if err := l.ClearEndings(t.Context(), now().Add(47*time.Hour)); err != nil {
		t.Fatal(err)
	}
	dueIn() // it is still there
	if err := l.ClearEndings(t.Context(), now().Add(49*time.Hour)); err != nil {
		t.Fatal(err)
	}
	claimed, err := l.ClaimOne(t.Context(), h.ID, now())
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	if err := observe(t, l, &claimed[0], phone.Observation{Extent: phone.Whole, Line: phone.WrappingUp, Outcome: phone.Completed, Summary: "they talked"}); err != nil {
		t.Fatal(err)
	}
	if claimed[0].Outcome != phone.Completed {
		t.Fatalf("%+v", claimed[0].Call)
	}
	if left, err := column[string](t.Context(), l.read, `SELECT call_id FROM endings`); err != nil || len(left) > 0 {
		t.Errorf("a record that came late is told as an end: %v, %v", left, err)
	}
}
