package providertest

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
)

// Desk is a service that gives every request the same answer and keeps its body. Its connections are pipes: thousands of
// dials would use up ports that tests beside it need.
type Desk struct {
	server *http.Server
	calls  chan net.Conn
	closed chan struct{}
	close  func()

	mu   sync.Mutex
	body []byte
}

// NewDesk opens a Desk. Whoever opens it closes it.
func NewDesk(status int, answer string) *Desk {
	d := &Desk{calls: make(chan net.Conn), closed: make(chan struct{})}
	d.close = sync.OnceFunc(func() { close(d.closed) })
	d.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		d.body = body
		d.mu.Unlock()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	})}
	go func() { _ = d.server.Serve(listener{d}) }()
	return d
}

// Base is its address, for those who connect with Connect.
func (d *Desk) Base() string { return "http://127.0.0.1:1" }

// Connect is a providers.Connect that leads nowhere else.
func (d *Desk) Connect(ctx context.Context, _, _ string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case d.calls <- theirs:
		return mine, nil
	case <-d.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Body takes the body of the last request.
func (d *Desk) Body() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	body := d.body
	d.body = nil
	return body
}

// Close ends it.
func (d *Desk) Close() { _ = d.server.Close() }

// listener is a Desk's side of the pipes.
type listener struct{ d *Desk }

func (l listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.d.calls:
		return c, nil
	case <-l.d.closed:
		return nil, net.ErrClosed
	}
}

func (l listener) Close() error {
	l.d.close()
	return nil
}

func (l listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
