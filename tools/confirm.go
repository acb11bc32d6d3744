package tools

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
)

const (
	askFor   = 25 * time.Second // so long a request waits for a person: with the dial it must fit into what clients grant
	answerIn = 5 * time.Minute  // so long their answer is taken, for the next try
	theForm  = "confirm"        // the question's name in multi round-trip requests
)

// asking are the questions that are open at clients: a request that comes again waits for the same answer.
type asking struct {
	mu   sync.Mutex
	open map[string]*openQuestion
}

type openQuestion struct {
	at     map[string]bool // the sessions in which it is put
	done   chan struct{}
	answer peer.Answer // once done; empty if there was none
}

func newAsking() *asking { return &asking{open: map[string]*openQuestion{}} }

// ask gives the open question of a name, which put asks in a session where it is not open yet: the client of another one may
// be gone. The first answer from any of them counts.
func (a *asking) ask(name, session string, put func() peer.Answer) *openQuestion {
	a.mu.Lock()
	defer a.mu.Unlock()
	q, ok := a.open[name]
	if !ok {
		q = &openQuestion{at: map[string]bool{}, done: make(chan struct{})}
		a.open[name] = q
	}
	if q.at[session] {
		return q
	}
	q.at[session] = true
	go func() {
		answer := put()
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(q.at, session)
		if a.open[name] != q || answer == "" && len(q.at) > 0 {
			return // it has been answered in another session, or may yet be
		}
		q.answer = answer
		delete(a.open, name)
		close(q.done)
	}()
	return q
}

// confirm has a person at the client asked about calls. Without an error and without something to ask, they have said yes,
// and the ledger knows what that is worth: each call is to be tried again. ask is what the client is to be answered, where
// it asks by rounds. Errors: refused with reason needs_confirmation.
func (b toolbox) confirm(ctx context.Context, c client, questions []phone.Question) (ask *mcp.CallToolResult, err error) {
	if c.peer.ByRounds(ctx) {
		return b.confirmByRounds(ctx, c, questions)
	}
	session := mcpserver.ClientSessionFromContext(ctx).SessionID() // without one it cannot be asked
	open := b.asking.ask(strings.Join(ids(questions), " "), session, func() peer.Answer {
		answer, err := c.peer.Ask(ctx, questionText(questions), answerIn)
		if err != nil {
			return ""
		}
		b.answered(ctx, questions, answer)
		return answer
	})
	wait, done := c.peer.Waiting(ctx)
	defer done()
	wait, cancel := context.WithTimeout(wait, askFor)
	defer cancel()
	select {
	case <-open.done:
		return nil, verdict(open.answer)
	case <-wait.Done():
		return nil, notAllowed("A person was asked at the client and has not answered yet. Nobody was called. If they say yes within five minutes, the same request sent again then places the call.")
	}
}

// confirmByRounds reads the answer that the request brings, or has the question asked.
func (b toolbox) confirmByRounds(ctx context.Context, c client, questions []phone.Question) (*mcp.CallToolResult, error) {
	state, given := c.raw.Params.RequestState, mcpserver.ElicitationResponse(c.raw.Params.InputResponses, theForm)
	if state == "" {
		state = b.sealed(c, time.Now(), ids(questions))
		return mcpserver.NewInputRequestBuilder(state).Elicit(theForm, peer.Question(questionText(questions))).ToolResult(), nil
	}
	asked := b.unseal(c, state)
	if given == nil || len(asked) == 0 {
		return nil, notAllowed("The answer is not one to this request, or came too late. Nobody was called; send the request anew, without it.")
	}
	questions = slices.DeleteFunc(slices.Clone(questions), func(q phone.Question) bool { return !slices.Contains(asked, q.ID) })
	answer := peer.Answer(given.Action)
	b.answered(ctx, questions, answer)
	return nil, verdict(answer)
}

// sealed is the state that a client brings back with an answer: what it was asked, and when.
func (b toolbox) sealed(c client, at time.Time, questions []string) string {
	fields := append([]string{strconv.FormatInt(at.Unix(), 10)}, questions...)
	return strings.Join(append(fields, b.board.Seal(c.who, fields)), ".")
}

// unseal gives the ids of the questions that a state is about; none if it is not one that this client was given lately.
func (b toolbox) unseal(c client, state string) []string {
	fields := strings.Split(state, ".")
	n := len(fields) - 1
	at, err := strconv.ParseInt(fields[0], 10, 64)
	if n < 2 || err != nil || time.Since(time.Unix(at, 0)) > answerIn || subtle.ConstantTimeCompare([]byte(fields[n]), []byte(b.board.Seal(c.who, fields[:n]))) != 1 {
		return nil
	}
	return fields[1:n]
}

// answered records what a person said. A question that waits no longer has been answered before, by an equal request or at
// the terminal: that answer stays, and those to the others count all the same.
func (b toolbox) answered(ctx context.Context, questions []phone.Question, answer peer.Answer) {
	if answer != peer.Yes && answer != peer.No {
		return
	}
	for _, q := range questions {
		if err := b.board.Answer(ctx, q, answer == peer.Yes); err != nil && phone.CodeOf(err) != phone.NotFound {
			b.board.Fault("answer", err)
		}
	}
}

// verdict is nil for yes.
func verdict(a peer.Answer) error {
	switch a {
	case peer.Yes:
		return nil
	case peer.No:
		return notAllowed("A person was asked and said no. Nobody was called; do not ask again unless they tell you to.")
	case peer.Dismissed:
		return notAllowed("A person was asked and did not answer the question. Nobody was called; ask them before you try again.")
	}
	return notAllowed("A person could not be asked, or what came back is no answer. Nobody was called; the same request can be sent again.")
}

func notAllowed(message string) error {
	return &phone.Error{Code: phone.Refused, Reason: "needs_confirmation", Message: message}
}

func ids(questions []phone.Question) []string {
	var all []string
	for _, q := range questions {
		all = append(all, q.ID)
	}
	return all
}

// questionText is what a person is asked: the whole number, who that is, through whom and for how much at most, and what
// the agent on the line is told. The model's own words come last, each on a line and quoted: they could otherwise look like
// a part of the question.
func questionText(questions []phone.Question) string {
	if len(questions) == 1 {
		return "Allow this phone call?\n" + QuestionText(questions[0])
	}
	text := []string{fmt.Sprintf("Allow these %d phone calls?", len(questions))}
	for i, q := range questions {
		text = append(text, fmt.Sprintf("%d.\n%s", i+1, QuestionText(q)))
	}
	return strings.Join(text, "\n\n")
}

// QuestionText tells of one call that a person may allow: everything that the agent on the line is told.
func QuestionText(q phone.Question) string {
	var p page
	o := q.Order
	whom := q.Whom
	if whom == "" {
		whom = "not among the contacts"
	}
	p.line("Number: %s (%s)", o.To.E164(), whom)
	if q.Heard {
		p.line("Careful: this number was given by somebody on a phone call.")
	}
	p.line("Through: %s", q.Provider)
	cost := "not known: no rate is set"
	switch {
	case q.Worst.Currency() != "":
		cost = fmt.Sprintf("%s at worst (%s)", q.Worst, q.Longest)
	case q.RingsNo:
		cost = "nothing: the call is simulated"
	}
	p.line("Cost: %s", cost)
	p.line("What follows is in the agent's words.")
	quoted := func(name, value string) {
		if value != "" { // in one piece: blanks could push words to where a line of ours would begin
			p.line("%s: %q", name, strings.Join(strings.Fields(Harmless(value)), " "))
		}
	}
	quoted("On behalf of", o.CallerName)
	quoted("Its name", o.AgentName)
	quoted("Voice", o.Voice)
	quoted("Language", o.Language)
	for _, name := range slices.Sorted(maps.Keys(o.Options)) {
		value := fmt.Sprint(o.Options[name])
		if raw, err := json.Marshal(o.Options[name]); err == nil {
			value = string(raw)
		}
		quoted("Option "+name, value)
	}
	quoted("Task", o.Task)
	return strings.TrimSuffix(p.String(), "\n")
}
