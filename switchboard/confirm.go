package switchboard

import (
	"context"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/phone"
)

// question is what a person is to be asked about a call that was refused; nil where a yes would not help, or a person has
// said no already.
func (s *Switchboard) question(ctx context.Context, p plan, c *phone.Call, refusals []guard.Refusal, f phone.Facts) *phone.Question {
	if !guard.Confirmable(refusals) || f.Declined {
		return nil
	}
	q := phone.Question{
		Principal: c.Principal, Order: c.Order, Provider: p.provider.Name(), Longest: p.wish.Longest,
		Worst: c.Worst, Heard: f.Heard, AskedAt: time.Now().UTC(),
	}
	if f.Contact != nil {
		q.Whom = f.Contact.Name
	}
	q, err := s.Ledger.Ask(context.WithoutCancel(ctx), q)
	if err != nil {
		if phone.CodeOf(err) != phone.Exhausted {
			s.Fault("ask", err)
		}
		return nil
	}
	return &q
}

// Answer records what a person has said to a question: yes allows the call that it was about, once, within five minutes,
// and places nothing. Errors: not_found, if the question waits for no answer any more.
func (s *Switchboard) Answer(ctx context.Context, q phone.Question, yes bool) error {
	return s.Ledger.Answer(context.WithoutCancel(ctx), q.ID, yes, time.Now())
}

// Seal is a mark on fields, for one caller, that only processes on this ledger can make.
func (s *Switchboard) Seal(who phone.Caller, fields []string) string {
	return s.Ledger.Digest(append([]string{"asked", who.Principal}, fields...)...)
}
