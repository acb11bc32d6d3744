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

// stubborn is a service that does not hang up at the first tries.
type stubborn struct {
	*service
	tries int // that fail
}

func (s *stubborn) Hangup(ctx context.Context, ref phone.Ref) error {
	s.mu.Lock()
	s.tries--
	failing := s.tries >= 0
	s.mu.Unlock()
	if failing {
		return phone.Errorf(phone.Unavailable, "not now")
	}
	return s.service.Hangup(ctx, ref)
}

// A call that was cancelled while it was dialed is hung up, though the first tries fail.
func TestHangingUpIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stubborn{newService(), 4}
		answer := make(chan struct{})
		s.place = func(phone.Order) (phone.Ref, error) { <-answer; return "r", nil }
		b := newBoard(t, file(t), nil, providers.New(spec("test"), s, providers.Options{Account: "acc"}))
		var asking sync.WaitGroup
		asking.Go(func() { _, _ = b.Place(t.Context(), me(), ask("+8613800138000", "x")) })
		synctest.Wait()
		calls, _, err := b.List(t.Context(), me(), ledger.Filter{Limit: 1})
		if err != nil || len(calls) != 1 {
			t.Fatalf("%d calls, %v", len(calls), err)
		}
		if _, err := b.Hangup(t.Context(), me(), calls[0].ID); err != nil {
			t.Fatal(err)
		}
		close(answer)
		asking.Wait()
		time.Sleep(time.Minute) // of the bubble's time, in which it is tried again
		s.mu.Lock()
		hungup := slices.Clone(s.hungup)
		s.mu.Unlock()
		if !slices.Equal(hungup, []phone.Ref{"r"}) {
			t.Errorf("hung up %v", hungup)
		}
		b.stop()
	})
}

// The answer to a dial is recorded soon after the ledger can be written again, however long that took.
func TestAnAnswerIsRecordedAsSoonAsItCanBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, file(t), nil, with(newService()))
		mended := time.Now().Add(2 * time.Hour)
		var recorded time.Time
		b.insist("call_1", "r", func() error {
			if time.Now().Before(mended) {
				return errors.New("the disk is full")
			}
			recorded = time.Now()
			return nil
		})
		if recorded.IsZero() || recorded.Sub(mended) > 10*time.Second {
			t.Errorf("recorded %v after it could be", recorded.Sub(mended))
		}
		b.stop()
	})
}

// Everything that a client asks for is part of what its key stands for.
func TestWhatAKeyStandsFor(t *testing.T) {
	b := newBoard(t, file(t), nil, with(newService()))
	p, err := b.plan(t.Context(), phone.Local(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	params := func(change func(*phone.Order)) string {
		q := p
		change(&q.order)
		q.request.Order = q.order
		in, err := b.intent(t.Context(), me(), q)
		if err != nil {
			t.Fatal(err)
		}
		return in.Params
	}
	plain := params(func(*phone.Order) {})
	for name, change := range map[string]func(*phone.Order){
		"task":         func(o *phone.Order) { o.Task = "y" },
		"language":     func(o *phone.Order) { o.Language = "fr" },
		"voice":        func(o *phone.Order) { o.Voice = "v" },
		"agent name":   func(o *phone.Order) { o.AgentName = "a" },
		"caller name":  func(o *phone.Order) { o.CallerName = "c" },
		"max duration": func(o *phone.Order) { o.MaxDuration = time.Minute },
		"options":      func(o *phone.Order) { o.Options = map[string]any{"a": "b"} },
	} {
		if params(change) == plain {
			t.Errorf("another %s is the same request", name)
		}
	}
}

// A call is repeated at its own number.
func TestNoRepeatAtAnotherNumber(t *testing.T) {
	s := newService().talks()
	b := newBoard(t, file(t), nil, with(s))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	listen(t, b, p.Call.ID, 0)
	again := ask("+8613800138001", "x")
	again.RepeatOf = p.Call.ID
	if _, err := b.Place(t.Context(), me(), again); phone.CodeOf(err) != phone.Invalid || s.count() != 1 {
		t.Errorf("%v, %d dials", err, s.count())
	}
}

// What is asked of a program that ends calls nobody, says so, and leaves nothing that is in the way of asking again.
func TestADialThatTheEndKeepsFromBeginning(t *testing.T) {
	l, err := ledger.Open(t.Context(), "sqlite:"+file(t), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newService()
	b := New(Options{Ledger: l, Providers: []*providers.Provider{with(s)}})
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	e := phone.AsError(err)
	if e == nil || e.Code != phone.Unavailable || e.CallStarted() != phone.StartedNo || s.count() != 0 {
		t.Fatalf("%+v, %d dials", e, s.count())
	}
	if c, err := b.Get(t.Context(), me(), e.CallID); err != nil || c.Outcome != phone.Failed {
		t.Errorf("%+v, %v", c, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// A call that another process has taken while it was dialed is that process's to follow.
func TestADialFollowsOnlyWhatIsItsOwn(t *testing.T) {
	path := file(t)
	other, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := newService()
	s.place = func(phone.Order) (phone.Ref, error) {
		if held, err := other.Claim(t.Context(), ledger.Accounts{}, func(string) bool { return false }, time.Now().Add(35*time.Second)); err != nil || len(held) != 1 {
			t.Errorf("%d calls claimed, %v", len(held), err)
		}
		return "r", nil
	}
	s.said <- phone.Observation{Line: phone.InProgress}
	b := newBoard(t, path, nil, with(s))
	if _, err := b.Place(t.Context(), me(), ask("+8613800138000", "x")); err != nil {
		t.Fatal(err)
	}
	b.stop() // waits for the dial's whole course
	if len(s.said) != 1 {
		t.Error("the provider was asked about it")
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
}
