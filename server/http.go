package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/rs/zerolog"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
)

const (
	// httpPlaces is how many requests of all clients together may wait.
	httpPlaces = 10_000
	// bodyTimeout is how long a client may take to send its request's body.
	bodyTimeout = 30 * time.Second
	// recheck is how soon a stream that listens ends after its token is not taken any more.
	recheck = 5 * time.Second
)

// HTTPOptions are the choices of [Handler] and [HTTP]. The zero value will do.
type HTTPOptions struct {
	// Auth tells on whose account a request is. Nil: everybody is the local caller, which is for loopback alone.
	Auth *auth.Auth
	// PublicURL is where clients find this server, such as that of a proxy in front of it: a scheme, a host and perhaps a
	// port, as [PublicURL] gives it. Its host and its origin are allowed. Empty: only the address that it listens on.
	PublicURL string
	// AllowedHosts are further names that this server goes by besides loopback names and the address that a connection
	// came to, both with its own port: "phone.example.com", with any port, or with one, which must then match.
	AllowedHosts []string
	// AllowedOrigins are the origins of pages that may use this server besides its own: "https://phone.example.com".
	AllowedOrigins []string
	// Receive takes webhooks. Nil: none are taken.
	Receive Receive
	// Metrics are served at /metrics, and count who is not let in. Nil: there are none.
	Metrics *Metrics
	// Ready says why no work can be taken now, for /readyz. Nil for always ready.
	Ready func(ctx context.Context) error

	Grace        time.Duration  // how long running requests have when the server is stopped; 0 is 25 s
	KeepAlive    time.Duration  // how long a response may be silent before a comment is sent; 0 is 15 s
	WriteTimeout time.Duration  // how long a client may stop reading before it is cut off; 0 is 10 s
	Log          zerolog.Logger // for the operator
}

func (o HTTPOptions) withDefaults() HTTPOptions {
	o.Grace = cmp.Or(o.Grace, 25*time.Second)
	o.KeepAlive = cmp.Or(o.KeepAlive, 15*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	return o
}

// Endpoint is the HTTP side of the server: /mcp, /webhooks/{provider}, /metrics, /healthz and /readyz.
type Endpoint struct {
	options  HTTPOptions
	guard    guard
	attempts attempts
	crowd    crowd
	tools    *mcpserver.MCPServer
	mcp      *mcpserver.StreamableHTTPServer
	sessions *sessions
	room     *peer.Room
	gate     gate
	large    chan struct{} // the places that long webhooks take

	readiness  readiness
	recheck    time.Duration
	bodyWithin time.Duration

	life context.Context // ends when the grace of a stopping server is over
	cut  context.CancelFunc
}

// Handler serves s over streamable HTTP at /mcp: with sessions to clients of the handshake eras, and without to those of
// 2026-07-28. [HTTP] runs it; another http.Server may, without its orderly end.
func Handler(s *mcpserver.MCPServer, o HTTPOptions) *Endpoint {
	o = o.withDefaults()
	e := &Endpoint{
		options: o, guard: newGuard(o.PublicURL, o.AllowedHosts, o.AllowedOrigins), tools: s, recheck: recheck, bodyWithin: bodyTimeout,
		sessions: newSessions(maxSessions, sessionIdle), room: peer.NewRoom(httpPlaces), large: make(chan struct{}, largeAtOnce),
		readiness: readiness{fresh: readyFor},
	}
	if o.Auth != nil {
		e.sessions.each, e.crowd.each = maxSessions/16, httpPlaces/10
	}
	e.life, e.cut = context.WithCancel(context.Background())
	e.mcp = mcpserver.NewStreamableHTTPServer(s,
		mcpserver.WithSessionIdManagerResolver(e.sessions),
		mcpserver.WithStreamableHTTPLogger(slog.New(bare{zerolog.NewSlogHandler(o.Log.Level(zerolog.WarnLevel))})))
	return e
}

// bare logs what has happened, and not to whom: mcp-go puts sessions' ids beside it and into its errors, and who knows one can
// speak in that session.
type bare struct{ slog.Handler }

// Handle logs the message alone.
func (b bare) Handle(ctx context.Context, r slog.Record) error {
	return b.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, r.Message, r.PC)) //nolint:wrapcheck // it is a handler itself
}

// WithAttrs keeps none.
func (b bare) WithAttrs([]slog.Attr) slog.Handler { return b }

// WithGroup has nothing to group.
func (b bare) WithGroup(string) slog.Handler { return b }

// ServeHTTP lets nothing be read of a request that the guard refuses, whatever it asks for. Who probes whether the server
// lives or is ready, or looks for where to get a token, needs none.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil { // net/http would log what it was, which may hold anything
			if p != http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
				e.options.Log.Error().Err(phone.Panicked(p)).Bytes("stack", debug.Stack()).Msg("a handler panicked")
			}
			panic(http.ErrAbortHandler)
		}
	}()
	prompt := promptly{w, e.options.WriteTimeout}
	defer prompt.soon() // what is short is written when the handler has returned
	w = prompt
	if refusal := e.guard.refusal(r); refusal != "" {
		refuse(w, r, http.StatusForbidden, refusal)
		return
	}
	provider, isWebhook := strings.CutPrefix(r.URL.Path, "/webhooks/")
	if takesBody := r.Method == http.MethodPost && (isWebhook || r.URL.Path == "/mcp"); r.ContentLength != 0 && !takesBody {
		w.Header().Set("Connection", "close") // what comes with it is read nowhere, and may never end
	}
	if isWebhook {
		e.webhook(w, r, provider)
		return
	}
	switch r.URL.Path {
	case "/mcp":
		if e.guard.share(w, r) {
			return
		}
		id, ok := e.admit(w, r, phone.PlaceScope, phone.ReadScope)
		if !ok {
			return
		}
		if !e.crowd.enter(id.Caller.Principal) {
			w.Header().Set("Retry-After", "5")
			refuse(w, r, http.StatusTooManyRequests, "too many requests of this principal are under way: end some, or try again later")
			return
		}
		defer e.crowd.leave(id.Caller.Principal)
		e.serveMCP(w, r, id)
	case "/metrics":
		e.metrics(w, r)
	case "/healthz":
		e.health(w, r)
	case "/readyz":
		e.ready(w, r)
	case mcpserver.WellKnownProtectedResourcePath, mcpserver.WellKnownProtectedResourcePath + "/mcp":
		e.metadata(w, r)
	default:
		refuse(w, r, http.StatusNotFound, "404 page not found")
	}
}

// promptly bounds how long each write to a client may take: one that asks and asks and reads no answer is cut off.
type promptly struct {
	http.ResponseWriter
	within time.Duration
}

func (p promptly) soon() {
	_ = http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(p.within)) // a writer that knows none still writes
}

// Write writes soon or not at all.
func (p promptly) Write(b []byte) (int, error) {
	p.soon()
	return p.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (p promptly) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (e *Endpoint) serveMCP(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	switch {
	case r.Method == http.MethodPost:
		e.post(w, r, id)
	case r.Method != http.MethodGet && r.Method != http.MethodDelete:
		w.Header().Set("Allow", "POST, GET, DELETE")
		http.Error(w, "use POST, or GET and DELETE within a session", http.StatusMethodNotAllowed)
	case mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)):
		e.forward(r.Context(), w, withoutSession(r), nil, id) // mcp-go says what to do instead
	default:
		e.withSession(w, r, id, func(over context.Context) {
			ctx, stop := e.listening(over, r, id)
			defer stop()
			e.forward(ctx, w, r, nil, id)
		})
	}
}

// post takes one JSON-RPC message.
func (e *Endpoint) post(w http.ResponseWriter, r *http.Request, id auth.Identity) {
	body, ok := e.readBody(w, r)
	if !ok {
		return
	}
	m, err := parseMessage(body)
	modern := m.modern || mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
	switch {
	case err != nil:
		e.forward(r.Context(), w, withoutSession(r), body, id) // mcp-go says what is wrong with it
	case !e.mayDo(w, r, m, id.Caller):
	case modern && m.isCancel():
		// Without a session a request's number is not its client's alone: passed on, this would cancel whatever
		// request of any client has it. In this era a client cancels by closing the response stream.
		w.WriteHeader(http.StatusAccepted)
	case modern:
		e.serve(w, withoutSession(r), m, body, true, id)
	case m.Method == string(mcp.MethodInitialize):
		if !e.makeRoom(id.Caller.Principal) {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "too many sessions are in use: end one with DELETE, or try again later", http.StatusServiceUnavailable)
			return
		}
		e.serve(w, withoutSession(r), m, body, false, id)
	default:
		e.withSession(w, r, id, func(context.Context) { e.serve(w, r, m, body, false, id) })
	}
}

// serve has mcp-go answer one message, with the way back to its client in the context.
//
// What becomes of a request whose connection is lost is the protocol's: in 2026-07-28 that cancels it; before, it does
// not, and only notifications/cancelled does. mcp-go would cancel in both, so in the handshake eras it is given a
// context that outlives the connection. Nothing waits for a client that has gone, though: see [peer.Peer.Waiting].
func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request, m message, body []byte, modern bool, id auth.Identity) {
	if m.isRequest() {
		if !e.gate.enter() {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "not started: the server is stopping", http.StatusServiceUnavailable)
			return
		}
		defer e.gate.leave()
	}
	ctx := r.Context()
	if !modern {
		kept, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(e.life, cancel)()
		ctx = kept
	}
	if m.Method == string(mcp.MethodSubscriptionsListen) { // it ends by nothing else
		until, stop := e.room.Until(ctx)
		defer stop()
		valid, forget := e.until(until, id)
		defer forget()
		ctx = valid
	}
	s := newStream(w, r, e.options)
	defer s.close()
	if m.isRequest() && m.Method != string(mcp.MethodInitialize) { // that answer's header names the session
		s.startKeepAlive()
	}
	link := peer.Link{Caller: id.Caller, Send: s.send, Room: e.room, Gone: r.Context()}
	if s.takesEvents {
		link.Token = m.token
	}
	e.handle(peer.With(ctx, link), s, r, body)
}

// forward has mcp-go answer a request that no tool is behind.
func (e *Endpoint) forward(ctx context.Context, w http.ResponseWriter, r *http.Request, body []byte, id auth.Identity) {
	s := newStream(w, r, e.options)
	defer s.close()
	if r.Method == http.MethodGet {
		s.startKeepAlive()
	}
	e.handle(peer.With(ctx, peer.Link{Caller: id.Caller}), s, r, body)
}

// handle hands a request to mcp-go, without what was shown to get in: nothing behind here needs it, or could pass it on.
func (e *Endpoint) handle(ctx context.Context, s *stream, r *http.Request, body []byte) {
	header := r.Header.Clone()
	for _, secret := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
		header.Del(secret)
	}
	at := *r.URL
	at.RawQuery = ""
	e.mcp.Handle(s, &mcpserver.HTTPRequest{Method: r.Method, URL: &at, Header: header, Body: body, Context: ctx})
}

// withoutSession is a request that names no session: only one whose session has been looked at may.
func withoutSession(r *http.Request) *http.Request {
	if r.Header.Get(mcpserver.HeaderKeySessionID) == "" {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del(mcpserver.HeaderKeySessionID)
	return r
}

// withSession runs do within the request's session. One of another principal is answered like one that does not exist.
func (e *Endpoint) withSession(w http.ResponseWriter, r *http.Request, id auth.Identity, do func(over context.Context)) {
	session := r.Header.Get(mcpserver.HeaderKeySessionID)
	if session == "" {
		http.Error(w, "no session: send "+mcpserver.HeaderKeySessionID+" as initialize answered it", http.StatusBadRequest)
		return
	}
	over, end, ok := e.sessions.begin(session, id.Caller.Principal)
	if !ok {
		http.Error(w, "there is no such session, or no longer: begin one with initialize", http.StatusNotFound)
		return
	}
	defer end()
	do(over)
}

// makeRoom ends sessions until one more of a principal may begin.
func (e *Endpoint) makeRoom(principal string) bool {
	superfluous, room := e.sessions.superfluous(principal)
	for _, id := range superfluous { // mcp-go forgets one only if it is asked to
		e.mcp.Handle(nobody{http.Header{}}, &mcpserver.HTTPRequest{
			Method: http.MethodDelete, Header: http.Header{mcpserver.HeaderKeySessionID: {id}}, Context: e.life,
		})
	}
	return room
}

// listening returns a context for what listens and never ends by itself: it ends with the connection, with its session,
// with its token and when the server is stopped.
func (e *Endpoint) listening(over context.Context, r *http.Request, id auth.Identity) (context.Context, func()) {
	until, stop := e.room.Until(r.Context())
	until, cancel := context.WithCancel(until)
	forget := context.AfterFunc(over, cancel)
	until, leave := e.until(until, id)
	return until, func() {
		leave()
		forget()
		cancel()
		stop()
	}
}

// readBody reads a body of at most maxMessage bytes, or answers why it did not.
func (e *Endpoint) readBody(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(e.bodyWithin))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	limited := http.MaxBytesReader(w, r.Body, maxMessage)
	tooLarge := r.ContentLength > maxMessage
	if !tooLarge {
		var err error
		if body, err = io.ReadAll(limited); err == nil {
			return body, true
		}
		var limit *http.MaxBytesError
		tooLarge = errors.As(err, &limit)
	}
	w.Header().Set("Connection", "close") // else net/http would wait for the rest, and nothing would end that
	if tooLarge {
		http.Error(w, "the body is larger than 4 MiB: send less in one message", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	http.Error(w, "the body could not be read to its end", http.StatusBadRequest)
	return nil, false
}
