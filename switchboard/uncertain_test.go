package switchboard

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// listing is a service whose calls can be listed. Its dials are all uncertain.
type listing struct {
	service
	list func(n int) ([]phone.Listed, error) // the answer to the nth question

	mu    sync.Mutex
	asked []time.Time
}

func (s *listing) Find(_ context.Context, o phone.Order, about time.Time) ([]phone.Listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.CallID == "" || o.To.IsZero() || time.Since(about) < 0 {
		return nil, errors.New("there is nothing to find it by")
	}
	s.asked = append(s.asked, time.Now())
	return s.list(len(s.asked))
}

func uncertain() *listing {
	s := &listing{service: service{said: make(chan phone.Observation, 100)}}
	s.place = func(phone.Order) (phone.Ref, error) { return "", phone.Errorf(phone.Uncertain, "may ring") }
	return s
}

func searching(s *listing) *providers.Provider {
	return providers.New(spec("test"), s, providers.Options{Account: "acc"})
}

// placed places a call whose dial is uncertain, and gives its id.
func placed(t *testing.T, b board, r Request) string {
	t.Helper()
	_, err := b.Place(t.Context(), me(), r)
	e := phone.AsError(err)
	if e == nil || e.Code != phone.Uncertain || e.CallID == "" || e.CallStarted() != phone.StartedUnknown || e.RetrySafe() {
		t.Fatalf("%+v", e)
	}
	return e.CallID
}

func call(t *testing.T, b board, id string) *phone.Call {
	t.Helper()
	c, err := b.Get(t.Context(), me(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// heardTo is listen for a bubble, whose time is for nothing.
func heardTo(t *testing.T, b board, id string) []string {
	t.Helper()
	var all []string
	for e, err := range b.Watch(t.Context(), me(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := e.Body.(phone.Fragment); ok {
			all = append(all, f.Text)
		}
	}
	return all
}

// listed are calls that carry our identifier.
func listed(refs ...phone.Ref) []phone.Listed {
	var all []phone.Listed
	for _, r := range refs {
		all = append(all, phone.Listed{Ref: r, Match: phone.Sure})
	}
	return all
}

func none(int) ([]phone.Listed, error) { return nil, nil }

func TestAnUncertainDialIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		s.talks()
		s.list = func(n int) ([]phone.Listed, error) {
			switch n {
			case 1:
				return nil, nil // not yet
			case 2:
				return nil, errors.New("not now")
			}
			return listed("r9"), nil
		}
		b := newBoard(t, file(t), nil, searching(s))
		began := time.Now()
		id := placed(t, b, ask("+8613800138000", "x"))
		if heard := heardTo(t, b, id); !slices.Equal(heard, []string{"hello", "bye"}) {
			t.Errorf("heard %q", heard)
		}
		if c := call(t, b, id); c.Ref != "r9" || c.Outcome != phone.Completed || c.Record != phone.Complete || c.Failure != nil {
			t.Errorf("%+v", c)
		}
		if took := time.Since(began); took > 45*time.Second {
			t.Errorf("it took %v", took)
		}
		if again, err := b.Place(t.Context(), me(), ask("+8613800138000", "x")); err != nil || !again.Replayed || again.Call.ID != id {
			t.Errorf("%+v, %v", again, err)
		}
		if s.count() != 1 {
			t.Errorf("%d dials", s.count())
		}
		b.stop()
	})
}

// Three answers without it, over two minutes, and then the request may be made again.
func TestAnUncertainDialThatNeverHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		s.list = none
		b := newBoard(t, file(t), nil, searching(s))
		id := placed(t, b, ask("+8613800138000", "x"))
		began := time.Now()
		for range b.Watch(t.Context(), me(), id, 0) {
		}
		c := call(t, b, id)
		if c.Outcome != phone.Failed || c.Failure == nil || c.Failure.Code != phone.Unavailable || c.Failure.Reason != "not_placed" {
			t.Errorf("%+v", c)
		}
		if took := time.Since(began); took < 2*time.Minute || took > 3*time.Minute || len(s.asked) < 3 {
			t.Errorf("given up after %v and %d questions", took, len(s.asked))
		}
		if again := placed(t, b, ask("+8613800138000", "x")); again == id {
			t.Error("a call that never happened still stands for its intent")
		}
		if s.count() != 2 {
			t.Errorf("%d dials", s.count())
		}
		b.stop()
	})
}

// An answer that comes after the call was given up is still a fact, and the words are not lost.
func TestAnAnswerAfterTheCallWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		s.list = none
		b := newBoard(t, file(t), nil, searching(s))
		id := placed(t, b, ask("+8613800138000", "x"))
		for range b.Watch(t.Context(), me(), id, 0) {
		}
		if _, err := b.Ledger.Placed(t.Context(), id, "late"); err != nil {
			t.Fatal(err)
		}
		if c := call(t, b, id); !c.EndedAt.IsZero() || c.Outcome != phone.UnknownOutcome || c.Record != phone.Partial {
			t.Errorf("%+v", c)
		}
		at := time.Now()
		s.said <- phone.Observation{Line: phone.WrappingUp, StartedAt: at, EndedAt: at, Outcome: phone.Completed, Extent: phone.Whole, Words: words("hello")}
		if c := call(t, b, id); c.Ref != "late" || c.Outcome != phone.Completed || c.Failure != nil || len(c.Turns) != 1 || !c.EndedAt.Equal(at) || !c.StartedAt.Equal(at) {
			t.Errorf("%+v", c)
		}
		if again, err := b.Place(t.Context(), me(), ask("+8613800138000", "x")); err != nil || !again.Replayed || again.Call.ID != id {
			t.Errorf("the same request again: %+v, %v", again, err)
		}
		b.stop()
	})
}

// Which of several calls it was no program can know; a person says so, in another process.
func TestSeveralCallsCouldBeTheOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		s.list = func(int) ([]phone.Listed, error) { return listed("r1", "r2"), nil }
		path := file(t)
		b := newBoard(t, path, nil, searching(s))
		id := placed(t, b, ask("+8613800138000", "x"))
		time.Sleep(20 * time.Minute) // of the bubble's time, in which nothing must be decided
		if c := call(t, b, id); c.Status != phone.Unconfirmed {
			t.Errorf("%+v", c)
		}
		if n := len(s.asked); n > 12 {
			t.Errorf("the provider was asked %d times in 20 minutes", n)
		}
		l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Resolve(t.Context(), id, true, "r2", nil); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		s.talks()
		if heard := heardTo(t, b, id); !slices.Equal(heard, []string{"hello", "bye"}) {
			t.Errorf("heard %q", heard)
		}
		b.stop()
	})
}

// A call that another one of ours has is not adopted a second time.
func TestTwoUncertainDialsToOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		s.list = func(int) ([]phone.Listed, error) { return listed("r1"), nil }
		b := newBoard(t, file(t), nil, searching(s))
		first, second := placed(t, b, ask("+8613800138000", "x")), placed(t, b, ask("+8613800138001", "x"))
		s.talks()
		s.talks()
		time.Sleep(time.Minute) // of the bubble's time, in which one of them is adopted
		refs := map[phone.Ref]int{}
		for _, id := range []string{first, second} {
			refs[call(t, b, id).Ref]++
		}
		if refs["r1"] != 1 || refs[""] != 1 {
			t.Errorf("%v", refs)
		}
		b.stop()
	})
}

// A cancel of a call of which nobody knows hangs up as soon as it is found.
func TestACancelledUncertainDialIsHungUpOnceFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := uncertain()
		var cancelled bool
		s.list = func(int) ([]phone.Listed, error) {
			if !cancelled {
				return nil, errors.New("not now")
			}
			return listed("r1"), nil
		}
		b := newBoard(t, file(t), nil, searching(s))
		id := placed(t, b, ask("+8613800138000", "x"))
		if _, err := b.Hangup(t.Context(), me(), id); phone.CodeOf(err) != phone.Uncertain {
			t.Errorf("%v", err)
		}
		s.mu.Lock()
		cancelled = true
		s.mu.Unlock()
		time.Sleep(time.Minute) // of the bubble's time, in which it is found
		s.service.mu.Lock()
		hungup := slices.Clone(s.hungup)
		s.service.mu.Unlock()
		if !slices.Equal(hungup, []phone.Ref{"r1"}) {
			t.Errorf("hung up %v", hungup)
		}
		b.stop()
	})
}

// A service that lists no calls leaves the number blocked for half an hour, for everything but questions.
func TestAnUncertainDialBlocksItsNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.place = func(o phone.Order) (phone.Ref, error) {
			if o.Task == "fails" {
				return "", phone.Errorf(phone.Uncertain, "may ring")
			}
			return "r", nil
		}
		b := newBoard(t, file(t), nil, with(s))
		began := time.Now()
		id := placed(t, b, ask("+8613800138000", "fails"))
		other := func() *phone.Error {
			_, err := b.Place(t.Context(), me(), ask("+8613800138000", "something else"))
			return phone.AsError(err)
		}
		for _, at := range []time.Duration{0, 10 * time.Minute, 30*time.Minute - time.Second} {
			time.Sleep(time.Until(began.Add(at))) // of the bubble's time
			e := other()
			if e == nil || e.Code != phone.Refused || e.Reason != "too_soon" || e.CallID != id || e.CallStarted() != phone.StartedNo || e.RetryAt.Sub(began).Round(time.Second) != 30*time.Minute {
				t.Errorf("after %v: %+v", at, e)
			}
			checked, err := b.Check(t.Context(), me(), Request{To: "+8613800138000"})
			if err != nil || len(checked.Refusals) != 1 || checked.Refusals[0].Code != "too_soon" || !checked.Refusals[0].AllowedAt.Equal(e.RetryAt) {
				t.Errorf("after %v the check says %+v, %v", at, checked.Refusals, err)
			}
			if c := call(t, b, id); c.Status != phone.Unconfirmed {
				t.Errorf("after %v: %+v", at, c)
			}
		}
		if _, err := b.Place(t.Context(), me(), ask("+8613800138001", "something else")); err != nil {
			t.Errorf("another number: %v", err)
		}
		time.Sleep(2 * time.Second) // of the bubble's time
		if e := other(); e != nil {
			t.Errorf("after half an hour: %+v", e)
		}
		if again := placed(t, b, ask("+8613800138000", "fails")); again != id {
			t.Errorf("the same request after half an hour is %s, not %s", again, id)
		}
		b.stop()
	})
}

// A process that was stopped, or whose machine slept, between the record and the dial does not dial any more.
func TestTooLateToDial(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), nil, with(s))
	p, err := b.plan(t.Context(), phone.Local(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.intent(t.Context(), me(), p)
	if err != nil {
		t.Fatal(err)
	}
	in.Call.CreatedAt = in.Call.CreatedAt.Add(-sendWithin)
	h, _, err := b.Ledger.Reserve(t.Context(), in, func(phone.Facts) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	b.dial(t.Context(), p, h)
	c := call(t, b, h.ID)
	if s.count() != 0 || c.Outcome != phone.Failed || c.Failure == nil || c.Failure.Code != phone.Unavailable {
		t.Errorf("%d dials, %+v", s.count(), c)
	}
}

// A call whose account nobody holds any more is given up after a day: it must not stand in the way for ever.
func TestACallOfAnAccountThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		path := file(t)
		b := newBoard(t, path, nil, with(s))
		p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
		if err != nil {
			t.Fatal(err)
		}
		b.stop()
		for _, after := range []time.Duration{23 * time.Hour, 2 * time.Hour} {
			time.Sleep(after) // of the bubble's time
			other := newBoard(t, path, nil, providers.New(spec("test"), s, providers.Options{Account: "another"}))
			time.Sleep(time.Minute) // of the bubble's time: for some rounds
			c := call(t, other, p.Call.ID)
			if over := after == 2*time.Hour; c.Ended() != over || over && (c.Outcome != phone.UnknownOutcome || c.Record != phone.Partial || !c.EndedAt.IsZero()) {
				t.Errorf("%+v", c)
			}
			other.stop()
		}
	})
}

// What a person says is not overruled by what the search concludes at the same moment.
func TestThePersonWins(t *testing.T) {
	l, err := ledger.Open(t.Context(), "sqlite:"+file(t), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := uncertain()
	b := New(Options{Ledger: l, Providers: []*providers.Provider{searching(s)}})
	close(b.caughtUp)
	_, err = b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	id := phone.AsError(err).CallID
	if _, err := l.Resolve(t.Context(), id, true, "", nil); err != nil {
		t.Fatal(err)
	}
	b.neverPlaced(t.Context(), searching(s), id)
	if c, err := b.Get(t.Context(), me(), id); err != nil || c.Outcome != phone.UnknownOutcome {
		t.Errorf("%+v, %v", c, err)
	}
	if again, err := b.Place(t.Context(), me(), ask("+8613800138000", "x")); err != nil || again.Call.ID != id {
		t.Errorf("%+v, %v", again, err)
	}
	if err := errors.Join(b.Close(t.Context()), l.Close()); err != nil {
		t.Error(err)
	}
}
