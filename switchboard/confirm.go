package switchboard

import (
	"context"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/phone"
)

// question is what a person is to be asked about a call that was refused with err; nil where a yes would not help, or a
// person has said no already. The error tells if nobody can be asked.
func (s *Switchboard) question(ctx context.Context, p plan, c *phone.Call, refusals []guard.Refusal, f phone.Facts, err error) (*phone.Question, error) {
	if !guard.Confirmable(refusals) || f.Declined {
		return nil, err
	}
	q := phone.Question{
		Principal: c.Principal, Order: c.Order, Provider: p.provider.Name(), Longest: p.wish.Longest,
		Worst: c.Worst, Heard: f.Heard, RingsNo: c.Simulated, AskedAt: time.Now().UTC(),
	}
	if f.Contact != nil {
		q.Whom = f.Contact.Name
	}
	q, aerr := s.Ledger.Ask(context.WithoutCancel(ctx), q)
	switch {
	case phone.CodeOf(aerr) == phone.Exhausted:
		return nil, &phone.Error{
			Code: phone.Refused, Reason: "needs_confirmation",
			Message: "A person must allow this call, and too many questions wait for one already. Nobody was called; have those answered first.",
		}
	case aerr != nil:
		s.Fault("ask", aerr)
		return nil, err
	}
	return &q, err
}

// Answer records what a person has said to a question: yes allows the call that it was about, once, within five minutes,
// and places nothing. A no counts as a refusal: who is told no again and again is paused. Errors: not_found, if the question
// waits for no answer any more.
func (s *Switchboard) Answer(ctx context.Context, q phone.Question, yes bool) error {
	ctx = context.WithoutCancel(ctx)
	if err := s.Ledger.Answer(ctx, q.ID, yes, time.Now()); err != nil || yes {
		return err
	}
	p, err := s.named(q.Provider)
	s.countRefusal(ctx, q.Principal, err == nil && p.Spec().Simulated)
	return nil
}

// Seal is a mark on fields, for one caller, that only processes on this ledger can make.
func (s *Switchboard) Seal(who phone.Caller, fields []string) string {
	return s.Ledger.Digest(append([]string{"asked", who.Principal}, fields...)...)
}
