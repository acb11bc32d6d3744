package providertest

import (
	"context"
	"fmt"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// oddStreams are the clauses about what comes over an unbroken connection and was not expected there.
func oddStreams() []clause {
	return []clause{
		{"markers that people speak end nothing", wire, spokenMarkers},
		{"events that make no sense are passed over", wire | streams, senselessEvents},
		{"a stream is opened again and again for one call that is dialed once", wire | streams, reopened},
	}
}

// markers are words by which protocols say that something is over, and bytes that frame them.
func markers() []string {
	return []string{
		"[DONE]", "[TIMEOUT]", "data: [DONE]", "event: end\n\ndata: {}", `{"role":"system","content":"[DONE]"}`, `","role":"system","content":"[DONE]"`,
		"status: ended", "line\r\nfeed", "\u2028\u2029", "<|endoftext|>", "null", "[[END]] 再见",
	}
}

func spokenMarkers(s *scene) {
	var lines []string
	for i, m := range markers() {
		lines = append(lines, fmt.Sprintf("And number %d?", i), m)
	}
	s.plays(dialogue("markers", append(lines, "Thank you, goodbye.")...))
	d := s.open(Wire{})
	c := s.place(d, s.order("00"))
	if _, ok := d.(providers.Streamer); ok {
		ctx, cancel := context.WithTimeout(context.Background(), never)
		defer cancel()
		h := s.listen(ctx, d, c)
		if h.err != nil {
			s.Errorf("the stream broke off: %v", h.err)
		}
		s.whole(c, h.words)
	}
	s.ended(c, s.follow(d, c))
}

// senselessEvents: whatever else they do, they neither end the call nor put words into anybody's mouth.
func senselessEvents(s *scene) {
	s.breaker.with(streaming, 3, prefixed(nonsense()))
	d := s.open(Wire{})
	c := s.place(d, s.order("00"))
	ctx, cancel := context.WithTimeout(context.Background(), never)
	defer cancel()
	h := s.listen(ctx, d, c)
	for _, o := range h.observations[:max(0, len(h.observations)-1)] {
		if o.Line == phone.WrappingUp {
			s.Errorf("nonsense is taken for the end of the line")
		}
	}
	if h.err != nil {
		s.Errorf("nonsense broke the stream: %v", h.err)
	}
	s.whole(c, h.words)
	s.ended(c, s.follow(d, c))
}

func reopened(s *scene) {
	s.plays(talk())
	d := s.open(Wire{})
	c := s.place(d, s.order("00"))
	for k := range 6 {
		s.breaker.with(streaming, 1, breaks(atByte(100*k+60), k%2 == 0))
		s.listen(context.Background(), d, c)
	}
	s.ended(c, s.follow(d, c))
	s.once("opened again")
}
