package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mcpserver "github.com/mark3labs/mcp-go/server"
)

func newEmpty() *mcpserver.MCPServer { return mcpserver.NewMCPServer("empty", "1") }

func TestSessionsExpireWhereNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(10, time.Hour)
		mine := principalSessions{s, "me"}
		idle, busy := mine.Generate(), mine.Generate()
		_, end, ok := s.begin(busy, "me")
		if !ok {
			t.Fatal("a fresh session is unknown")
		}
		time.Sleep(time.Hour + time.Second)
		if _, _, ok := s.begin(idle, "me"); ok {
			t.Error("an idle session outlived its time")
		}
		if ids, _ := s.superfluous("me"); len(ids) != 1 || ids[0] != idle {
			t.Errorf("superfluous: %v, want the idle one", ids)
		}
		end() // the end of a stream counts as use
		time.Sleep(time.Hour - time.Second)
		if _, _, ok := s.begin(busy, "me"); !ok {
			t.Error("a session ended under its stream")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(3, time.Hour)
		mine := principalSessions{s, "me"}
		var ids []string
		for range 3 {
			ids = append(ids, mine.Generate())
			time.Sleep(time.Minute)
		}
		over, endFirst, _ := s.begin(ids[0], "me")
		superfluous, room := s.superfluous("me")
		if !room || len(superfluous) != 1 || superfluous[0] != ids[1] {
			t.Errorf("superfluous: %v (room %v), want the one idle longest", superfluous, room)
		}
		for _, id := range ids[1:] {
			_, end, _ := s.begin(id, "me")
			defer end()
		}
		if superfluous, room := s.superfluous("me"); room || len(superfluous) != 0 {
			t.Errorf("superfluous: %v (room %v), though all are in use", superfluous, room)
		}
		if _, err := mine.Terminate(ids[0]); err != nil || over.Err() == nil {
			t.Errorf("terminated: %v, its streams: %v", err, over.Err())
		}
		endFirst()
		if _, err := mine.Validate(ids[0]); err == nil {
			t.Error("a session outlived its end")
		}
	})
}

// What we forget, mcp-go forgets too.
func TestSessionsEndInMCPGoToo(t *testing.T) {
	began, ended := 0, 0
	hooks := &mcpserver.Hooks{}
	hooks.AddOnRegisterSession(func(context.Context, mcpserver.ClientSession) { began++ })
	hooks.AddOnUnregisterSession(func(context.Context, mcpserver.ClientSession) { ended++ })
	e := Handler(mcpserver.NewMCPServer("test", "1", mcpserver.WithHooks(hooks)), HTTPOptions{AllowedHosts: []string{"test"}})
	e.sessions.max = 2
	initialize := func() int {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
		r.Host = "test"
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w.Code
	}
	for range 5 {
		if code := initialize(); code != http.StatusOK {
			t.Fatalf("initialize: %d", code)
		}
	}
	if began != 5 || ended != 3 || len(e.sessions.live) != 2 {
		t.Errorf("%d began, %d ended and %d live, want 5, 3 and 2", began, ended, len(e.sessions.live))
	}
	for id := range e.sessions.live {
		_, end, _ := e.sessions.begin(id, "local")
		defer end()
	}
	if code := initialize(); code != http.StatusServiceUnavailable {
		t.Errorf("with every session in use: %d, want 503", code)
	}
}

// Several that begin at once each find room for one more. The next one makes up for that, so that they never grow beyond
// what is under way at once.
func TestSessionsThatBeganAtOnceAreMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(10, time.Hour)
		s.each = 3
		mine, others := principalSessions{s, "me"}, principalSessions{s, "you"}
		first := others.Generate()
		var ids []string
		for range 5 {
			time.Sleep(time.Minute)
			ids = append(ids, mine.Generate())
		}
		if got, room := s.superfluous("me"); !room || !slices.Equal(got, ids[:3]) {
			t.Errorf("superfluous: %v (room %v), want %v", got, room, ids[:3])
		}
		for range 7 {
			time.Sleep(time.Minute)
			others.Generate()
		}
		if got, room := s.superfluous("him"); !room || !slices.Equal(got, []string{first, ids[0], ids[1], ids[2]}) {
			t.Errorf("superfluous of all: %v (room %v)", got, room)
		}
	})
}
