package providertest

import (
	"context"
	"fmt"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/script"
)

// brokenStreams are the clauses about live words whose connection breaks.
func brokenStreams() []clause {
	return []clause{
		{"a stream cut anywhere is no end, and nothing is lost", wire | streams, cutAnywhere},
		{"half an event is no event", wire | streams, halfEvents},
		{"a stream that falls silent is given up", wire | streams, silentStream},
		{"a stream that never begins is given up", wire | streams, stillbornStream},
		{"the end of the context stops a silent stream", wire | streams, abandonedStream},
		{"a stream that is not given is no end", wire | streams, refusedStream},
		{"a call whose streams all break is followed by look-ups", wire | streams, brokenForGood},
	}
}

// talk is a call in which words repeat themselves and characters have several bytes: what cuts are to damage.
func talk() script.Script {
	return dialogue("talk of the suite", "Hello, this is an AI assistant.", "好的。", "可以吗？", "好的。", "Yes — “fine”.", "好的。", "再见！")
}

// cutAnywhere cuts the first two connections of a call at many places, in both ways that a connection can end.
func cutAnywhere(s *scene) {
	var cuts []cut
	for k := 1; k < 1200; k += 1 + k/4 {
		cuts = append(cuts, atByte(k))
	}
	for n := 1; n <= 3; n++ {
		cuts = append(cuts, betweenLines(n), inRune(2*n))
	}
	s.each(2*len(cuts), func(i int, sub *scene) {
		sub.plays(talk())
		sub.breaker.with(streaming, 2, breaks(cuts[i/2], i%2 == 0))
		d := sub.open(Wire{})
		c := sub.place(d, sub.order("00"))
		sub.ended(c, sub.follow(d, c))
		sub.once("cut streams")
	})
}

// halfEvents: what one connection told before it was cut is whole, and no end of the call.
func halfEvents(s *scene) {
	s.each(6, func(i int, sub *scene) {
		sub.plays(talk())
		at := betweenLines(1 + i/2)
		if i%2 == 1 {
			at = inRune(1 + i)
		}
		sub.breaker.with(streaming, -1, breaks(at, true))
		d := sub.open(Wire{})
		c := sub.place(d, sub.order("00"))
		ctx, cancel := context.WithTimeout(context.Background(), never)
		defer cancel()
		for _, o := range sub.listen(ctx, d, c).observations {
			if o.Line == phone.WrappingUp {
				sub.Errorf("a stream that was cut says that the line has closed")
			}
		}
	})
}

func silentStream(s *scene) {
	for i, k := range []int{1, 150, 400} {
		s.plays(talk())
		s.breaker.with(streaming, -1, silences(atByte(k)))
		d := s.open(Wire{Idle: idle})
		c := s.place(d, s.order(fmt.Sprint(20+i)))
		if !s.within(2*idle+2*soon, "Stream", func() {
			if h := s.listen(context.Background(), d, c); h.err == nil {
				s.Errorf("a stream that is silent after %d bytes ends as if it were over", k)
			}
		}) {
			return
		}
	}
}

func stillbornStream(s *scene) {
	s.breaker.with(streaming, -1, hangs)
	d := s.open(Wire{Idle: idle})
	c := s.place(d, s.order("00"))
	s.within(idle+2*soon, "Stream", func() {
		if h := s.listen(context.Background(), d, c); h.err == nil {
			s.Errorf("a stream that never begins ends as if it were over")
		}
	})
}

func abandonedStream(s *scene) {
	s.breaker.with(streaming, -1, silences(atByte(150)))
	d := s.open(Wire{})
	c := s.place(d, s.order("00"))
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	s.within(300*time.Millisecond+soon, "Stream", func() { s.listen(ctx, d, c) })
}

func refusedStream(s *scene) {
	faults := []fault{
		says(401), says(404), says(409), says(429), says(500), says(503), dropped, answers(200, "text/html", "<html>"+canary+"</html>"),
		answers(200, "application/json", "{}"), answers(200, "text/event-stream", ""),
	}
	s.each(len(faults), func(i int, sub *scene) {
		d := sub.open(Wire{})
		c := sub.place(d, sub.order("00"))
		sub.breaker.with(streaming, 1, faults[i])
		for _, o := range sub.listen(context.Background(), d, c).observations {
			if o.Line == phone.WrappingUp || len(o.Words) > 0 {
				sub.Errorf("a stream that was not given tells %+v", o)
			}
		}
		sub.breaker.with(streaming, 2, faults[i])
		sub.ended(c, sub.follow(d, c))
	})
}

// brokenForGood: also a service that plays the same first words on every connection, and then breaks.
func brokenForGood(s *scene) {
	after := []int{1, 120, 400, 700}
	s.each(len(after), func(i int, sub *scene) {
		sub.breaker.with(streaming, -1, breaks(atByte(after[i]), false))
		d := sub.open(Wire{})
		c := sub.place(d, sub.order("00"))
		sub.ended(c, sub.follow(d, c))
	})
}
