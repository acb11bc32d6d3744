package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// A key that was answered with a call stands for it from then on, though the call was placed without one.
func TestAKeyStandsForTheCallItWasAnsweredWith(t *testing.T) {
	l := fresh(t)
	reserve(t, l, wish(t, "+8613800138000", "", "p"))
	if !replayed(t, l, wish(t, "+8613800138000", "k", "p")) {
		t.Fatal("with a key after without it is another call")
	}
	_, _, err := l.Reserve(t.Context(), wish(t, "+8613800138001", "k", "q"), yes)
	if e := phone.AsError(err); err == nil || e.Reason != "key_conflict" {
		t.Errorf("%v", err)
	}
}

// A key whose dial surely did not happen may be used with other params, and stands for those then.
func TestAKeyUsedAnew(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "k", "p"))
	if _, err := l.Rejected(t.Context(), h.ID, failure()); err != nil {
		t.Fatal(err)
	}
	reserve(t, l, wish(t, "+8613800138001", "k", "q"))
	if !replayed(t, l, wish(t, "+8613800138001", "k", "q")) {
		t.Error("the same request is another call")
	}
}

// A process renews its lease while another one is about to claim: the lease ends later than one from that moment on would.
func TestALeaseThatIsRenewedDuringAClaim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	a, b := open(t, path), open(t, path)
	reserve(t, a, wish(t, "+8613800138000", "", "p"))
	began := now()
	if err := a.Renew(t.Context(), began.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if held, err := b.Claim(t.Context(), Accounts{}, idle, began); err != nil || len(held) != 0 {
		t.Errorf("a call whose process lives was claimed: %+v, %v", held, err)
	}
}

// Work on a call that begins between the look and the claim keeps it.
func TestWorkThatBeginsDuringAClaim(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	asked := 0
	working := func(string) bool { asked++; return asked > 1 }
	if held, err := l.Claim(t.Context(), Accounts{}, working, now()); err != nil || len(held) != 0 {
		t.Errorf("%+v, %v", held, err)
	}
	if got, err := l.Call(t.Context(), "local", h.ID); err != nil || got.Epoch != h.Epoch {
		t.Errorf("epoch %d, %v", got.Epoch, err)
	}
}

// A call that is over is nobody's, also while the process that followed it lives: another one may fetch its late record.
func TestACallThatIsOverIsNobodys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	a, b := open(t, path), open(t, path)
	h := reserve(t, a, wish(t, "+8613800138000", "", "p"))
	h, err := a.Placed(t.Context(), h.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	if err := observe(t, a, &h, phone.Observation{Extent: phone.Whole, Line: phone.WrappingUp, Outcome: phone.Completed}); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Ledger{b, a} { // each gives it back
		held, err := l.ClaimOne(t.Context(), h.ID, now())
		if err != nil || len(held) != 1 {
			t.Fatalf("%+v, %v", held, err)
		}
		if err := l.Release(t.Context(), h.ID, held[0].Epoch); err != nil {
			t.Fatal(err)
		}
	}
}

// Events that do not go on where the call stands are not recorded, and a write that fails half-way leaves nothing.
func TestAppendIsWholeOrNothing(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	event := func(seq int64) phone.Event {
		return phone.Event{Seq: seq, At: now(), Body: phone.Progress{State: phone.Queued}}
	}
	after := h.Clone()
	after.Status, after.Seq = phone.Queued, 2
	if err := l.Append(t.Context(), after, h.Epoch, []phone.Event{event(2)}); !errors.Is(err, ErrLost) {
		t.Errorf("a gap: %v", err)
	}
	if err := l.Append(t.Context(), after, h.Epoch, []phone.Event{event(1), event(1)}); err == nil {
		t.Error("two events with one number are recorded")
	}
	events, err := l.Events(t.Context(), h.ID, 0)
	if err != nil || len(events) != 0 {
		t.Errorf("%+v, %v", events, err)
	}
	if calls, _, err := l.List(t.Context(), "local", Filter{Limit: 1}); err != nil || calls[0].Seq != 0 || calls[0].Status != phone.Dialing {
		t.Errorf("%+v, %v", calls, err)
	}
}

// Whoever has left before his turn has asked for nothing.
func TestAWriteWhoseAskerHasLeft(t *testing.T) {
	l := fresh(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	j := job{ctx: ctx, do: func(*transaction) error { t.Error("it is carried out"); return nil }, done: make(chan error, 1)}
	l.commit([]job{j})
	if err := <-j.done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A rehearsal is no reason not to call, and no call is one not to rehearse.
func TestFactsOfSimulatedCalls(t *testing.T) {
	l := fresh(t)
	in := wish(t, "+8613800138000", "", "p")
	in.Call.Simulated = true
	reserve(t, l, in)
	for simulated, want := range map[bool]int{true: 1, false: 0} {
		c := in.Call.Clone()
		c.Simulated = simulated
		if f, err := l.Facts(t.Context(), c); err != nil || len(f.ToNumber) != want {
			t.Errorf("simulated %v: %d calls, %v", simulated, len(f.ToNumber), err)
		}
	}
}

// Many slow writes at once do not hold up everybody else for as long as all of them take.
func TestAGroupEndsInTime(t *testing.T) {
	var commits atomic.Int64
	l := openWith(t, address(t, filepath.Join(t.TempDir(), "outdial.db")), Options{Committed: func(time.Duration) { commits.Add(1) }})
	const slow, writes = 60 * time.Millisecond, 20
	began, first := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := l.do(t.Context(), "test", func(*transaction) error { close(began); <-first; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-began
	before := commits.Load()
	var told atomic.Int64
	for i := range writes {
		all.Go(func() {
			err := l.do(t.Context(), "test", func(tx *transaction) error {
				<-time.After(slow)
				_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES (?, '')`, fmt.Sprint("slow ", i))
				return err
			})
			if err == nil {
				told.Add(1)
			}
		})
	}
	<-time.After(slow) // they wait for their turn by then, as one group
	close(first)
	all.Wait()
	kept, err := column[string](t.Context(), l.read, `SELECT key FROM meta WHERE key LIKE 'slow %'`)
	if err != nil || len(kept) != writes || told.Load() != writes {
		t.Errorf("%d of %d writes are there, %d were told so, %v", len(kept), writes, told.Load(), err)
	}
	if n := commits.Load() - before; n < 1+writes/5 { // a group takes five of them at most
		t.Errorf("%d commits", n)
	}
}
