package switchboard

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// Request is a wish to call somebody.
type Request struct {
	To       string // E.164, or national where a default region is set
	Task     string
	Provider string // empty: by the number
	Order    phone.Order
	Key      string // names the wish: the same key is the same call
	RepeatOf string // the call_id of an earlier call that is repeated on purpose
}

// Placement is what became of a wish to call.
type Placement struct {
	Call     *phone.Call
	Replayed bool // it is the call of an earlier, equal request
}

const (
	// sameIntent is how long after a call's end an equal request without a key still means that call.
	sameIntent = 10 * time.Minute
	// answerWithin bounds what a request waits for a dial that another one of the same intent began.
	answerWithin = 25 * time.Second
)

// plan is a request that can be carried out.
type plan struct {
	request  Request
	order    phone.Order
	provider *providers.Provider
}

// plan parses a request. Errors: invalid, refused, unsupported.
func (s *Switchboard) plan(r Request) (plan, error) {
	n, err := s.number(r.To, r.Provider)
	if err != nil {
		return plan{}, err
	}
	p, err := s.route(n, r.Provider)
	if err != nil {
		return plan{}, err
	}
	o := r.Order
	o.To, o.Task = n, strings.TrimSpace(r.Task)
	if err := p.Check(o); err != nil {
		return plan{}, err
	}
	return plan{r, o, p}, nil
}

// judge refuses what the guard refuses.
func (s *Switchboard) judge(p plan) error {
	if refusals := s.Policy.Number(p.order.To, s.way(p.provider)); len(refusals) > 0 {
		return refusals[0].Err()
	}
	return nil
}

// Place calls somebody, at most once for one intent, and returns when the provider has acknowledged the call, or the same
// intent's call as it stands. A context that ends stops the waiting and not the dial.
//
// Errors: those of parsing and judging, with which nothing happened; of the dial that surely failed, with the call_id; and
// uncertain, with the call_id to ask about, whose answer to the same request stays the same until it is settled.
func (s *Switchboard) Place(ctx context.Context, who phone.Caller, r Request) (Placement, error) {
	p, err := s.plan(r)
	if err != nil {
		return Placement{}, err
	}
	intent, err := s.intent(ctx, who, p)
	if err != nil {
		return Placement{}, err
	}
	held, replayed, err := s.Ledger.Reserve(ctx, intent, func() error { return s.judge(p) })
	if err != nil {
		return Placement{}, err
	}
	if !replayed {
		s.dials.Go(func() { s.dial(context.WithoutCancel(ctx), p, held) })
	}
	call, err := s.answered(ctx, who, held)
	return Placement{Call: call, Replayed: replayed}, err
}

// intent names a wish: by the client's key, else by who calls whom through whom and why.
func (s *Switchboard) intent(ctx context.Context, who phone.Caller, p plan) (ledger.Intent, error) {
	r, o := p.request, p.order
	if r.RepeatOf != "" {
		earlier, err := s.Ledger.Call(ctx, who.Principal, r.RepeatOf)
		if err != nil {
			return ledger.Intent{}, phone.Errorf(phone.Invalid, "repeat_of: there is no call %q to repeat.", r.RepeatOf)
		}
		if earlier.Order.To != o.To {
			return ledger.Intent{}, phone.Errorf(phone.Invalid, "repeat_of: that call was to another number. Leave repeat_of out to call this one.")
		}
	}
	everything, err := json.Marshal([]any{
		o.To.E164(), o.Task, p.provider.Name(), o.Language, o.Voice, o.AgentName, o.CallerName, o.MaxDuration, o.Options, r.RepeatOf,
	})
	if err != nil {
		return ledger.Intent{}, phone.Errorf(phone.Invalid, "provider_options cannot be read.")
	}
	c := phone.Begin(ledger.NewCallID(), who.Principal, p.provider.Name(), p.provider.Account(), o, time.Now().UTC())
	c.Simulated = p.provider.Spec().Simulated
	return ledger.Intent{
		Call: c, Key: r.Key, Params: s.Ledger.Digest(string(everything)), Window: sameIntent,
		Derived: s.Ledger.Digest(p.provider.Name(), o.To.E164(), strings.Join(strings.Fields(strings.ToLower(o.Task)), " "), r.RepeatOf),
	}, nil
}

// dial asks the provider, records what it answers, and has the call followed.
func (s *Switchboard) dial(ctx context.Context, p plan, h ledger.Held) {
	o := p.order
	o.CallID = h.ID
	ref, err := p.provider.Place(ctx, o)
	var settled ledger.Held
	s.insist(ctx, h.ID, func() (rerr error) {
		switch {
		case err == nil:
			settled, rerr = s.Ledger.Placed(ctx, h.ID, ref)
		case phone.CodeOf(err) == phone.Uncertain:
			settled, rerr = s.Ledger.Unknown(ctx, h.ID, phone.AsFailure(err))
		default:
			settled, rerr = s.Ledger.Rejected(ctx, h.ID, phone.AsFailure(err))
		}
		return rerr
	})
	if settled.Call == nil || settled.Dial != ledger.Placed {
		return
	}
	if settled.HangupWanted {
		if err := p.provider.Hangup(ctx, ref); err != nil {
			s.Log.Warn().Err(err).Str("call", h.ID).Msg("the call that was to be cancelled while it was dialed could not be hung up")
		}
	}
	if s.Ledger.Follows(settled) {
		s.follow(settled)
	}
}

// insist records a fact that must not be lost, for as long as a busy ledger may take.
func (s *Switchboard) insist(ctx context.Context, id string, record func() error) {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		err := record()
		if err == nil {
			return
		}
		s.Log.Error().Err(err).Str("call", id).Msg("what the provider answered could not be recorded")
		if wait > 10*time.Second {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// answered waits until it is known what became of a dial, whoever began it.
func (s *Switchboard) answered(ctx context.Context, who phone.Caller, h ledger.Held) (*phone.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for {
		news := s.Ledger.News()
		now, err := s.Ledger.Call(context.WithoutCancel(ctx), who.Principal, h.ID)
		if err != nil {
			return h.Call, err
		}
		switch now.Dial {
		case ledger.Placed:
			return now.Call, nil
		case ledger.Rejected, ledger.Unknown:
			return now.Call, failureOf(now.Call)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return now.Call, nil // dialing: the handle is all there is so far
		}
	}
}

func failureOf(c *phone.Call) error {
	if c.Failure == nil {
		return nil
	}
	return c.Failure.Error(c.ID)
}
