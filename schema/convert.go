package schema

import (
	"math"
	"time"

	"github.com/outdial/outdial/phone"
)

// FromCall gives a call without its turns.
func FromCall(c *phone.Call) Call {
	w := Call{
		CallID: c.ID, Provider: c.Provider, Simulated: c.Simulated, To: c.Order.To.E164(), Task: c.Order.Task,
		Status: string(c.Status), Outcome: string(c.Outcome),
		CreatedAt: Time(c.CreatedAt), StartedAt: Time(c.StartedAt), EndedAt: Time(c.EndedAt),
		DoNotCallUntil: Time(c.OptedOut), ErasedAt: Time(c.ErasedAt),
		NextSeq: c.Seq, Record: string(c.Record), Summary: c.Summary, RecordingURL: c.Recording, Cost: FromCost(c.Cost),
	}
	if c.Duration != nil {
		s := int(math.Round(c.Duration.Seconds()))
		w.DurationSeconds = &s
	}
	if c.Failure != nil {
		e := FromError(c.Failure.Error(c.ID))
		w.Error = &e
	}
	return w
}

// FromCallSince gives a call with the turns changed after a cursor.
func FromCallSince(c *phone.Call, after int64) Call {
	w := FromCall(c)
	w.Turns = []Turn{}
	behind := places(c)
	for _, t := range c.Since(after) {
		t.After = behind[t.ID]
		w.Turns = append(w.Turns, FromTurn(t))
	}
	for _, i := range c.Inquiries {
		if i.Seq > after || i.Open() {
			q := FromInquiry(i)
			if !c.Asks(i) {
				q.AnswerBy = ""
			}
			w.Questions = append(w.Questions, q)
		}
	}
	return w
}

// places says behind which turn each stands by now: where others were put in between since, that is not the one which it was
// put behind. Whoever takes the turns in their order, each behind that one, has them in their places.
func places(c *phone.Call) map[int]int {
	behind, last := map[int]int{}, 0
	for _, t := range c.Turns {
		behind[t.ID] = last
		if !t.Withdrawn {
			last = t.ID
		}
	}
	return behind
}

// FromInquiry gives one question of the agent on the line.
func FromInquiry(i phone.Inquiry) Question {
	w := Question{
		QuestionID: i.ID, Seq: i.Seq, Tool: i.Tool, Arguments: i.Arguments, At: Time(i.At), AnsweredBy: string(i.By), Answer: i.Answer,
	}
	if i.Open() {
		w.AnswerBy = Time(i.Deadline)
	}
	return w
}

// FromTurn gives one turn; of a withdrawn one nothing but that.
func FromTurn(t phone.Turn) Turn {
	if t.Withdrawn {
		return Turn{Turn: t.ID, Seq: t.Seq, Withdrawn: true}
	}
	w := Turn{Turn: t.ID, Seq: t.Seq, Role: string(t.Role), Text: t.Text, Final: &t.Final, At: Time(t.At)}
	if t.Inserted {
		w.After = &t.After
	}
	return w
}

// FromCost gives a cost, or nothing for none.
func FromCost(c *phone.Cost) *Cost {
	if c == nil {
		return nil
	}
	return &Cost{Amount: c.Money.Amount(), Currency: c.Money.Currency(), Estimated: c.Estimated}
}

// FromError gives what may be told of an error.
func FromError(err error) Error {
	e := phone.AsError(err)
	return Error{
		Code: string(e.Code), Reason: e.Reason, Message: e.Message, CallStarted: string(e.CallStarted()),
		RetrySafe: e.RetrySafe(), RetryAt: Time(e.RetryAt), CallID: e.CallID,
	}
}

// Time is a moment in RFC 3339 with milliseconds; empty for none.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// Event is one event of a call, as the terminal prints it.
type Event struct {
	CallID  string `json:"call_id"`
	Seq     int64  `json:"seq"`
	At      string `json:"at"`
	Status  string `json:"status,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	Record  string `json:"record,omitempty"`
	Turn    *Turn  `json:"turn,omitempty"`

	DoNotCallUntil string    `json:"do_not_call_until,omitempty"`
	Question       *Question `json:"question,omitempty"`
}

// FromEvent gives one event of a call.
func FromEvent(callID string, e phone.Event) Event {
	w := Event{CallID: callID, Seq: e.Seq, At: Time(e.At), Turn: TurnOf(e), Question: QuestionOf(e)}
	switch b := e.Body.(type) {
	case phone.Progress:
		w.Status = string(b.State)
	case phone.OptedOut:
		w.DoNotCallUntil = Time(b.Until)
	case phone.Ended:
		w.Status, w.Outcome, w.Record = string(phone.StatusEnded), string(b.Outcome), string(b.Record)
	}
	return w
}

// TurnOf is the turn that an event tells of; nil for an event that tells of none.
func TurnOf(e phone.Event) *Turn {
	switch b := e.Body.(type) {
	case phone.Fragment:
		t := FromTurn(phone.Turn{
			ID: b.Turn, Seq: e.Seq, Role: b.Role, Text: b.Text, Final: b.Final, At: e.At, Inserted: b.Inserted, After: b.After,
		})
		return &t
	case phone.Withdrawn:
		return &Turn{Turn: b.Turn, Seq: e.Seq, Withdrawn: true}
	}
	return nil
}

// QuestionOf is the question that an event tells of, or whose answer; nil for an event that tells of none.
func QuestionOf(e phone.Event) *Question {
	var i phone.Inquiry
	switch b := e.Body.(type) {
	case phone.Asked:
		i = phone.Inquiry{Asked: b, At: e.At}
	case phone.Answered:
		i = phone.Inquiry{Asked: phone.Asked{ID: b.ID}, By: b.By, Answer: b.Answer}
	default:
		return nil
	}
	i.Seq = e.Seq
	q := FromInquiry(i)
	return &q
}
