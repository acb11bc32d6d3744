package switchboard

import (
	"context"
	"slices"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// Meter is told what happens, so that somebody can count it. Its methods return at once and may be called from several
// goroutines. All that they are told is times, numbers of things, and words out of short lists: no telephone number, no name
// of a person or a call, nothing that anybody has written or said.
type Meter interface {
	// Dialing is told that a provider is asked to call, in whose request's context, and answered what came of it: placed,
	// rejected or uncertain.
	Dialing(ctx context.Context, provider string) (answered func(result string))
	// Ended is told of a call that this process has recorded the end of.
	Ended(provider string, outcome phone.Outcome)
	// Refused is told of a request to call that the rules refused, with the rule's code.
	Refused(code string)
	// Heard is told how many fragments of what was said were recorded.
	Heard(provider string, fragments int)
	// Shown is told how long after it was heard a fragment was written to a client that was waiting for it.
	Shown(provider string, after time.Duration)
	// Watching is told how many more wait for what is said in a call, or fewer.
	Watching(more int)
	// Webhook is told what became of a webhook: taken, forged, invalid or unavailable.
	Webhook(provider, result string)
	// Asked is told who answered a question of the agent on the line.
	Asked(by phone.AnsweredBy)
}

// unmetered counts nothing.
type unmetered struct{}

func (unmetered) Dialing(context.Context, string) func(string) { return func(string) {} }
func (unmetered) Ended(string, phone.Outcome)                  {}
func (unmetered) Refused(string)                               {}
func (unmetered) Heard(string, int)                            {}
func (unmetered) Shown(string, time.Duration)                  {}
func (unmetered) Watching(int)                                 {}
func (unmetered) Webhook(string, string)                       {}
func (unmetered) Asked(phone.AnsweredBy)                       {}

// meterRefusal counts a request that was refused. Its code is a rule's, or the error's where no rule has spoken: a reason
// that a provider has worded would be no word out of a short list.
func (s *Switchboard) meterRefusal(err error) {
	e := phone.AsError(err)
	if e.Code != phone.Refused && e.Code != phone.Invalid {
		return
	}
	code := string(e.Code)
	if slices.ContainsFunc(guard.Rules(), func(r guard.Rule) bool { return r.Code == e.Reason }) {
		code = e.Reason
	}
	s.Meter.Refused(code)
}

// meteredAs is a dial in a meter's words.
func meteredAs(d ledger.Dial) string {
	if d == ledger.Unknown {
		return string(phone.Uncertain)
	}
	return string(d)
}

// meterWebhook counts what became of a webhook.
func (s *Switchboard) meterWebhook(provider string, err error) {
	result := "unavailable"
	switch phone.CodeOf(err) {
	case "":
		result = "taken"
	case phone.Unauthorized:
		result = "forged"
	case phone.Invalid:
		result = "invalid"
	}
	s.Meter.Webhook(provider, result)
}

// meterEvents counts what was recorded of a call.
func (s *Switchboard) meterEvents(c *phone.Call, events []phone.Event) {
	fragments := 0
	for _, e := range events {
		switch body := e.Body.(type) {
		case phone.Fragment:
			fragments++
		case phone.Ended:
			s.Meter.Ended(c.Provider, body.Outcome)
		}
	}
	if fragments > 0 {
		s.Meter.Heard(c.Provider, fragments)
	}
}

// Shown counts how long what was said in a call took to be written to a client.
func (s *Switchboard) Shown(c *phone.Call, delays []time.Duration) {
	for _, d := range delays {
		s.Meter.Shown(c.Provider, d)
	}
}
