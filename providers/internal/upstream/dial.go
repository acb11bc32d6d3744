package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
)

// Dial sends the request that rings a phone, once. Its context should not be one that a client's leaving cancels. After
// the context's deadline, by the clock on the wall, nothing is sent any more, however long this process was stopped or the
// machine asleep on the way: who asked has been answered, and a phone that rings then rings for nobody.
//
// Errors: unavailable if nothing was sent; uncertain if the service may have read the request and did not answer whole.
func (c *Client) Dial(ctx context.Context, path string, body any, header http.Header) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.dialTimeout)
	defer cancel()
	by, _ := ctx.Deadline()
	var used *wire
	a, err := c.do(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { // shaken hands: what is written from now on is the request
			used = wireOf(got.Conn)
			used.arm(by)
		},
	}), c.dial, http.MethodPost, path, body, header)
	switch {
	case err == nil:
		return a, nil
	case used == nil || !used.close():
		return nil, c.unreachable(err)
	}
	return nil, &phone.Error{
		Code: phone.Uncertain, Err: err,
		Message: c.name + " was asked to dial and gave no answer that can be read: the phone may ring. Do not ask again; ask about this call instead.",
	}
}

// wire is the connection of one Dial. It knows whether a byte of the request may have left, and lets none leave too late.
type wire struct {
	net.Conn

	mu      sync.Mutex
	by      time.Time // without a monotonic reading, which stands still while the machine sleeps; zero: not armed
	shut    bool
	sent    bool // something of the request has left
	leaving int  // writes that may be leaving
}

var errTooLate = errors.New("the time for this dial was over before all of it was sent")

func (w *wire) Write(p []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.by.IsZero() {
		w.leaving--
		w.sent = w.sent || n > 0
	}
	return n, err
}

func (w *wire) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.shut:
		return net.ErrClosed
	case w.by.IsZero():
		return nil
	case time.Now().Round(0).After(w.by):
		return errTooLate
	}
	w.leaving++
	return nil
}

// arm says that the request begins now, and until when it may be sent.
func (w *wire) arm(by time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by = by.Round(0)
}

// close lets nothing leave any more, and says whether something may have.
func (w *wire) close() (carried bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = true
	return w.sent || w.leaving > 0
}

// wireOf finds the wire beneath TLS. Of a connection that is none nobody knows what it has carried.
func wireOf(c net.Conn) *wire {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if w, ok := c.(*wire); ok {
		return w
	}
	return &wire{sent: true}
}

// connecting is net.Dialer's DialContext.
type connecting func(ctx context.Context, network, address string) (net.Conn, error)

// wired makes a wire of each connection.
func wired(connect connecting) connecting {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := connect(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &wire{Conn: conn}, nil
	}
}

// trying connects again by itself, since before there is a connection nothing can have been read.
func trying(connect connecting) connecting {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectFor)
		defer cancel()
		for try := 1; ; try++ {
			conn, err := connect(ctx, network, address)
			if err == nil || try == connectTry || ctx.Err() != nil {
				return conn, err
			}
			select {
			case <-ctx.Done():
			case <-time.After(rand.N(time.Duration(try) * 100 * time.Millisecond)):
			}
		}
	}
}
