package follow

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func call() *phone.Call {
	return phone.Begin("call_1", "local", "p", "", phone.Order{Task: "x"}, time.Unix(0, 0))
}

func says(text string) phone.Observation {
	return phone.Observation{Words: []phone.Words{{Role: phone.Agent, Text: text, Final: true}}}
}

func over(texts ...string) phone.Observation {
	o := phone.Observation{Line: phone.WrappingUp, Extent: phone.Whole, Outcome: phone.Completed}
	for _, t := range texts {
		o.Words = append(o.Words, says(t).Words...)
	}
	return o
}

func recorded(_ context.Context, _ *phone.Call, _ []phone.Event, _ string) error { return nil }

func nothing(ctx context.Context, _ int64) ([]phone.Event, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func heard(events iter.Seq[phone.Event]) []string {
	var all []string
	for e := range events {
		if f, ok := e.Body.(phone.Fragment); ok {
			all = append(all, f.Text)
		}
	}
	return all
}

func TestManyWatchersSeeTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDesk()
		source := func(yield func(phone.Observation) bool) {
			for _, o := range []phone.Observation{{Opened: true, Line: phone.Ringing}, says("1"), says("2"), says("3"), over("1", "2", "3")} {
				time.Sleep(time.Second)
				if !yield(o) {
					return
				}
			}
		}
		var all sync.WaitGroup
		all.Go(func() {
			if err := d.Follow(t.Context(), call(), nil, source, recorded); err != nil {
				t.Error(err)
			}
		})
		for late := range 5 {
			all.Go(func() {
				time.Sleep(time.Duration(late) * time.Second)
				line, done := d.Hold(call(), nil, nothing)
				defer done()
				slow := func(yield func(phone.Event) bool) {
					for e := range line.Watch(t.Context(), 0) {
						time.Sleep(time.Duration(late) * 700 * time.Millisecond)
						if !yield(e) {
							return
						}
					}
				}
				if diff := cmp.Diff([]string{"1", "2", "3"}, heard(slow)); diff != "" {
					t.Errorf("watcher %d: %s", late, diff)
				}
			})
		}
		all.Wait()
		if len(d.lines) != 0 {
			t.Errorf("%d lines are kept for nobody", len(d.lines))
		}
	})
}

func TestRecordedBeforeShown(t *testing.T) {
	d := NewDesk()
	line, done := d.Hold(call(), nil, nothing)
	defer done()
	broken := errors.New("disk full")
	err := d.Follow(t.Context(), call(), nil, slices.Values([]phone.Observation{says("1"), says("2")}),
		func(_ context.Context, after *phone.Call, _ []phone.Event, _ string) error {
			if events, _, _ := line.Since(0); len(events) >= int(after.Seq) {
				t.Error("events were shown before they were recorded")
			}
			if len(after.Turns) == 2 {
				return broken
			}
			return nil
		})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if got := heard(slices.Values(eventsOf(line))); !slices.Equal(got, []string{"1"}) {
		t.Errorf("shown: %v", got)
	}
}

func eventsOf(l *Line) []phone.Event {
	events, _, _ := l.Since(0)
	return events
}

func TestOneFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDesk()
		ctx, stop := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() {
			err := d.Follow(ctx, call(), nil, func(yield func(phone.Observation) bool) { <-ctx.Done() }, recorded)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		if err := d.Follow(t.Context(), call(), nil, slices.Values([]phone.Observation{}), recorded); !errors.Is(err, ErrFollowed) {
			t.Errorf("a second follower: %v", err)
		}
		stop()
		first.Wait()
	})
}

// An end of what is observed is the end of what can be known; an end of the context is not.
func TestSettledWhenNothingMoreComes(t *testing.T) {
	d := NewDesk()
	var last *phone.Call
	record := func(_ context.Context, after *phone.Call, _ []phone.Event, _ string) error { last = after; return nil }
	closed := phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed}
	if err := d.Follow(t.Context(), call(), nil, slices.Values([]phone.Observation{says("1"), closed}), record); err != nil {
		t.Fatal(err)
	}
	if !last.Ended() || last.Record != phone.Partial || last.Outcome != phone.Completed {
		t.Errorf("%s, %s, %s", last.Status, last.Record, last.Outcome)
	}
	ctx, stop := context.WithCancel(t.Context())
	err := d.Follow(ctx, call(), nil, func(yield func(phone.Observation) bool) { yield(says("1")); stop() }, record)
	if !errors.Is(err, context.Canceled) || last.Ended() {
		t.Errorf("%v, %s", err, last.Status)
	}
}

// A call that another process follows is mirrored for those who hold it, and goes on here when it is taken over.
func TestMirrorThenFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDesk()
		c := call()
		there := c.Clone()
		var mu sync.Mutex
		var log []phone.Event
		elsewhere := func(o phone.Observation) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range there.Observe(o) {
				there.Apply(e)
				log = append(log, e)
			}
		}
		since := func(after int64) []phone.Event {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(log[after:])
		}
		elsewhere(says("1"))
		var reading atomic.Int32
		read := func(ctx context.Context, after int64) ([]phone.Event, error) {
			reading.Add(1)
			for {
				if events := since(after); len(events) > 0 {
					return events, nil
				}
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		}
		line, done := d.Hold(c, nil, read)
		defer done()
		_, again := d.Hold(c, nil, read)
		defer again()
		var got []string
		var watcher sync.WaitGroup
		watcher.Go(func() { got = heard(line.Watch(t.Context(), 0)) })
		time.Sleep(time.Second)
		elsewhere(says("2"))
		time.Sleep(time.Second)
		if n := reading.Load(); n > 4 {
			t.Errorf("two holders and %d reads: the call is mirrored more than once", n)
		}
		// The other process is gone; this one takes over where the log stands.
		if err := d.Follow(t.Context(), there, since(0), slices.Values([]phone.Observation{says("3"), over("1", "2", "3")}), recorded); err != nil {
			t.Fatal(err)
		}
		watcher.Wait()
		if diff := cmp.Diff([]string{"1", "2", "3"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWatchFromACursor(t *testing.T) {
	d := NewDesk()
	line, done := d.Hold(call(), nil, nothing)
	defer done()
	if err := d.Follow(t.Context(), call(), nil, slices.Values([]phone.Observation{says("1"), says("2"), over("1", "2")}), recorded); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[int64][]string{-1: {"1", "2"}, 0: {"1", "2"}, 2: {"2"}, 3: nil, 99: nil} {
		if got := heard(line.Watch(t.Context(), after)); !slices.Equal(got, want) {
			t.Errorf("after %d: %v", after, got)
		}
	}
}
