package providers_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// errBroken is how streams of these tests break.
var errBroken = phone.Errorf(phone.Unavailable, "It broke off.")

// polled is a driver whose look-ups a test answers, each with the time since it was made.
type polled struct {
	lookup func(n int, since time.Duration) (phone.Observation, error)

	mu    sync.Mutex
	began time.Time
	asked []time.Duration // when each look-up came
}

func (*polled) Place(context.Context, phone.Order) (phone.Ref, error) { return "ref", nil }

func (p *polled) Lookup(ctx context.Context, _ phone.Ref) (phone.Observation, error) {
	if err := ctx.Err(); err != nil {
		return phone.Observation{}, err
	}
	p.mu.Lock()
	since := time.Since(p.began)
	p.asked = append(p.asked, since)
	n := len(p.asked)
	p.mu.Unlock()
	return p.lookup(n, since)
}

// streamed is one that streams too: stream tells what the n-th connection (from 1) says, and how it ends.
type streamed struct {
	polled
	stream func(ctx context.Context, n int, say func(phone.Observation) bool) error
	opened []time.Duration // when each connection was opened
}

func (s *streamed) Stream(ctx context.Context, _ phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) {
		s.mu.Lock()
		s.opened = append(s.opened, time.Since(s.began))
		n := len(s.opened)
		s.mu.Unlock()
		gone := false
		err := s.stream(ctx, n, func(o phone.Observation) bool {
			gone = gone || !yield(o, nil)
			return !gone
		})
		if err != nil && !gone {
			yield(phone.Observation{}, err)
		}
	}
}

func words(texts ...string) phone.Observation {
	var o phone.Observation
	for _, s := range texts {
		o.Words = append(o.Words, phone.Words{Role: phone.Callee, Text: s, Final: true})
	}
	return o
}

var (
	closed = phone.Observation{Line: phone.WrappingUp}
	whole  = phone.Observation{Line: phone.WrappingUp, Extent: phone.Whole, Outcome: phone.Completed}
	goesOn = phone.Observation{Line: phone.InProgress, Extent: phone.SoFar}
)

// observe follows a call to the end of its observations.
func observe(t *testing.T, d providers.Driver, pace providers.Pace) []phone.Observation {
	t.Helper()
	var all []phone.Observation
	for o := range providers.New(providers.Spec{Name: "fake", Title: "Fake"}, d, providers.Options{Pace: pace}).Observations(t.Context(), "ref", providers.How{}) {
		if !o.At.Equal(time.Now()) {
			t.Errorf("observed at %v, and it is %v", o.At, time.Now())
		}
		all = append(all, o)
	}
	return all
}

// gaps are the pauses between moments.
func gaps(at []time.Duration) []time.Duration {
	var all []time.Duration
	for i := 1; i < len(at); i++ {
		all = append(all, at[i]-at[i-1])
	}
	return all
}

var errRaw = errors.New("no error of phone's")
