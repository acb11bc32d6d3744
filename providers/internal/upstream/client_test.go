package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "key-5f1c0d9e"

// served is a server on loopback and a client of it.
func served(t *testing.T, h http.HandlerFunc) (*Client, *httptest.Server) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	return client(t, Options{Base: s.URL}), s
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	o.Name, o.Header = "Plain", http.Header{"X-Key": {key}}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (c *Client) dialed(t *testing.T) (*Answer, error) {
	t.Helper()
	return c.Dial(t.Context(), "/calls", map[string]any{"to": "+12025550143"}, http.Header{"Idempotency-Key": {"k1"}})
}

func TestBase(t *testing.T) {
	for base, good := range map[string]bool{
		"https://api.example.com": true, "https://api.example.com/v1/": true, "https://api.example.com:8443": true, "HTTPS://api.example.com": true,
		"http://127.0.0.1:8758/stepone": true, "http://localhost:1": true, "http://[::1]:1": true, "http://127.9.9.9": true,
		"http://api.example.com": false, "http://127.0.0.1.example.com": false, "http://localhost.example.com": false, "http://192.168.1.2": false, "http://0.0.0.0": false,
		"": false, "api.example.com": false, "//api.example.com": false, "ftp://127.0.0.1": false, "https://": false, "https://:443": false, "https:api.example.com": false,
		"https://user:pw@api.example.com": false, "https://api.example.com?x=1": false, "https://api.example.com?": false, "https://api.example.com#x": false,
		"https://a b": false, "https://api.example.com\n": false, "file:///etc/passwd": false,
	} {
		_, err := New(Options{Name: "Plain", Base: base})
		if good != (err == nil) || err != nil && phone.CodeOf(err) != phone.Invalid {
			t.Errorf("%q: %v", base, err)
		}
	}
}

func TestRequest(t *testing.T) {
	var got *http.Request
	var body string
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got, body = r, string(raw)
		w.Header().Set("X-Answer", "1")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "tea")
	})
	a, err := c.dialed(t)
	if err != nil || a.Status != http.StatusTeapot || string(a.Body) != "tea" || a.Header.Get("X-Answer") != "1" {
		t.Errorf("%+v, %v", a, err)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/calls" || got.Header.Get("X-Key") != key || got.Header.Get("Idempotency-Key") != "k1" || !got.Close {
		t.Errorf("%s %s %v, closes: %v", got.Method, got.URL, got.Header, got.Close)
	}
	if body != `{"to":"+12025550143"}` || got.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s as %s", body, got.Header.Get("Content-Type"))
	}
	if _, err := c.Read(t.Context(), http.MethodGet, "/x", nil); err != nil || got.Method != http.MethodGet || body != "" || got.Header.Get("Content-Type") != "" {
		t.Errorf("%s with %q as %q: %v", got.Method, body, got.Header.Get("Content-Type"), err)
	}
}

// One Dial is one request at most, whatever the connection does (promise P7). HTTP/2, whose library repeats requests by
// rules of its own, is not spoken at all.
func TestTransportNeverRepeats(t *testing.T) {
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	reset := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	for name, behave := range map[string]http.HandlerFunc{"closed": abort, "reset": reset} {
		t.Run("a fresh connection is "+name, func(t *testing.T) {
			var asked atomic.Int32
			c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				behave(w, r)
			})
			if _, err := c.dialed(t); phone.CodeOf(err) != phone.Uncertain || asked.Load() != 1 {
				t.Errorf("%d requests, %v", asked.Load(), err)
			}
		})
		t.Run("a connection that would be re-used is "+name, func(t *testing.T) {
			var asked atomic.Int32
			c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
				if _, _ = io.Copy(io.Discard, r.Body); r.Method == http.MethodPost && asked.Add(1) == 2 {
					behave(w, r)
				}
			})
			for range 3 { // so that there is a connection to be re-used
				if _, err := c.Read(t.Context(), http.MethodGet, "/x", nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.dialed(t); err != nil {
				t.Fatal(err)
			}
			if _, err := c.dialed(t); phone.CodeOf(err) != phone.Uncertain || asked.Load() != 2 {
				t.Errorf("%d requests for two dials, %v", asked.Load(), err)
			}
		})
	}
	t.Run("the server closes idle connections at once", func(t *testing.T) {
		var asked atomic.Int32
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			asked.Add(1)
		}))
		s.Config.IdleTimeout = 2 * time.Millisecond
		s.Start()
		defer s.Close()
		c := client(t, Options{Base: s.URL})
		const n = 200
		for i := range n {
			if _, err := c.dialed(t); err != nil {
				t.Fatalf("dial %d: %v", i, err)
			}
			time.Sleep(time.Duration(i%5) * 500 * time.Microsecond) // about the server's limit
		}
		if asked.Load() != n {
			t.Errorf("%d requests for %d dials", asked.Load(), n)
		}
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprintf("redirected with %d", status), func(t *testing.T) {
			var asked, elsewhere atomic.Int32
			_, other := served(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
			c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				http.Redirect(w, r, other.URL, status)
			})
			a, err := c.dialed(t)
			if err != nil || a.Status != status || asked.Load() != 1 || elsewhere.Load() != 0 {
				t.Errorf("%+v, %v; %d requests, %d to another host", a, err, asked.Load(), elsewhere.Load())
			}
			if _, err := c.Read(t.Context(), http.MethodGet, "/x", nil); err != nil || elsewhere.Load() != 0 {
				t.Errorf("a read: %v, %d to another host", err, elsewhere.Load())
			}
		})
	}
	t.Run("HTTP/2 is not negotiated", func(t *testing.T) {
		var proto atomic.Value
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			proto.Store(fmt.Sprintf("%s %q", r.Proto, r.TLS.NegotiatedProtocol))
		}))
		s.EnableHTTP2 = true
		s.StartTLS()
		defer s.Close()
		trusted := x509.NewCertPool()
		trusted.AddCert(s.Certificate())
		c := client(t, Options{Base: s.URL})
		for _, h := range []*http.Client{c.dial, c.read} {
			h.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: trusted}
		}
		if _, err := c.dialed(t); err != nil || !strings.HasPrefix(proto.Load().(string), "HTTP/1.1 ") || strings.Contains(proto.Load().(string), "h2") {
			t.Errorf("a dial: %v, %v", proto.Load(), err)
		}
		if _, err := c.Read(t.Context(), http.MethodGet, "/x", nil); err != nil || strings.Contains(proto.Load().(string), "h2") {
			t.Errorf("a read: %v, %v", proto.Load(), err)
		}
	})
}

func TestDialErrors(t *testing.T) {
	big := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, n)) }
	}
	t.Run("nothing listens", func(t *testing.T) {
		c, s := served(t, nil)
		s.Close()
		if _, err := c.dialed(t); phone.CodeOf(err) != phone.Unavailable {
			t.Error(err)
		}
	})
	t.Run("no TLS behind https", func(t *testing.T) {
		var asked atomic.Int32
		_, s := served(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
		c := client(t, Options{Base: strings.Replace(s.URL, "http:", "https:", 1)})
		if _, err := c.dialed(t); phone.CodeOf(err) != phone.Unavailable || asked.Load() != 0 {
			t.Errorf("%v, %d requests", err, asked.Load())
		}
	})
	t.Run("a certificate that nobody trusts", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		defer s.Close()
		if _, err := client(t, Options{Base: s.URL}).dialed(t); phone.CodeOf(err) != phone.Unavailable {
			t.Error(err)
		}
	})
	t.Run("the context has ended", func(t *testing.T) {
		c, _ := served(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Dial(ctx, "/calls", map[string]any{}, nil); phone.CodeOf(err) != phone.Unavailable {
			t.Error(err)
		}
	})
	t.Run("a body that cannot be written", func(t *testing.T) {
		c, _ := served(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
		if _, err := c.Dial(t.Context(), "/calls", func() {}, nil); phone.CodeOf(err) != phone.Unavailable {
			t.Error(err)
		}
	})
	t.Run("no answer in time", func(t *testing.T) {
		_, s := served(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		c := client(t, Options{Base: s.URL, DialTimeout: 100 * time.Millisecond, ReadTimeout: 100 * time.Millisecond})
		began := time.Now()
		if _, err := c.dialed(t); phone.CodeOf(err) != phone.Uncertain || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := c.Read(t.Context(), http.MethodGet, "/x", nil); phone.CodeOf(err) != phone.Unavailable || time.Since(began) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
	t.Run("an answer that breaks off", func(t *testing.T) {
		c, _ := served(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"id":"c1"}`)
		})
		if _, err := c.dialed(t); phone.CodeOf(err) != phone.Uncertain {
			t.Error(err)
		}
	})
	t.Run("as long as an answer may be", func(t *testing.T) {
		c, _ := served(t, big(MaxBody))
		if a, err := c.dialed(t); err != nil || len(a.Body) != MaxBody {
			t.Error(err)
		}
	})
	t.Run("longer than an answer may be", func(t *testing.T) {
		c, _ := served(t, big(MaxBody+1))
		if _, err := c.dialed(t); phone.CodeOf(err) != phone.Uncertain {
			t.Errorf("a dial: %v", err)
		}
		if _, err := c.Read(t.Context(), http.MethodGet, "/x", nil); phone.CodeOf(err) != phone.Unavailable {
			t.Errorf("a read: %v", err)
		}
	})
}

// Before there is a connection nothing can have been read, so to connect is tried again.
func TestConnectTriesAgain(t *testing.T) {
	for range 10 { // a pause may be so short that the port is still closed
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		var later sync.WaitGroup
		later.Go(func() {
			time.Sleep(5 * time.Millisecond) // the time it takes the port to open is what is tested
			l, err = net.Listen("tcp", addr)
		})
		conn, failed := trying((&net.Dialer{}).DialContext)(t.Context(), "tcp", addr)
		later.Wait()
		if err == nil {
			l.Close()
		}
		if failed == nil {
			conn.Close()
			return
		}
	}
	t.Error("to connect is not tried again")
}

func TestReadKeepsItsConnection(t *testing.T) {
	from := map[string]bool{}
	c, _ := served(t, func(_ http.ResponseWriter, r *http.Request) { from[r.RemoteAddr] = true })
	for range 5 {
		if _, err := c.Read(t.Context(), http.MethodGet, "/x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(from) != 1 {
		t.Errorf("%d connections for five reads", len(from))
	}
}

func TestManyAtOnce(t *testing.T) {
	var asked atomic.Int32
	c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(w, r.Body)
	})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			a, err := c.Dial(t.Context(), "/calls", i, http.Header{"X-N": {fmt.Sprint(i)}})
			if err != nil || string(a.Body) != fmt.Sprint(i) {
				t.Errorf("%d: %+v, %v", i, a, err)
			}
		})
	}
	all.Wait()
	if asked.Load() != 20 {
		t.Errorf("%d requests for 20 dials", asked.Load())
	}
}

func TestDate(t *testing.T) {
	for name, date := range map[string]string{"told": "Sat, 21 Nov 2026 12:00:00 GMT", "none": "", "nonsense": "noon"} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = []string{date}
			w.WriteHeader(http.StatusNotFound) // whatever there is at the address: the time is told all the same
		}))
		c, err := New(Options{Name: "S", Base: s.URL})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Date(t.Context())
		if want := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC); name == "told" && (err != nil || !got.Equal(want)) || name != "told" && phone.CodeOf(err) != phone.Unavailable {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		c.Close()
		s.Close()
	}
}
