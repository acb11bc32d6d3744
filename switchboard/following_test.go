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

// Who is done with a call says so, or this process would never take it up again.
func TestNobodyWorksOnACallThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService().talks()
		b := newBoard(t, file(t), nil, with(s))
		p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
		if err != nil {
			t.Fatal(err)
		}
		heardTo(t, b, p.Call.ID)
		synctest.Wait()
		if b.worksOn(p.Call.ID) {
			t.Error("something works on it")
		}
		b.stop()
	})
}

// What cannot be recorded is tried again for some seconds before the following is left to another round.
func TestAWriteThatFailsIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, file(t), nil, with(newService()))
		p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
		if err != nil {
			t.Fatal(err)
		}
		h, err := b.Ledger.Call(t.Context(), "local", p.Call.ID)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = b.recorder(h)(t.Context(), h.Call, []phone.Event{{Seq: h.Seq + 1}}, "") // of a kind that no ledger takes
		if took := time.Since(began); err == nil || errors.Is(err, ledger.ErrLost) || took < 5*time.Second || took > 30*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		b.stop()
	})
}

// A call that was given up, and may go on all the same, can be hung up.
func TestAGivenUpCallIsHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		b := newBoard(t, file(t), nil, with(s))
		p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
		if err != nil {
			t.Fatal(err)
		}
		h, err := b.Ledger.Call(t.Context(), "local", p.Call.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.giveUp(t.Context(), h)
		s.said <- phone.Observation{Line: phone.InProgress} // to who looks at it afterwards
		if _, err := b.Hangup(t.Context(), me(), p.Call.ID); err != nil || !slices.Equal(s.hungup, []phone.Ref{"ref1"}) {
			t.Errorf("hung up %v, %v", s.hungup, err)
		}
		b.stop()
	})
}

// The answer to a dial may be recorded just before somebody's wish to end the call: then it is ended now, since the dial
// has looked already whether anybody wants it.
func TestACancelAtTheMomentOfTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		answer, gate := make(chan struct{}), make(chan struct{})
		s.place = func(phone.Order) (phone.Ref, error) { <-answer; return "r", nil }
		b := newBoard(t, file(t), nil, with(s))
		var all sync.WaitGroup
		all.Go(func() { _, _ = b.Place(t.Context(), me(), ask("+8613800138000", "x")) })
		synctest.Wait()
		calls, _, err := b.List(t.Context(), me(), ledger.Filter{Limit: 1})
		if err != nil || len(calls) != 1 {
			t.Fatalf("%d calls, %v", len(calls), err)
		}
		p, err := b.plan(t.Context(), phone.Local(), ask("+8613800138001", "x"))
		if err != nil {
			t.Fatal(err)
		}
		in, err := b.intent(t.Context(), me(), p)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { // while it is judged nothing else is written
			_, _, _ = b.Ledger.Reserve(t.Context(), in, func(phone.Facts) error { <-gate; return errors.New("no") })
		})
		synctest.Wait()
		close(answer)
		synctest.Wait() // the answer waits to be written
		all.Go(func() {
			if _, err := b.Hangup(t.Context(), me(), calls[0].ID); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // and behind it the wish
		close(gate)
		time.Sleep(time.Second) // of the bubble's time
		s.mu.Lock()
		hungup := slices.Clone(s.hungup)
		s.mu.Unlock()
		if !slices.Equal(hungup, []phone.Ref{"r"}) {
			t.Errorf("hung up %v", hungup)
		}
		b.stop()
		all.Wait()
	})
}

// mute is a service that cannot hang up.
type mute struct{ s *service }

func (m mute) Place(ctx context.Context, o phone.Order) (phone.Ref, error) { return m.s.Place(ctx, o) }

func (m mute) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	return m.s.Lookup(ctx, ref)
}

// Where calls cannot be ended, a cancel during the dial does not say that there is one.
func TestACancelThatIsUnsupportedWhileDialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		answer := make(chan struct{})
		s.place = func(phone.Order) (phone.Ref, error) { <-answer; return "r", nil }
		b := newBoard(t, file(t), nil, providers.New(spec("test"), mute{s}, providers.Options{Account: "acc"}))
		go func() { _, _ = b.Place(t.Context(), me(), ask("+8613800138000", "x")) }()
		synctest.Wait()
		calls, _, err := b.List(t.Context(), me(), ledger.Filter{Limit: 1})
		if err != nil || len(calls) != 1 {
			t.Fatalf("%d calls, %v", len(calls), err)
		}
		_, err = b.Hangup(t.Context(), me(), calls[0].ID)
		if e := phone.AsError(err); e == nil || e.Code != phone.Unsupported || e.CallStarted() != phone.StartedUnknown {
			t.Errorf("%+v", e)
		}
		close(answer)
		synctest.Wait()
		b.stop()
	})
}

// A process renews its lease while it lives: nobody else can take its calls.
func TestAProcessThatLivesKeepsItsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := file(t)
		b := newBoard(t, path, nil, with(newService()))
		if _, err := b.Place(t.Context(), me(), ask("+8613800138000", "x")); err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{Look: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			time.Sleep(3 * time.Second) // of the bubble's time
			if held, err := l.Claim(t.Context(), ledger.Accounts{Ask: []string{"acc"}}, func(string) bool { return false }, time.Now()); err != nil || len(held) != 0 {
				t.Fatalf("%d calls claimed, %v", len(held), err)
			}
		}
		b.stop()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A look at a late record that brings nothing new holds the call for nobody.
func TestALookThatBringsNothingHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		path := file(t)
		a, b := newBoard(t, path, nil, with(s)), newBoard(t, path, nil, with(s))
		p, err := a.Place(t.Context(), me(), ask("+8613800138000", "x"))
		if err != nil {
			t.Fatal(err)
		}
		h, err := a.Ledger.Call(t.Context(), "local", p.Call.ID)
		if err != nil {
			t.Fatal(err)
		}
		a.giveUp(t.Context(), h)
		s.said <- phone.Observation{Line: phone.WrappingUp} // to who follows it still, and learns that it is no longer his
		synctest.Wait()
		s.said <- phone.Observation{Extent: phone.Whole}
		if c := call(t, a, p.Call.ID); c.Record != phone.Partial {
			t.Errorf("%+v", c)
		}
		s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: words("hello")}
		if c := call(t, b, p.Call.ID); c.Record != phone.Complete || len(c.Turns) != 1 {
			t.Errorf("%+v", c)
		}
		a.stop()
		b.stop()
	})
}

// lingering is a service whose look-ups take their time to end.
type lingering struct{ *service }

func (lingering) Lookup(ctx context.Context, _ phone.Ref) (phone.Observation, error) {
	<-ctx.Done()
	time.Sleep(time.Second) // of the bubble's time
	return phone.Observation{}, ctx.Err()
}

// Once a switchboard is closed nothing of it goes on.
func TestCloseWaitsForWhatIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, file(t), nil, providers.New(spec("test"), lingering{newService()}, providers.Options{Account: "acc"}))
		p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.stop()
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.working[p.Call.ID] > 0 {
			t.Error("a call is still followed")
		}
	})
}

// A process that has lost a call while it heard nothing of it lets go all the same: who watches there sees what the new
// follower hears, and the call can be taken up there again.
func TestALostCallIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := file(t)
		a := newBoard(t, path, nil, with(newService())) // whose service says nothing
		p, err := a.Place(t.Context(), me(), ask("+8613800138000", "x"))
		if err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{Look: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		held, err := l.Claim(t.Context(), ledger.Accounts{Ask: []string{"acc"}}, func(string) bool { return false }, time.Now().Add(time.Hour))
		if err != nil || len(held) != 1 {
			t.Fatalf("%+v, %v", held, err)
		}
		h := held[0]
		time.Sleep(10 * time.Second) // of the bubble's time
		if a.worksOn(p.Call.ID) {
			t.Error("it still works on it")
		}
		after := h.Clone()
		events := h.Observe(phone.Observation{Line: phone.InProgress, Extent: phone.SoFar, Words: words("hello")})
		for _, e := range events {
			after.Apply(e)
		}
		if err := l.Append(t.Context(), after, h.Epoch, events); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		seen := int64(0)
		for e, err := range a.Watch(ctx, me(), p.Call.ID, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if seen = e.Seq; seen == after.Seq {
				break
			}
		}
		if seen != after.Seq {
			t.Errorf("who watches there has seen %d events of %d", seen, after.Seq)
		}
		if err := l.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // of the bubble's time
		if !a.worksOn(p.Call.ID) {
			t.Error("it is not taken up again")
		}
		a.stop()
	})
}
