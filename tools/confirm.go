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
	done   chan struct{}
	answer peer.Answer // once done; empty if there was none
}

func newAsking() *asking { return &asking{open: map[string]*openQuestion{}} }

// ask gives the open question of a name, which put asks if it is not open yet.
func (a *asking) ask(name string, put func() peer.Answer) *openQuestion {
	a.mu.Lock()
	defer a.mu.Unlock()
	if q, ok := a.open[name]; ok {
		return q
	}
	q := &openQuestion{done: make(chan struct{})}
	a.open[name] = q
	go func() {
		defer close(q.done)
		q.answer = put()
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.open, name)
	}()
	return q
}

// confirm has a person at the client asked about calls. Without an error and without something to ask, they have said yes:
// each of the calls may be placed once. ask is what the client is to be answered, where it asks by rounds.
// Errors: refused with reason needs_confirmation.
func (b toolbox) confirm(ctx context.Context, c client, questions []phone.Question) (ask *mcp.CallToolResult, err error) {
	if c.peer.ByRounds(ctx) {
		return b.confirmByRounds(c, questions)
	}
	open := b.asking.ask(strings.Join(ids(questions), " "), func() peer.Answer {
		answer, err := c.peer.Ask(ctx, questionText(questions), answerIn)
		if err != nil || !b.answered(ctx, questions, answer) {
			return ""
		}
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
func (b toolbox) confirmByRounds(c client, questions []phone.Question) (*mcp.CallToolResult, error) {
	state, given := c.raw.Params.RequestState, mcpserver.ElicitationResponse(c.raw.Params.InputResponses, theForm)
	if state == "" {
		state = b.sealed(c, time.Now(), ids(questions))
		return mcpserver.NewInputRequestBuilder(state).Elicit(theForm, peer.Question(questionText(questions))).ToolResult(), nil
	}
	asked := b.unseal(c, state)
	questions = slices.DeleteFunc(slices.Clone(questions), func(q phone.Question) bool { return !slices.Contains(asked, q.ID) })
	if given == nil || len(questions) == 0 {
		return nil, notAllowed("The answer is not one to this request, or was used already, or came too late. Nobody was called; send the request anew, without it.")
	}
	answer := peer.Answer(given.Action)
	if !b.answered(context.Background(), questions, answer) {
		answer = ""
	}
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

// answered records what a person said; false if that was too late, or was no answer.
func (b toolbox) answered(ctx context.Context, questions []phone.Question, answer peer.Answer) bool {
	if answer != peer.Yes && answer != peer.No {
		return answer == peer.Dismissed
	}
	for _, q := range questions {
		if err := b.board.Answer(ctx, q, answer == peer.Yes); err != nil {
			return false
		}
	}
	return true
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
	return notAllowed("A person could not be asked, or their answer came too late. Nobody was called; the same request can be sent again.")
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
	cost := "nothing"
	if q.Worst.Micros() > 0 {
		cost = fmt.Sprintf("%s at most (%s)", q.Worst, q.Longest)
	}
	p.line("Cost: %s", cost)
	p.line("What follows is in the agent's words.")
	quoted := func(name, value string) {
		if value != "" {
			p.line("%s: %q", name, Harmless(value))
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
