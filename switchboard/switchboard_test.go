package switchboard

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a provider in memory: what becomes of a dial is chosen by a test, and what is said comes when it says so.
type service struct {
	place func(o phone.Order) (phone.Ref, error)
	said  chan phone.Observation // one for each look-up or stream

	mu     sync.Mutex
	dials  []phone.Order
	hungup []phone.Ref
}

func (s *service) Place(_ context.Context, o phone.Order) (phone.Ref, error) {
	s.mu.Lock()
	s.dials = append(s.dials, o)
	n := len(s.dials)
	s.mu.Unlock()
	if s.place != nil {
		return s.place(o)
	}
	return phone.Ref(fmt.Sprintf("ref%d", n)), nil
}

func (s *service) Lookup(ctx context.Context, _ phone.Ref) (phone.Observation, error) {
	select {
	case o := <-s.said:
		return o, nil
	case <-ctx.Done():
		return phone.Observation{}, ctx.Err()
	}
}

func (s *service) Hangup(_ context.Context, ref phone.Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hungup = append(s.hungup, ref)
	return nil
}

func (s *service) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dials)
}

// hangups is how often it was told to hang up.
func (s *service) hangups() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hungup)
}

func newService() *service { return &service{said: make(chan phone.Observation, 100)} }

// talks is a conversation that begins and ends.
func (s *service) talks() *service {
	s.said <- phone.Observation{Line: phone.InProgress, Extent: phone.SoFar, Words: words("hello")}
	for range 2 { // a record is looked at twice
		s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: words("hello", "bye")}
	}
	return s
}

func words(texts ...string) []phone.Words {
	var all []phone.Words
	for _, t := range texts {
		all = append(all, phone.Words{Role: phone.Callee, Text: t, Final: true})
	}
	return all
}

func spec(name string, regions ...string) providers.Spec {
	return providers.Spec{
		Name: name, Title: strings.ToUpper(name), Regions: regions, KeyFrom: "https://keys.example",
		Settings: []providers.Setting{{Name: "api_key", Env: strings.ToUpper(name) + "_KEY", Required: true}},
		Pace:     providers.Pace{Poll: 30 * time.Millisecond, RecordEvery: 10 * time.Millisecond},
	}
}

type board struct {
	*Switchboard
	stop func()
}

// newBoard is one process on a ledger. It ends with the test, or with stop.
func newBoard(t *testing.T, path string, change func(*Options), all ...*providers.Provider) board {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{Look: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Ledger: l, Providers: all}
	if change != nil {
		change(&o)
	}
	s := New(o)
	running, stop := context.WithCancel(context.Background())
	var rounds sync.WaitGroup
	rounds.Go(func() { s.Run(running) })
	b := board{s, sync.OnceFunc(func() {
		stop()
		rounds.Wait()
		ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Close(ending), l.Close()); err != nil {
			t.Error(err)
		}
	})}
	t.Cleanup(b.stop)
	return b
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "outdial.db") }

func with(s *service) *providers.Provider {
	return providers.New(spec("test"), s, providers.Options{Account: "acc"})
}

func me() phone.Caller { return phone.Local() }

func ask(to, task string) Request { return Request{To: to, Task: task} }

// listen gives what is said in a call until it is over.
func listen(t *testing.T, b board, id string, after int64) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all []string
	for e, err := range b.Watch(ctx, me(), id, after) {
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := e.Body.(phone.Fragment); ok {
			all = append(all, f.Text)
		}
	}
	if ctx.Err() != nil {
		t.Fatalf("the call did not end; heard %v", all)
	}
	return all
}

func TestPlaceAndListen(t *testing.T) {
	s := newService().talks()
	b := newBoard(t, file(t), nil, with(s))
	got, err := b.Place(t.Context(), me(), ask("+8613800138000", " say hello "))
	if err != nil || got.Replayed || got.Call.Status != phone.Queued && got.Call.Status != phone.InProgress {
		t.Fatalf("%+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"hello", "bye"}, listen(t, b, got.Call.ID, 0)); diff != "" {
		t.Error(diff)
	}
	c, err := b.Get(t.Context(), me(), got.Call.ID)
	if err != nil || c.Outcome != phone.Completed || c.Record != phone.Complete || len(c.Spoken()) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if s.dials[0].CallID != c.ID || s.dials[0].Task != "say hello" {
		t.Errorf("ordered %+v", s.dials[0])
	}
	if again, err := b.Place(t.Context(), me(), ask("+8613800138000", "Say  hello")); err != nil || !again.Replayed || again.Call.ID != c.ID {
		t.Errorf("the same intent: %+v, %v", again, err)
	}
	repeat := ask("+8613800138000", "say hello")
	repeat.RepeatOf = c.ID
	second, err := b.Place(t.Context(), me(), repeat)
	if err != nil || second.Replayed || second.Call.ID == c.ID {
		t.Errorf("a deliberate repeat: %+v, %v", second, err)
	}
	if third, err := b.Place(t.Context(), me(), repeat); err != nil || !third.Replayed || third.Call.ID != second.Call.ID {
		t.Errorf("the repeat sent again: %+v, %v", third, err)
	}
	if n := s.count(); n != 2 {
		t.Errorf("%d dials", n)
	}
}

func TestEqualRequestsAtOnceInThreeProcesses(t *testing.T) {
	s := newService()
	s.place = func(phone.Order) (phone.Ref, error) {
		time.Sleep(50 * time.Millisecond) // as a service takes its time; the others must wait for its answer
		return "r", nil
	}
	path := file(t)
	boards := []board{newBoard(t, path, nil, with(s)), newBoard(t, path, nil, with(s)), newBoard(t, path, nil, with(s))}
	for name, key := range map[string]string{"a key": "k", "no key": ""} {
		t.Run(name, func(t *testing.T) {
			before := s.count()
			var mu sync.Mutex
			ids, fresh := map[string]bool{}, 0
			var all sync.WaitGroup
			for i := range 30 {
				all.Go(func() {
					r := ask("+8613800138000", "say hello "+name)
					r.Key = key
					got, err := boards[i%3].Place(t.Context(), me(), r)
					mu.Lock()
					defer mu.Unlock()
					if err != nil || got.Call.Status == phone.Dialing {
						t.Errorf("%+v, %v", got.Call, err)
						return
					}
					if ids[got.Call.ID] = true; !got.Replayed {
						fresh++
					}
				})
			}
			all.Wait()
			if len(ids) != 1 || fresh != 1 || s.count()-before != 1 {
				t.Errorf("%d calls, %d not replayed, %d dials", len(ids), fresh, s.count()-before)
			}
		})
	}
}

func TestAnUncertainDialStaysSo(t *testing.T) {
	s := newService()
	s.place = func(phone.Order) (phone.Ref, error) { return "", phone.Errorf(phone.Uncertain, "may ring") }
	b := newBoard(t, file(t), nil, with(s))
	var id string
	for range 3 {
		_, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
		e := phone.AsError(err)
		if err == nil || e.Code != phone.Uncertain || e.CallStarted() != phone.StartedUnknown || e.RetrySafe() || e.CallID == "" || id != "" && id != e.CallID {
			t.Fatalf("%+v", e)
		}
		id = e.CallID
	}
	if c, err := b.Get(t.Context(), me(), id); err != nil || c.Status != phone.Unconfirmed {
		t.Errorf("%+v, %v", c, err)
	}
	if s.count() != 1 {
		t.Errorf("%d dials", s.count())
	}
}

func TestADialThatSurelyFailedIsKept(t *testing.T) {
	s := newService()
	at := time.Now().Add(time.Minute)
	s.place = func(phone.Order) (phone.Ref, error) {
		return "", &phone.Error{Code: phone.Exhausted, Reason: "rate_limited", RetryAt: at, Message: "later"}
	}
	b := newBoard(t, file(t), nil, with(s))
	_, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	e := phone.AsError(err)
	if e.Reason != "rate_limited" || e.CallStarted() != phone.StartedNo || !e.RetryAt.Equal(at) || !e.RetrySafe() {
		t.Fatalf("%+v", e)
	}
	c, err := b.Get(t.Context(), me(), e.CallID)
	if err != nil || c.Status != phone.StatusEnded || c.Outcome != phone.Failed || c.Failure == nil {
		t.Errorf("%+v, %v", c, err)
	}
	s.place = nil
	if again, err := b.Place(t.Context(), me(), ask("+8613800138000", "x")); err != nil || again.Replayed {
		t.Errorf("asked again: %+v, %v", again, err)
	}
}

// What an adapter returns beside the contract says nothing about the phone.
func TestAnUnknownErrorIsUncertain(t *testing.T) {
	for _, err := range []error{errors.New("?"), context.DeadlineExceeded, phone.Errorf(phone.Internal, "?")} {
		s := newService()
		s.place = func(phone.Order) (phone.Ref, error) { return "", err }
		b := newBoard(t, file(t), nil, with(s))
		if _, got := b.Place(t.Context(), me(), ask("+8613800138000", "x")); phone.CodeOf(got) != phone.Uncertain {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestAClientThatLeavesEndsNoDial(t *testing.T) {
	s := newService().talks()
	dialing, answer := make(chan struct{}), make(chan struct{})
	s.place = func(phone.Order) (phone.Ref, error) { close(dialing); <-answer; return "r", nil }
	b := newBoard(t, file(t), nil, with(s))
	ctx, leave := context.WithCancel(t.Context())
	var got Placement
	var err error
	var asking sync.WaitGroup
	asking.Go(func() { got, err = b.Place(ctx, me(), ask("+8613800138000", "x")) })
	<-dialing
	leave()
	asking.Wait()
	if err != nil || got.Call.Status != phone.Dialing {
		t.Fatalf("%+v, %v", got, err)
	}
	close(answer)
	if diff := cmp.Diff([]string{"hello", "bye"}, listen(t, b, got.Call.ID, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestACancelWhileDialingHangsUp(t *testing.T) {
	s := newService()
	dialing, answer := make(chan struct{}), make(chan struct{})
	s.place = func(phone.Order) (phone.Ref, error) { close(dialing); <-answer; return "r", nil }
	b := newBoard(t, file(t), nil, with(s))
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = b.Place(t.Context(), me(), ask("+8613800138000", "x")) })
	<-dialing
	calls, _, err := b.List(t.Context(), me(), ledger.Filter{Limit: 1})
	if err != nil || len(calls) != 1 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	if c, err := b.Hangup(t.Context(), me(), calls[0].ID); err != nil || c.Status != phone.Dialing {
		t.Errorf("%+v, %v", c, err)
	}
	close(answer)
	asking.Wait()
	b.stop() // waits for the dial's whole course
	if diff := cmp.Diff([]phone.Ref{"r"}, s.hungup); diff != "" {
		t.Error(diff)
	}
}

type streaming struct {
	*service
	streams int
}

func (s *streaming) Stream(ctx context.Context, _ phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) {
		s.mu.Lock()
		s.streams++
		s.mu.Unlock()
		for opened := true; ; opened = false {
			select {
			case o := <-s.said:
				o.Opened = opened
				if !yield(o, nil) || o.Line == phone.WrappingUp {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func TestManyListenersOneStream(t *testing.T) {
	s := &streaming{service: newService()}
	b := newBoard(t, file(t), nil, providers.New(spec("test"), s, providers.Options{Account: "acc"}))
	got, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if heard := listen(t, b, got.Call.ID, 0); !slices.Equal(heard, []string{"1", "2", "3"}) {
				t.Errorf("heard %v", heard)
			}
		})
	}
	for _, w := range []string{"1", "2", "3"} {
		s.said <- phone.Observation{Words: words(w)}
	}
	s.said <- phone.Observation{Line: phone.WrappingUp}
	s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: words("1", "2", "3")}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams != 1 {
		t.Errorf("%d streams", s.streams)
	}
}

// The same wish routed otherwise, by another process or after a change of settings, is the same call.
func TestAnotherRouteIsTheSameIntent(t *testing.T) {
	one, two := newService(), newService()
	path := file(t)
	p1 := providers.New(spec("one"), one, providers.Options{Account: "1"})
	p2 := providers.New(spec("two"), two, providers.Options{Account: "2"})
	a, b := newBoard(t, path, nil, p1, p2), newBoard(t, path, nil, p2)
	first, err := a.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil || !second.Replayed || second.Call.ID != first.Call.ID || one.count()+two.count() != 1 {
		t.Errorf("%+v, %v, %d dials", second, err, one.count()+two.count())
	}
}

// odd is a service whose answers make the adapter panic.

func TestCancelOfAnUnconfirmedCall(t *testing.T) {
	s := newService()
	s.place = func(phone.Order) (phone.Ref, error) { return "", phone.Errorf(phone.Uncertain, "may ring") }
	b := newBoard(t, file(t), nil, with(s))
	_, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	id := phone.AsError(err).CallID
	_, err = b.Hangup(t.Context(), me(), id)
	if e := phone.AsError(err); e.Code != phone.Uncertain || e.CallStarted() != phone.StartedUnknown || e.CallID != id {
		t.Errorf("%v", err)
	}
}
