package tools_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/server"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
)

// counter is a service whose calls are over at once. It counts its dials.
type counter struct {
	mu    sync.Mutex
	dials []phone.Order
}

func (s *counter) Place(_ context.Context, o phone.Order) (phone.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, o)
	return phone.Ref(o.CallID), nil
}

func (s *counter) Lookup(context.Context, phone.Ref) (phone.Observation, error) {
	return phone.Observation{Line: phone.WrappingUp, Outcome: phone.NoAnswer, Extent: phone.Whole}, nil
}

func (s *counter) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.dials)
}

// house is an MCP server at which every call needs a person's yes.
type house struct {
	*mcpserver.MCPServer
	*counter
	t      *testing.T
	board  *switchboard.Switchboard
	ledger *ledger.Ledger
}

func newHouse(t *testing.T) *house {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{counter: &counter{}, t: t, ledger: l}
	o := switchboard.Options{Ledger: l, Default: "one", Policy: guard.Policy{
		Confirm: guard.Always, Longest: 10 * time.Minute,
		Rates: map[string]phone.Money{"one": phone.Micros(100_000, "USD"), "two": phone.Micros(100_000, "USD")},
	}}
	for _, name := range []string{"one", "two"} {
		o.Providers = append(o.Providers, providers.New(providers.Spec{
			Name: name, Title: name, MaxDuration: true, Options: []providers.Option{{Name: "mood", Kind: providers.Text}},
		}, h.counter, providers.Options{Account: name}))
	}
	h.board = switchboard.New(o)
	h.MCPServer = tools.Server(h.board, "test")
	running, stop := context.WithCancel(context.Background())
	var rounds sync.WaitGroup
	rounds.Go(func() { h.board.Run(running) })
	t.Cleanup(func() {
		stop()
		rounds.Wait()
		if err := errors.Join(h.board.Close(context.Background()), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// told is what a client hears: a result, or a question.
type told struct {
	Error  json.RawMessage
	Result struct {
		State string `json:"requestState"`
		Call  struct {
			CallID   string `json:"call_id"`
			Reason   string
			Message  string
			Started  string `json:"call_started"`
			Replayed bool
		} `json:"structuredContent"`
	}
}

func (w told) placed() bool { return w.Result.Call.CallID != "" && w.Result.Call.Reason == "" }
func (w told) refused() bool {
	return w.Result.Call.Reason == "needs_confirmation" && w.Result.Call.Started == "no"
}

// round sends a request as a client of 2026-07-28 does; more are fields of its params.
func (h *house) round(who, tool string, arguments map[string]any, can string, more map[string]any) (w told) {
	h.t.Helper()
	params := map[string]any{"name": tool, "arguments": arguments, "_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": json.RawMessage(can),
	}}
	maps.Copy(params, more)
	message, merr := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
	raw, err := json.Marshal(h.HandleMessage(peer.With(h.t.Context(), peer.Link{Caller: phone.Caller{Principal: who, Scopes: phone.Local().Scopes}}), message))
	if err = errors.Join(merr, err); err != nil || json.Unmarshal(raw, &w) != nil {
		h.t.Fatalf("%v: %s", err, raw)
	}
	return w
}

const (
	forms = `{"elicitation":{}}`
	other = "+12025550177" // whom nobody has allowed
)

// ask asks for calls for the first time, and gives the state of the question.
func (h *house) ask(who, tool string, arguments map[string]any) string {
	h.t.Helper()
	w := h.round(who, tool, arguments, forms, nil)
	if w.Result.State == "" {
		h.t.Fatalf("nothing is asked: %+v", w)
	}
	return w.Result.State
}

// bring brings an answer.
func (h *house) bring(who, tool string, arguments map[string]any, state, key, action string) told {
	h.t.Helper()
	return h.round(who, tool, arguments, forms, map[string]any{
		"requestState": state, "inputResponses": map[string]any{key: map[string]string{"action": action}},
	})
}

// changed is a request with one argument otherwise.
func changed(arguments map[string]any, name string, value any) map[string]any {
	other := maps.Clone(arguments)
	other[name] = value
	return other
}

// batchState is the state of a question about a call and another one.
func batchState(h *house, who string, call map[string]any) string {
	batch := changed(call, "recipients", []any{map[string]any{"to": call["to"]}, map[string]any{"to": other}})
	delete(batch, "to")
	return h.ask(who, "create_batch", batch)
}

// fields are some fields of a state, in that order.
func fields(state string, which ...int) string {
	var some []string
	for _, i := range which {
		some = append(some, strings.Split(state, ".")[i])
	}
	return strings.Join(some, ".")
}

// forgery is a way to bring a yes that nobody gave, with the state of a question about the call that was put to the client.
type forgery struct {
	name string
	try  func(h *house, r *rand.Rand, who string, call map[string]any, state string) told
}

func forgeries() []forgery {
	with := func(change func(h *house, r *rand.Rand, who string, call map[string]any, state string) string) func(*house, *rand.Rand, string, map[string]any, string) told {
		return func(h *house, r *rand.Rand, who string, call map[string]any, state string) told {
			return h.bring(who, "create_call", call, change(h, r, who, call, state), "confirm", "accept")
		}
	}
	of := func(name string, value any) func(*house, *rand.Rand, string, map[string]any, string) told { // of another call
		return with(func(h *house, _ *rand.Rand, who string, call map[string]any, _ string) string {
			return h.ask(who, "create_call", changed(call, name, value))
		})
	}
	under := func(key string) func(*house, *rand.Rand, string, map[string]any, string) told {
		return func(h *house, _ *rand.Rand, who string, call map[string]any, state string) told {
			return h.bring(who, "create_call", call, state, key, "accept")
		}
	}
	return []forgery{
		{name: "a bit flipped", try: with(func(_ *house, r *rand.Rand, _ string, _ map[string]any, state string) string {
			b := []byte(state)
			b[r.IntN(len(b))] ^= 1 << r.IntN(7)
			return string(b)
		})},
		{name: "cut short", try: with(func(_ *house, r *rand.Rand, _ string, _ map[string]any, state string) string {
			return state[:r.IntN(len(state))]
		})},
		{name: "extended", try: with(func(_ *house, r *rand.Rand, _ string, _ map[string]any, state string) string {
			return state + []string{".", " ", "0", "." + state, "\n"}[r.IntN(5)]
		})},
		{name: "in capitals", try: with(func(_ *house, _ *rand.Rand, _ string, _ map[string]any, state string) string {
			return strings.ToUpper(state)
		})},
		{name: "at another time", try: with(func(_ *house, r *rand.Rand, _ string, _ map[string]any, state string) string {
			return fmt.Sprintf("%d.%s", time.Now().Unix()+r.Int64N(1e6)+1, fields(state, 1, 2))
		})},
		{name: "another principal's", try: with(func(h *house, _ *rand.Rand, who string, call map[string]any, _ string) string {
			return h.ask("not "+who, "create_call", call)
		})},
		{name: "of another number", try: of("to", other)},
		{name: "of another task", try: of("task", "something else")},
		{name: "of another provider", try: of("provider", "two")},
		{name: "of other options", try: of("provider_options", map[string]any{"mood": "stern"})},
		{name: "of another length", try: of("max_duration_seconds", 60)},
		{name: "another question's id", try: with(func(h *house, _ *rand.Rand, who string, call map[string]any, state string) string {
			theirs := h.ask(who, "create_call", changed(call, "task", "something else"))
			return fields(theirs+"."+state, 0, 4, 2)
		})},
		{name: "another key", try: under("")},
		{name: "a key in capitals", try: under("CONFIRM")},
		{name: "a batch's, in another order", try: with(func(h *house, _ *rand.Rand, who string, call map[string]any, _ string) string {
			return fields(batchState(h, who, call), 0, 2, 1, 3)
		})},
		{name: "a batch's, without the other", try: with(func(h *house, _ *rand.Rand, who string, call map[string]any, _ string) string {
			return fields(batchState(h, who, call), 0, 1, 3)
		})},
		{name: "a batch's, without this one", try: with(func(h *house, _ *rand.Rand, who string, call map[string]any, _ string) string {
			return fields(batchState(h, who, call), 0, 2, 3)
		})},
		{name: "no state", try: with(func(*house, *rand.Rand, string, map[string]any, string) string { return "" })},
		{name: "a client that cannot ask", try: func(h *house, _ *rand.Rand, who string, call map[string]any, state string) told {
			return h.round(who, "create_call", call, `{"elicitation":{"url":{}}}`, map[string]any{
				"requestState": state, "inputResponses": map[string]any{"confirm": map[string]string{"action": "accept"}},
			})
		}},
		{name: "too old", try: func(h *house, _ *rand.Rand, who string, call map[string]any, state string) told {
			time.Sleep(5*time.Minute + time.Second) // by the bubble's clock
			return h.bring(who, "create_call", call, state, "confirm", "accept")
		}},
		{name: "after a no", try: func(h *house, r *rand.Rand, who string, call map[string]any, state string) told {
			if w := h.bring(who, "create_call", call, state, "confirm", "decline"); !w.refused() {
				h.t.Errorf("a no is answered %+v", w)
			}
			return h.bring(who, "create_call", changed(call, "idempotency_key", []string{"", "another"}[r.IntN(2)]), state, "confirm", "accept")
		}},
	}
}

var replays = flag.Int("replays", 1000, "how many approvals that nobody gave TestConfirmReplay brings")

// An answer that is brought by rounds counts for the calls that were asked about, as they were told, to the client that was
// asked, once, for five minutes. Whatever else is brought dials nothing; and the question that was not answered can be.
func TestConfirmReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r, allowed, used := newHouse(t), rand.New(rand.NewPCG(20, 26)), 0, 0
		for n, round := 0, 0; n < max(100, *replays/share()); round++ {
			// Each round is a principal's: of one, no more than twenty questions wait.
			who, call := fmt.Sprint("p", round), map[string]any{"to": "+12025550143", "task": fmt.Sprint("Say ", round), "idempotency_key": "k"}
			state, all := h.ask(who, "create_call", call), forgeries()
			last := len(all) - 2 // these two leave no question behind
			r.Shuffle(last, func(i, j int) { all[i], all[j] = all[j], all[i] })
			mine := round%3 == 2 // then the person answers, at the end
			if !mine {
				all[last] = all[last+round%3]
				last++
			}
			for _, f := range all[:last] {
				n++
				if w := f.try(h, r, who, call, state); h.count() != allowed || w.placed() || !w.refused() && w.Result.State == "" {
					t.Fatalf("%d, %s: %d dials, and %d were allowed: %+v", n, f.name, h.count(), allowed, w)
				}
			}
			if !mine {
				continue
			}
			allowed++
			if w := h.bring(who, "create_call", call, state, "confirm", "accept"); !w.placed() || w.Result.Call.Replayed || h.count() != allowed {
				t.Fatalf("%d: the person's own answer: %d dials: %+v", n, h.count(), w)
			}
			for range 5 {
				if w := h.bring(who, "create_call", call, state, "confirm", "accept"); !w.Result.Call.Replayed || h.count() != allowed {
					t.Fatalf("%d: the same again: %d dials: %+v", n, h.count(), w)
				}
				used += 2
				if w := h.bring(who, "create_call", changed(call, "idempotency_key", fmt.Sprint("k", used)), state, "confirm", "accept"); !w.refused() || h.count() != allowed {
					t.Fatalf("%d: a used answer: %d dials: %+v", n, h.count(), w)
				}
			}
			time.Sleep(time.Minute) // the call is over
		}
		t.Logf("%d forged answers of %d kinds; %d calls that were allowed, whose answers were used %d times more", *replays, len(forgeries()), allowed, used)
	})
}

// What was said to a question about two calls counts for each of them, however they are asked for, and once.
func TestConfirmPartOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		call := map[string]any{"to": "+12025550143", "task": "Say hello"}
		if w := h.bring("she", "create_call", call, batchState(h, "she", call), "confirm", "accept"); !w.placed() || h.count() != 1 {
			t.Errorf("%d dials: %+v", h.count(), w)
		}
		h.ask("she", "create_call", changed(call, "to", other))
	})
}

// older is a client of 2025-11-25 over stdio.
type older struct {
	in   io.WriteCloser
	back chan map[string]any
	done chan error
}

func (h *house) older() *older {
	h.t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	c := &older{in: inW, back: make(chan map[string]any, 1000), done: make(chan error, 1)}
	go func() {
		c.done <- server.Stdio(context.Background(), h.MCPServer, inR, outW, server.StdioOptions{})
		_ = outW.Close()
	}()
	go func() {
		for lines := bufio.NewScanner(outR); lines.Scan(); {
			m := map[string]any{}
			_ = json.Unmarshal(lines.Bytes(), &m)
			c.back <- m
		}
	}()
	c.say(`{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":%s,"clientInfo":{"name":"c","version":"1"}}}`, forms)
	<-c.back
	return c
}

func (c *older) say(format string, args ...any) { _, _ = fmt.Fprintf(c.in, format+"\n", args...) }

func (c *older) call(id int, task string) {
	c.say(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"create_call","arguments":{"to":"+12025550143","task":%q}}}`, 1000+id, task)
}

func (c *older) answer(question any, action string) {
	c.say(`{"jsonrpc":"2.0","id":%v,"result":{"action":%q}}`, question, action)
}

// heard gives what has come once everything stands still: the ids of questions, and answers.
func (c *older) heard() (questions []any, answers []told) {
	synctest.Wait()
	for len(c.back) > 0 {
		m := <-c.back
		if m["method"] == "elicitation/create" {
			questions = append(questions, m["id"])
			continue
		}
		var w told
		raw, _ := json.Marshal(m)
		_ = json.Unmarshal(raw, &w)
		answers = append(answers, w)
	}
	return questions, answers
}

func (h *house) ends(c *older) {
	h.t.Helper()
	began := time.Now()
	_ = c.in.Close()
	if err := <-c.done; err != nil || time.Since(began) > time.Second {
		h.t.Errorf("it ended after %v: %v", time.Since(began), err)
	}
}

// A request waits 25 seconds for a person. A yes after that dials nothing, but lets the next try pass, for five minutes.
func TestConfirmWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.older()
		expect := func(questions, answers, dials int) (asked []any, got []told) {
			t.Helper()
			asked, got = c.heard()
			if len(asked) != questions || len(got) != answers || h.count() != dials {
				t.Fatalf("%d questions, %d answers, %d dials; not %d, %d, %d", len(asked), len(got), h.count(), questions, answers, dials)
			}
			return asked, got
		}
		c.call(1, "a")
		asked, _ := expect(1, 0, 0)
		time.Sleep(25*time.Second - time.Millisecond)
		expect(0, 0, 0)
		time.Sleep(time.Millisecond)
		if _, got := expect(0, 1, 0); !got[0].refused() {
			t.Errorf("nobody has answered: %+v", got[0])
		}
		c.call(2, "a") // the question is still open, and not put again
		expect(0, 0, 0)
		time.Sleep(time.Minute)
		expect(0, 1, 0)
		c.answer(asked[0], "accept")
		time.Sleep(4 * time.Minute)
		expect(0, 0, 0)
		if w := h.round("she", "create_call", map[string]any{"to": "+12025550143", "task": "a"}, `{}`, nil); !w.refused() {
			t.Errorf("another principal: %+v", w)
		}
		c.call(3, "a")
		if _, got := expect(0, 1, 1); !got[0].placed() {
			t.Errorf("after the yes: %+v", got[0])
		}
		c.call(4, "b")
		asked, _ = expect(1, 0, 1)
		c.answer(asked[0], "decline")
		expect(0, 1, 1)
		c.call(5, "a")
		if _, got := expect(0, 1, 1); !got[0].Result.Call.Replayed {
			t.Errorf("the same again: %+v", got[0])
		}

		// A yes that is not used in time; one to a question that is no longer open.
		c.call(6, "c")
		asked, _ = expect(1, 0, 1)
		time.Sleep(time.Minute)
		expect(0, 1, 1)
		c.answer(asked[0], "accept")
		time.Sleep(5*time.Minute + time.Second)
		c.call(7, "c")
		asked, _ = expect(1, 0, 1)
		time.Sleep(5*time.Minute + time.Second)
		expect(0, 1, 1)
		c.answer(asked[0], "accept")
		c.call(8, "c")
		asked, _ = expect(1, 0, 1)
		c.answer(asked[0], "cancel")
		expect(0, 1, 1)

		// The client takes its request back before the person says yes.
		c.call(9, "d")
		asked, _ = c.heard()
		c.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1009}}`)
		c.answer(asked[0], "accept")
		if c.heard(); h.count() != 1 {
			t.Errorf("a request that was taken back has dialed")
		}
		h.ends(c)
	})
}

// Equal requests at once are one question, and one dial.
func TestConfirmAtOnce(t *testing.T) {
	for action, dials := range map[string]int{"accept": 1, "decline": 0, "cancel": 0, "ACCEPT": 0} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			c := h.older()
			const n = 20
			for i := range n {
				c.call(i, "a")
			}
			asked, got := c.heard()
			if len(asked) != 1 || len(got) != 0 {
				t.Fatalf("%d questions, %d answers", len(asked), len(got))
			}
			c.answer(asked[0], action)
			asked, got = c.heard()
			ids := map[string]bool{}
			for _, w := range got {
				ids[w.Result.Call.CallID] = true
				if w.placed() != (dials == 1) {
					t.Errorf("%s: %+v", action, w)
				}
			}
			if len(asked) != 0 || len(got) != n || len(ids) != 1 || h.count() != dials {
				t.Errorf("%s: %d more questions, %d answers about %d calls, %d dials", action, len(asked), len(got), len(ids), h.count())
			}
			h.ends(c)
		})
	}
}

// The server's end is held up by no question, and a bubble in which a goroutine stays behind fails.
func TestConfirmEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		c := h.older()
		for i := range 5 {
			c.call(i, fmt.Sprint("a", i))
		}
		asked, _ := c.heard()
		h.ends(c)
		_, got := c.heard()
		if len(asked) != 5 || len(got) != 5 || !got[0].refused() || h.count() != 0 {
			t.Errorf("%d questions, %d answers, %d dials", len(asked), len(got), h.count())
		}
	})
}
