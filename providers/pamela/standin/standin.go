// Package standin is Pamela's HTTP interface played over scripted calls: for the adapter's tests, for the sandbox and for
// whoever wants to try a client of Pamela's without an account.
//
// Its one idea: how a call stands is reckoned from its script and the clock whenever somebody asks, so nothing runs between
// two requests. Only a call that has webhooks is followed, since nobody asks for those.
//
// It dials nobody and sends webhooks to this machine alone. What it plays is described by Pamela's public SDKs (Python
// 1.0.4, JavaScript 1.1) and published documentation; where those are silent, a form was chosen that satisfies all of them.
// It runs no tools, bills nothing and has no partner routes.
package standin

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/providers/pamela/internal/signed"
	"github.com/outdial/outdial/providers/script"
)

// Options of a Service. The zero Options play script.For in real time and sign nothing.
type Options struct {
	Script      func(number, lang, task, caller string) script.Script // asked once for each dial; nil: script.For
	Speed       float64                                               // how many times as fast all clocks run; 0: 1
	Secret      string                                                // that webhooks are signed with; empty: they are not
	RecordAfter time.Duration                                         // from the end of a call until its transcript is there, before Speed; 0: 2 s, negative: at once
}

// The bounds of what a Service keeps and takes.
const (
	maxCalls = 10_000 // the oldest are forgotten
	maxTools = 1_000
	maxBody  = 1 << 20 // bytes of a request
)

// Service is an http.Handler that plays /api/b2b/v1. It takes any key that begins with pk_live_ or pk_test_.
type Service struct {
	options Options
	mux     *http.ServeMux
	hooks   *hooks

	mu    sync.Mutex
	calls []*call // oldest first
	byID  map[string]*call
	tools []tool
}

// New makes a Service. Close ends what it runs.
func New(o Options) *Service {
	if o.Script == nil {
		o.Script = script.For
	}
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.RecordAfter == 0 {
		o.RecordAfter = 2 * time.Second
	}
	s := &Service{options: o, mux: http.NewServeMux(), hooks: newHooks(o.Secret), byID: map[string]*call{}}
	for route, h := range map[string]func(*http.Request) answer{
		"POST /api/b2b/v1/calls":             s.create,
		"GET /api/b2b/v1/calls":              s.list,
		"GET /api/b2b/v1/calls/{id}":         s.get,
		"POST /api/b2b/v1/calls/{id}/cancel": s.cancel,
		"POST /api/b2b/v1/calls/{id}/hangup": s.hangup,
		"POST /api/b2b/v1/tools":             s.registerTool,
		"GET /api/b2b/v1/tools":              s.listTools,
		"DELETE /api/b2b/v1/tools/{id}":      s.deleteTool,
		"GET /api/b2b/v1/usage":              s.usage,
		"/":                                  func(*http.Request) answer { return plainly(http.StatusNotFound, "Not Found") },
	} {
		s.mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			if a := refuseKey(r); a != nil {
				a.write(w)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			h(r).write(w)
		})
	}
	return s
}

// ServeHTTP answers one request, always in JSON.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends the delivery of webhooks and waits until it has ended. Requests are answered as before.
func (s *Service) Close() error {
	s.hooks.close()
	return nil
}

// SignatureHeader is the header in which webhooks carry their signature.
const SignatureHeader = signed.Header

func refuseKey(r *http.Request) *answer {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !bearer || key == "":
		a := refuse(http.StatusUnauthorized, 1001, "API key required")
		return &a
	case !strings.HasPrefix(key, "pk_live_") && !strings.HasPrefix(key, "pk_test_"):
		a := refuse(http.StatusUnauthorized, 1002, "Invalid API key")
		return &a
	}
	return nil
}

// object is a JSON object.
type object = map[string]any

// answer is what a request is answered with.
type answer struct {
	status int
	body   any
}

func ok(body any) answer { return answer{http.StatusOK, body} }

// refuse answers with one of Pamela's error codes.
func refuse(status, code int, message string) answer {
	return answer{status, object{"detail": object{"error_code": code, "message": message, "details": object{}}}}
}

// plainly answers as the framework beneath Pamela does where Pamela has no code.
func plainly(status int, message string) answer { return answer{status, object{"detail": message}} }

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // whoever asked has gone
}

// body reads a request's JSON object; not ok where it is none.
func body(r *http.Request) (object, bool) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, false
	}
	var o object
	err = json.Unmarshal(raw, &o)
	return o, err == nil && o != nil
}
