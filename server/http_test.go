package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/server"
)

func TestOneClientsCancelIsNotAnothers(t *testing.T) {
	for _, modern := range []bool{false, true} {
		t.Run(fmt.Sprintf("modern=%v", modern), func(t *testing.T) {
			s := newTools()
			web := serveHTTP(t, s, server.HTTPOptions{})
			a, b := newHTTPClient(t, web.URL, modern), newHTTPClient(t, web.URL, modern)
			ctx, hangUp := context.WithCancel(t.Context())
			go func() {
				if resp, err := a.http.Do(a.request(ctx, "POST", line(5, "tools/call", callParams("hang", `{"tag":"a"}`, ``, modern)))); err == nil {
					resp.Body.Close()
				}
			}()
			receive(t, s.started, "a's call")
			meta := ""
			if modern {
				meta = `,"_meta":{` + modernMeta + `}`
			}
			cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5` + meta + `}}`
			b.accepted(cancel)
			if !modern { // the same without a session at all, and in disguise
				for _, disguise := range []string{cancel, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5,"_meta":{` + modernMeta + `}}}`} {
					stranger := &httpClient{t: t, url: web.URL, http: b.http}
					stranger.post(t.Context(), disguise).Body.Close()
				}
			}
			if got := b.call(6, "quick", `{}`, ``); got[0].text(t) != "local" { // all of b's was dealt with before this
				t.Fatalf("%+v", got)
			}
			select {
			case who := <-s.ended:
				t.Fatalf("b cancelled the call of %q", who)
			default:
			}
			if modern {
				hangUp() // is how a client cancels in this era
			} else {
				a.accepted(cancel)
			}
			receive(t, s.ended, "a's own cancel")
			hangUp()
		})
	}
}

func TestDisconnect(t *testing.T) {
	for _, modern := range []bool{false, true} {
		t.Run(fmt.Sprintf("modern=%v", modern), func(t *testing.T) {
			s := newTools()
			web := serveHTTP(t, s, server.HTTPOptions{})
			c := newHTTPClient(t, web.URL, modern)
			ctx, hangUp := context.WithCancel(t.Context())
			gone := make(chan error, 2)
			for i, tool := range []string{"hang", "wait"} {
				go func() {
					resp, err := c.http.Do(c.request(ctx, "POST", line(i, "tools/call", callParams(tool, `{"tag":"`+tool+`"}`, ``, modern))))
					if err == nil {
						resp.Body.Close()
					}
					gone <- err
				}()
			}
			receive(t, s.started, "a call")
			receive(t, s.started, "a call")
			hangUp()
			for range 2 {
				if err := receive(t, gone, "the disconnect"); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			}
			if modern {
				receive(t, s.ended, "the cancel by disconnect")
				return
			}
			// Before 2026-07-28 a disconnect is no cancel: only the notification is.
			c.accepted(`{"jsonrpc":"2.0","method":"ping-like","params":{}}`)
			select {
			case <-s.ended:
				t.Error("a disconnect cancelled the call")
			case <-time.After(50 * time.Millisecond):
			}
			c.accepted(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}`)
			receive(t, s.ended, "the cancel")
		})
	}
}

func TestSessionIDs(t *testing.T) {
	s := newTools()
	web := serveHTTP(t, s, server.HTTPOptions{})
	c := newHTTPClient(t, web.URL, false)
	status := func(method, session, body string) int {
		r := c.request(t.Context(), method, body)
		r.Header.Del("Mcp-Session-Id")
		if session != "" {
			r.Header.Set("Mcp-Session-Id", session)
		}
		resp := c.do(r)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	ping := line(1, "ping", `{}`)
	for _, made := range []string{"made-up", "mcp-session-7f1d9ac8-5be4-4d2c-9a57-0a9e3f7c7a10"} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			if got := status(method, made, ping); got != http.StatusNotFound {
				t.Errorf("%s in session %q: %d, want 404", method, made, got)
			}
		}
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if got := status(method, "", ping); got != http.StatusBadRequest {
			t.Errorf("%s without a session: %d, want 400", method, got)
		}
	}
	for _, method := range []string{"PUT", "HEAD", "OPTIONS", "PATCH"} {
		if got := status(method, c.session, ""); got != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, want 405", method, got)
		}
	}
	listening := c.get(t.Context())
	defer listening.Body.Close()
	if got := status("DELETE", c.session, ""); got != http.StatusOK {
		t.Errorf("DELETE: %d", got)
	}
	if _, err := io.ReadAll(listening.Body); err != nil {
		t.Errorf("the listening stream of an ended session: %v", err)
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if got := status(method, c.session, ping); got != http.StatusNotFound {
			t.Errorf("%s in an ended session: %d, want 404", method, got)
		}
	}
	modern := newHTTPClient(t, web.URL, true)
	for _, method := range []string{"GET", "DELETE"} {
		resp := modern.do(modern.request(t.Context(), method, ""))
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") == "" {
			t.Errorf("%s in 2026-07-28: %d, want 405", method, resp.StatusCode)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	web := serveHTTP(t, newTools(), server.HTTPOptions{})
	for _, modern := range []bool{false, true} {
		c := newHTTPClient(t, web.URL, modern)
		for _, chunked := range []bool{false, true} {
			for size, want := range map[int]int{4 << 20: 400, 4<<20 + 1: 413} { // 400: read, and no JSON
				r := c.request(t.Context(), "POST", strings.Repeat("x", size))
				if chunked {
					r.ContentLength = -1
				}
				resp := c.do(r)
				resp.Body.Close()
				if resp.StatusCode != want {
					t.Errorf("modern %v, chunked %v, %d bytes: %d, want %d", modern, chunked, size, resp.StatusCode, want)
				}
			}
		}
	}
}

// What is too large is refused by what its header says, before it is sent.
func TestBodyLimitNeedsNoBody(t *testing.T) {
	web := serveHTTP(t, newTools(), server.HTTPOptions{})
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 5000000000\r\n\r\n", conn.RemoteAddr())
	if got, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(got, "413") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestKeepAlive(t *testing.T) {
	s := newTools()
	web := serveHTTP(t, s, server.HTTPOptions{KeepAlive: 5 * time.Millisecond})
	const comment = ": keep-alive\n\n"
	comments := func(body io.Reader, n int) {
		t.Helper()
		got := make([]byte, n*len(comment))
		if _, err := io.ReadFull(body, got); err != nil || string(got) != strings.Repeat(comment, n) {
			t.Errorf("%q, %v: want %d comments", got, err, n)
		}
	}
	for _, modern := range []bool{false, true} {
		c := newHTTPClient(t, web.URL, modern)
		resp := c.post(t.Context(), line(1, "tools/call", callParams("hold", `{}`, ``, modern)))
		if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("modern %v: header %v", modern, resp.Header)
		}
		comments(resp.Body, 3)
		s.release <- struct{}{}
		if got := messages(t, resp); len(got) != 1 || got[0].text(t) != "released" {
			t.Errorf("modern %v: %+v", modern, got)
		}
		resp.Body.Close()
	}
	resp := newHTTPClient(t, web.URL, false).get(t.Context())
	defer resp.Body.Close()
	comments(resp.Body, 1)
}

// The connection of a streamed response is used again, long after the last write's deadline.
func TestDeadlinesDoNotOutliveTheirResponse(t *testing.T) {
	web := serveHTTP(t, newTools(), server.HTTPOptions{WriteTimeout: 20 * time.Millisecond})
	c := newHTTPClient(t, web.URL, false)
	for i := range 3 {
		if got := c.call(i, "burst", `{"n":3}`, `1`); len(got) != 4 {
			t.Fatalf("%+v", got)
		}
		time.Sleep(40 * time.Millisecond) // longer than the deadline

		resp, err := c.http.Post(web.URL+"/healthz", "text/plain", strings.NewReader("x")) // a client repeats a failed GET
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
			t.Fatalf("%s, %v", resp.Status, err)
		}
		resp.Body.Close()
	}
}

func TestSlowReaderHoldsTheToolUp(t *testing.T) {
	s := newTools()
	web := serveHTTP(t, s, server.HTTPOptions{})
	c := newHTTPClient(t, web.URL, true)
	const n = 1000
	resp := c.post(t.Context(), line(1, "tools/call", callParams("burst", fmt.Sprintf(`{"n":%d,"size":20000,"tag":"a"}`, n), `1`, true)))
	defer resp.Body.Close()
	sent := 0
	for quiet := false; !quiet; { // until nothing more fits between the tool and us
		select {
		case sent = <-s.sent:
		case <-time.After(300 * time.Millisecond):
			quiet = true
		}
	}
	if sent == n {
		t.Fatalf("all %d notifications were sent, 20 MB, though none was read", n)
	}
	t.Logf("%d of %d were sent before anything was read", sent, n)
	wantBurst(t, messages(t, resp), n, "1", "1", "a"+strings.Repeat("x", 20000))
}

func TestStalledClientIsCut(t *testing.T) {
	for _, modern := range []bool{false, true} {
		s := newTools()
		web := serveHTTP(t, s, server.HTTPOptions{WriteTimeout: 100 * time.Millisecond})
		c := newHTTPClient(t, web.URL, modern)
		resp := c.post(t.Context(), line(1, "tools/call", callParams("burst", `{"n":100000,"size":20000}`, `1`, modern)))
		if why := receive(t, s.ended, "the tool's end"); !strings.Contains(why, "timeout") {
			t.Errorf("modern %v: the tool ended with %q", modern, why)
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("modern %v: the stream of a stalled client ended as if it were whole", modern)
		}
		resp.Body.Close()
	}
}

func TestHealth(t *testing.T) {
	var notReady error
	o := server.HTTPOptions{Ready: func(context.Context) error { return notReady }}
	web := serveHTTP(t, newTools(), o)
	get := func(path string) (int, string) {
		resp, err := web.Client().Get(web.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	want := func(path string, status int) {
		t.Helper()
		if got, body := get(path); got != status || strings.Contains(body, "secret") {
			t.Errorf("%s: %d %q, want %d", path, got, body, status)
		}
	}
	want("/healthz", 200)
	want("/readyz", 200)
	notReady = errors.New("the database with its secret is away")
	want("/healthz", 200)
	want("/readyz", 200) // a moment ago it was
	web = serveHTTP(t, newTools(), o)
	want("/readyz", 503)
	for _, path := range []string{"/", "/mcp/", "//mcp", "/healthz/x", "/.well-known/x", "/debug/pprof/"} {
		want(path, 404)
	}
}
