package phone

import (
	"slices"
	"time"
)

// Event is one thing that happened in a call. Seq counts from 1 in its call, without gaps.
type Event struct {
	Seq  int64
	At   time.Time
	Body Body
}

// Body is what happened: Progress, Fragment, Withdrawn, OptedOut, Asked, Answered, Ended or Erased.
type Body interface{ body() }

// Progress says that the line has come to a new state.
type Progress struct {
	State Status    `json:"state"`
	Since time.Time `json:"since,omitzero"` // when, where the provider told it; else the event's time

	Failure *Failure `json:"failure,omitempty"` // with Unconfirmed: why nobody knows
}

// Fragment is a turn's text so far. It replaces what was there and does not append.
type Fragment struct {
	Turn  int `json:"turn"`
	After int `json:"after,omitempty"` // the turn that it stands behind, for a turn that is new; 0: before all others

	Inserted bool   `json:"inserted,omitempty"` // there are turns behind it already
	Role     Role   `json:"role"`
	Text     string `json:"text"`
	Final    bool   `json:"final,omitempty"`

	Told time.Time `json:"told,omitzero"` // for a turn that is new, and that a service told of by itself: when, by its clock
}

// Withdrawn says that the provider's record does not know the turn: it was never said.
type Withdrawn struct {
	Turn int `json:"turn"`
}

// OptedOut says that the callee has asked not to be called again.
type OptedOut struct {
	Until time.Time `json:"until"` // so long nobody calls the number
}

// Asked says that the agent on the line has called a tool of the operator's and waits for its answer.
type Asked struct {
	ID        string    `json:"id"`
	Tool      string    `json:"tool"`
	Arguments string    `json:"arguments"`         // a JSON value, as the agent on the line wrote it
	Deadline  time.Time `json:"deadline,omitzero"` // until then whoever placed the call may answer; zero if they are not asked
}

// Answered says what the agent on the line was answered, once for each Asked.
type Answered struct {
	ID     string     `json:"id"`
	By     AnsweredBy `json:"by"`
	Answer string     `json:"answer"` // a JSON value
}

// AnsweredBy is where an answer to the agent on the line came from.
type AnsweredBy string

// The sources of an answer.
const (
	ByOperator AnsweredBy = "operator" // what the operator has set, or their endpoint gave
	ByCaller   AnsweredBy = "caller"   // whoever placed the call
	ByNobody   AnsweredBy = "nobody"   // none came in time: the operator's words for that case
	ByUnknown  AnsweredBy = "unknown"  // outdial was stopped meanwhile: nobody knows what they were told
)

// Ended closes a call. After one with a partial record another may come, once the record is there.
type Ended struct {
	Outcome   Outcome        `json:"outcome"`
	Duration  *time.Duration `json:"duration,omitempty"`
	Cost      *Cost          `json:"cost,omitempty"`
	Summary   string         `json:"summary,omitempty"`
	Recording string         `json:"recording,omitempty"`
	Record    Record         `json:"record"`
	Failure   *Failure       `json:"failure,omitempty"` // why it was never dialed

	StartedAt time.Time `json:"started_at,omitzero"` // where only the record tells when they began to talk
	EndedAt   time.Time `json:"ended_at,omitzero"`   // where only the record tells when the line closed
}

// Erased stands where something was that nobody may know any more. It changes nothing, and has no time.
type Erased struct{}

// Failure is an error as a call keeps it.
type Failure struct {
	Code    Code      `json:"code"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message"`
	RetryAt time.Time `json:"retry_at,omitzero"`
}

// AsFailure keeps what may be told of err.
func AsFailure(err error) *Failure {
	e := AsError(err)
	return &Failure{Code: e.Code, Reason: e.Reason, Message: e.Message, RetryAt: e.RetryAt}
}

// Error gives the failure back as an error about its call.
func (f *Failure) Error(callID string) *Error {
	return &Error{Code: f.Code, Reason: f.Reason, Message: f.Message, RetryAt: f.RetryAt, CallID: callID}
}

func (Progress) body()  {}
func (Fragment) body()  {}
func (Withdrawn) body() {}
func (OptedOut) body()  {}
func (Asked) body()     {}
func (Answered) body()  {}
func (Ended) body()     {}
func (Erased) body()    {}

// Status is the state of a call's line. It says nothing of the errand: a call can end well and achieve nothing.
type Status string

// The states, in the order in which a call goes through them; it may skip some and never goes back.
const (
	Dialing     Status = "dialing"     // the provider is being asked
	Unconfirmed Status = "unconfirmed" // the provider was asked, and nobody knows whether it dialed
	Queued      Status = "queued"      // the provider has the call
	Ringing     Status = "ringing"
	InProgress  Status = "in_progress" // they talk
	WrappingUp  Status = "wrapping_up" // the line has closed, the provider's record is awaited
	StatusEnded Status = "ended"
)

// rank counts the states in their order from 1; 0 for none of them.
func (s Status) rank() int {
	return 1 + slices.Index([]Status{Dialing, Unconfirmed, Queued, Ringing, InProgress, WrappingUp, StatusEnded}, s)
}

// Valid says whether s is one of the states.
func (s Status) Valid() bool { return s.rank() > 0 }

// Live says whether the number is taken: the phone may still ring, or somebody talks.
func (s Status) Live() bool { return s.rank() > 0 && s.rank() < WrappingUp.rank() }

// Outcome is how a call ended.
type Outcome string

// The outcomes.
const (
	Completed      Outcome = "completed" // they talked, or somebody or something answered and spoke
	NoAnswer       Outcome = "no_answer"
	Busy           Outcome = "busy"
	Declined       Outcome = "declined"
	Voicemail      Outcome = "voicemail"
	Cancelled      Outcome = "cancelled"
	Failed         Outcome = "failed"
	UnknownOutcome Outcome = "unknown"
)

// Record says how much of the provider's record a call holds.
type Record string

// The states of the record.
const (
	Pending  Record = "pending"  // the call goes on, or its record is awaited
	Partial  Record = "partial"  // the record did not come in time: what was heard is all there is
	Complete Record = "complete" // the transcript is the record's
)
