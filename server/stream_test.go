package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func newTestStream() (*stream, *httptest.ResponseRecorder) {
	w := httptest.NewRecorder()
	return newStream(w, httptest.NewRequest(http.MethodPost, "/mcp", nil), HTTPOptions{WriteTimeout: time.Second}), w
}

func TestStreamIsNotWrittenToAfterItsEnd(t *testing.T) {
	s, w := newTestStream()
	if err := s.send([]byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	s.close()
	before := w.Body.String()
	if err := s.send([]byte(`{"a":2}`)); !errors.Is(err, errAnswered) {
		t.Errorf("send: %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, errAnswered) {
		t.Errorf("Write: %v", err)
	}
	s.Flush()
	s.WriteHeader(http.StatusTeapot)
	if after := w.Body.String(); after != before {
		t.Errorf("%q was written", after[len(before):])
	}
}

// Whichever of the two begins the response, the other one goes on as it began.
func TestStreamHasTwoWriters(t *testing.T) {
	answer := func(s *stream) {
		s.Header().Set("Content-Type", "application/json")
		s.WriteHeader(http.StatusOK)
		_, _ = s.Write([]byte("{\"answer\":1}\n"))
	}
	s, w := newTestStream()
	answer(s)
	if err := s.send([]byte(`{"late":1}`)); err == nil {
		t.Error("a message was sent after the answer")
	}
	if got := w.Body.String(); got != "{\"answer\":1}\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("the answer alone: %v %q", w.Header(), got)
	}

	s, w = newTestStream()
	if err := s.send([]byte(`{"progress":1}`)); err != nil {
		t.Fatal(err)
	}
	answer(s)
	if err := s.send([]byte(`{"late":1}`)); !errors.Is(err, errAnswered) {
		t.Errorf("after the answer: %v", err)
	}
	const both = "event: message\ndata: {\"progress\":1}\n\nevent: message\ndata: {\"answer\":1}\n\n"
	if got := w.Body.String(); got != both || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("progress and the answer: %v %q", w.Header(), got)
	}

	s, w = newTestStream()
	s.Header().Set("Content-Type", "text/event-stream")
	s.WriteHeader(http.StatusOK)
	_, _ = s.Write([]byte("event: message\ndata: {\"log\":1}\n\n"))
	if err := s.send([]byte(`{"progress":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := w.Body.String(); got != "event: message\ndata: {\"log\":1}\n\nevent: message\ndata: {\"progress\":1}\n\n" || w.Header().Get("X-Accel-Buffering") != "no" {
		t.Errorf("mcp-go's stream: %v %q", w.Header(), got)
	}
}
