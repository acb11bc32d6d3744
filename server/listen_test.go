package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/server"
)

func TestListen(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0", "127.0.0.2:0"} {
		ln, err := server.Listen(addr, false)
		if err != nil {
			if strings.Contains(addr, "::1") {
				t.Logf("no IPv6 here: %v", err)
				continue
			}
			t.Errorf("%s: %v", addr, err)
			continue
		}
		if ip := ln.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
			t.Errorf("%s listens on %v", addr, ip)
		}
		_ = ln.Close()
	}
	for _, addr := range []string{":0", ":8757", "0.0.0.0:0", "[::]:0", "192.0.2.1:8757", "192.0.2.1", "[::ffff:192.0.2.1]:0"} {
		ln, err := server.Listen(addr, false)
		if err == nil {
			_ = ln.Close()
			t.Errorf("%s: listens on %v", addr, ln.Addr())
			continue
		}
		if !strings.Contains(err.Error(), "127.0.0.1:") || !strings.Contains(err.Error(), "authentication") {
			t.Errorf("%s: %v: want what is wrong and what to do", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:x", "a:b:c", "127.0.0.1:99999", "no.such.host.invalid:1"} {
		if ln, err := server.Listen(addr, false); err == nil {
			_ = ln.Close()
			t.Errorf("%s: no error", addr)
		}
	}
}

// run starts server.HTTP on a free port.
func run(t *testing.T, s *tools, o server.HTTPOptions) (url string, stop context.CancelFunc, done chan error) {
	t.Helper()
	ln, err := server.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done = make(chan error, 1)
	go func() { done <- server.HTTP(ctx, ln, server.Handler(s.MCPServer, o)) }()
	t.Cleanup(stop)
	return "http://" + ln.Addr().String(), stop, done
}

func TestHTTPStopsInOrder(t *testing.T) {
	s := newTools()
	url, stop, done := run(t, s, server.HTTPOptions{Grace: time.Minute})
	legacy, modern := newHTTPClient(t, url, false), newHTTPClient(t, url, true)
	listening := legacy.get(t.Context())
	defer listening.Body.Close()
	subscribed := modern.post(t.Context(), line(9, "subscriptions/listen", `{"notifications":{"toolsListChanged":true},"_meta":{`+modernMeta+`}}`))
	defer subscribed.Body.Close()
	answers := make(chan string, 2)
	for _, c := range []*httpClient{legacy, modern} {
		go func() { answers <- c.call(1, "wait", `{}`, ``)[0].text(t) }()
		receive(t, s.started, "a waiting call")
	}
	held := make(chan string, 1)
	go func() {
		got := modern.call(2, "hold", `{}`, ``)
		held <- got[len(got)-1].text(t)
	}()
	status := func(method, path string) int {
		t.Helper()
		r := legacy.request(t.Context(), method, line(3, "tools/call", callParams("quick", `{}`, ``, false)))
		r.URL.Path = path
		resp := legacy.do(r)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for path, method := range map[string]string{"/readyz": "GET", "/mcp": "POST"} {
		if got := status(method, path); got != 200 {
			t.Errorf("%s before: %d", path, got)
		}
	}
	receive(t, s.started, "the running call")

	stop()
	for range 2 {
		if got := receive(t, answers, "a waiting call's answer"); !strings.Contains(got, "ending") || !strings.HasSuffix(got, "; <nil>") {
			t.Errorf("a waiting call answered %q", got)
		}
	}
	for _, stream := range []*http.Response{listening, subscribed} {
		if _, err := io.ReadAll(stream.Body); err != nil {
			t.Errorf("a listening stream: %v", err)
		}
	}
	for path, method := range map[string]string{"/readyz": "GET", "/mcp": "POST"} {
		if got := status(method, path); got != 503 {
			t.Errorf("%s while stopping: %d", path, got)
		}
	}
	if got := status("GET", "/healthz"); got != 200 {
		t.Errorf("/healthz while stopping: %d", got)
	}
	s.release <- struct{}{}
	if got := receive(t, held, "the running call's answer"); got != "released" {
		t.Errorf("the running call answered %q", got)
	}
	if err := receive(t, done, "the end"); err != nil {
		t.Error(err)
	}
}

func TestHTTPGraceEnds(t *testing.T) {
	for _, modern := range []bool{false, true} {
		s := newTools()
		url, stop, done := run(t, s, server.HTTPOptions{Grace: 50 * time.Millisecond})
		c := newHTTPClient(t, url, modern)
		failed := make(chan error, 1)
		go func() {
			resp, err := c.http.Do(c.request(t.Context(), "POST", line(1, "tools/call", callParams("hang", `{}`, ``, modern))))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			failed <- err
		}()
		receive(t, s.started, "the call")
		stop()
		receive(t, s.ended, "its context's end")
		receive(t, failed, "its response's end")
		if err := receive(t, done, "the end"); err != nil {
			t.Error(err)
		}
	}
}
