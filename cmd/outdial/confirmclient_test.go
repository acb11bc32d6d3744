package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
)

// asker is a client that can put questions to a person. A test is the person: it takes each question out of asked.
type asker struct {
	t      *testing.T
	modern bool
	can    string                       // its capabilities, as JSON
	post   func(message []byte)         // hands one message over; what comes back goes to hear
	other  func(message []byte) (n int) // hands one over in another session, and gives the status; nil where there is none
	end    func()                       // tells the program to end; see ended
	ended  <-chan int

	mu      sync.Mutex
	last    int
	waiting map[string]func(raw []byte)
	asked   chan asked
}

var hostileCalls = flag.Int("hostile", 200, "how many requests the hostile agent of TestConfirmHostileAgent makes of each server")

const (
	accept  = `{"action":"accept"}`
	decline = `{"action":"decline"}`
	dismiss = `{"action":"cancel"}`
)

// asked is one question, put by either era's way.
type asked struct {
	text   string
	params json.RawMessage     // of elicitation/create
	id     json.RawMessage     // of the server's request; empty where it asks by rounds
	state  string              // of the round; empty where it asks by a request
	answer func(result string) // gives the person's answer, as JSON
}

// outcome is what a tool answered.
type outcome struct {
	raw    []byte
	Error  json.RawMessage
	Result struct {
		IsError bool
		Content []struct{ Text string }
		Call    confirmed `json:"structuredContent"`
	}
}

// confirmed is a call, a batch of them, or what went wrong.
type confirmed struct {
	CallID   string `json:"call_id"`
	To       string
	Status   string
	Code     string
	Reason   string
	Message  string
	Started  string `json:"call_started"`
	Replayed bool
	Calls    []confirmed
	Error    *confirmed
	Placed   int
	Refused  int
	Failed   int
}

// canAsk are the capabilities of a client that can ask in forms: without a word on the kinds, forms are meant.
const canAsk = `{"elicitation":{}}`

// onEveryWay has a test on a program of its own for each transport and each era. The provider is a stand-in that writes down
// its dials.
func onEveryWay(t *testing.T, can, confirm string, try func(t *testing.T, c *asker, dials *recorder)) {
	t.Helper()
	for _, way := range ways() {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			dials := record(t, pamelaService(speed, short))
			env := append(dials.env(dials.base), "OUTDIAL_CONFIRM="+confirm, "OUTDIAL_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "outdial.db"))
			enter(t, env, "contacts", "add", friend, "--name", "Ada Lovelace")
			try(t, newAsker(t, way, can, env), dials)
		})
	}
}

const (
	friend    = "+12025550123" // a contact
	stranger  = "+12025550143"
	stranger2 = "+12025550144"
)

// enter runs a command of the operator's.
func enter(t *testing.T, env []string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	if code := (parts{specs: fast(speed)}).run(t.Context(), args, env, strings.NewReader(""), &out, &out); code != 0 {
		t.Fatalf("outdial %s: %d: %s", args[0], code, out.String())
	}
}

func newAsker(t *testing.T, way, can string, env []string) *asker {
	t.Helper()
	transport, era, _ := strings.Cut(way, " ")
	c := blankAsker(t, can)
	c.modern = era == "2026-07-28"
	if transport == "http" {
		w, ok := dialHTTP(t, env, c.modern).(*httpWire)
		if !ok {
			t.Fatal("no HTTP")
		}
		c.overHTTP(w)
		return c
	}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	code, _ := startProgram(t, []string{"stdio"}, env, inR, outW, t.Output())
	ended := make(chan int, 1)
	go func() {
		ended <- <-code
		_ = outW.Close()
	}()
	c.end, c.ended = func() { _ = inW.Close() }, ended
	c.overStdio(inW, lines(outR))
	t.Cleanup(c.end)
	return c
}

// askerOf is the client of a process, in the handshake era.
func askerOf(t *testing.T, p *child) *asker {
	t.Helper()
	c := blankAsker(t, canAsk)
	if p.cmd.Args[1] == "stdio" {
		c.overStdio(p.in, p.out)
		t.Cleanup(func() { _ = p.cmd.Process.Kill() })
		return c
	}
	var url string
	for deadline := time.Now().Add(patience); url == "" && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond) // it says on stderr that it listens, and a buffer cannot be waited for
		if _, rest, ok := strings.Cut(p.stderr.String(), "outdial: http"); ok && strings.Contains(rest, "\n") {
			url = "http" + strings.Fields(rest)[0]
		}
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c.overHTTP(&httpWire{url: url, client: &http.Client{Transport: transport}})
	return c
}

func blankAsker(t *testing.T, can string) *asker {
	return &asker{t: t, can: can, waiting: map[string]func([]byte){}, asked: make(chan asked, 1000)}
}

func (c *asker) overStdio(in io.Writer, out <-chan []byte) {
	c.t.Helper()
	var reading sync.WaitGroup
	reading.Go(func() {
		for line := range out {
			c.hear(line)
		}
	})
	c.t.Cleanup(reading.Wait)
	var one sync.Mutex
	c.post = func(m []byte) {
		one.Lock()
		defer one.Unlock()
		_, _ = in.Write(append(m, '\n')) // whoever needs an answer notices
	}
	if !c.modern {
		answered := make(chan struct{}, 1)
		c.waiting[`"hello"`] = func([]byte) { answered <- struct{}{} }
		c.post(c.hello())
		receive(c.t, answered)
	}
}

func (c *asker) overHTTP(w *httpWire) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var posting sync.WaitGroup
	c.t.Cleanup(func() {
		cancel()
		posting.Wait()
	})
	c.post = func(m []byte) {
		if !bytes.Contains(m, []byte(`"method"`)) { // an answer, which has none and must not overtake the one before
			c.send(ctx, w, m)
			return
		}
		posting.Go(func() { c.send(ctx, w, m) })
	}
	if !c.modern {
		w.say(c.t, c.hello(), false)
		second := &httpWire{url: w.url, client: w.client}
		second.say(c.t, c.hello(), false)
		c.other = func(m []byte) int { return c.send(ctx, second, m) }
	}
}

// send posts one message and hears what comes back for it.
func (c *asker) send(ctx context.Context, w *httpWire, m []byte) (status int) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(m))
	if err != nil {
		c.t.Error(err)
		return 0
	}
	for k, v := range map[string]string{
		"Accept": "application/json, text/event-stream", "Content-Type": "application/json", "Mcp-Session-Id": w.session,
		"Mcp-Protocol-Version": "2025-11-25",
	} {
		if v != "" {
			r.Header.Set(k, v)
		}
	}
	if w.modern {
		var named struct {
			Method string
			Params struct{ Name string }
		}
		_ = json.Unmarshal(m, &named)
		for k, v := range map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": named.Method, "Mcp-Name": named.Params.Name} {
			r.Header.Set(k, v)
		}
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return 0 // the test is over
	}
	defer resp.Body.Close()
	events := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	b := bufio.NewReaderSize(resp.Body, 1<<20)
	for err == nil {
		var line []byte
		line, err = b.ReadBytes('\n')
		data, isData := bytes.CutPrefix(line, []byte("data: "))
		if data = bytes.TrimSpace(data); len(data) > 0 && (isData || !events) {
			c.hear(data)
		}
	}
	return resp.StatusCode
}

func (c *asker) hello() []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":%s,"clientInfo":{"name":"asker","version":"1"}}}`, c.can)
}

// hear sorts what the server sends.
func (c *asker) hear(raw []byte) {
	var m struct {
		ID     json.RawMessage
		Method string
		Params json.RawMessage
	}
	if json.Unmarshal(raw, &m) != nil {
		return // HTTP says in plain text what it does not take
	}
	if m.Method == "elicitation/create" {
		c.asked <- asked{text: textOf(m.Params), params: m.Params, id: m.ID, answer: func(result string) {
			c.post(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result))
		}}
		return
	}
	c.mu.Lock()
	take := c.waiting[string(m.ID)]
	delete(c.waiting, string(m.ID))
	c.mu.Unlock()
	if take != nil {
		take(raw)
	}
}

func textOf(params json.RawMessage) string {
	var p struct{ Message string }
	_ = json.Unmarshal(params, &p)
	return p.Message
}

// tool calls a tool. Where the answer is a question, it comes out of asked, and the request is sent again with its answer.
func (c *asker) tool(name, arguments string) <-chan outcome {
	answered := make(chan outcome, 1)
	c.round(name, arguments, "", answered)
	return answered
}

// round sends a request, with further fields of its params.
func (c *asker) round(name, arguments, more string, answered chan<- outcome) {
	c.mu.Lock()
	c.last++
	id := strconv.Itoa(c.last)
	c.waiting[id] = func(raw []byte) {
		var asks struct {
			Result struct {
				State    string `json:"requestState"`
				Requests map[string]struct {
					Method string
					Params json.RawMessage
				} `json:"inputRequests"`
			}
		}
		_ = json.Unmarshal(raw, &asks)
		for key, q := range asks.Result.Requests {
			if q.Method != "elicitation/create" {
				c.t.Errorf("it asks for %s: %s", q.Method, raw)
			}
			c.asked <- asked{text: textOf(q.Params), params: q.Params, state: asks.Result.State, answer: func(result string) {
				c.round(name, arguments, fmt.Sprintf(`,"requestState":%q,"inputResponses":{%q:%s}`, asks.Result.State, key, result), answered)
			}}
			return
		}
		o := outcome{raw: raw}
		if err := json.Unmarshal(raw, &o); err != nil {
			c.t.Errorf("%.400s: %v", raw, err)
		}
		answered <- o
	}
	c.mu.Unlock()
	if c.modern {
		more += fmt.Sprintf(`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":%s,`+
			`"io.modelcontextprotocol/clientInfo":{"name":"asker","version":"1"}}`, c.can)
	}
	c.post(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":%s%s}}`, id, name, arguments, more))
}

// call asks for a call.
func (c *asker) call(to, task string) <-chan outcome {
	return c.tool("create_call", fmt.Sprintf(`{"to":%q,"task":%q}`, to, task))
}

// question waits for the next question.
func (c *asker) question() asked {
	c.t.Helper()
	select {
	case q := <-c.asked:
		return q
	case <-time.After(patience):
		c.t.Fatalf("no question in %v", patience)
		return asked{}
	}
}

// quiet holds that nothing is asked.
func (c *asker) quiet() {
	c.t.Helper()
	select {
	case q := <-c.asked:
		c.t.Errorf("it asks: %s", q.text)
	default:
	}
}

func (c *asker) get(from <-chan outcome) outcome {
	c.t.Helper()
	select {
	case o := <-from:
		return o
	case <-time.After(2 * patience): // a question alone may wait 25 s
		c.t.Fatalf("no answer in %v", 2*patience)
		return outcome{}
	}
}

// placed waits for a call that was placed, or replayed.
func (c *asker) placed(from <-chan outcome, replayed bool) confirmed {
	c.t.Helper()
	o := c.get(from)
	if call := o.Result.Call; o.Result.IsError || call.CallID == "" || call.Replayed != replayed {
		c.t.Errorf("not placed (replayed: %v): %s", replayed, o.raw)
	}
	return o.Result.Call
}

// refused waits for a refusal for want of a person's yes.
func (c *asker) refused(from <-chan outcome) outcome {
	c.t.Helper()
	o := c.get(from)
	if call := o.Result.Call; !o.Result.IsError || call.Code != "refused" || call.Reason != "needs_confirmation" || call.Started != "no" {
		c.t.Errorf("not refused: %s", o.raw)
	}
	return o
}

// dialed holds how many dials there were.
func (c *asker) dialed(dials *recorder, want int) {
	c.t.Helper()
	if n := dials.count(); n != want {
		c.t.Errorf("%d dials, not %d", n, want)
	}
}

// A client that begins a session anew is asked in that one: its first may be gone, with the question on its screen.
func TestConfirmInANewSession(t *testing.T) {
	t.Parallel()
	onEveryWay(t, canAsk, "always", func(t *testing.T, c *asker, dials *recorder) {
		if c.other == nil {
			return // there are no two sessions
		}
		first := c.call(stranger, "crash-session")
		c.question()
		answer := make(chan []byte, 1)
		c.waiting["900"] = func(raw []byte) { answer <- raw }
		go c.other(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":900,"method":"tools/call","params":{"name":"create_call","arguments":{"to":%q,"task":"crash-session"}}}`, stranger))
		q := c.question()
		c.other(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"action":"accept"}}`, q.id))
		ids := map[string]bool{c.get(first).Result.Call.CallID: true}
		select {
		case raw := <-answer:
			var o outcome
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Error(err)
			}
			ids[o.Result.Call.CallID] = true
		case <-time.After(patience):
			t.Error("the second session is not answered")
		}
		if len(ids) != 1 || ids[""] {
			t.Errorf("calls: %v", ids)
		}
		c.dialed(dials, 1)
	})
}

// answers gives a person's answer to every call that waits, at the terminal.
func (w *waitingCalls) answers(yes bool) {
	w.Helper()
	w.open(func(l *ledger.Ledger) {
		waiting, err := l.Waiting(w.Context(), time.Now())
		if err != nil || len(waiting) == 0 {
			w.Fatalf("%d calls wait: %v", len(waiting), err)
		}
		for _, q := range waiting {
			if err := l.Answer(w.Context(), q.ID, yes, time.Now()); err != nil {
				w.Error(err)
			}
		}
	})
}

// malformed are answers that say neither yes nor no.
func malformed() []string {
	return []string{
		`{}`, `null`, `true`, `"accept"`, `["accept"]`, `1`, `{"action":null}`, `{"action":""}`, `{"action":"ACCEPT"}`, `{"action":"Accept"}`,
		`{"action":" accept"}`, `{"action":"accept\n"}`, `{"action":"accepted"}`, `{"action":"yes"}`, `{"action":"approve"}`, `{"action":true}`,
		`{"action":["accept"]}`, `{"action":{"action":"accept"}}`, `{"content":{"action":"accept"}}`, `{"content":{"confirm":true}}`,
		`{"action":"cancel","content":{"action":"accept","confirm":true}}`, `{"_meta":{"action":"accept"}}`, `{"result":{"action":"accept"}}`,
	}
}
