package server_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/outdial/outdial/server"
)

const many = 10_000

// wantBurst checks that got is n notifications of one burst, in order, and then its answer.
func wantBurst(t *testing.T, got []rpc, n int, id, token, tag string) {
	t.Helper()
	if len(got) != n+1 {
		t.Fatalf("%d messages came, want %d notifications and the answer", len(got), n)
	}
	for i, m := range got[:n] {
		p := m.Params
		if m.Method != "notifications/progress" || p.Progress != float64(i+1) || p.Message != tag || string(p.Token) != token ||
			p.Total != float64(n) || p.Meta["outdial/turn"] != float64(i+1) {
			t.Fatalf("message %d is %s %+v, want notification %d of %q for token %s", i, m.Method, p, i+1, tag, token)
		}
	}
	if last := got[n]; !last.isAnswer() || string(last.ID) != id || last.text(t) != "sent" {
		t.Fatalf("the last message is %+v, want the answer to %s", last, id)
	}
}

func TestProgressOverStdio(t *testing.T) {
	for _, era := range []struct {
		name   string
		modern bool
	}{{"handshake", false}, {"2026-07-28", true}} {
		t.Run(era.name, func(t *testing.T) {
			c := startStdio(t, newTools(), server.StdioOptions{})
			if !era.modern {
				c.shake()
			}
			c.send(line(1, "tools/call", callParams("burst", fmt.Sprintf(`{"n":%d,"tag":"a"}`, many), `"tok"`, era.modern)))
			got := make([]rpc, 0, many+1)
			for range many + 1 {
				got = append(got, c.next("progress"))
			}
			wantBurst(t, got, many, "1", `"tok"`, "a")
		})
	}
}

func TestProgressOverHTTP(t *testing.T) {
	t.Run("handshake", func(t *testing.T) {
		web := serveHTTP(t, newTools(), server.HTTPOptions{})
		c := newHTTPClient(t, web.URL, false)
		wantBurst(t, c.call(1, "burst", fmt.Sprintf(`{"n":%d,"tag":"a"}`, many), `7`), many, "1", "7", "a")
	})
	t.Run("handshake, a listening stream open", func(t *testing.T) {
		s := newTools()
		web := serveHTTP(t, s, server.HTTPOptions{})
		c := newHTTPClient(t, web.URL, false)
		resp := c.get(t.Context())
		defer resp.Body.Close()
		heard := eventStream(t, resp.Body)
		wantBurst(t, c.call(1, "burst", fmt.Sprintf(`{"n":%d,"tag":"a"}`, many), `"tok"`), many, "1", `"tok"`, "a")
		s.SendNotificationToAllClients("notifications/marker", nil) // whatever went astray is in the stream before this
		if m := receive(t, heard, "the marker"); m.Method != "notifications/marker" {
			t.Errorf("on the listening stream: %s %+v", m.Method, m.Params)
		}
	})
	t.Run("2026-07-28", func(t *testing.T) {
		web := serveHTTP(t, newTools(), server.HTTPOptions{})
		c := newHTTPClient(t, web.URL, true)
		wantBurst(t, c.call(1, "burst", fmt.Sprintf(`{"n":%d,"tag":"a"}`, many), `"tok"`), many, "1", `"tok"`, "a")
	})
}

// A call that notifies and returns at once is where mcp-go loses or reorders most.
func TestProgressOfShortCalls(t *testing.T) {
	web := serveHTTP(t, newTools(), server.HTTPOptions{})
	for _, modern := range []bool{false, true} {
		c := newHTTPClient(t, web.URL, modern)
		for i := range 100 {
			wantBurst(t, c.call(i, "burst", `{"n":1,"tag":"a"}`, `"t"`), 1, fmt.Sprint(i), `"t"`, "a")
		}
	}
	c := startStdio(t, newTools(), server.StdioOptions{}).shake()
	for i := range 100 {
		c.send(line(i, "tools/call", callParams("burst", `{"n":1,"tag":"a"}`, `"t"`, false)))
		wantBurst(t, []rpc{c.next("progress"), c.next("answer")}, 1, fmt.Sprint(i), `"t"`, "a")
	}
}

func TestConcurrentClientsSeeTheirOwnProgressOnly(t *testing.T) {
	for _, modern := range []bool{false, true} {
		t.Run(fmt.Sprintf("modern=%v", modern), func(t *testing.T) {
			web := serveHTTP(t, newTools(), server.HTTPOptions{})
			got := make([][]rpc, 4) // two clients, two calls of each, all with the same ids and tokens
			var calls sync.WaitGroup
			for client := range 2 {
				c := newHTTPClient(t, web.URL, modern)
				for call := range 2 {
					calls.Go(func() {
						got[client*2+call] = c.call(1, "burst", fmt.Sprintf(`{"n":1000,"tag":"%d.%d"}`, client, call), `1`)
					})
				}
			}
			calls.Wait()
			for i, g := range got {
				wantBurst(t, g, 1000, "1", "1", fmt.Sprintf("%d.%d", i/2, i%2))
			}
		})
	}
}

func TestTokenIsEchoedAsSent(t *testing.T) {
	web := serveHTTP(t, newTools(), server.HTTPOptions{})
	legacy, modern := newHTTPClient(t, web.URL, false), newHTTPClient(t, web.URL, true)
	stdio := startStdio(t, newTools(), server.StdioOptions{}).shake()
	for _, token := range []string{`"a b"`, `""`, `0`, `-1`, `9007199254740993`, `1.50`, `"\u00e9"`} {
		for _, c := range []*httpClient{legacy, modern} {
			if got := c.call(1, "burst", `{"n":1}`, token); len(got) != 2 || string(got[0].Params.Token) != token {
				t.Errorf("HTTP, token %s: %+v", token, got)
			}
		}
		stdio.send(line(1, "tools/call", callParams("burst", `{"n":1}`, token, false)))
		if got := stdio.next("progress"); string(got.Params.Token) != token {
			t.Errorf("stdio, token %s came back as %s", token, got.Params.Token)
		}
		stdio.next("answer")
	}
	for _, token := range []string{``, `null`, `{}`, `[1]`, `true`} {
		if got := legacy.call(1, "burst", `{"n":3}`, token); len(got) != 1 || got[0].text(t) != "sent" {
			t.Errorf("HTTP, no token (%s): %+v", token, got)
		}
		stdio.send(line(1, "tools/call", callParams("burst", `{"n":3}`, token, false)))
		if got := stdio.next("answer"); !got.isAnswer() {
			t.Errorf("stdio, no token (%s): %+v", token, got)
		}
	}
}

func TestProgressAfterTheAnswerIsRefused(t *testing.T) {
	s := newTools()
	web := serveHTTP(t, s, server.HTTPOptions{})
	stdio := startStdio(t, s, server.StdioOptions{}).shake()
	for name, call := range map[string]func(){
		"handshake":            func() { newHTTPClient(t, web.URL, false).call(1, "leave", `{}`, `1`) },
		"2026-07-28":           func() { newHTTPClient(t, web.URL, true).call(1, "leave", `{}`, `1`) },
		"handshake, streamed":  func() { newHTTPClient(t, web.URL, false).call(1, "leave", `{"notify":true}`, `1`) },
		"2026-07-28, streamed": func() { newHTTPClient(t, web.URL, true).call(1, "leave", `{"notify":true}`, `1`) },
		"stdio": func() {
			stdio.send(line(1, "tools/call", callParams("leave", `{}`, `1`, false)))
			stdio.next("answer")
		},
	} {
		call()
		if err := receive(t, s.leftover, name)(); err == nil {
			t.Errorf("%s: progress of an answered request was sent", name)
		}
	}
	stdio.send(line(2, "ping", `{}`))
	if m := stdio.next("pong"); !m.isAnswer() {
		t.Errorf("after the answer came %+v", m)
	}
}

// Progress is there when it is made, not when the answer is.
func TestProgressIsLive(t *testing.T) {
	s := newTools()
	web := serveHTTP(t, s, server.HTTPOptions{})
	for _, modern := range []bool{false, true} {
		c := newHTTPClient(t, web.URL, modern)
		resp := c.post(t.Context(), line(1, "tools/call", callParams("hold", `{}`, `1`, modern)))
		got := eventStream(t, resp.Body)
		if m := receive(t, got, "progress"); m.Params.Message != "held" {
			t.Errorf("%+v", m)
		}
		s.release <- struct{}{}
		if m := receive(t, got, "the answer"); m.text(t) != "released" {
			t.Errorf("%+v", m)
		}
		resp.Body.Close()
	}
}

// A client that cannot read an event stream gets its answer as one JSON object.
func TestNoEventsForWhoTakesNone(t *testing.T) {
	web := serveHTTP(t, newTools(), server.HTTPOptions{})
	c := newHTTPClient(t, web.URL, false)
	r := c.request(t.Context(), "POST", line(1, "tools/call", callParams("burst", `{"n":5}`, `1`, false)))
	r.Header.Set("Accept", "application/json")
	resp := c.do(r)
	defer resp.Body.Close()
	if got := messages(t, resp); len(got) != 1 || got[0].text(t) != "sent" {
		t.Errorf("%s: %+v", resp.Header.Get("Content-Type"), got)
	}
}

// Once a call of a session has streamed, the next answer of that session is plain again.
func TestStreamingDoesNotStick(t *testing.T) {
	web := serveHTTP(t, newTools(), server.HTTPOptions{})
	c := newHTTPClient(t, web.URL, false)
	c.call(1, "burst", `{"n":1}`, `1`)
	resp := c.post(t.Context(), line(2, "tools/call", callParams("quick", `{}`, ``, false)))
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q, want application/json", kind)
	}
	if got := messages(t, resp); got[0].text(t) != "local" {
		t.Errorf("the caller is %q, want local", got[0].text(t))
	}
}
