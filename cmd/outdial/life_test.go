package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"
)

// life is one process that serves stdio, from its start until it is killed: what it was asked and did not answer is lost.
type life struct {
	*child
	took time.Duration // from the start until it answered initialize
	read chan struct{} // closed when all that it wrote has been read

	mu      sync.Mutex
	last    int
	waiting map[string]chan reply
	pushed  []push
}

// reply is what a client needs of an answer.
type reply struct {
	Result struct {
		IsError bool
		Call    toldCall `json:"structuredContent"`
	}
}

// toldCall is a call, or what went wrong with it.
type toldCall struct {
	CallID  string `json:"call_id"`
	To      string
	Status  string
	Outcome string
	Record  string
	NextSeq int `json:"next_seq"`
	Turns   []turn

	Replayed bool
	Code     string
	Started  string `json:"call_started"`
}

// push is one progress notification and when it came.
type push struct {
	token string
	seq   int
	at    time.Time
}

// starting bounds how many processes of these tests start at once: what is measured is not how they hold each other up.
var starting = make(chan struct{}, 2)

func begin(t *testing.T, home string, env ...string) *life {
	t.Helper()
	starting <- struct{}{}
	defer func() { <-starting }()
	began := time.Now()
	l := lifeOf(t, spawn(t, home, env, "stdio"))
	l.took = time.Since(began)
	return l
}

// lifeOf speaks to a process that has been started, and returns once it answers.
func lifeOf(t *testing.T, c *child) *life {
	t.Helper()
	l := &life{child: c, read: make(chan struct{}), waiting: map[string]chan reply{}}
	go func() {
		defer close(l.read)
		for line := range l.out {
			l.hear(line)
		}
	}()
	l.answer(l.request("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"life","version":"1"}}`))
	return l
}

func (l *life) hear(line []byte) {
	now := time.Now()
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct {
			Token string `json:"progressToken"`
			Seq   int    `json:"progress"`
		}
		reply
	}
	if json.Unmarshal(line, &m) != nil {
		return // the kill cut its last line
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.Method != "" {
		l.pushed = append(l.pushed, push{m.Params.Token, m.Params.Seq, now})
	} else if w := l.waiting[string(m.ID)]; w != nil {
		w <- m.reply
	}
}

// request asks, and does not mind whether there is still somebody to answer.
func (l *life) request(method, params string) <-chan reply {
	w := make(chan reply, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	id := strconv.Itoa(l.last)
	l.waiting[id] = w
	_, _ = fmt.Fprintf(l.in, `{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`+"\n", id, method, params)
	return w
}

func (l *life) tool(name, arguments string) <-chan reply {
	return l.request("tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s}`, name, arguments))
}

// watch streams a call with a progress token.
func (l *life) watch(id, token string) <-chan reply {
	return l.request("tools/call", fmt.Sprintf(`{"name":"stream_transcript","arguments":{"call_id":%q},"_meta":{"progressToken":%q}}`, id, token))
}

func (l *life) call(id string) toldCall {
	l.t.Helper()
	return l.answer(l.tool("get_call", fmt.Sprintf(`{"call_id":%q}`, id)))
}

// answer waits for an answer, which must come.
func (l *life) answer(from <-chan reply) toldCall {
	l.t.Helper()
	select {
	case a := <-from:
		return a.Result.Call
	case <-l.read:
	case <-time.After(3 * patience): // stream_transcript takes that long
		l.t.Fatalf("no answer in %v; stderr:\n%s", 3*patience, l.stderr)
	}
	a, ok := heard(from)
	if !ok {
		_ = l.cmd.Wait() // for the last of stderr
		l.t.Fatalf("it ended before it answered; stderr:\n%s", l.stderr)
	}
	return a
}

// heard gives an answer that has come.
func heard(from <-chan reply) (toldCall, bool) {
	select {
	case a := <-from:
		return a.Result.Call, true
	default:
		return toldCall{}, false
	}
}

// killed waits until it has been killed, by itself or by somebody else, and all that it wrote is read.
func (l *life) killed() {
	l.t.Helper()
	if code := l.ends(patience / 2); code != -1 {
		l.t.Fatalf("it ended with code %d, and not by SIGKILL:\n%s", code, l.stderr)
	}
	<-l.read
}
