package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/outdial/outdial/phone"
)

// Receive takes a provider's webhook; reply is what it is answered with, as JSON, if there is more to say than that it was
// taken. The context ends early when the server is stopped. Errors: not_found (no such provider, or none whose webhooks are taken), unauthorized,
// invalid; any other, with which it may be sent again.
type Receive func(ctx context.Context, provider string, header http.Header, body []byte) (reply []byte, err error)

const (
	// maxWebhook is how long a webhook's body may be, in bytes.
	maxWebhook = 1 << 20
	// webhookTimeout is how long a webhook's body may take to come.
	webhookTimeout = 10 * time.Second
	// largeWebhook is from which length on a webhook needs one of largeAtOnce places, so that what is held of them is bounded.
	// What it has sent so far counts, and not what it says that it will: that costs a sender nothing.
	largeWebhook = 64 << 10
	largeAtOnce  = 64
	placeWithin  = 2 * time.Second
)

// webhook answers a webhook as services expect it: any 2xx is taken, 4xx need not be sent again.
func (e *Endpoint) webhook(w http.ResponseWriter, r *http.Request, provider string) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case e.options.Receive == nil:
		refuse(w, r, http.StatusNotFound, "404 page not found")
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	case err != nil || media != "application/json":
		refuse(w, r, http.StatusUnsupportedMediaType, "a webhook is application/json")
		return
	}
	body, leave, status := e.webhookBody(w, r)
	defer leave()
	if status != 0 {
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
		w.Header().Set("Connection", "close")
		http.Error(w, http.StatusText(status), status)
		return
	}
	if !e.gate.enter() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
		return
	}
	defer e.gate.leave()
	ctx, done := e.room.Until(r.Context())
	defer done()
	reply, err := e.options.Receive(ctx, provider, r.Header, body)
	switch phone.CodeOf(err) {
	case "":
		w.Header().Set("Content-Type", "application/json")
		if reply == nil {
			reply = []byte(`{"status":"ok"}`)
		}
		_, _ = w.Write(reply)
	case phone.NotFound:
		http.NotFound(w, r)
	case phone.Unauthorized:
		refuseWebhook(w, "Invalid signature", http.StatusUnauthorized)
	case phone.Invalid:
		refuseWebhook(w, phone.AsError(err).Message, http.StatusBadRequest)
	default:
		e.options.Log.Warn().Err(err).Msg("a webhook could not be taken")
		w.Header().Set("Retry-After", "5")
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
}

// place waits for one of the places for long webhooks, for a moment.
func (e *Endpoint) place(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, placeWithin)
	defer cancel()
	select {
	case e.large <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// refuseWebhook says why a webhook is not taken, as JSON.
func refuseWebhook(w http.ResponseWriter, why string, status int) {
	b, _ := json.Marshal(map[string]string{"error": why}) //nolint:errchkjson // a string is JSON
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// webhookBody reads a webhook, or says with which status it is refused. leave gives back the place that it may have taken.
func (e *Endpoint) webhookBody(w http.ResponseWriter, r *http.Request) (body []byte, leave func(), status int) {
	leave = func() {}
	if r.ContentLength > maxWebhook {
		return nil, leave, http.StatusRequestEntityTooLarge
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(webhookTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	limited := http.MaxBytesReader(w, r.Body, maxWebhook)
	body, err := io.ReadAll(io.LimitReader(limited, largeWebhook+1))
	if err == nil && len(body) > largeWebhook {
		if !e.place(r.Context()) {
			return nil, leave, http.StatusServiceUnavailable
		}
		leave = func() { <-e.large }
		var rest []byte
		rest, err = io.ReadAll(limited)
		body = append(body, rest...)
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, leave, http.StatusRequestEntityTooLarge
	}
	if err != nil {
		return nil, leave, http.StatusBadRequest
	}
	return body, leave, 0
}
