package phone

import "time"

// Extent says how the words of an observation lie in the conversation.
type Extent int

// The extents.
const (
	// Next: the words follow those of the same connection. After a reconnect (Opened) a service may play the
	// conversation from its start, from some point, or from now on, and does not say which.
	Next Extent = iota
	// SoFar: all words from the first one until now; more may come, and the last may still grow.
	SoFar
	// Whole: the provider's record, which is final. Words heard live and not in it were never said.
	Whole
	// Update: the words of one report among several that may come late, twice or in another order: those that are new since
	// the report before it, or all until then; a service may not say which.
	Update
)

// Observation is what a provider reports of a call, whether streamed, looked up or sent by webhook: words, a state of the
// line, or its whole record. It carries no number and no turn, since services send none and adapters keep no memory;
// Call.Observe finds those. Zero fields say nothing.
type Observation struct {
	At     time.Time // when it reached us
	Letter string    // which letter of the ledger's inbox it came with; empty for what was asked for
	Told   time.Time // with Update: when the service told it, by its own clock
	Opened bool      // with Next: the first of a new connection
	Extent Extent
	Words  []Words

	Asked    *Asked    // the agent on the line asks
	Answered *Answered // and is answered

	Line      Status // Queued, Ringing, InProgress, or WrappingUp once the line has closed
	StartedAt time.Time
	EndedAt   time.Time

	// Known once the line has closed, if at all.
	Outcome   Outcome
	Duration  *time.Duration
	Cost      *Cost
	Summary   string
	Recording string // an address
}

// Words is one utterance, as far as it was heard.
type Words struct {
	Role  Role
	Text  string
	Final bool // the utterance is over: its text grows no more
}

// Role is who speaks.
type Role string

// The roles. A service's "user" or "assistant" never reaches a client under that name: to an agent they mean others.
const (
	Agent  Role = "agent"  // the AI on the line
	Callee Role = "callee" // the person called
)
