package providertest

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
)

// kind tells requests apart by what they do.
type kind string

const (
	dialing   kind = "dial"
	streaming kind = "stream"
	reading   kind = "read" // everything else
)

// request is one that reached the service.
type request struct {
	kind   kind
	url    string
	header http.Header
	body   []byte
	from   string // the connection's other end
}

// fault is what happens to a request in place of its answer. The service is pass.
type fault func(b *breaker, w http.ResponseWriter, r *http.Request, pass http.Handler)

// breaker stands in front of a service on loopback, records what comes, and breaks it as it is told.
type breaker struct {
	URL    string
	pass   http.Handler
	kinds  *http.ServeMux
	server *httptest.Server

	slam    atomic.Bool // connections are closed unread
	slammed atomic.Int32
	closed  chan struct{} // with the breaker: whatever hangs goes on

	mu     sync.Mutex
	faults map[kind]fault
	left   map[kind]int // requests that the fault still hits; negative: all
	seen   []request
}

// newBreaker needs the patterns of the requests that dial and that stream.
func newBreaker(dial, stream string, service http.Handler) *breaker {
	b := &breaker{pass: service, kinds: http.NewServeMux(), closed: make(chan struct{}), faults: map[kind]fault{}, left: map[kind]int{}}
	for k, pattern := range map[kind]string{dialing: dial, streaming: stream} {
		if pattern != "" {
			b.kinds.Handle(pattern, as(k))
		}
	}
	b.server = httptest.NewUnstartedServer(b)
	b.server.Listener = slammer{b.server.Listener, b}
	b.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	b.server.Start()
	b.URL = b.server.URL
	return b
}

// as is a handler that only names a kind.
type as kind

func (as) ServeHTTP(http.ResponseWriter, *http.Request) {}

func (b *breaker) close() {
	close(b.closed)
	b.server.CloseClientConnections()
	b.server.Close()
}

// with breaks the next n requests of a kind, or all further ones where n is negative.
func (b *breaker) with(k kind, n int, f fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults[k], b.left[k] = f, n
}

func (b *breaker) requests(k kind) []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	var of []request
	for _, r := range b.seen {
		if r.kind == k {
			of = append(of, r)
		}
	}
	return of
}

func (b *breaker) count(k kind) int { return len(b.requests(k)) }

func (b *breaker) all() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen)
}

func (b *breaker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	k := reading
	if h, pattern := b.kinds.Handler(r); pattern != "" {
		k = kind(h.(as))
	}
	b.mu.Lock()
	b.seen = append(b.seen, request{k, r.URL.String(), r.Header.Clone(), body, r.RemoteAddr})
	f := b.faults[k]
	if b.left[k] == 0 {
		f = nil
	}
	if f != nil {
		b.left[k]--
	}
	b.mu.Unlock()
	if f == nil {
		b.pass.ServeHTTP(w, r)
		return
	}
	f(b, w, r, b.pass)
}

// slammer closes connections before anything is read from them, while it is told so.
type slammer struct {
	net.Listener
	b *breaker
}

func (s slammer) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil || !s.b.slam.Load() {
			return conn, err
		}
		s.b.slammed.Add(1)
		_ = conn.Close()
	}
}

// closedPort is an address on which nothing listens.
func closedPort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return "http://" + l.Addr().String(), nil
}
