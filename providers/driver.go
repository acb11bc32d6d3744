package providers

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"

	"github.com/outdial/outdial/phone"
)

// Driver is what every adapter is.
type Driver interface {
	// Place asks the service to call, at most once, and gives the service's name of the call.
	//
	// Errors: invalid, refused, unauthorized, exhausted, unsupported, unavailable: no phone rings. uncertain: one may.
	Place(ctx context.Context, o phone.Order) (phone.Ref, error)

	// Lookup asks how a call stands. An observation whose Line is empty says that the service does not tell yet, as
	// services do whose records come late. Once the line has closed it has Line phone.WrappingUp; with the final record,
	// or where none will come because nobody talked, Extent phone.Whole too.
	//
	// Errors: not_found, unauthorized, exhausted, unavailable.
	Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error)
}

// Streamer is a service that sends the words while they are spoken.
type Streamer interface {
	// Stream yields what is said from one connection until the service ends it. The first observation of a connection
	// has Opened set. The line has closed only where an observation says so; an end without that, or an error, says
	// nothing about the call.
	Stream(ctx context.Context, ref phone.Ref) iter.Seq2[phone.Observation, error]
}

// Hanguper is a service that can end a call.
type Hanguper interface {
	// Hangup ends a call or takes it out of the queue. A call that is over already is no error.
	Hangup(ctx context.Context, ref phone.Ref) error
}

// Balancer is a service that tells what is left, or what was used.
type Balancer interface {
	Balance(ctx context.Context) (phone.Balance, error)
}

// Checker is a service with limits that its Spec cannot say, such as the length of a task.
type Checker interface {
	// Check refuses an order that the service would not take. It does no I/O. Errors: invalid.
	Check(o phone.Order) error
}

// Cataloger is a service that lists its voices or models.
type Cataloger interface {
	Catalog(ctx context.Context) (Catalog, error)
}

// Catalog is what a service offers to choose from.
type Catalog struct {
	Voices  []Choice
	Engines []Choice
}

// Choice is one thing to choose: what to write, and what it is called.
type Choice struct{ ID, Name string }

// Clock is a service that tells the time, as HTTP servers do in the Date of an answer (RFC 9110, 6.6.1). Errors: those of a
// request.
type Clock interface {
	Clock(ctx context.Context) (time.Time, error)
}

// Versioner is a service that tells which version of its protocol it wants.
type Versioner interface {
	// Version gives the version that this adapter speaks and the one that the service wants.
	Version(ctx context.Context) (speaks, wants string, err error)
}

// Finder is a service whose calls can be listed, so that a dial of which nobody knows whether it happened is found again.
type Finder interface {
	// Find gives the calls on the list that an order may have led to, placed about a time: Sure those that carry its
	// CallID; Likely those to its number created between five seconds before and two minutes after; Possible those that
	// nothing rules out. Nothing at all says that there is no such call, so a list that cannot be read whole is an error.
	Find(ctx context.Context, o phone.Order, about time.Time) ([]phone.Listed, error)
}

// Receiver is a service that sends webhooks.
type Receiver interface {
	// Receives says whether what comes can be told from what others forge: without a secret it cannot.
	Receives() bool
	// Receive reads one webhook. Errors: unauthorized (not signed by the service, or not with a secret that is set),
	// invalid (signed, and not to be understood), unavailable (too many at once: it may be sent again).
	Receive(header http.Header, body []byte) (Notice, error)
}

// Notice is what a webhook tells. It is a reason to ask the service, which knows better by then: only the words in it are
// taken as they come.
type Notice struct {
	Digest      string // of what it says, in hex: the same one has the same digest, however it is written
	Ref         phone.Ref
	Observation phone.Observation // Words with Extent phone.Update, and Told, or nothing
	Ask         *Ask              // the agent on the line has called a tool; the rest is empty then, but for Ref
}

// Ask is a call of one of the operator's tools by the agent on the line, who waits for the answer.
type Ask struct {
	ID        string // the service's name of this question: the same one is the same question
	Tool      string
	Arguments json.RawMessage
	// Reply is the answer as the service takes it. The result is a JSON value.
	Reply func(result json.RawMessage) []byte
}

// Toolkeeper is a service whose agent on the line can call tools of the operator's while it talks.
type Toolkeeper interface {
	// Register makes a tool known to the service and gives its name there. Errors: those of a request.
	Register(ctx context.Context, t CallTool) (id string, err error)
	// Registered lists the tools that the service knows, whoever registered them.
	Registered(ctx context.Context) ([]RegisteredTool, error)
	// Deactivate has a tool called no more. One that is not known is no error.
	Deactivate(ctx context.Context, id string) error
}

// CallTool is a tool as a service is told of it.
type CallTool struct {
	Name, Description string
	Input             map[string]any // a JSON Schema
	Timeout           time.Duration  // so long the agent on the line waits, in whole seconds
}

// RegisteredTool is a tool as a service lists it.
type RegisteredTool struct{ ID, Name string }

// Pacer is an adapter whose settings say how often its service is asked.
type Pacer interface {
	// Pace overrides the Spec's where its fields are not zero.
	Pace() Pace
}
