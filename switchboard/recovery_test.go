package switchboard

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

func TestAnotherProcessTakesUp(t *testing.T) {
	s := newService()
	path := file(t)
	a := newBoard(t, path, nil, with(s))
	s.said <- phone.Observation{Line: phone.InProgress, Extent: phone.SoFar, Words: words("hello")}
	got, err := a.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	for e := range a.Watch(t.Context(), me(), got.Call.ID, 0) {
		if _, ok := e.Body.(phone.Fragment); ok {
			break
		}
	}
	looker := newBoard(t, path, nil) // holds no account: it looks on
	var heard []string
	var looking sync.WaitGroup
	looking.Go(func() { heard = listen(t, looker, got.Call.ID, 0) })
	a.stop()
	for range 2 { // a record is looked at twice
		s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: words("hello", "bye")}
	}
	c := newBoard(t, path, nil, with(s))
	if diff := cmp.Diff([]string{"hello", "bye"}, listen(t, c, got.Call.ID, 0)); diff != "" {
		t.Error(diff)
	}
	looking.Wait()
	if diff := cmp.Diff([]string{"hello", "bye"}, heard); diff != "" {
		t.Errorf("who only looks on: %s", diff)
	}
	if s.count() != 1 {
		t.Errorf("%d dials", s.count())
	}
}

func TestAnInterruptedDialIsNeverSentAgain(t *testing.T) {
	s := newService()
	path := file(t)
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// A process that died between its record and the provider's answer.
	dead := New(Options{Ledger: l, Providers: []*providers.Provider{with(s)}})
	p, err := dead.plan(t.Context(), phone.Local(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := dead.intent(t.Context(), me(), p)
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := l.Reserve(t.Context(), in, func(phone.Facts) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b := newBoard(t, path, nil, with(s))
	for e, err := range b.Watch(t.Context(), me(), h.ID, 0) {
		if body, ok := e.Body.(phone.Progress); err != nil || !ok || body.State != phone.Unconfirmed {
			t.Errorf("%+v, %v", e, err)
		}
		break
	}
	_, err = b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if e := phone.AsError(err); e.Code != phone.Uncertain || e.CallID != h.ID {
		t.Errorf("%+v", e)
	}
	if s.count() != 0 {
		t.Errorf("%d dials", s.count())
	}
}

func TestTheLateRecord(t *testing.T) {
	s := newService()
	fast := spec("test")
	fast.Pace.RecordWait = 20 * time.Millisecond
	b := newBoard(t, file(t), nil, providers.New(fast, s, providers.Options{Account: "acc"}))
	s.said <- phone.Observation{Line: phone.InProgress, Extent: phone.SoFar, Words: words("helo")}
	for range 20 {
		s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed}
	}
	got, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	listen(t, b, got.Call.ID, 0)
	for len(s.said) > 0 {
		<-s.said
	}
	s.said <- phone.Observation{Line: phone.WrappingUp}
	before, err := b.Get(t.Context(), me(), got.Call.ID)
	if err != nil || !before.Ended() || before.Record != phone.Partial {
		t.Fatalf("%+v, %v", before, err)
	}
	s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: words("hello", "bye")}
	after, err := b.Get(t.Context(), me(), got.Call.ID)
	if err != nil || after.Record != phone.Complete || len(after.Since(before.Seq)) != 2 {
		t.Errorf("%+v, %v", after, err)
	}
	if again, err := b.Get(t.Context(), me(), got.Call.ID); err != nil || again.Record != phone.Complete || again.Seq != after.Seq {
		t.Errorf("%+v, %v", again, err)
	}
}

// streaming is a service that streams; it counts its streams.
type odd struct{ *service }

func (odd) Lookup(context.Context, phone.Ref) (phone.Observation, error) { panic("odd") }

func TestAPanicEndsNothingElse(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), nil, providers.New(spec("test"), odd{s}, providers.Options{Account: "acc"}))
	if _, err := b.Place(t.Context(), me(), ask("+8613800138000", "x")); err != nil {
		t.Fatal(err)
	}
	s.place = func(phone.Order) (phone.Ref, error) { panic("odd") }
	_, err := b.Place(t.Context(), me(), ask("+8613800138001", "x"))
	if e := phone.AsError(err); e.Code != phone.Uncertain || e.CallID == "" {
		t.Errorf("%v", err)
	}
}

// The program ends while a call that was cancelled is still being dialed: it is hung up all the same, since by the time
// that another process follows it somebody would have answered.
func TestACancelledDialIsHungUpAtTheEndToo(t *testing.T) {
	s := newService()
	dialing, answer := make(chan struct{}), make(chan struct{})
	s.place = func(phone.Order) (phone.Ref, error) { close(dialing); <-answer; return "r", nil }
	b := newBoard(t, file(t), nil, with(s))
	var all sync.WaitGroup
	all.Go(func() { _, _ = b.Place(t.Context(), me(), ask("+8613800138000", "x")) })
	<-dialing
	calls, _, err := b.List(t.Context(), me(), Filter{Limit: 1})
	if err != nil || len(calls) != 1 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	if _, err := b.Hangup(t.Context(), me(), calls[0].ID); err != nil {
		t.Fatal(err)
	}
	all.Go(b.stop)
	for !b.worksOn("no call") { // as it says of all calls once it closes
		runtime.Gosched()
	}
	close(answer)
	all.Wait()
	if diff := cmp.Diff([]phone.Ref{"r"}, s.hungup); diff != "" {
		t.Error(diff)
	}
}
