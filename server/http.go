package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/rs/zerolog"

	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
)

const (
	// httpPlaces is how many requests of all clients together may wait.
	httpPlaces = 10_000
	// bodyTimeout is how long a client may take to send its request's body.
	bodyTimeout = 30 * time.Second
)

// HTTPOptions are the choices of [Handler] and [HTTP]. The zero value will do.
type HTTPOptions struct {
	// AllowedHosts are names that this server goes by besides loopback names with its own port, such as that of a proxy
	// in front of it: "phone.example.com", or with a port, which must then match.
	AllowedHosts []string
	// AllowedOrigins are the origins of pages that may use this server besides its own: "https://phone.example.com".
	AllowedOrigins []string
	// Receive takes webhooks. Nil: none are taken.
	Receive Receive
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

// Endpoint is the HTTP side of the server: /mcp, /webhooks/{provider}, /healthz and /readyz.
type Endpoint struct {
	options  HTTPOptions
	guard    guard
	mcp      *mcpserver.StreamableHTTPServer
	sessions *sessions
	room     *peer.Room
	gate     gate
	large    chan struct{} // one long webhook at a time

	life context.Context // ends when the grace of a stopping server is over
	cut  context.CancelFunc
}

// Handler serves s over streamable HTTP at /mcp: with sessions to clients of the handshake eras, and without to those of
// 2026-07-28. [HTTP] runs it; another http.Server may, without its orderly end.
func Handler(s *mcpserver.MCPServer, o HTTPOptions) *Endpoint {
	o = o.withDefaults()
	e := &Endpoint{
		options: o, guard: newGuard(o.AllowedHosts, o.AllowedOrigins),
		sessions: newSessions(maxSessions, sessionIdle), room: peer.NewRoom(httpPlaces), large: make(chan struct{}, 1),
	}
	e.life, e.cut = context.WithCancel(context.Background())
	e.mcp = mcpserver.NewStreamableHTTPServer(s,
		mcpserver.WithSessionIdManager(e.sessions),
		// Below warnings it names sessions, and who knows a session's id can speak in it.
		mcpserver.WithStreamableHTTPLogger(slog.New(zerolog.NewSlogHandler(o.Log.Level(zerolog.WarnLevel)))))
	return e
}

// ServeHTTP lets nothing be read of a request that the guard refuses, whatever it asks for.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refusal := e.guard.refusal(r); refusal != "" {
		http.Error(w, refusal, http.StatusForbidden)
		return
	}
	if provider, ok := strings.CutPrefix(r.URL.Path, "/webhooks/"); ok {
		e.webhook(w, r, provider)
		return
	}
	switch r.URL.Path {
	case "/mcp":
		e.serveMCP(w, r)
	case "/healthz":
		e.health(w, r)
	case "/readyz":
		e.ready(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (e *Endpoint) serveMCP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		e.post(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodDelete:
		w.Header().Set("Allow", "POST, GET, DELETE")
		http.Error(w, "use POST, or GET and DELETE within a session", http.StatusMethodNotAllowed)
	case mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)):
		e.forward(r.Context(), w, r, nil) // mcp-go says what to do instead
	default:
		e.withSession(w, r, func(over context.Context) {
			ctx, stop := e.listening(over, r)
			defer stop()
			e.forward(ctx, w, r, nil)
		})
	}
}

// post takes one JSON-RPC message.
func (e *Endpoint) post(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	m, err := parseMessage(body)
	modern := m.modern || mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
	switch {
	case err != nil:
		e.forward(r.Context(), w, r, body) // mcp-go says what is wrong with it
	case modern && m.isCancel():
		// Without a session a request's number is not its client's alone: passed on, this would cancel whatever
		// request of any client has it. In this era a client cancels by closing the response stream.
		w.WriteHeader(http.StatusAccepted)
	case modern:
		e.serve(w, r, m, body, true)
	case m.Method == string(mcp.MethodInitialize):
		if !e.makeRoom() {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "too many sessions are in use: end one with DELETE, or try again later", http.StatusServiceUnavailable)
			return
		}
		e.serve(w, r, m, body, false)
	default:
		e.withSession(w, r, func(context.Context) { e.serve(w, r, m, body, false) })
	}
}

// serve has mcp-go answer one message, with the way back to its client in the context.
//
// What becomes of a request whose connection is lost is the protocol's: in 2026-07-28 that cancels it; before, it does
// not, and only notifications/cancelled does. mcp-go would cancel in both, so in the handshake eras it is given a
// context that outlives the connection. Nothing waits for a client that has gone, though: see [peer.Peer.Waiting].
func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request, m message, body []byte, modern bool) {
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
		ctx = until
	}
	s := newStream(w, r, e.options)
	defer s.close()
	if m.isRequest() && m.Method != string(mcp.MethodInitialize) { // that answer's header names the session
		s.startKeepAlive()
	}
	link := peer.Link{Caller: phone.Local(), Send: s.send, Room: e.room, Gone: r.Context()}
	if s.takesEvents {
		link.Token = m.token
	}
	e.handle(peer.With(ctx, link), s, r, body)
}

// forward has mcp-go answer a request that no tool is behind.
func (e *Endpoint) forward(ctx context.Context, w http.ResponseWriter, r *http.Request, body []byte) {
	s := newStream(w, r, e.options)
	defer s.close()
	if r.Method == http.MethodGet {
		s.startKeepAlive()
	}
	e.handle(ctx, s, r, body)
}

func (e *Endpoint) handle(ctx context.Context, s *stream, r *http.Request, body []byte) {
	e.mcp.Handle(s, &mcpserver.HTTPRequest{Method: r.Method, URL: r.URL, Header: r.Header, Body: body, Context: ctx})
}

// withSession runs do within the request's session.
func (e *Endpoint) withSession(w http.ResponseWriter, r *http.Request, do func(over context.Context)) {
	id := r.Header.Get(mcpserver.HeaderKeySessionID)
	if id == "" {
		http.Error(w, "no session: send "+mcpserver.HeaderKeySessionID+" as initialize answered it", http.StatusBadRequest)
		return
	}
	over, end, ok := e.sessions.begin(id)
	if !ok {
		http.Error(w, "there is no such session, or no longer: begin one with initialize", http.StatusNotFound)
		return
	}
	defer end()
	do(over)
}

// makeRoom ends sessions until one more may begin.
func (e *Endpoint) makeRoom() bool {
	superfluous, room := e.sessions.superfluous()
	for _, id := range superfluous { // mcp-go forgets one only if it is asked to
		e.mcp.Handle(nobody{http.Header{}}, &mcpserver.HTTPRequest{
			Method: http.MethodDelete, Header: http.Header{mcpserver.HeaderKeySessionID: {id}}, Context: e.life,
		})
	}
	return room
}

// listening returns a context for what listens and never ends by itself: it ends with the connection, with its session
// and when the server is stopped.
func (e *Endpoint) listening(over context.Context, r *http.Request) (context.Context, func()) {
	until, stop := e.room.Until(r.Context())
	until, cancel := context.WithCancel(until)
	forget := context.AfterFunc(over, cancel)
	return until, func() {
		forget()
		cancel()
		stop()
	}
}

// readBody reads a body of at most maxMessage bytes, or answers why it did not.
func readBody(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
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
	if tooLarge {
		w.Header().Set("Connection", "close")
		http.Error(w, "the body is larger than 4 MiB: send less in one message", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	http.Error(w, "the body could not be read to its end", http.StatusBadRequest)
	return nil, false
}
