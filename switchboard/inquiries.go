package switchboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/notify"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// CallTool is a tool of the operator's that the agent on the line can call while it talks, and where its answer comes from:
// one of Answer, Endpoint and AskCaller.
type CallTool struct {
	providers.CallTool
	Answer    json.RawMessage // always this
	Endpoint  *notify.Target  // whatever it answers
	AskCaller bool            // whoever placed the call is asked, through answer_question
	Fallback  string          // what the agent on the line is told where no answer comes in time
}

const (
	longestArguments = 20_000 // characters
	leastMargin      = 200 * time.Millisecond
	clocksApart      = time.Minute // at most, of the process that waits for an answer and the one that it comes to
)

// inquire answers the agent on the line, who waits since at. What it asked and was told become events of the call.
func (s *Switchboard) inquire(ctx context.Context, p *providers.Provider, n providers.Notice, at time.Time) ([]byte, error) {
	i := slices.IndexFunc(s.CallTools, func(t CallTool) bool { return t.Name == n.Ask.Tool })
	if i < 0 {
		return nil, phone.Errorf(phone.Invalid, "Unknown tool")
	}
	if len(n.Ask.Arguments) > longestArguments {
		return nil, phone.Errorf(phone.Invalid, "The arguments are too long")
	}
	t := s.CallTools[i]
	h, err := s.Ledger.CallOf(ctx, p.Account(), n.Ref)
	if err != nil {
		return nil, err
	}
	if !h.Status.Live() { // or whoever has kept a signed question could have its answer by sending it again
		return nil, phone.Errorf(phone.Invalid, "The call is over")
	}
	q := phone.Asked{ID: "inq_" + s.Ledger.Digest(p.Account(), string(n.Ref), n.Ask.ID), Tool: t.Name, Arguments: string(n.Ask.Arguments)}
	deadline := at.Add(t.Timeout - max(leastMargin, min(2*time.Second, t.Timeout/5))) // the answer has to travel too
	if t.AskCaller {
		q.Deadline = deadline
	}
	asked, err := s.Ledger.Inquire(ctx, h, q, at)
	if err != nil {
		return nil, err
	}
	if asked.By == "" { // else it was asked and answered before
		waiting, cancel := context.WithDeadline(ctx, deadline)
		by, answer := s.answerTo(waiting, t, h, q)
		cancel()
		if asked, err = s.Ledger.Answered(context.WithoutCancel(ctx), q.ID, by, string(answer), time.Now()); err != nil {
			return nil, err
		}
		s.Meter.Asked(asked.By)
	}
	return n.Ask.Reply(json.RawMessage(asked.Answer)), nil
}

// answerTo finds the answer to a question of the agent on the line.
func (s *Switchboard) answerTo(ctx context.Context, t CallTool, h ledger.Held, q phone.Asked) (phone.AnsweredBy, json.RawMessage) {
	switch {
	case t.Answer != nil:
		return phone.ByOperator, t.Answer
	case t.Endpoint != nil:
		answer, err := fromEndpoint(ctx, t.Endpoint, h.ID, q)
		if err == nil {
			return phone.ByOperator, answer
		}
		s.Log.Warn().Err(err).Str("call", h.ID).Str("tool", t.Name).Msg("the endpoint of a call tool gave no answer")
	case t.AskCaller:
		for {
			news := s.Ledger.News()
			if _, i, err := s.Ledger.Inquiry(ctx, q.ID); err == nil && i.By != "" {
				return i.By, json.RawMessage(i.Answer)
			}
			if now, err := s.Ledger.CallOf(ctx, h.Account, h.Ref); err == nil && !now.Status.Live() {
				break // nobody can answer any more
			}
			select {
			case <-news:
				continue
			case <-ctx.Done():
			}
			break
		}
	}
	return phone.ByNobody, asJSON(t.Fallback)
}

func asJSON(s string) json.RawMessage {
	b, _ := json.Marshal(s) //nolint:errchkjson // a string is JSON
	return b
}

// fromEndpoint asks the operator's program. It answers {"result": …}, or any other JSON value, which is the result then.
func fromEndpoint(ctx context.Context, e *notify.Target, callID string, q phone.Asked) (json.RawMessage, error) {
	body, err := json.Marshal(map[string]any{
		"question_id": q.ID, "call_id": callID, "tool": q.Tool, "arguments": json.RawMessage(q.Arguments),
	})
	if err != nil {
		return nil, err
	}
	raw, err := e.Tell(ctx, notify.Message{ID: q.ID, Body: body})
	if err != nil {
		return nil, err
	}
	if !json.Valid(raw) {
		return nil, errors.New("the answer is not JSON")
	}
	var wrapped struct{ Result json.RawMessage }
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) && json.Unmarshal(raw, &wrapped) == nil && wrapped.Result != nil {
		return wrapped.Result, nil
	}
	return raw, nil
}

// AsksCallers says whether agents on the line may ask whoever placed their call: such a tool is declared, and registered
// with a service.
func (s *Switchboard) AsksCallers(ctx context.Context) bool {
	for _, p := range s.Providers {
		if !p.KeepsTools() || !p.Tells() {
			continue
		}
		registered, err := s.Ledger.CallTools(ctx, p.Account())
		if err != nil {
			s.Fault("call tools", err)
		}
		for _, t := range s.CallTools {
			if t.AskCaller && slices.ContainsFunc(registered, func(r ledger.CallTool) bool { return r.Name == t.Name }) {
				return true
			}
		}
	}
	return false
}

// AnswerQuestion answers a question of the agent on the line, on behalf of whoever placed the call, and gives the call.
// Errors: not_found, also for a question in somebody else's call; refused with reason forbidden, answered_already or too_late.
func (s *Switchboard) AnswerQuestion(ctx context.Context, who phone.Caller, id, answer string) (*phone.Call, error) {
	if err := who.Forbidden(phone.PlaceScope); err != nil {
		return nil, err
	}
	unknown := phone.Errorf(phone.NotFound, "There is no question with this question_id. get_call shows those of a call.")
	callID, q, err := s.Ledger.Inquiry(ctx, id)
	if phone.CodeOf(err) == phone.NotFound || err == nil && q.Deadline.IsZero() {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	h, err := s.Ledger.Call(ctx, who.Principal, callID)
	if phone.CodeOf(err) == phone.NotFound {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	late := &phone.Error{
		Code: phone.Refused, Reason: "too_late", CallID: h.ID, Started: phone.StartedYes,
		Message: "The agent on the line waits for this answer no more.",
	}
	if q.By == "" && (!h.Status.Live() || time.Now().After(q.Deadline.Add(clocksApart))) {
		return nil, late
	}
	given := asJSON(answer)
	if q.By == "" {
		if q, err = s.Ledger.Answered(ctx, id, phone.ByCaller, string(given), time.Now()); err != nil {
			return nil, err
		}
	}
	switch {
	case q.By == phone.ByNobody, q.By == phone.ByUnknown:
		return nil, late
	case q.By != phone.ByCaller || q.Answer != string(given):
		return nil, &phone.Error{
			Code: phone.Refused, Reason: "answered_already", CallID: h.ID, Started: phone.StartedYes,
			Message: "This question has been answered already, otherwise.",
		}
	}
	return h.Call, nil
}
