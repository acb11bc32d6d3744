package providers_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// bubble runs a test on a clock of its own.
func bubble(f func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

// after answers look-ups with goesOn until the line closes, and with the record from another moment on.
func after(closes, record time.Duration) func(int, time.Duration) (phone.Observation, error) {
	return func(_ int, since time.Duration) (phone.Observation, error) {
		switch {
		case since < closes:
			return goesOn, nil
		case since < record:
			return closed, nil
		}
		return whole, nil
	}
}

func TestPolling(t *testing.T) {
	t.Run("every 3 s at most, the first at once, and faster while it is young", bubble(func(t *testing.T) {
		d := &polled{began: time.Now(), lookup: after(time.Minute, time.Minute)}
		seen := observe(t, d, providers.Pace{})
		between := gaps(d.asked)
		if d.asked[0] != 0 || slices.Max(between) != 3*time.Second || between[0] >= time.Second || !slices.IsSorted(between) {
			t.Errorf("asked at %v", d.asked)
		}
		if last := seen[len(seen)-1]; last.Extent != phone.Whole || len(seen) != len(d.asked) || time.Since(d.began) > 63*time.Second {
			t.Errorf("%d observations of %d, the last %+v, after %v", len(seen), len(d.asked), last, time.Since(d.began))
		}
	}))
	t.Run("as often as the adapter says", bubble(func(t *testing.T) {
		d := &polled{began: time.Now(), lookup: after(5*time.Minute, 5*time.Minute)}
		observe(t, d, providers.Pace{Poll: 10 * time.Second})
		if m := slices.Max(gaps(d.asked)); m != 10*time.Second {
			t.Errorf("a pause of %v", m)
		}
	}))
	t.Run("errors are asked again, and are no end", bubble(func(t *testing.T) {
		d := &polled{began: time.Now()}
		d.lookup = func(n int, _ time.Duration) (phone.Observation, error) {
			if n < 20 {
				return whole, []error{errBroken, errRaw, phone.Errorf(phone.NotFound, "No."), phone.Errorf(phone.Unauthorized, "No.")}[n%4]
			}
			return whole, nil
		}
		if seen := observe(t, d, providers.Pace{}); len(seen) != 1 || len(d.asked) != 20 {
			t.Errorf("%d observations of %d look-ups", len(seen), len(d.asked))
		}
	}))
	t.Run("silence of the service is no end", bubble(func(t *testing.T) {
		d := &polled{began: time.Now()}
		d.lookup = func(n int, _ time.Duration) (phone.Observation, error) {
			if n < 10 {
				return phone.Observation{Extent: phone.Whole}, nil // a record of a call whose line is not said to have closed
			}
			return whole, nil
		}
		if observe(t, d, providers.Pace{}); len(d.asked) != 10 {
			t.Errorf("%d look-ups", len(d.asked))
		}
	}))
}

func TestRecord(t *testing.T) {
	cancelled := phone.Observation{Line: phone.WrappingUp, Outcome: phone.Cancelled}
	never := 24 * time.Hour
	tests := map[string]struct {
		pace   providers.Pace
		lookup func(int, time.Duration) (phone.Observation, error)
		want   []time.Duration // look-ups, after the close at 10 s
	}{
		"at once": {providers.Pace{}, after(0, 0), []time.Duration{0}},
		"then every RecordEvery": {
			providers.Pace{RecordEvery: 7 * time.Second},
			after(0, 24*time.Second),
			[]time.Duration{0, 7 * time.Second, 14 * time.Second},
		},
		"up to RecordTries": {
			providers.Pace{RecordEvery: time.Second, RecordTries: 4},
			after(0, never),
			[]time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second},
		},
		"up to RecordWait": {
			providers.Pace{RecordEvery: 4 * time.Second, RecordWait: 10 * time.Second},
			after(0, never),
			[]time.Duration{0, 4 * time.Second, 8 * time.Second},
		},
		"not long for one that was cancelled": {
			providers.Pace{},
			func(int, time.Duration) (phone.Observation, error) { return cancelled, nil },
			[]time.Duration{0, 3 * time.Second, 6 * time.Second},
		},
		"past errors": {
			providers.Pace{}, func(n int, _ time.Duration) (phone.Observation, error) {
				if n < 3 {
					return phone.Observation{}, errBroken
				}
				return whole, nil
			}, []time.Duration{0, 3 * time.Second, 6 * time.Second},
		},
	}
	for name, tt := range tests {
		t.Run(name, bubble(func(t *testing.T) {
			d := &streamed{polled: polled{began: time.Now(), lookup: tt.lookup}}
			d.stream = func(_ context.Context, _ int, say func(phone.Observation) bool) error {
				time.Sleep(10 * time.Second)
				say(closed)
				return nil
			}
			observe(t, d, tt.pace)
			var got []time.Duration
			for _, at := range d.asked {
				got = append(got, at-10*time.Second)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("looked up at %v, want %v", got, tt.want)
			}
		}))
	}
	t.Run("a minute by itself", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(0, never)}}
		d.stream = func(_ context.Context, _ int, say func(phone.Observation) bool) error { say(closed); return nil }
		observe(t, d, providers.Pace{})
		if took := time.Since(d.began); took < 55*time.Second || took > time.Minute {
			t.Errorf("waited %v", took)
		}
	}))
	t.Run("at once, however the stream ends", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(0, 0)}}
		d.stream = func(_ context.Context, _ int, say func(phone.Observation) bool) error { say(closed); return errBroken }
		if observe(t, d, providers.Pace{}); len(d.opened) != 1 || !slices.Equal(d.asked, []time.Duration{0}) {
			t.Errorf("opened %d times, looked up at %v", len(d.opened), d.asked)
		}
	}))
	t.Run("what was whole before the close is not the record", bubble(func(t *testing.T) {
		d := &polled{began: time.Now()}
		d.lookup = func(n int, _ time.Duration) (phone.Observation, error) {
			return []phone.Observation{{Extent: phone.Whole}, closed, closed, whole}[n-1], nil
		}
		if seen := observe(t, d, providers.Pace{}); len(seen) != 4 {
			t.Errorf("%d observations", len(seen))
		}
	}))
	record := func(texts ...string) phone.Observation {
		o := words(texts...)
		o.Line, o.Extent, o.Outcome = phone.WrappingUp, phone.Whole, phone.Completed
		return o
	}
	for name, tt := range map[string]struct {
		streams []string // what a stream said before
		records [][]string
		reads   int
		final   []string
	}{
		"a record of which nothing was heard is read twice": {nil, [][]string{{"a", "b"}}, 2, []string{"a", "b"}},
		"a record that grows is read until it does not":     {nil, [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}}, 4, []string{"a", "b", "c"}},
		"a record with all that was heard is believed":      {[]string{"a", "b"}, [][]string{{"a", "b", "c"}}, 1, []string{"a", "b", "c"}},
		"one with less is not, at first":                    {[]string{"a", "b"}, [][]string{{"a"}, {"a", "b"}}, 2, []string{"a", "b"}},
		"one with less is, in the end":                      {[]string{"a", "b"}, [][]string{{"a"}}, 2, []string{"a"}},
		"an utterance that grew counts once":                {[]string{"a", "ab", "abc"}, [][]string{{"abc"}}, 1, []string{"abc"}},
		"a record without words is believed":                {nil, [][]string{{}}, 1, nil},
	} {
		t.Run(name, bubble(func(t *testing.T) {
			d := &streamed{polled: polled{began: time.Now()}}
			d.lookup = func(n int, _ time.Duration) (phone.Observation, error) {
				return record(tt.records[min(n, len(tt.records))-1]...), nil
			}
			d.stream = func(_ context.Context, _ int, say func(phone.Observation) bool) error {
				for _, s := range tt.streams {
					say(words(s))
				}
				say(closed)
				return nil
			}
			seen := observe(t, d, providers.Pace{})
			for i, o := range seen {
				if last := i == len(seen)-1; last != (o.Extent == phone.Whole) {
					t.Errorf("observation %d of %d: %+v", i+1, len(seen), o)
				}
			}
			if last := seen[len(seen)-1]; len(d.asked) != tt.reads || !slices.Equal(last.Words, words(tt.final...).Words) {
				t.Errorf("%d look-ups, and in the end %+v", len(d.asked), last)
			}
		}))
	}
	t.Run("a record that grows for ever ends with the time", bubble(func(t *testing.T) {
		d := &polled{began: time.Now()}
		d.lookup = func(n int, _ time.Duration) (phone.Observation, error) {
			return record(slices.Repeat([]string{"a"}, n)...), nil
		}
		seen := observe(t, d, providers.Pace{})
		if last := seen[len(seen)-1]; last.Extent != phone.Whole || len(last.Words) != len(d.asked) || time.Since(d.began) > time.Minute {
			t.Errorf("%d look-ups, and in the end %+v", len(d.asked), last)
		}
	}))
	t.Run("who leaves while a record grows is asked no more", bubble(func(t *testing.T) {
		d := &polled{began: time.Now()}
		d.lookup = func(n int, _ time.Duration) (phone.Observation, error) {
			return record(slices.Repeat([]string{"a"}, n)...), nil
		}
		for o := range providers.New(providers.Spec{Name: "fake"}, d, providers.Options{}).Observations(t.Context(), "ref", providers.How{}) {
			if len(o.Words) == 2 {
				break
			}
		}
	}))
	t.Run("a stream that brings the record needs no look-up", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(0, never)}}
		d.stream = func(_ context.Context, _ int, say func(phone.Observation) bool) error { say(whole); return nil }
		if seen := observe(t, d, providers.Pace{}); len(seen) != 1 || len(d.asked) != 0 {
			t.Errorf("%d observations, %d look-ups", len(seen), len(d.asked))
		}
	}))
}

func TestStreams(t *testing.T) {
	t.Run("a broken stream is opened again, with jitter, until its end", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(time.Hour, time.Hour)}}
		d.stream = func(_ context.Context, n int, say func(phone.Observation) bool) error {
			if time.Sleep(20 * time.Second); n == 5 {
				say(whole)
				return nil
			}
			say(words("hello"))
			return errBroken
		}
		observe(t, d, providers.Pace{})
		pauses := gaps(d.opened)
		for i := range pauses {
			pauses[i] -= 20 * time.Second
		}
		if len(d.opened) != 5 || slices.Min(pauses) < 250*time.Millisecond || slices.Max(pauses) > 5*time.Second+250*time.Millisecond || len(slices.Compact(pauses)) < 2 {
			t.Errorf("opened %d times, with pauses of %v", len(d.opened), pauses)
		}
	}))
	t.Run("pauses grow while nothing is heard, and then only look-ups are left", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(10*time.Minute, 10*time.Minute)}}
		d.stream = func(context.Context, int, func(phone.Observation) bool) error { return errBroken }
		seen := observe(t, d, providers.Pace{Streams: 6})
		if len(d.opened) != 6 || slices.Max(gaps(d.opened)) > 5*time.Second+250*time.Millisecond {
			t.Errorf("opened %d times, with pauses of %v", len(d.opened), gaps(d.opened))
		}
		if last := seen[len(seen)-1]; last.Extent != phone.Whole || slices.Max(gaps(d.asked)) > 6*time.Second {
			t.Errorf("the last is %+v, look-ups %v apart", last, slices.Max(gaps(d.asked)))
		}
	}))
	t.Run("streams that break after a few words leave the end to look-ups", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(time.Minute, time.Minute)}}
		d.stream = func(_ context.Context, _ int, say func(phone.Observation) bool) error {
			o := words("hello")
			o.Opened = true
			say(o) // played again from the start
			return errBroken
		}
		seen := observe(t, d, providers.Pace{})
		if took := time.Since(d.began); took > 70*time.Second || seen[len(seen)-1].Extent != phone.Whole {
			t.Errorf("the end is known after %v", took)
		}
		if len(d.opened) > 12 {
			t.Errorf("opened %d times", len(d.opened))
		}
	}))
	t.Run("one that lasted starts the count again", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(time.Hour, time.Hour)}}
		d.stream = func(_ context.Context, n int, say func(phone.Observation) bool) error {
			time.Sleep(time.Minute)
			say(words("hello"))
			if n == 40 {
				say(whole)
			}
			return errBroken
		}
		if observe(t, d, providers.Pace{Streams: 3}); len(d.opened) != 40 {
			t.Errorf("opened %d times", len(d.opened))
		}
	}))
	t.Run("one that the service ends is not opened again", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(time.Minute, time.Minute)}}
		d.stream = func(_ context.Context, _ int, say func(phone.Observation) bool) error {
			say(words("hello"))
			return nil
		}
		if observe(t, d, providers.Pace{}); len(d.opened) != 1 || len(d.asked) < 20 {
			t.Errorf("opened %d times, %d look-ups", len(d.opened), len(d.asked))
		}
	}))
	t.Run("a look-up that shows the end ends the wait for streams", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(0, 0)}}
		d.stream = func(context.Context, int, func(phone.Observation) bool) error { return errBroken }
		if observe(t, d, providers.Pace{}); len(d.opened) > 2 || len(d.asked) != 1 {
			t.Errorf("opened %d times, %d look-ups", len(d.opened), len(d.asked))
		}
	}))
	t.Run("an end without the line's close is no end", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(time.Minute, time.Minute)}}
		d.stream = func(context.Context, int, func(phone.Observation) bool) error { return nil }
		for _, o := range observe(t, d, providers.Pace{}) {
			if o.Line == phone.WrappingUp && time.Since(d.began) < time.Minute {
				t.Error("a false end")
			}
		}
	}))
}

func TestObservationsEnd(t *testing.T) {
	endless := func() *streamed {
		d := &streamed{polled: polled{began: time.Now(), lookup: after(time.Hour, time.Hour)}}
		d.stream = func(ctx context.Context, _ int, say func(phone.Observation) bool) error {
			for say(words("hello")) {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Second):
				}
			}
			return nil
		}
		return d
	}
	follow := func(ctx context.Context, d providers.Driver, pace providers.Pace) (n int) {
		for range providers.New(providers.Spec{}, d, providers.Options{Pace: pace}).Observations(ctx, "ref", providers.How{}) {
			n++
		}
		return n
	}
	t.Run("after Longest, streaming", bubble(func(t *testing.T) {
		d := endless()
		if follow(t.Context(), d, providers.Pace{}); time.Since(d.began) != 50*time.Minute {
			t.Errorf("given up after %v", time.Since(d.began))
		}
	}))
	t.Run("after Longest, polling", bubble(func(t *testing.T) {
		d := endless()
		if follow(t.Context(), &d.polled, providers.Pace{Longest: 7 * time.Minute}); time.Since(d.began) != 7*time.Minute {
			t.Errorf("given up after %v", time.Since(d.began))
		}
	}))
	t.Run("with the context", bubble(func(t *testing.T) {
		d := endless()
		for _, d := range []providers.Driver{d, &d.polled} {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			if follow(ctx, d, providers.Pace{}); time.Since(began) != 90*time.Second {
				t.Errorf("stopped after %v", time.Since(began))
			}
		}
	}))
	t.Run("where nobody wants more", bubble(func(t *testing.T) {
		d := endless()
		for range providers.New(providers.Spec{}, d, providers.Options{}).Observations(t.Context(), "ref", providers.How{}) {
			break
		}
		for range providers.New(providers.Spec{}, &d.polled, providers.Options{}).Observations(t.Context(), "ref", providers.How{}) {
			break
		}
		if time.Since(d.began) != 0 || len(d.opened) != 1 || len(d.asked) != 1 {
			t.Errorf("after %v, %d streams and %d look-ups", time.Since(d.began), len(d.opened), len(d.asked))
		}
	}))
}
