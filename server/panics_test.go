package server_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/outdial/outdial/server"
)

// logged is a log that several goroutines write.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What a handler panicked with may hold anything: the log says where it was, on either transport, and the server goes on.
func TestPanicsAreLoggedWithoutTheirWords(t *testing.T) {
	t.Parallel()
	var log logged
	c := startStdio(t, newTools(), server.StdioOptions{Log: zerolog.New(&log)}).shake()
	c.send(line(2, "tools/call", callParams("panic", `{}`, ``, false)))
	if m := c.next("the panic"); m.Error == nil {
		t.Errorf("stdio answered %+v", m)
	}
	web := serveHTTP(t, newTools(), server.HTTPOptions{Log: zerolog.New(&log)})
	h := newHTTPClient(t, web.URL, false)
	if resp, err := h.http.Do(h.request(t.Context(), http.MethodPost, line(3, "tools/call", callParams("panic", `{}`, ``, false)))); err == nil {
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if strings.Contains(string(body), "purpose") {
			t.Errorf("HTTP answered %s", body)
		}
	}
	if h.call(4, "quick", `{}`, "") == nil {
		t.Error("nothing is answered any more")
	}
	if said := log.String(); strings.Count(said, `"message":"a handler panicked"`) != 2 || strings.Count(said, "newTools") < 2 || strings.Contains(said, "purpose") {
		t.Errorf("logged: %s", said)
	}
}

// An answer that nobody waits for, and whatever else goes wrong in a session, is logged without the session's id: who knows
// that can speak in it.
func TestSessionsAreInNoLog(t *testing.T) {
	var log logged
	web := serveHTTP(t, newTools(), server.HTTPOptions{Log: zerolog.New(&log)})
	c := newHTTPClient(t, web.URL, false)
	answer := `{"jsonrpc":"2.0","id":77,"result":{"action":"accept"}}`
	c.post(t.Context(), answer).Body.Close()
	listening := c.get(t.Context())
	c.post(t.Context(), answer).Body.Close()
	listening.Body.Close()
	if said := log.String(); strings.Count(said, "Failed to handle sampling response") != 2 || strings.Contains(said, c.session) {
		t.Errorf("session %s: %s", c.session, said)
	}
}
