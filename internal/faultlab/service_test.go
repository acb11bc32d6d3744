package faultlab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pamela "github.com/outdial/outdial/providers/pamela/standin"
	stepone "github.com/outdial/outdial/providers/stepone/standin"
)

// point is where on the way of a dialing request something breaks.
type point string

// The points, in the order of the way.
const (
	beforeConnect point = "before it connects"
	afterConnect  point = "after it connected"
	inRequest     point = "within the request"
	beforeDial    point = "after the request, before the dial"
	beforeAnswer  point = "after the dial, before the answer"
	afterHeaders  point = "after the answer's headers"
	inBody        point = "within the answer's body"
	faultDialed   point = "a 5xx, and it dialed"
	faultUndialed point = "a 5xx, and it did not dial"
	redirected    point = "a redirect to another host"
	garbage       point = "an answer that is none"
	tooLate       point = "a success after our time is over"
	twoNames      point = "an answer that names two calls"
	reused        point = "the death of a connection that is used again"

	slowly point = "nothing, but slowly" // not one of them: it gives time to break something else
)

func points() []point {
	return []point{
		beforeConnect, afterConnect, inRequest, beforeDial, beforeAnswer, afterHeaders, inBody,
		faultDialed, faultUndialed, redirected, garbage, tooLate, twoNames, reused,
	}
}

// dial is one that a service carried out: the oracle's word.
type dial struct {
	callID string // which call of ours it was for, as the request says
	number string // as the service was given it
	at     time.Time
}

// service is a provider that records every dial, with faults between it and whoever asks.
type service struct {
	told atomic.Bool // it has been asked for the time

	kind
	handler http.Handler

	mu    sync.Mutex
	armed point // of the next dial; empty: none
	cut   int   // how much of the request or the answer gets through, where a part of it does
	hit   chan struct{}
	dials []dial
	met   int // faults that were met
}

// kind is what tells one service from another.
type kind struct {
	name, addr, dialPath string
	finds                bool // its calls can be listed
	terse                bool // and the list does not show what they carry
	number               func(n int) string
	read                 func(h http.Header, body []byte) (callID, number string)
	twice                func(answer []byte) []byte // the answer, naming a second call
}

func pamelaKind() kind {
	return kind{
		name: "pamela", addr: "127.0.0.1:8001", dialPath: "/api/b2b/v1/calls", finds: true,
		number: func(n int) string { return fmt.Sprintf("+1202555%02d00", n) },
		read: func(_ http.Header, body []byte) (string, string) {
			var r struct {
				To       string
				Metadata map[string]string
			}
			_ = json.Unmarshal(body, &r)
			return r.Metadata["intent_id"], r.To
		},
		twice: func(answer []byte) []byte { return []byte(`{"calls":[` + string(answer) + `,{"id":"another"}]}`) },
	}
}

func stepOneKind() kind {
	return kind{
		name: "stepone", addr: "127.0.0.1:8002", dialPath: "/api/v1/callinfo/initiate_call",
		number: func(n int) string { return fmt.Sprintf("+861380013%02d00", n) },
		read: func(h http.Header, body []byte) (string, string) {
			var r struct{ Phones string }
			_ = json.Unmarshal(body, &r)
			return h.Get("Idempotency-Key"), "+86" + r.Phones
		},
		twice: func(answer []byte) []byte {
			return bytes.Replace(answer, []byte(`"call_ids":["`), []byte(`"call_ids":["another","`), 1)
		},
	}
}

func (k kind) String() string {
	if k.terse {
		return "terse " + k.name
	}
	return k.name
}

// tersePamela is Pamela as its documents leave it open: the list does not show what calls carry.
func tersePamela() kind {
	k := pamelaKind()
	k.terse = true
	return k
}

func (k kind) standIn() http.Handler {
	if !k.finds {
		return stepone.New(stepone.Options{NoDedup: true})
	}
	calls := pamela.New(pamela.Options{})
	if !k.terse {
		return calls
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != k.dialPath {
			calls.ServeHTTP(w, r)
			return
		}
		full := httptest.NewRecorder()
		calls.ServeHTTP(full, r)
		send(w, full, bytes.ReplaceAll(full.Body.Bytes(), []byte(`"metadata":`), []byte(`"nothing":`)))
	})
}

// arm has the next dial meet a fault. cut is how much gets through, where a part of something does, in bytes.
func (s *service) arm(p point, cut int) (hit <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.cut, s.hit = p, cut, make(chan struct{})
	return s.hit
}

// meet says whether the fault that is armed is one of these, and disarms it then. Whoever waits for the fault gets a moment
// before it takes its course.
func (s *service) meet(any ...point) (p point, cut int) {
	s.mu.Lock()
	if !slices.Contains(any, s.armed) {
		s.mu.Unlock()
		return "", 0
	}
	p, cut = s.armed, s.cut
	s.met++
	if p != beforeConnect { // which is tried again
		s.armed = ""
	}
	select {
	case <-s.hit:
	default:
		close(s.hit)
	}
	s.mu.Unlock()
	time.Sleep(time.Millisecond) // of virtual time: for whoever acts when the fault is met
	return p, cut
}

// disarm ends a fault that lasts.
func (s *service) disarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = ""
}

func (s *service) recorded() []dial {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dials)
}

// serve puts the service on the network until stop.
func (s *service) serve(n *network) (stop func()) {
	h := n.listen(s.name, s.addr)
	h.refuse = func() bool { p, _ := s.meet(beforeConnect); return p != "" }
	h.accept = func(net.Conn) bool {
		if !s.told.Load() {
			return true // the first connection is for the time of day, and no dial
		}
		p, _ := s.meet(afterConnect)
		return p == ""
	}
	h.worsen = func(c net.Conn) net.Conn { return &brittle{Conn: c, of: s} }
	server := &http.Server{
		Handler: s, ErrorLog: quiet(),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, served{}, new(atomic.Int32))
		},
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(h) }()
	return func() { _ = server.Close(); <-done }
}

// served counts the requests of a connection.
type served struct{}

// brittle is a connection to the service that may break within a request.
type brittle struct {
	net.Conn
	of   *service
	once sync.Once
	left int // bytes until it breaks; below 0: it holds
}

func (b *brittle) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	b.once.Do(func() { // with the first bytes, which are those of a request
		b.left = -1
		if bytes.HasPrefix(p[:n], []byte("POST "+b.of.dialPath+" ")) {
			if f, cut := b.of.meet(inRequest); f != "" {
				b.left = cut
			}
		}
	})
	if b.left >= 0 {
		if n >= b.left {
			n = b.left
			b.Close()
			return n, io.ErrUnexpectedEOF
		}
		b.left -= n
	}
	return n, err
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	again := r.Context().Value(served{}).(*atomic.Int32).Add(1) > 1
	if r.Method == http.MethodHead {
		s.told.Store(true)
	}
	if r.Method != http.MethodPost || r.URL.Path != s.dialPath {
		s.handler.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	some := []point{beforeDial, beforeAnswer, afterHeaders, inBody, faultDialed, faultUndialed, redirected, garbage, tooLate, twoNames, slowly}
	if again {
		some = append(some, reused)
	}
	p, cut := s.meet(some...)
	switch p {
	case beforeDial:
		panic(http.ErrAbortHandler)
	case faultUndialed:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case redirected:
		http.Redirect(w, r, "http://"+elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
		return
	}
	answer := s.dial(r, body)
	switch p {
	case slowly:
		time.Sleep(5 * time.Second) // of virtual time
		send(w, answer, answer.Body.Bytes())
	case beforeAnswer, reused:
		panic(http.ErrAbortHandler)
	case faultDialed:
		w.WriteHeader(http.StatusBadGateway)
	case garbage:
		_, _ = io.WriteString(w, "<html>ok</html>")
	case tooLate:
		time.Sleep(30 * time.Second) // of virtual time, longer than anybody waits for a dial
		send(w, answer, answer.Body.Bytes())
	case twoNames:
		send(w, answer, s.twice(answer.Body.Bytes()))
	case afterHeaders:
		breakOff(w, answer, 0)
	case inBody:
		breakOff(w, answer, 1+cut%(answer.Body.Len()-1))
	default:
		send(w, answer, answer.Body.Bytes())
	}
}

// dial carries a request out.
func (s *service) dial(r *http.Request, body []byte) *httptest.ResponseRecorder {
	asked := r.Clone(r.Context())
	asked.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, asked)
	if answer.Code == http.StatusOK {
		id, number := s.read(r.Header, body)
		s.mu.Lock()
		s.dials = append(s.dials, dial{id, number, time.Now()})
		s.mu.Unlock()
	}
	return answer
}

func send(w http.ResponseWriter, from *httptest.ResponseRecorder, body []byte) {
	maps.Copy(w.Header(), from.Header())
	w.WriteHeader(from.Code)
	_, _ = w.Write(body)
}

// breakOff sends the headers and so many bytes of the body, and then the connection is gone.
func breakOff(w http.ResponseWriter, from *httptest.ResponseRecorder, n int) {
	w.Header().Set("Content-Length", fmt.Sprint(from.Body.Len()))
	send(w, from, from.Body.Bytes()[:n])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
