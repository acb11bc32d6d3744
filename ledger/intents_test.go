package ledger

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

func TestTheSameIntentIsTheSameCall(t *testing.T) {
	l := fresh(t)
	a := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	never := func(phone.Facts) error { t.Error("a re-sent request is judged again"); return nil }
	b, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "", "p"), never)
	if err != nil || !replayed || b.ID != a.ID {
		t.Errorf("%s, replayed %v, %v", b.ID, replayed, err)
	}
	other := wish(t, "+8613800138000", "", "p")
	other.Call.Principal = "somebody else"
	if c, replayed, err := l.Reserve(t.Context(), other, yes); err != nil || replayed || c.ID == a.ID {
		t.Errorf("another principal's: replayed %v, %v", replayed, err)
	}
	keyed := reserve(t, l, wish(t, "+8613800138001", "k", "p"))
	if again, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138001", "k", "p"), never); err != nil || !replayed || again.ID != keyed.ID {
		t.Errorf("the same key: replayed %v, %v", replayed, err)
	}
	_, _, err = l.Reserve(t.Context(), wish(t, "+8613800138002", "k", "q"), never)
	if e := phone.AsError(err); err == nil || e.Reason != "key_conflict" || e.Code != phone.Invalid {
		t.Errorf("the same key with other params: %v", err)
	}
}

func TestWithAndWithoutAKey(t *testing.T) {
	l := fresh(t)
	plain := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	if h, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "k", "p"), yes); err != nil || !replayed || h.ID != plain.ID {
		t.Errorf("with a key after without: replayed %v, %v", replayed, err)
	}
	if h, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "k", "p"), yes); err != nil || !replayed || h.ID != plain.ID {
		t.Errorf("the key again: replayed %v, %v", replayed, err)
	}
	keyed := reserve(t, l, wish(t, "+8613800138001", "a", "p"))
	if h, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138001", "", "p"), yes); err != nil || !replayed || h.ID != keyed.ID {
		t.Errorf("without a key after with: replayed %v, %v", replayed, err)
	}
	if other := reserve(t, l, wish(t, "+8613800138001", "b", "p")); other.ID == keyed.ID {
		t.Error("two keys are one call")
	}
}

func TestNoRepeatOfACallThatGoesOn(t *testing.T) {
	l := fresh(t)
	first := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	again := wish(t, "+8613800138000", "", "p")
	again.Names, again.Known, again.RepeatOf = []string{"repeat"}, []string{"repeat"}, first.ID
	for _, settle := range []func(){
		func() {},
		func() { _, _ = l.Unknown(t.Context(), first.ID, &phone.Failure{Code: phone.Uncertain}) },
		func() { _, _ = l.Placed(t.Context(), first.ID, "r") },
	} {
		settle()
		_, _, err := l.Reserve(t.Context(), again, yes)
		if e := phone.AsError(err); err == nil || e.Code != phone.Refused || e.Reason != "busy" || e.CallID != first.ID {
			t.Errorf("%v", err)
		}
	}
}

// A call whose line is closed is not over until its record is settled.
func TestNoRepeatOfACallThatWrapsUp(t *testing.T) {
	l := fresh(t)
	first := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	h, err := l.Placed(t.Context(), first.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	again := wish(t, "+8613800138000", "", "p")
	again.Names, again.Known, again.RepeatOf = []string{"repeat"}, []string{"repeat"}, first.ID
	for i, busy := range []bool{true, false} {
		o := phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed}
		if !busy {
			o.Extent = phone.Whole
		}
		if err := observe(t, l, &h, o); err != nil {
			t.Fatal(err)
		}
		_, _, err := l.Reserve(t.Context(), again, yes)
		if (err != nil) != busy || busy && phone.AsError(err).Reason != "busy" {
			t.Errorf("%d: %s: %v", i, h.Status, err)
		}
	}
}

func TestADerivedIntentEndsAfterItsWindow(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	h, err := l.Placed(t.Context(), h.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	later := wish(t, "+8613800138000", "", "p")
	later.Call.CreatedAt = now().Add(24 * time.Hour)
	if _, replayed, err := l.Reserve(t.Context(), later, yes); err != nil || !replayed {
		t.Errorf("a call that goes on: replayed %v, %v", replayed, err)
	}
	if err := observe(t, l, &h, phone.Observation{Extent: phone.Whole, Line: phone.WrappingUp, Outcome: phone.NoAnswer}); err != nil {
		t.Fatal(err)
	}
	soon := wish(t, "+8613800138000", "", "p")
	soon.Call.CreatedAt = h.EndedAt.Add(10 * time.Minute)
	if _, replayed, err := l.Reserve(t.Context(), soon, yes); err != nil || !replayed {
		t.Errorf("10 minutes after the end: replayed %v, %v", replayed, err)
	}
	soon.Call.CreatedAt = h.EndedAt.Add(10*time.Minute + time.Second)
	if _, replayed, err := l.Reserve(t.Context(), soon, yes); err != nil || replayed {
		t.Errorf("10 minutes and a second after the end: replayed %v, %v", replayed, err)
	}
}

func TestAJudgementLeavesNothing(t *testing.T) {
	l := fresh(t)
	refused := phone.Errorf(phone.Refused, "no")
	if _, _, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "k", "p"), func(phone.Facts) error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if calls, _, err := l.List(t.Context(), "local", Filter{Limit: 10}); err != nil || len(calls) != 0 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
	reserve(t, l, wish(t, "+8613800138000", "k", "other params"))
}

func TestWhatBecameOfADial(t *testing.T) {
	l := fresh(t)
	why := &phone.Failure{Code: phone.Exhausted, Message: "no credit"}
	rejected := reserve(t, l, wish(t, "+8613800138000", "k", "p"))
	got, err := l.Rejected(t.Context(), rejected.ID, why)
	if err != nil || got.Status != phone.StatusEnded || got.Outcome != phone.Failed || got.Failure == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	if again := reserve(t, l, wish(t, "+8613800138000", "k", "p")); again.ID == rejected.ID {
		t.Error("a key whose dial surely did not happen is not free again")
	}
	lost := reserve(t, l, wish(t, "+8613800138001", "", "p"))
	uncertain := &phone.Failure{Code: phone.Uncertain, Message: "?"}
	if got, err = l.Unknown(t.Context(), lost.ID, uncertain); err != nil || got.Status != phone.Unconfirmed {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138001", "", "p"), yes); err != nil || !replayed {
		t.Errorf("an unconfirmed call's intent: replayed %v, %v", replayed, err)
	}
	// The answer of the provider is a fact, also when it comes after all hope.
	if got, err = l.Placed(t.Context(), lost.ID, "r"); err != nil || got.Status != phone.Queued || got.Failure != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err = l.Unknown(t.Context(), lost.ID, uncertain); err != nil || got.Dial != Placed || got.Status != phone.Queued {
		t.Errorf("a placed call became unknown: %+v, %v", got, err)
	}
	if got, err = l.Rejected(t.Context(), lost.ID, why); err != nil || got.Dial != Placed {
		t.Errorf("a placed call became rejected: %+v, %v", got, err)
	}
}

func TestEqualRequestsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	ledgers := []*Ledger{open(t, path), open(t, path), open(t, path)}
	var mu sync.Mutex
	ids, placed := map[string]int{}, 0
	var all sync.WaitGroup
	for i := range 60 {
		in := wish(t, "+8613800138000", "", "p")
		all.Go(func() {
			h, replayed, err := ledgers[i%3].Reserve(t.Context(), in, yes)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			if ids[h.ID]++; !replayed {
				placed++
			}
		})
	}
	all.Wait()
	if len(ids) != 1 || placed != 1 {
		t.Errorf("%d calls, %d of them to be dialed", len(ids), placed)
	}
}
