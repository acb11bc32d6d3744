package server

import (
	"context"
	"io"
	"net/http"
	"time"
)

// readyTimeout bounds the question whether we are ready: a probe that hangs says less than one that fails.
const readyTimeout = 2 * time.Second

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
	if e.options.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := e.options.Ready(ctx); err != nil {
			e.options.Log.Warn().Err(err).Msg("not ready")
			answerProbe(w, r, http.StatusServiceUnavailable, "not ready: see the log\n")
			return
		}
	}
	said := "ready\n"
	if e.options.Auth != nil {
		note, err := e.options.Auth.Ready()
		if err != nil {
			e.options.Log.Warn().Err(err).Msg("not ready")
			answerProbe(w, r, http.StatusServiceUnavailable, "not ready: tokens cannot be checked: see the log\n")
			return
		}
		if note != "" {
			said = "ready, but " + note + ": see the log\n"
		}
	}
	answerProbe(w, r, http.StatusOK, said)
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
