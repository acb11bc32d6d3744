package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	stepone "github.com/outdial/outdial/providers/stepone/standin"
	"github.com/outdial/outdial/switchboard"
	"go.uber.org/goleak"
)

var hangs = flag.Bool("hangs", false, "TestShutdown: one dial is never answered, so that each round takes the 20 s that it is waited for")

// load is a server with dials under way and clients that wait.
type load struct {
	t       *testing.T
	url     string
	session string
	token   string // empty: none is needed
	client  *http.Client
}

// post sends one message and gives the answer, an event stream's last event or JSON.
func (l *load) post(body string) (answer string, status int) {
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.url+"/mcp", strings.NewReader(body))
	if err != nil {
		return err.Error(), 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if l.token != "" {
		r.Header.Set("Authorization", "Bearer "+l.token)
	}
	if l.session != "" {
		r.Header.Set("Mcp-Session-Id", l.session)
	}
	resp, err := l.client.Do(r)
	if err != nil {
		return err.Error(), 0
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	if l.session == "" {
		l.session = resp.Header.Get("Mcp-Session-Id")
	}
	answer = string(raw)
	if i := strings.LastIndex(answer, "data: "); i >= 0 {
		answer = answer[i+len("data: "):]
	}
	return answer, resp.StatusCode
}

func (l *load) tool(n int, name, arguments string) (string, int) {
	return l.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, n, name, arguments))
}

// listening waits for the address that a server says it listens on.
func listening(t *testing.T, said func() string) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if _, rest, ok := strings.Cut(said(), "outdial: http://"); ok && strings.Contains(rest, "/mcp\n") {
			return "http://" + rest[:strings.Index(rest, "/mcp\n")]
		}
		time.Sleep(10 * time.Millisecond) // it says on stderr that it listens, and a buffer cannot be waited for
	}
	t.Fatalf("it does not listen: %s", said())
	return ""
}

// Promise 17: who stops a server in the midst of its work loses nothing. Readiness goes off at once, every dial under way
// ends placed, rejected or unconfirmed, everybody who waits is answered, no dial is begun, and all of it is over in time.
func TestShutdown(t *testing.T) {
	t.Run("a process", func(t *testing.T) {
		shutdown(t, func(t *testing.T, home string, env []string) (said func() string, stop func(), ended func() int) {
			c := spawn(t, home, env, "http", "--addr", "127.0.0.1:0")
			return c.stderr.String, func() { c.signal(syscall.SIGTERM) }, func() int { return c.ends(30 * time.Second) }
		})
	})
	t.Run("no goroutine is left", func(t *testing.T) {
		before := goleak.IgnoreCurrent()
		shutdown(t, func(t *testing.T, home string, env []string) (said func() string, stop func(), ended func() int) {
			ctx, stop := context.WithCancel(context.Background())
			out, code := &text{}, make(chan int, 1)
			go func() {
				code <- parts{specs: fast(speed)}.run(ctx, []string{"http", "--addr", "127.0.0.1:0"}, append(env, "HOME="+home), strings.NewReader(""), out, out)
			}()
			return out.String, stop, func() int { return <-code }
		})
		goleak.VerifyNone(t, before)
	})
}

func shutdown(t *testing.T, start func(*testing.T, string, []string) (func() string, func(), func() int)) {
	const dials = 24
	h, began, stopped := stepone.New(stepone.Options{Speed: 1}), make(chan struct{}, 100), make(chan struct{})
	var mu sync.Mutex
	rang := map[string]string{} // by number, what became of the dial
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/initiate_call") {
			h.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		number := numberIn(body)
		select {
		case <-stopped:
			t.Errorf("%s was dialed after the server was told to stop", number)
		default:
		}
		began <- struct{}{}
		<-stopped
		n := int(number[len(number)-1] - '0')
		time.Sleep(time.Duration(n) * 50 * time.Millisecond) // a service answers when it does
		mu.Lock()
		defer mu.Unlock()
		switch {
		case n == 7 && *hangs && rang["hangs"] == "":
			rang["hangs"], rang[number] = number, "unknown"
			mu.Unlock()
			<-r.Context().Done()
			mu.Lock()
		case n == 3: // surely not
			rang[number] = "rejected"
			w.WriteHeader(http.StatusUnauthorized)
		case n == 6: // nobody knows
			rang[number] = "unknown"
			panic(http.ErrAbortHandler)
		default:
			rang[number] = map[string]string{"08": "rejected", "09": "unknown"}[number[len(number)-2:]] // as the stand-in plays these
			if rang[number] == "" {
				rang[number] = "placed"
			}
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			h.ServeHTTP(w, r)
		}
	}))
	defer service.Close()
	defer service.CloseClientConnections()

	home := t.TempDir()
	said, stop, ended := start(t, home, withStepOne(service.URL, "OUTDIAL_LOG_LEVEL=error"))
	carrier := &http.Transport{MaxIdleConnsPerHost: 100}
	defer carrier.CloseIdleConnections()
	l := &load{t: t, url: listening(t, said), client: &http.Client{Transport: carrier}}
	l.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"load","version":"1"}}}`)
	l.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if answer, _ := l.tool(2, "create_call", `{"to":"+12025550107","task":"talk for long","provider":"simulator"}`); !strings.Contains(answer, "call_") {
		t.Fatalf("create_call: %s", answer)
	}
	talking := listedCall(t, l)

	var clients sync.WaitGroup
	for i := range dials {
		clients.Go(func() {
			answer, status := l.tool(100+i, "create_call", fmt.Sprintf(`{"to":"138001380%02d","task":"call %d","wait_seconds":40}`, i, i))
			if status != http.StatusOK || !strings.Contains(answer, `"call_id":"call_`) {
				t.Errorf("dial %d was answered %d %s", i, status, answer)
			}
		})
	}
	for range dials {
		receive(t, began)
	}
	clients.Go(func() {
		answer, status := l.tool(50, "stream_transcript", fmt.Sprintf(`{"call_id":%q}`, talking))
		if status != http.StatusOK || !strings.Contains(answer, talking) {
			t.Errorf("who listened was answered %d %s", status, answer)
		}
	})
	waiting(t, l)
	stop()
	at := time.Now()
	for status := http.StatusOK; status == http.StatusOK; {
		resp, err := l.client.Get(l.url + "/readyz")
		if err != nil {
			t.Fatalf("while dials are under way: %v", err)
		}
		status = resp.StatusCode
		_ = resp.Body.Close()
		if time.Since(at) > time.Second {
			t.Fatal("it is still ready a second later")
		}
	}
	if answer, status := l.tool(99, "create_call", `{"to":"13800138099","task":"too late"}`); status != http.StatusServiceUnavailable {
		t.Errorf("a request that came too late: %d %s", status, answer)
	}
	close(stopped)
	code := ended()
	if took := time.Since(at); code != 0 || took > 30*time.Second {
		t.Errorf("exit code %d after %v: %s", code, took, said())
	}
	clients.Wait()
	t.Logf("gone %v after the signal", time.Since(at))

	book, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(home, ".local", "state", "outdial", "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	all, _, err := book.List(t.Context(), phone.Local().Principal, switchboard.Filter{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, c := range all {
		if c.Provider == "simulator" {
			continue
		}
		became := "placed"
		switch {
		case c.Status == phone.Dialing:
			became = "left dialing"
		case c.Status == phone.Unconfirmed:
			became = "unknown"
		case c.Failure != nil:
			became = "rejected"
		}
		if was := rang[c.Order.To.E164()]; became != was {
			t.Errorf("the service has %s as %q, the ledger as %q (%s)", c.Order.To, was, became, c.Status)
		}
	}
	if len(all) != dials+1 {
		t.Errorf("%d calls are recorded, %d were asked for", len(all), dials+1)
	}
	if left, err := book.Processes(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("leases that were not given up: %v, %v", left, err)
	}
}

// numberIn is the number that a dialing request of StepOne's is for.
func numberIn(body []byte) string {
	var q struct{ Phones string }
	_ = json.Unmarshal(body, &q)
	return "+86" + strings.TrimPrefix(q.Phones, "+86")
}

func listedCall(t *testing.T, l *load) string {
	t.Helper()
	answer, _ := l.tool(3, "list_calls", `{}`)
	id := callID.FindString(answer)
	if id == "" {
		t.Fatalf("list_calls: %s", answer)
	}
	return id
}

// waiting waits until a tool call follows a call.
func waiting(t *testing.T, l *load) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		resp, err := l.client.Get(l.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if strings.Contains(string(raw), "\noutdial_open_streams 1\n") {
			return
		}
		time.Sleep(10 * time.Millisecond) // a gauge cannot be waited for
	}
	t.Fatal("nobody listens")
}
