package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/server"
)

func TestStdioWaitingCallsAreInNobodysWay(t *testing.T) {
	for _, n := range []int{60, 90} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newTools()
			c := startStdio(t, s, server.StdioOptions{Grace: time.Minute}).shake()
			for i := range n {
				c.send(line(i, "tools/call", callParams("wait", `{}`, ``, false)))
			}
			for range n {
				receive(t, s.started, "a waiting call")
			}
			quickest := patience // of a few: a busy machine is not what is tried here
			for range 5 {
				before := time.Now()
				c.send(line("cancel", "tools/call", callParams("quick", `{}`, ``, false)))
				if m := c.next("the other call"); string(m.ID) != `"cancel"` {
					t.Fatalf("answered %s first", m.ID)
				}
				quickest = min(quickest, time.Since(before))
			}
			t.Logf("with %d calls waiting another one took %v", n, quickest)
			if quickest > 100*time.Millisecond {
				t.Errorf("with %d calls waiting another one took %v", n, quickest)
			}
			_ = c.in.Close()
			for range n {
				if got := c.next("a waiting call's answer").text(t); !strings.Contains(got, "ending") || !strings.HasSuffix(got, "; <nil>") {
					t.Fatalf("a waiting call answered %q: want that the session is ending, and its own context alive", got)
				}
			}
		})
	}
}

func TestStdioAnswersEverythingAtTheEndOfInput(t *testing.T) {
	for _, end := range []string{"\n", ""} { // the last line needs no end
		c := startStdio(t, newTools(), server.StdioOptions{})
		before := time.Now()
		lines := []string{line("hello", "initialize", initialize), initialized}
		for i := range 20 {
			tool := []string{"quick", "wait", "slow"}[i%3]
			lines = append(lines, line(i, "tools/call", callParams(tool, `{"ms":200}`, ``, false)))
		}
		if _, err := io.WriteString(c.in, strings.Join(lines, "\n")+end); err != nil {
			t.Fatal(err)
		}
		_ = c.in.Close()
		var ids []string
		for range 21 {
			m := c.next("an answer")
			if m.Error != nil {
				t.Errorf("%s: %+v", m.ID, m.Error)
			}
			ids = append(ids, string(m.ID))
		}
		if err := receive(t, c.done, "the end"); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) != 21 {
			t.Errorf("answered: %v", ids)
		}
	}
}

// What comes right after initialize finds it done.
func TestStdioHandshakeIsFirst(t *testing.T) {
	for range 20 {
		c := startStdio(t, newTools(), server.StdioOptions{})
		c.send(line(1, "initialize", initialize), initialized, line(2, "tools/call", callParams("client", `{}`, ``, false)))
		if m := c.next("initialize"); string(m.ID) != "1" {
			t.Errorf("first came %+v", m)
		}
		if got := c.next("the client's name").text(t); got != "raw" {
			t.Errorf("the client is %q", got)
		}
	}
}

// What does not finish within the grace is cut short, and says so.
func TestStdioGraceEnds(t *testing.T) {
	for name, end := range map[string]func(*stdioClient){
		"the input ends":   func(c *stdioClient) { _ = c.in.Close() },
		"the context ends": func(c *stdioClient) { c.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newTools()
			c := startStdio(t, s, server.StdioOptions{Grace: 50 * time.Millisecond}).shake()
			c.send(line(1, "tools/call", callParams("hang", `{}`, ``, false)))
			receive(t, s.started, "the call")
			end(c)
			if m := c.next("its answer"); m.Error == nil || string(m.ID) != "1" {
				t.Errorf("%+v", m)
			}
			if err := receive(t, c.done, "the end"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStdioContextEndIsOrderly(t *testing.T) {
	s := newTools()
	c := startStdio(t, s, server.StdioOptions{}).shake()
	c.send(line(1, "tools/call", callParams("wait", `{}`, ``, false)))
	receive(t, s.started, "the call")
	c.stop()
	if got := c.next("its answer").text(t); !strings.Contains(got, "ending") {
		t.Errorf("a waiting call answered %q", got)
	}
	if err := receive(t, c.done, "the end"); err != nil {
		t.Error(err)
	}
}

func TestStdioListenStreamEndsWithTheInput(t *testing.T) {
	s := newTools()
	c := startStdio(t, s, server.StdioOptions{Grace: time.Minute})
	c.send(line(1, "subscriptions/listen", `{"notifications":{"toolsListChanged":true},"_meta":{`+modernMeta+`}}`))
	if m := c.next("the acknowledgement"); m.Method != "notifications/subscriptions/acknowledged" {
		t.Fatalf("%+v", m)
	}
	_ = c.in.Close()
	if m := c.next("the answer"); string(m.ID) != "1" {
		t.Errorf("%+v", m)
	}
	receive(t, c.done, "the end")
}

func TestStdioSurvivesBadLines(t *testing.T) {
	c := startStdio(t, newTools(), server.StdioOptions{}).shake()
	for _, bad := range []struct {
		name, line string
		code       int
	}{
		{"5 MB", `{"jsonrpc":"2.0","id":1,"method":"ping","x":"` + strings.Repeat("x", 5<<20) + `"}`, -32600},
		{"not JSON", `{"jsonrpc":"2.0","id":1,`, -32700},
		{"a word", `hello`, -32700},
		{"a batch", `[` + line(1, "ping", `{}`) + `]`, -32700},
		{"neither question nor answer", `{"jsonrpc":"2.0"}`, -32600},
		{"no method", `{"jsonrpc":"2.0","id":null,"method":5}`, -32600},
	} {
		c.send(bad.line)
		if m := c.next(bad.name); string(m.ID) != "null" || m.Error == nil || m.Error.Code != bad.code {
			t.Errorf("%s: %+v %+v", bad.name, m, m.Error)
		}
	}
	// Answers to nothing, blank lines and odd types have no answer, or mcp-go's.
	c.send("", "  \r", `{"jsonrpc":"2.0","id":9,"result":{}}`, `{"jsonrpc":"2.0","method":"x","params":[1]}`)
	c.send(line(2, "tools/call", callParams("panic", `{}`, ``, false)))
	if m := c.next("the panic"); string(m.ID) != "2" || m.Error == nil || strings.Contains(m.Error.Message, "purpose") {
		t.Errorf("%+v %+v", m, m.Error)
	}
	c.send(line(3, "ping", `{}`) + "\r")
	if m := c.next("the pong"); string(m.ID) != "3" || m.Error != nil {
		t.Errorf("%+v", m)
	}
}

// A line at the bound is read, and memory is not held for one that is far beyond it.
func TestStdioLineBound(t *testing.T) {
	c := startStdio(t, newTools(), server.StdioOptions{}).shake()
	frame := len(line(1, "ping", `{"x":""}`))
	c.send(line(1, "ping", `{"x":"`+strings.Repeat("x", 4<<20-frame-1)+`"}`))
	if m := c.next("the longest line"); string(m.ID) != "1" || m.Error != nil {
		t.Errorf("%+v", m)
	}
}

func TestStdioCancel(t *testing.T) {
	s := newTools()
	c := startStdio(t, s, server.StdioOptions{}).shake()
	c.send(line(5, "tools/call", callParams("hang", `{"tag":"five"}`, ``, false)),
		line("5", "tools/call", callParams("hang", `{"tag":"text five"}`, ``, false)))
	receive(t, s.started, "a call")
	receive(t, s.started, "a call")
	c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":6}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
	if got := receive(t, s.ended, "the cancel"); got != "five" {
		t.Errorf("cancelled %q", got)
	}
	if m := c.next("its answer"); string(m.ID) != "5" || m.Error == nil {
		t.Errorf("%+v", m)
	}
	// A cancel that follows its call at once is not too early for it.
	for i := range 50 {
		c.send(line(100+i, "tools/call", callParams("hang", `{}`, ``, false)),
			fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, 100+i))
		receive(t, s.started, "the call")
		receive(t, s.ended, "its end")
		c.next("its answer")
	}
	c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"5"}}`)
	if got := receive(t, s.ended, "the cancel"); got != "text five" {
		t.Errorf("cancelled %q", got)
	}
}

func TestStdioAsksTheClient(t *testing.T) {
	c := startStdio(t, newTools(), server.StdioOptions{}).shake()
	ask := func() (id string) {
		c.send(line("call", "tools/call", callParams("ask", `{}`, ``, false)))
		m := c.next("the question")
		if m.Method != "elicitation/create" || m.Params.Message != "Shall I?" {
			t.Fatalf("%+v", m)
		}
		return string(m.ID)
	}
	for answer, want := range map[string]string{
		`"result":{"action":"accept","content":{}}`: "accept",
		`"result":{"action":"decline"}`:             "decline",
		`"error":{"code":-32601,"message":"no"}`:    "the client refused the question: no",
		`"result":17`:                               "the client's answer to the question could not be read",
	} {
		id := ask()
		c.send(`{"jsonrpc":"2.0","id":99,"result":{"action":"accept"}}`) // to no question
		c.send(`{"jsonrpc":"2.0","id":` + id + `,` + answer + `}`)
		if got := c.next("the answer").text(t); got != want {
			t.Errorf("answered %s, the tool had %q", answer, got)
		}
	}
	ask()
	c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"call"}}`)
	if got := c.next("the answer").text(t); !strings.Contains(got, "canceled") {
		t.Errorf("cancelled while it asked, the tool had %q", got)
	}
}

// Two servers in one process, even of one MCPServer, have nothing in common.
func TestStdioSessionsAreApart(t *testing.T) {
	s := newTools()
	a, b := startStdio(t, s, server.StdioOptions{}).shake(), startStdio(t, s, server.StdioOptions{}).shake()
	for i := range 20 {
		s.SendNotificationToAllClients("notifications/marker", map[string]any{"message": fmt.Sprint(i)})
		for _, c := range []*stdioClient{a, b} {
			if m := c.next("the marker"); m.Params.Message != fmt.Sprint(i) {
				t.Fatalf("marker %d: %+v", i, m)
			}
		}
	}
	a.send(line(1, "tools/call", callParams("hang", `{"tag":"a"}`, ``, false)))
	b.send(line(1, "tools/call", callParams("hang", `{"tag":"b"}`, ``, false)))
	receive(t, s.started, "a call")
	receive(t, s.started, "a call")
	a.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if got := receive(t, s.ended, "the cancel"); got != "a" {
		t.Errorf("a cancelled the call of %q", got)
	}
	b.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	receive(t, s.ended, "the cancel")
}

// A client that does not read holds the tool up, rather than losing anything; and one that has gone ends the session.
func TestStdioBackPressure(t *testing.T) {
	s := newTools()
	in, inW := io.Pipe()
	out, outW := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- server.Stdio(t.Context(), s.MCPServer, in, outW, server.StdioOptions{}) }()
	defer inW.Close()
	if _, err := io.WriteString(inW, line(1, "tools/call", callParams("burst", `{"n":10,"size":1}`, `1`, false))+"\n"); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(out) // a pipe holds nothing: what is read is all that was written
	for i := 1; i <= 3; i++ {
		var m rpc
		if err := d.Decode(&m); err != nil || m.Params.Progress != float64(i) {
			t.Fatalf("%+v %v", m, err)
		}
		if n := len(s.sent); n > i {
			t.Fatalf("%d sent while %d were read", n, i)
		}
	}
	_ = out.Close()
	receive(t, s.ended, "the tool's end")
	if err := receive(t, done, "the end"); err == nil {
		t.Error("Stdio lost its client and returned no error")
	}
}

func TestStdioReadError(t *testing.T) {
	r, w := io.Pipe()
	_ = w.CloseWithError(io.ErrUnexpectedEOF)
	if err := server.Stdio(t.Context(), newTools().MCPServer, r, io.Discard, server.StdioOptions{}); err == nil {
		t.Error("no error")
	}
}
