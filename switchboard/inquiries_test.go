package switchboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/notify"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// keeper is a teller whose agents can call tools.
type keeper struct{ *teller }

func (keeper) Register(context.Context, providers.CallTool) (string, error) { return "t1", nil }

func (keeper) Registered(context.Context) ([]providers.RegisteredTool, error) { return nil, nil }

func (keeper) Deactivate(context.Context, string) error { return nil }

func tool(name string, timeout time.Duration) CallTool {
	return CallTool{CallTool: providers.CallTool{Name: name, Timeout: timeout}, Fallback: "nothing known"}
}

// asking is a board with tools, and a call on which an agent can ask.
func asking(t *testing.T, tools ...CallTool) (board, phone.Ref, string) {
	t.Helper()
	sp := spec("test")
	sp.Pace = seldom()
	p := providers.New(sp, keeper{newTeller()}, providers.Options{Account: "acc"})
	b := newBoard(t, file(t), func(o *Options) { o.CallTools = tools }, p)
	placed, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	return b, placed.Call.Ref, placed.Call.ID
}

// inquiryOf waits until the call tells of so many answered questions, and gives the last.
func inquiryOf(t *testing.T, b board, id string, answered int) phone.Inquiry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for e, err := range b.Watch(ctx, me(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := e.Body.(phone.Answered); ok {
			if answered--; answered == 0 {
				c, err := b.Get(ctx, me(), id)
				if err != nil {
					t.Fatal(err)
				}
				return c.Inquiries[len(c.Inquiries)-1]
			}
		}
	}
	t.Fatal("no answer among the call's events")
	return phone.Inquiry{}
}

func TestAnswersOfTheOperator(t *testing.T) {
	var asked []string
	var mu sync.Mutex
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		asked = append(asked, string(body))
		mu.Unlock()
		switch r.URL.Path {
		case "/wrapped":
			_, _ = w.Write([]byte(`{"result":{"open":true}}`))
		case "/bare":
			_, _ = w.Write([]byte(`["a"]`))
		case "/wrong":
			http.Error(w, "no", http.StatusInternalServerError)
		case "/garbage":
			_, _ = w.Write([]byte(`hm`))
		case "/slow":
			<-r.Context().Done()
		}
	}))
	t.Cleanup(web.Close)
	of := func(path string) CallTool {
		one := tool(strings.TrimPrefix(path, "/"), time.Second)
		var err error
		if one.Endpoint, err = notify.Parse(web.URL+path, hookSecret); err != nil {
			t.Fatal(err)
		}
		return one
	}
	static := tool("static", time.Second)
	static.Answer = json.RawMessage(`{"hours":"9 to 5"}`)
	b, ref, id := asking(t, static, of("/wrapped"), of("/bare"), of("/wrong"), of("/garbage"), of("/slow"))
	n := 0
	for name, want := range map[string]struct {
		by     phone.AnsweredBy
		result string
	}{
		"static": {phone.ByOperator, `{"hours":"9 to 5"}`}, "wrapped": {phone.ByOperator, `{"open":true}`}, "bare": {phone.ByOperator, `["a"]`},
		"wrong": {phone.ByNobody, `"nothing known"`}, "garbage": {phone.ByNobody, `"nothing known"`}, "slow": {phone.ByNobody, `"nothing known"`},
	} {
		n++
		began := time.Now()
		for range 2 { // the same question again has the same answer, and asks nobody
			got, err := b.Receive(t.Context(), "test", nil, told{Ref: ref, At: n, Tool: name}.body())
			if err != nil || string(got) != want.result {
				t.Errorf("%s: %s, %v", name, got, err)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%s: answered after %v, when nobody waits any more", name, took)
		}
		if i := inquiryOf(t, b, id, n); i.Tool != name || i.By != want.by || i.Answer != want.result || i.Open() {
			t.Errorf("%s: recorded as %+v", name, i)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 5 || !strings.Contains(asked[0], id) || !strings.Contains(asked[0], `"arguments":{"name":"x"}`) {
		t.Errorf("asked %d times: %s", len(asked), asked)
	}
	for what, n := range map[string]told{"an unknown tool": {Ref: ref, Tool: "x"}, "an unknown call": {Ref: "?", Tool: "static"}} {
		if _, err := b.Receive(t.Context(), "test", nil, n.body()); !slices.Contains([]phone.Code{phone.Invalid, phone.NotFound}, phone.CodeOf(err)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnswersOfTheCaller(t *testing.T) {
	who := tool("who", 10*time.Second)
	who.AskCaller = true
	b, ref, id := asking(t, who)
	answered := make(chan string, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		got, err := b.Receive(t.Context(), "test", nil, told{Ref: ref, Tool: "who"}.body())
		if err != nil {
			t.Error(err)
		}
		answered <- string(got)
	})
	t.Cleanup(waiting.Wait)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var q phone.Asked
	for e, err := range b.Watch(ctx, me(), id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := e.Body.(phone.Asked); ok {
			q = a
			break
		}
	}
	if q.Tool != "who" || q.Arguments != `{"name":"x"}` || !q.Deadline.After(time.Now()) {
		t.Fatalf("asked %+v", q)
	}
	stranger := phone.Caller{Principal: "token:eve", Scopes: []string{"calls:place", "calls:read"}}
	_, foreign := b.AnswerQuestion(t.Context(), stranger, q.ID, "me")
	_, unknown := b.AnswerQuestion(t.Context(), stranger, "inq_0", "me")
	if phone.CodeOf(foreign) != phone.NotFound || foreign.Error() != unknown.Error() {
		t.Errorf("a foreign question: %v, an unknown one: %v", foreign, unknown)
	}
	for range 2 {
		if c, err := b.AnswerQuestion(t.Context(), me(), q.ID, "Ann"); err != nil || c.ID != id {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	if got := <-answered; got != `"Ann"` {
		t.Errorf("the agent on the line was told %s", got)
	}
	if i := inquiryOf(t, b, id, 1); i.By != phone.ByCaller || i.Answer != `"Ann"` {
		t.Errorf("recorded as %+v", i)
	}
	var refused *phone.Error
	if _, err := b.AnswerQuestion(t.Context(), me(), q.ID, "Bob"); !errors.As(err, &refused) || refused.Reason != "answered_already" {
		t.Errorf("another answer: %v", err)
	}
}

// Once the call is over, nobody has an answer by sending an old question again.
func TestAnswersEndWithTheCall(t *testing.T) {
	static := tool("static", time.Second)
	static.Answer = json.RawMessage(`"hush"`)
	sp := spec("test")
	sp.Pace = seldom()
	s := newTeller()
	b := newBoard(t, file(t), func(o *Options) { o.CallTools = []CallTool{static} }, providers.New(sp, keeper{s}, providers.Options{Account: "acc"}))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	question := told{Ref: p.Call.Ref, Tool: "static"}.body()
	if got, err := b.Receive(t.Context(), "test", nil, question); err != nil || string(got) != `"hush"` {
		t.Fatalf("%s, %v", got, err)
	}
	s.end(p.Call.Ref, words("bye"))
	send(t, b, told{Ref: p.Call.Ref, At: 1})
	listen(t, b, p.Call.ID, 0)
	if got, err := b.Receive(t.Context(), "test", nil, question); phone.CodeOf(err) != phone.Invalid || got != nil {
		t.Errorf("%s, %v", got, err)
	}
}

// Nobody is waited for once the call is over.
func TestAQuestionEndsWithTheCall(t *testing.T) {
	who := tool("who", time.Minute)
	who.AskCaller = true
	sp := spec("test")
	sp.Pace = seldom()
	s := newTeller()
	b := newBoard(t, file(t), func(o *Options) { o.CallTools = []CallTool{who} }, providers.New(sp, keeper{s}, providers.Options{Account: "acc"}))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if got, err := b.Receive(ctx, "test", nil, told{Ref: p.Call.Ref, Tool: "who"}.body()); err != nil || string(got) != `"nothing known"` || ctx.Err() != nil {
			t.Errorf("%s, %v, %v", got, err, ctx.Err())
		}
	})
	defer waiting.Wait()
	c := stands(t, b, p.Call.ID, func(c *phone.Call) bool { return len(c.Inquiries) == 1 })
	if !c.Asks(c.Inquiries[0]) {
		t.Error("while the call goes on nobody waits for an answer")
	}
	s.end(p.Call.Ref, words("bye"))
	send(t, b, told{Ref: p.Call.Ref, At: 1})
	c = stands(t, b, p.Call.ID, func(c *phone.Call) bool { return !c.Status.Live() })
	if c.Asks(c.Inquiries[0]) {
		t.Error("after the call somebody waits for an answer")
	}
	stands(t, b, p.Call.ID, func(c *phone.Call) bool { return c.Inquiries[0].By == phone.ByNobody })
}

// reluctant is a keeper that takes its time to look at what it is sent.
type reluctant struct{ keeper }

func (r reluctant) Receive(header http.Header, body []byte) (providers.Notice, error) {
	<-time.After(600 * time.Millisecond)
	return r.keeper.Receive(header, body)
}

// What is waited for a look at a question is no longer waited for its answer.
func TestAQuestionThatWasLookedAtLate(t *testing.T) {
	who := tool("who", time.Second)
	who.AskCaller = true
	sp := spec("test")
	sp.Pace = seldom()
	b := newBoard(t, file(t), func(o *Options) { o.CallTools = []CallTool{who} },
		providers.New(sp, reluctant{keeper{newTeller()}}, providers.Options{Account: "acc"}))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	got, err := b.Receive(t.Context(), "test", nil, told{Ref: p.Call.Ref, Tool: "who"}.body())
	if took := time.Since(began); err != nil || string(got) != `"nothing known"` || took > time.Second {
		t.Errorf("%s, %v, after %v", got, err, took)
	}
}

// A question that nobody answers in time is answered by the operator's words, and an answer after that is refused.
func TestAnswersTooLate(t *testing.T) {
	who := tool("who", time.Second)
	who.AskCaller = true
	b, ref, id := asking(t, who)
	got, err := b.Receive(t.Context(), "test", nil, told{Ref: ref, Tool: "who"}.body())
	if err != nil || string(got) != `"nothing known"` {
		t.Errorf("%s, %v", got, err)
	}
	i := inquiryOf(t, b, id, 1)
	if i.By != phone.ByNobody {
		t.Errorf("recorded as %+v", i)
	}
	var refused *phone.Error
	if _, err := b.AnswerQuestion(t.Context(), me(), i.ID, "Ann"); !errors.As(err, &refused) || refused.Reason != "too_late" {
		t.Errorf("%v", err)
	}
	if b.AsksCallers(t.Context()) {
		t.Error("answer_question is offered, though no service knows the tool")
	}
	if err := b.Ledger.SaveCallTool(t.Context(), "acc", ledger.CallTool{ID: "t1", Name: "who"}); err != nil {
		t.Fatal(err)
	}
	if !b.AsksCallers(t.Context()) {
		t.Error("answer_question is not offered, though a service knows the tool")
	}
}

// Two accounts at one service may name their calls, and the questions in them, alike: each has its own answer.
func TestAnswersOfTwoAccounts(t *testing.T) {
	path := file(t)
	sp := spec("test")
	sp.Pace = seldom()
	for i, account := range []string{"acc", "another"} {
		one := tool("static", time.Second)
		one.Answer = json.RawMessage(`"` + account + `"`)
		b := newBoard(t, path, func(o *Options) { o.CallTools = []CallTool{one} }, providers.New(sp, keeper{newTeller()}, providers.Options{Account: account}))
		p, err := b.Place(t.Context(), me(), ask([]string{"+8613800138000", "+8613800138001"}[i], "x"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Receive(t.Context(), "test", nil, told{Ref: p.Call.Ref, Tool: "static"}.body())
		if err != nil || string(got) != string(one.Answer) {
			t.Errorf("%s was answered %s, %v", account, got, err)
		}
		if q := inquiryOf(t, b, p.Call.ID, 1); q.Answer != string(one.Answer) {
			t.Errorf("%s: recorded as %+v", account, q)
		}
	}
}

// deaf is a keeper in a process that has no secret to tell genuine webhooks by.
type deaf struct{ keeper }

func (deaf) Receives() bool { return false }

// A process that takes no webhooks itself hears what another one takes of its calls: words, and questions.
func TestWebhooksForAProcessThatTakesNone(t *testing.T) {
	who := tool("who", 10*time.Second)
	who.AskCaller = true
	path := file(t)
	sp := spec("test")
	sp.Pace = seldom()
	part := func(d providers.Driver) board {
		return newBoard(t, path, func(o *Options) { o.CallTools = []CallTool{who} }, providers.New(sp, d, providers.Options{Account: "acc"}))
	}
	service := keeper{newTeller()}
	b, takes := part(deaf{service}), part(service)
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Receive(t.Context(), "test", nil, told{Ref: p.Call.Ref, At: 1, Words: words("forged")}.body()); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("it takes one: %v", err)
	}
	send(t, takes, told{Ref: p.Call.Ref, At: 1, Words: words("hello")})
	stands(t, b, p.Call.ID, func(c *phone.Call) bool { return len(c.Turns) == 1 })
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if got, err := takes.Receive(t.Context(), "test", nil, told{Ref: p.Call.Ref, Tool: "who"}.body()); err != nil || string(got) != `"Ann"` {
			t.Errorf("the agent on the line was told %s, %v", got, err)
		}
	})
	defer waiting.Wait()
	c := stands(t, b, p.Call.ID, func(c *phone.Call) bool { return len(c.Inquiries) == 1 })
	if _, err := b.AnswerQuestion(t.Context(), me(), c.Inquiries[0].ID, "Ann"); err != nil {
		t.Error(err)
	}
	if err := b.Ledger.SaveCallTool(t.Context(), "acc", ledger.CallTool{ID: "t1", Name: "who"}); err != nil {
		t.Fatal(err)
	}
	if !b.AsksCallers(t.Context()) {
		t.Error("answer_question is not offered")
	}
}

// A question whose process died is answered by nobody knows whom after six minutes, and before that by whoever placed the
// call while its time is not over by the clock of either process.
func TestAQuestionWhoseProcessDied(t *testing.T) {
	b, _, id := asking(t, tool("who", time.Second))
	h, err := b.Ledger.Call(t.Context(), me().Principal, id)
	if err != nil {
		t.Fatal(err)
	}
	for i, ago := range []time.Duration{5 * time.Minute, 30 * time.Second} {
		q := phone.Asked{ID: []string{"long over", "just over"}[i], Tool: "who", Arguments: "{}", Deadline: time.Now().Add(-ago)}
		if _, err := b.Ledger.Inquire(t.Context(), h, q, q.Deadline.Add(-30*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.AnswerQuestion(t.Context(), me(), "just over", "Ann"); err != nil {
		t.Errorf("when its time is just over: %v", err)
	}
	var refused *phone.Error
	if _, err := b.AnswerQuestion(t.Context(), me(), "long over", "Ann"); !errors.As(err, &refused) || refused.Reason != "too_late" {
		t.Errorf("when its time is long over: %v", err)
	}
	b.clear(t.Context(), time.Now())
	if _, q, err := b.Ledger.Inquiry(t.Context(), "long over"); err != nil || q.By != "" {
		t.Errorf("after five and a half minutes: %+v, %v", q, err)
	}
	b.clear(t.Context(), time.Now().Add(time.Minute))
	stands(t, b, id, func(c *phone.Call) bool {
		return len(c.Inquiries) == 2 && c.Inquiries[0].By == phone.ByUnknown && c.Inquiries[1].By == phone.ByCaller
	})
}
