package switchboard

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/phone"
)

// What the provider does not answer shows nothing, however often.
func TestErrorsAreNoAnswersToASearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		s.list = func(int) ([]phone.Listed, error) { return nil, errors.New("not now") }
		b := newBoard(t, file(t), nil, searching(s))
		id := placed(t, b, ask("+8613800138000", "x"))
		time.Sleep(time.Hour) // of the bubble's time
		if c := call(t, b, id); c.Status != phone.Unconfirmed {
			t.Errorf("%+v", c)
		}
		b.stop()
	})
}

// Two answers, one before and one after the two minutes, are too few.
func TestThreeAnswersAreNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		answers, began := 0, time.Now()
		s.list = func(n int) ([]phone.Listed, error) {
			if n > 1 && time.Since(began) < 2*time.Minute {
				return nil, errors.New("not now")
			}
			answers++
			return nil, nil
		}
		b := newBoard(t, file(t), nil, searching(s))
		id := placed(t, b, ask("+8613800138000", "x"))
		for range b.Watch(t.Context(), me(), id, 0) {
		}
		if c := call(t, b, id); c.Outcome != phone.Failed || answers != 3 {
			t.Errorf("%d answers, %+v", answers, c)
		}
		b.stop()
	})
}

// A list on which something could be the call, and then nothing, has shown for two minutes anew that there is none.
func TestACandidateBeginsTheTwoMinutesAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		var could time.Time
		s.list = func(n int) ([]phone.Listed, error) {
			if n == 5 {
				could = time.Now()
				return []phone.Listed{{Ref: "r"}}, nil
			}
			return nil, nil
		}
		b := newBoard(t, file(t), nil, searching(s))
		id := placed(t, b, ask("+8613800138000", "x"))
		for range b.Watch(t.Context(), me(), id, 0) {
		}
		if could.IsZero() || time.Since(could) < searchFor {
			t.Errorf("given up %v after it could be one", time.Since(could))
		}
		b.stop()
	})
}

// A provider that says when it may be asked again is not asked before.
func TestASearchWaitsAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		s.list = func(n int) ([]phone.Listed, error) {
			if n == 1 {
				return nil, &phone.Error{Code: phone.Exhausted, Reason: "rate_limited", RetryAt: time.Now().Add(5 * time.Minute)}
			}
			return listed("r1"), nil
		}
		b := newBoard(t, file(t), nil, searching(s))
		placed(t, b, ask("+8613800138000", "x"))
		time.Sleep(10 * time.Minute) // of the bubble's time
		if len(s.asked) != 2 || s.asked[1].Sub(s.asked[0]) < 5*time.Minute {
			t.Errorf("asked at %v", s.asked)
		}
		b.stop()
	})
}

// Nobody takes up an uncertain dial at a service that lists nothing: there is nobody to ask.
func TestNoSearchWhereNothingIsListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, file(t), nil, with(&uncertain().service))
		id := placed(t, b, ask("+8613800138000", "x"))
		time.Sleep(time.Minute) // of the bubble's time
		if h, err := b.Ledger.Call(t.Context(), "local", id); err != nil || h.Epoch != 1 || b.worksOn(id) {
			t.Errorf("epoch %d, %v", h.Epoch, err)
		}
		b.stop()
	})
}
