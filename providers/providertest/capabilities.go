package providertest

import (
	"context"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// capabilities are the clauses about what a driver can do beside Place and Lookup, as far as no wire is broken.
func capabilities() []clause {
	return []clause{
		{"a stream tells every word, and once that it has opened", streams, streamsAll},
		{"a stream that is opened late misses nothing that counts", streams, opensLate},
		{"a stream stops with its context", streams, streamStops},
		{"a stream that is left leaves nothing behind", streams, streamIsLeft},
		{"a call is hung up, and again, and once it is over", hangsUp, hangUp},
		{"the balance is told", balances, balance},
		{"the voices are listed", lists, catalog},
	}
}

func streamsAll(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("00"))
	ctx, cancel := context.WithTimeout(context.Background(), never)
	defer cancel()
	h := s.listen(ctx, d, c)
	if h.err != nil {
		s.Fatalf("the stream broke off: %v", h.err)
	}
	for i, o := range h.observations {
		if o.Opened != (i == 0) {
			s.Errorf("observation %d of the connection has Opened %v", i, o.Opened)
		}
	}
	s.whole(c, h.words)
}

// opensLate: a follower that comes in the middle of the call still ends with the whole transcript.
func opensLate(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("00"))
	time.Sleep(time.Duration(float64(c.script.Length()) / s.speed / 2)) // not for a state to come: to be late is the case
	s.ended(c, s.follow(d, c))
}

func streamStops(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("07"))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	s.within(300*time.Millisecond+soon, "Stream", func() {
		for _, o := range s.listen(ctx, d, c).observations {
			if o.Line == phone.WrappingUp {
				s.Errorf("the end of the context is taken for the end of the call")
			}
		}
	})
}

func streamIsLeft(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("07"))
	for range 3 {
		s.within(never, "Stream", func() {
			for range d.(providers.Streamer).Stream(context.Background(), c.ref) {
				return
			}
			s.Errorf("the stream has nothing to tell")
		})
	}
}

func hangUp(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("07"))
	ctx, cancel := context.WithTimeout(context.Background(), never)
	defer cancel()
	hung := make(chan struct{})
	s.running.Go(func() {
		defer close(hung)
		time.Sleep(200 * time.Millisecond) // somewhere in the call
		for range 2 {
			if err := d.(providers.Hanguper).Hangup(ctx, c.ref); err != nil {
				s.Errorf("Hangup: %v", err)
			}
		}
	})
	call := phone.Begin("call_test", "local", s.h.Spec.Name, "", c.order, c.began)
	for o := range s.over(d).Observations(ctx, c.ref, providers.How{}) {
		for _, e := range call.Observe(o) {
			call.Apply(e)
		}
	}
	<-hung
	if ctx.Err() != nil || call.Status != phone.StatusEnded {
		s.Errorf("a call that was hung up stands at %s", call.Status)
	}
	if call.Outcome != phone.Cancelled && call.Outcome != phone.Completed {
		s.Errorf("a call that was hung up ended as %s", call.Outcome)
	}
	if err := d.(providers.Hanguper).Hangup(ctx, c.ref); err != nil {
		s.Errorf("Hangup of a call that is over: %v", err)
	}
	if s.breaker != nil && s.breaker.count(dialing) != 1 {
		s.Errorf("%d requests to dial", s.breaker.count(dialing))
	}
}

func balance(s *scene) {
	b, err := s.open(Wire{}).(providers.Balancer).Balance(context.Background())
	if err != nil || b.Amount == nil && b.Usage == "" {
		s.Errorf("%+v, %v", b, err)
	}
}

func catalog(s *scene) {
	c, err := s.open(Wire{}).(providers.Cataloger).Catalog(context.Background())
	if err != nil || len(c.Voices)+len(c.Engines) == 0 {
		s.Errorf("%+v, %v", c, err)
	}
}
