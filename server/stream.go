package server

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	mcpserver "github.com/mark3labs/mcp-go/server"
)

var errNoStream = errors.New("the client takes no event stream, or its answer has begun already")

// stream is one HTTP response that mcp-go and the tool behind it both write to: the tool its progress, each as a
// server-sent event that is out before send returns, and mcp-go whatever it writes, the answer last.
//
// A response begins as what mcp-go makes it, mostly one JSON object. With the first message sent, or when it has taken a
// while, it becomes an event stream instead, and the answer then follows as the last event.
//
// No write may take longer than writeTimeout: a client that reads slowly slows the tool down, and one that has stopped
// reading is cut off.
type stream struct {
	w            http.ResponseWriter
	control      *http.ResponseController
	header       http.Header // mcp-go's, apart from w's: it writes them when it likes
	takesEvents  bool        // what the client said it accepts
	writeTimeout time.Duration
	keepAlive    time.Duration // 0 for none

	mu       sync.Mutex
	phase    phase
	wrap     bool  // mcp-go believes that it answers with one JSON object
	answered bool  // and has done so
	err      error // the first failed write; there are no others after it
	closed   bool
	beat     *time.Timer
}

type phase int

const (
	unbegun phase = iota
	plain         // a response of one piece
	events        // an event stream
)

var _ mcpserver.HTTPResponseWriter = (*stream)(nil)

func newStream(w http.ResponseWriter, r *http.Request, o HTTPOptions) *stream {
	return &stream{
		w: w, control: http.NewResponseController(w), header: http.Header{},
		takesEvents: acceptsEvents(r), writeTimeout: o.WriteTimeout, keepAlive: o.KeepAlive,
	}
}

// acceptsEvents reports whether the client can read an event stream. One that says nothing can.
func acceptsEvents(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	return accept == "" || strings.Contains(accept, "text/event-stream") || strings.Contains(accept, "*/*") || strings.Contains(accept, "text/*")
}

// startKeepAlive sends a comment whenever nothing was written for a while, so that nothing in between takes the silence of
// a long call for its end.
func (s *stream) startKeepAlive() {
	if !s.takesEvents || s.keepAlive <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat = time.AfterFunc(s.keepAlive, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed || s.answered || s.phase == plain {
			return
		}
		s.begin(events, http.StatusOK)
		_ = s.put([]byte(": keep-alive\n\n"))
	})
}

// send writes one JSON-RPC message as an event.
func (s *stream) send(m []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.answered:
		return errAnswered
	case s.phase == plain || !s.takesEvents:
		return errNoStream
	}
	s.begin(events, http.StatusOK)
	return s.put(event(m))
}

func event(m []byte) []byte { return fmt.Appendf(nil, "event: message\ndata: %s\n\n", m) }

// begin sends the header, once. Callers hold mu.
func (s *stream) begin(p phase, status int) {
	if s.phase != unbegun {
		return
	}
	s.phase = p
	h := s.w.Header()
	if p == events {
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // else nginx holds the events back
	}
	s.w.WriteHeader(status)
}

// put writes p and, in an event stream, sees it out. Callers hold mu.
func (s *stream) put(p []byte) error {
	if s.err != nil {
		return s.err
	}
	// net/http clears the deadline when the request is over. A writer that knows none still writes.
	_ = s.control.SetWriteDeadline(time.Now().Add(s.writeTimeout))
	_, s.err = s.w.Write(p)
	if s.err == nil && s.phase == events {
		s.err = s.control.Flush()
	}
	if s.err == nil && s.beat != nil {
		s.beat.Reset(s.keepAlive)
	}
	return s.err
}

// close ends the stream: nothing is written to the response afterwards, which is no longer ours.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.beat != nil {
		s.beat.Stop()
	}
	if s.phase != unbegun { // what net/http has still to write must not wait for ever either
		_ = s.control.SetWriteDeadline(time.Now().Add(s.writeTimeout))
	}
}

// The rest is what mcp-go writes to.

func (s *stream) Header() http.Header { return s.header }

// CanStream keeps mcp-go from sending events to a client that takes none.
func (s *stream) CanStream() bool { return s.takesEvents }

// WriteHeader begins the response as mcp-go wants it, unless it has begun.
func (s *stream) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.writeHeader(status)
}

func (s *stream) writeHeader(status int) {
	kind := s.header.Get("Content-Type")
	if s.phase == unbegun {
		maps.Copy(s.w.Header(), s.header)
		if strings.HasPrefix(kind, "text/event-stream") {
			s.begin(events, status)
		} else {
			s.begin(plain, status)
		}
	}
	s.wrap = s.phase == events && strings.HasPrefix(kind, "application/json")
}

// Write writes what mcp-go has to say: as it is, or as an event where mcp-go does not know that it writes events.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errAnswered
	}
	if s.phase == unbegun {
		s.writeHeader(http.StatusOK)
	}
	out := p
	if s.wrap {
		out, s.answered = event(bytes.TrimSpace(p)), true // mcp-go writes its one JSON object in one piece
	}
	if err := s.put(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush sends the header of an event stream that has no event yet. Events are flushed as they are written.
func (s *stream) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.phase == events && s.err == nil {
		_ = s.control.SetWriteDeadline(time.Now().Add(s.writeTimeout))
		s.err = s.control.Flush()
	}
}

// Unwrap is for [http.ResponseController].
func (s *stream) Unwrap() http.ResponseWriter { return s.w }
