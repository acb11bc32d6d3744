package standin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/pamela/internal/signed"
)

// The bounds of webhooks.
const (
	maxFollowed   = 1_000 // calls at a time; those beyond have no webhooks
	maxDeliveries = 500   // of one call
	deliveryFor   = 3 * time.Second
)

// hooks delivers webhooks to this machine, and to no other.
type hooks struct {
	secret string
	client *http.Client
	ctx    context.Context // ends with close; it is nobody's request's
	end    context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	followed int
}

func newHooks(secret string) *hooks {
	ctx, end := context.WithCancel(context.Background())
	dialer := &net.Dialer{Timeout: deliveryFor, Control: loopbackOnly}
	return &hooks{
		secret: secret, ctx: ctx, end: end,
		client: &http.Client{
			Timeout:       deliveryFor,
			Transport:     &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 4, IdleConnTimeout: 10 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// loopbackOnly looks at the address that is about to be connected to, whatever name it was found under.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().Unmap().IsLoopback() {
		return errors.New("webhooks go to loopback addresses only")
	}
	return nil
}

// local says whether an address names this machine, so that no other name is even looked up.
func local(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.Unmap().IsLoopback()
}

func (h *hooks) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.end()
	h.wg.Wait()
	h.client.CloseIdleConnections()
}

// follow runs tell, which sends events to an address, until it returns. What tell sends is dropped where the address is
// not on this machine, or too many calls are followed.
func (h *hooks) follow(tell func(send func(object) bool, stop <-chan struct{}), address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.followed >= maxFollowed || !local(address) {
		return
	}
	h.followed++
	h.wg.Go(func() {
		left := maxDeliveries
		tell(func(event object) bool {
			if left--; left >= 0 {
				h.deliver(address, event)
			}
			return left > 0 && h.ctx.Err() == nil
		}, h.ctx.Done())
		h.mu.Lock()
		defer h.mu.Unlock()
		h.followed--
	})
}

// deliver sends one event, once. The body is the canonical form that is signed.
func (h *hooks) deliver(address string, event object) {
	raw, err := json.Marshal(event)
	if err != nil {
		return
	}
	v, err := signed.Parse(raw)
	if err != nil {
		return
	}
	message := signed.Canonical(v)
	req, err := http.NewRequestWithContext(h.ctx, http.MethodPost, address, bytes.NewReader(message))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	if h.secret != "" {
		req.Header.Set(signed.Header, signed.Sum(h.secret, message))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return // nobody listens: how often Pamela would try again is not known
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // for the connection's sake alone
}

// tell sends what happens in a call until it is over. What it says was new when it was sent: the words of an update are
// those since the last one. A call that was cancelled fails, as there is no other event for it.
func (s *Service) tell(c *call, send func(object) bool, stop <-chan struct{}) {
	event := func(kind, status string, transcript []object) object {
		e := object{"event": kind, "call_id": c.id, "status": status, "timestamp": stamp(time.Now())}
		if transcript != nil {
			e["transcript"] = transcript
		}
		return e
	}
	if !send(event("call.queued", "queued", nil)) {
		return
	}
	said, started := 0, false
	for {
		s.mu.Lock()
		st := s.now(c)
		next, more := c.script.Next(st.since)
		wait := time.Duration(float64(min(next, c.end)-st.since)/s.options.Speed) + time.Millisecond
		ended := c.ended
		s.mu.Unlock()
		if !more {
			wait = time.Duration(float64(c.end-st.since)/s.options.Speed) + time.Millisecond
		}

		lines := s.transcript(c, st.Said)
		if st.Answered && !started {
			started = true
			if !send(event("call.started", "in_progress", nil)) {
				return
			}
		}
		for ; said < len(lines); said++ {
			if !send(event("call.transcript_update", string(phone.InProgress), lines[said:said+1])) {
				return
			}
		}
		if st.over {
			if st.status == "completed" {
				send(event("call.completed", st.status, lines))
			} else {
				send(event("call.failed", st.status, nil))
			}
			return
		}
		select {
		case <-stop:
			return
		case <-ended:
		case <-time.After(wait):
		}
	}
}
