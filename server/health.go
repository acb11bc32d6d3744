package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// readyTimeout bounds the question whether we are ready: a probe that hangs says less than one that fails.
const readyTimeout = 2 * time.Second

// readyFor is how long one look whether we are ready does for all probes.
const readyFor = time.Second

// health says that the process lives and answers.
func (e *Endpoint) health(w http.ResponseWriter, r *http.Request) {
	answerProbe(w, r, http.StatusOK, "ok\n")
}

// ready says whether work can be taken. Why not is the operator's to read, in the log.
func (e *Endpoint) ready(w http.ResponseWriter, r *http.Request) {
	select {
	case <-e.room.Ending():
		answerProbe(w, r, http.StatusServiceUnavailable, "stopping\n")
		return
	default:
	}
	status, said := e.readiness.look(e.look)
	answerProbe(w, r, status, said)
}

// look finds out whether work can be taken, within readyTimeout, whoever asks and however soon they hang up.
func (e *Endpoint) look() (status int, said string) {
	if e.options.Ready != nil {
		ctx, cancel := context.WithTimeout(e.life, readyTimeout)
		defer cancel()
		if err := e.options.Ready(ctx); err != nil {
			e.options.Log.Warn().Err(err).Msg("not ready")
			return http.StatusServiceUnavailable, "not ready: see the log\n"
		}
	}
	if e.options.Auth == nil {
		return http.StatusOK, "ready\n"
	}
	note, err := e.options.Auth.Ready()
	switch {
	case err != nil:
		e.options.Log.Warn().Err(err).Msg("not ready")
		return http.StatusServiceUnavailable, "not ready: tokens cannot be checked: see the log\n"
	case note != "":
		return http.StatusOK, "ready, but " + note + ": see the log\n"
	}
	return http.StatusOK, "ready\n"
}

// readiness remembers for a moment what was found, so that many probes cost what one does. Those that come while one looks
// wait for what it finds.
type readiness struct {
	fresh  time.Duration // how long that does
	mu     sync.Mutex
	at     time.Time
	status int
	said   string
}

func (r *readiness) look(look func() (int, string)) (status int, said string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status == 0 || time.Since(r.at) >= r.fresh {
		r.status, r.said = look()
		r.at = time.Now()
	}
	return r.status, r.said
}

func answerProbe(w http.ResponseWriter, r *http.Request, status int, text string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, r, http.StatusMethodNotAllowed, "use GET")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
