package switchboard

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/outdial/outdial/guard"
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
	CanAsk   bool   // the one who asks can put a question to a person
	RepeatOf string // the call_id of an earlier call that is repeated on purpose
}

// Placement is what became of a wish to call.
type Placement struct {
	Call     *phone.Call
	Replayed bool // it is the call of an earlier, equal request

	// Question is what a person is to be asked, where their yes is all that is missing: see Answer. It comes with an error.
	Question *phone.Question
}

const (
	// sameIntent is how long after a call's end an equal request without a key still means that call.
	sameIntent = 10 * time.Minute
	// sendWithin bounds a dial with its answer.
	sendWithin = 20 * time.Second
	// answerWithin bounds what a request waits for a dial that another one of the same intent began.
	answerWithin = 25 * time.Second
)

// plan is a request that can be carried out.
type plan struct {
	request  Request
	order    phone.Order
	provider *providers.Provider
	wish     guard.Wish
}

// plan parses a request. Errors: invalid, refused, unsupported.
func (s *Switchboard) plan(ctx context.Context, who phone.Caller, r Request) (plan, error) {
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
	if most := s.guard.Longest; most > 0 && o.MaxDuration > most && !s.spared(p) {
		return plan{}, &phone.Error{
			Code: phone.Invalid, Reason: "too_long",
			Message: fmt.Sprintf("max_duration_seconds: the operator allows %d at most.", int(most.Seconds())),
		}
	}
	w := s.wish(ctx, who, p, r, n)
	return plan{r, s.lasting(o, w), p, w}, nil
}

// lasting is an order with the length that its call may have, where its provider keeps to one.
func (s *Switchboard) lasting(o phone.Order, w guard.Wish) phone.Order {
	switch {
	case !w.Bounded:
		o.MaxDuration = 0
	case s.guard.Longest > 0:
		o.MaxDuration = w.Longest
	}
	return o
}

// wish is what the guard judges.
func (s *Switchboard) wish(ctx context.Context, who phone.Caller, p *providers.Provider, r Request, to phone.Number) guard.Wish {
	bounded := r.Order
	if !p.Spec().MaxDuration {
		bounded.MaxDuration = 0 // nobody but the callee ends such a call
	}
	return guard.Wish{
		To: to, Provider: p.Name(), Title: p.Spec().Title, Regions: p.Spec().Regions, RingsNo: p.Spec().Simulated,
		Longest: s.guard.Length(bounded), Bounded: p.Spec().MaxDuration, Skew: p.Skew(ctx), CanAsk: r.CanAsk,
		MayPlace: who.May(phone.PlaceScope),
	}
}

// spared says whether calls through a provider are spared the rules that protect those whose phone would ring.
func (s *Switchboard) spared(p *providers.Provider) bool {
	return p.Spec().Simulated && !s.Policy.Rehearse
}

// Place calls somebody, at most once for one intent, and returns when the provider has acknowledged the call, or the same
// intent's call as it stands. A context that ends stops the waiting and not the dial.
//
// Errors: those of parsing and judging, with which nothing happened; of the dial that surely failed, with the call_id; and
// uncertain, with the call_id to ask about, whose answer to the same request stays the same until it is settled.
func (s *Switchboard) Place(ctx context.Context, who phone.Caller, r Request) (Placement, error) {
	return s.place(ctx, who, r, nil)
}

// place places a call unless instead says that no new one is begun any more; one that was placed before is still found.
func (s *Switchboard) place(ctx context.Context, who phone.Caller, r Request, instead error) (Placement, error) {
	p, err := s.plan(ctx, who, r)
	if err != nil {
		s.meterRefusal(err)
		s.noteRefusal(ctx, who, false, err)
		return Placement{}, err
	}
	s.catchUp(ctx, p.provider, p.order.To)
	intent, err := s.intent(ctx, who, p)
	if err != nil {
		return Placement{}, err
	}
	var refusals []guard.Refusal
	var facts phone.Facts
	done := s.work(intent.Call.ID)
	held, replayed, err := s.Ledger.Reserve(ctx, intent, func(f phone.Facts) error {
		if instead != nil {
			return instead
		}
		if facts, refusals = f, s.guard.Judge(p.wish, f); len(refusals) > 0 {
			return refusals[0].Err()
		}
		return nil
	})
	if err != nil || replayed {
		done()
	}
	if err != nil {
		s.meterRefusal(err)
		if !s.spared(p.provider) {
			s.noteRefusal(ctx, who, p.wish.RingsNo, err)
		}
		q, err := s.question(ctx, p, intent.Call, refusals, facts, err)
		return Placement{Question: q}, err
	}
	if !replayed && !s.begin(&s.dials, func() {
		defer done()
		s.dial(context.WithoutCancel(ctx), p, held)
	}) {
		done()
		if held, err = s.Ledger.Rejected(ctx, held.ID, phone.AsFailure(phone.Errorf(phone.Unavailable, "outdial is stopping. Nobody was called; ask again."))); err != nil {
			return Placement{}, err
		}
		s.Meter.Ended(held.Provider, held.Outcome)
	}
	call, err := s.await(ctx, who, held)
	return Placement{Call: call, Replayed: replayed}, err
}

// noteRefusal remembers that somebody asked for whom outdial must not call: who does so again and again is misled, or
// searches for what the guard lets through.
func (s *Switchboard) noteRefusal(ctx context.Context, who phone.Caller, simulated bool, err error) {
	switch phone.AsError(err).Reason {
	case "do_not_call", "region_not_allowed", "number_type":
		s.countRefusal(ctx, who.Principal, simulated)
	case "guard_fault":
		s.Fault("judge", err)
	}
}

func (s *Switchboard) countRefusal(ctx context.Context, principal string, simulated bool) {
	if err := s.Ledger.Refused(context.WithoutCancel(ctx), principal, simulated, time.Now()); err != nil {
		s.Fault("refused", err)
	}
}

// catchUpFor is how long a request waits for what is to be known of earlier calls.
const catchUpFor = 5 * time.Second

// catchUp has earlier calls looked up before a new one is judged by them: those that nobody followed when this process
// started, and those to the same number whose record had not come in time. In either somebody may have asked not to be
// called again.
func (s *Switchboard) catchUp(ctx context.Context, p *providers.Provider, to phone.Number) {
	if s.spared(p) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpFor)
	defer cancel()
	select {
	case <-s.caughtUp:
	case <-s.life.Done():
	case <-ctx.Done():
	}
	late, err := s.Ledger.Late(ctx, to, time.Now())
	if err != nil && ctx.Err() == nil {
		s.Fault("late", err)
	}
	for _, c := range late {
		s.lateRecord(ctx, c)
	}
}

// intent names a wish: by the client's key, else by who calls whom through whom and why.
func (s *Switchboard) intent(ctx context.Context, who phone.Caller, p plan) (ledger.Intent, error) {
	r, o := p.request, p.order
	if r.RepeatOf != "" {
		earlier, err := s.Ledger.Call(ctx, who.Principal, r.RepeatOf)
		if err != nil {
			return ledger.Intent{}, phone.Errorf(phone.Invalid, "repeat_of: there is no call %q to repeat.", r.RepeatOf)
		}
		if earlier.Order.To.IsZero() {
			return ledger.Intent{}, phone.Errorf(phone.Invalid, "repeat_of: the number of that call was erased, so nobody knows whether this is the same. Leave repeat_of out to place a new call.")
		}
		if earlier.Order.To != o.To {
			return ledger.Intent{}, phone.Errorf(phone.Invalid, "repeat_of: that call was to another number. Leave repeat_of out to call this one.")
		}
	}
	everything, err := json.Marshal([]any{
		o.To.E164(), o.Task, p.provider.Name(), o.Language, o.Voice, o.AgentName, o.CallerName, r.Order.MaxDuration, o.Options, r.RepeatOf,
	})
	if err != nil {
		return ledger.Intent{}, phone.Errorf(phone.Invalid, "provider_options cannot be read.")
	}
	c := s.newCall(ledger.NewCallID(), who, p.provider, o, p.wish.Longest)
	in := ledger.Intent{Call: c, Key: r.Key, Params: s.Ledger.Digest(string(everything)), Window: sameIntent, RepeatOf: r.RepeatOf}
	task := strings.Join(strings.Fields(strings.ToLower(o.Task)), " ")
	in.Names = []string{s.Ledger.Digest(p.provider.Name(), o.To.E164(), task, r.RepeatOf)}
	in.Known = in.Names
	if !c.Simulated {
		// Through whichever provider: another process, or this one after a change of settings, may route the same wish otherwise.
		in.Names = append(in.Names, s.Ledger.Digest("any provider", o.To.E164(), task, r.RepeatOf))
		if r.Provider == "" {
			in.Known = in.Names
		}
	}
	return in, nil
}

// newCall is a call as it would be placed, at its price.
func (s *Switchboard) newCall(id string, who phone.Caller, p *providers.Provider, o phone.Order, longest time.Duration) *phone.Call {
	c := phone.Begin(id, who.Principal, p.Name(), p.Account(), o, time.Now().UTC())
	c.Simulated = p.Spec().Simulated
	c.PerMinute, c.Worst = s.guard.Price(p.Name(), longest)
	return c
}

// dial asks the provider, records what it answers, and has the call followed.
func (s *Switchboard) dial(ctx context.Context, p plan, h ledger.Held) {
	o := p.order
	o.CallID = h.ID
	// By the clock on the wall, which goes on while the machine sleeps: a phone must not ring hours after somebody asked.
	dialing, cancel := context.WithDeadline(ctx, h.CreatedAt.Round(0).Add(sendWithin))
	began, answered := time.Now(), s.Meter.Dialing(ctx, p.provider.Name())
	ref, err := p.provider.Place(dialing, o)
	cancel()
	answered(meteredAs(dialOf(err)))
	s.Log.Info().Str("provider", p.provider.Name()).Str("call", h.ID).Str("to", o.To.Tagged(s.Ledger.Digest)).Dur("took", time.Since(began)).
		Str("code", string(phone.CodeOf(err))).AnErr("error", err).Msg("dial")
	var settled ledger.Held
	s.insist(h.ID, ref, func() (rerr error) {
		switch dialOf(err) {
		case ledger.Placed:
			settled, rerr = s.Ledger.Placed(ctx, h.ID, ref)
		case ledger.Unknown:
			settled, rerr = s.Ledger.Unknown(ctx, h.ID, phone.AsFailure(err))
		default:
			settled, rerr = s.Ledger.Rejected(ctx, h.ID, phone.AsFailure(err))
		}
		return rerr
	})
	if settled.Call != nil && settled.Dial == ledger.Rejected {
		s.Meter.Ended(settled.Provider, settled.Outcome)
	}
	if settled.Call == nil || settled.Dial != ledger.Placed {
		return
	}
	if settled.HangupWanted { // at once, also while the program ends; whoever follows the call tries again if it fails
		hanging, cancel := context.WithTimeout(ctx, askWithin)
		settled.HangupWanted = p.provider.Hangup(hanging, ref) != nil
		cancel()
	}
	if s.Ledger.Follows(settled) {
		s.follow(settled)
	}
}

// dialOf is what a provider's answer makes of a dial.
func dialOf(err error) ledger.Dial {
	switch {
	case err == nil:
		return ledger.Placed
	case phone.CodeOf(err) == phone.Uncertain:
		return ledger.Unknown
	}
	return ledger.Rejected
}

// insist records a fact that must not be lost, however long the ledger cannot be written, until the process ends. The log
// has the provider's name of the call by then, for the operator.
func (s *Switchboard) insist(id string, ref phone.Ref, record func() error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := record()
		if err == nil {
			return
		}
		s.Log.Error().Err(err).Str("call", id).Str("ref", string(ref)).Msg("what the provider answered could not be recorded yet")
		select {
		case <-time.After(wait):
		case <-s.life.Done():
			return
		}
	}
}

// await waits until it is known what became of a dial, whoever began it. A ledger that cannot be read says nothing about
// the phone: then the call is dialing, as far as anybody knows.
func (s *Switchboard) await(ctx context.Context, who phone.Caller, h ledger.Held) (*phone.Call, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for last := h.Call; ; {
		news := s.Ledger.News()
		again := time.Hour
		now, err := s.Ledger.Call(context.WithoutCancel(ctx), who.Principal, h.ID)
		if err != nil {
			s.Fault("await", err)
			again = 100 * time.Millisecond
		} else {
			last = now.Call
			switch now.Dial {
			case ledger.Placed:
				return last, nil
			case ledger.Rejected, ledger.Unknown:
				return last, failureOf(last)
			}
		}
		select {
		case <-news:
		case <-time.After(again):
		case <-ctx.Done():
			return last, nil // dialing: the handle is all there is so far
		}
	}
}

func failureOf(c *phone.Call) error {
	if c.Failure == nil {
		return nil
	}
	return c.Failure.Error(c.ID)
}
