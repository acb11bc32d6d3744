package switchboard

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/outdial/outdial/follow"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// follow has a call followed that this process holds, until it is over or another process has taken it. looked is closed
// once the provider was asked about it for the first time.
func (s *Switchboard) follow(h ledger.Held) (looked <-chan struct{}) {
	first := make(chan struct{})
	seen := sync.OnceFunc(func() { close(first) })
	p, ok := s.holding(h.Call)
	if !ok {
		seen()
		return first
	}
	done := s.work(h.ID)
	if !s.begin(&s.follows, func() {
		defer seen()
		defer done() // a call that is not over is then taken up by the next round
		ctx, over := s.held(h)
		defer over()
		if h.HangupWanted {
			s.follows.Go(func() { s.hangUp(ctx, p, h) })
		}
		s.follows.Go(func() { s.watchLength(ctx, p, h) })
		if err := s.read(ctx, p, h, seen); err != nil && ctx.Err() == nil {
			s.Log.Warn().Err(err).Str("call", h.ID).Msg("stopped following")
		}
	}) {
		done()
		seen()
	}
	return first
}

// read follows a call to its end. A fault in what a provider says ends the following and not the process.
func (s *Switchboard) read(ctx context.Context, p *providers.Provider, h ledger.Held, seen func()) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = phone.Panicked(fault)
		}
	}()
	history, err := s.Ledger.Events(ctx, h.ID, 0)
	if err != nil {
		return err
	}
	return s.desk.Follow(ctx, h.Call, history, func(yield func(phone.Observation) bool) {
		for o := range s.heard(ctx, p, h) {
			if !yield(o) { // which returns once it is recorded
				return
			}
			if o.Letter == "" {
				seen()
			}
		}
	}, s.recorder(h))
}

// hangUp ends a call that somebody cancelled before the provider had it. It tries for a while.
func (s *Switchboard) hangUp(ctx context.Context, p *providers.Provider, h ledger.Held) {
	for wait := time.Second; wait < time.Minute; wait *= 2 {
		err := p.Hangup(ctx, h.Ref)
		if err == nil || phone.CodeOf(err) == phone.Unsupported || ctx.Err() != nil {
			return
		}
		s.Log.Warn().Err(err).Str("call", h.ID).Msg("a call that was cancelled while it was dialed could not be hung up")
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// Beyond the length that a call may have: the service is given so long to end it itself, and a phone so long to ring.
const (
	lengthGrace = 30 * time.Second
	ringing     = 3 * time.Minute
)

// watchLength hangs up a call that lasts longer than it may, and that its service has not ended.
func (s *Switchboard) watchLength(ctx context.Context, p *providers.Provider, h ledger.Held) {
	length := s.guard.Length(h.Order)
	for {
		now, err := s.Ledger.Call(ctx, h.Principal, h.ID)
		if err == nil && !now.Status.Live() {
			return
		}
		over, talking := h.CreatedAt.Add(ringing+length+lengthGrace), err == nil && !now.StartedAt.IsZero()
		if talking {
			over = now.StartedAt.Add(length + lengthGrace)
		}
		left := time.Until(over)
		if left <= 0 && err == nil {
			s.Log.Warn().Str("call", h.ID).Dur("longest", length).Bool("can_hang_up", p.CanHangup()).Msg("a call lasts longer than it may")
			s.hangUp(ctx, p, h)
			return
		}
		if !talking {
			left = min(left, length+lengthGrace) // if they begin to talk now, it is over then
		}
		select {
		case <-time.After(max(left, time.Second)):
		case <-ctx.Done():
			return
		}
	}
}

// recorder writes a call's events under the epoch of this following. A ledger that cannot be written is tried again for
// some seconds; after that the call is taken up anew, from what the provider then tells.
func (s *Switchboard) recorder(h ledger.Held) follow.Record {
	return func(ctx context.Context, after *phone.Call, events []phone.Event, letter string) error {
		var read []string
		if letter != "" {
			read = []string{letter}
		}
		for try := 1; ; try++ {
			err := s.Ledger.Append(ctx, after, h.Epoch, events, read...)
			if err == nil {
				s.meterEvents(after, events)
			}
			if err == nil || errors.Is(err, ledger.ErrLost) || ctx.Err() != nil || try == 8 {
				return err
			}
			s.Log.Warn().Err(err).Str("call", h.ID).Msg("what was said could not be recorded yet")
			select {
			case <-time.After(50 * time.Millisecond << try):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// Watch yields the events of a call after a number as they come, until the call is over or the context ends.
// Errors: refused (forbidden) and not_found, in place of the first event.
func (s *Switchboard) Watch(ctx context.Context, who phone.Caller, id string, after int64) iter.Seq2[phone.Event, error] {
	return func(yield func(phone.Event, error) bool) {
		if err := who.Forbidden(phone.ReadScope); err != nil {
			yield(phone.Event{}, err)
			return
		}
		h, err := s.Ledger.Call(ctx, who.Principal, id)
		if err != nil {
			yield(phone.Event{}, err)
			return
		}
		history, err := s.Ledger.Events(ctx, id, 0)
		if err != nil {
			yield(phone.Event{}, err)
			return
		}
		line, done := s.desk.Hold(h.Call, history, s.readOn(id))
		defer done()
		s.Meter.Watching(1)
		defer s.Meter.Watching(-1)
		for e := range line.Watch(ctx, after) {
			if _, gone := e.Body.(phone.Erased); gone {
				continue
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// readOn reads what another process has recorded of a call, and waits for it.
func (s *Switchboard) readOn(id string) func(context.Context, int64) ([]phone.Event, error) {
	return func(ctx context.Context, after int64) ([]phone.Event, error) {
		for {
			news := s.Ledger.News()
			events, err := s.Ledger.Events(ctx, id, after)
			if err != nil || len(events) > 0 {
				return events, err
			}
			select {
			case <-news:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

// Hangup ends a call. A call that is over stays as it is; one that is being dialed, or of which nobody knows, is ended once
// the provider is known to have it.
// Errors: refused (forbidden), not_found, unsupported, uncertain, and those of the provider.
func (s *Switchboard) Hangup(ctx context.Context, who phone.Caller, id string) (*phone.Call, error) {
	if err := who.Forbidden(phone.PlaceScope); err != nil {
		return nil, err
	}
	h, err := s.Ledger.Call(ctx, who.Principal, id)
	if err != nil || !h.Status.Live() && !givenUp(h) {
		return h.Call, err
	}
	p, ok := s.holding(h.Call)
	if !ok {
		return nil, &phone.Error{
			Code: phone.Unauthorized, Started: phone.StartedYes, CallID: id,
			Message: "The key of the account that placed this call is not here, so it cannot be ended from here.",
		}
	}
	if !p.CanHangup() && h.Dial != ledger.Unknown {
		e := phone.About(p.Hangup(ctx, h.Ref), id)
		if h.Dial == ledger.Sending {
			e.Started = phone.StartedUnknown
		}
		return nil, e
	}
	if h.Dial != ledger.Placed {
		if h, err = s.Ledger.WantHangup(ctx, id); err != nil {
			return nil, err
		}
	}
	switch h.Dial {
	case ledger.Placed:
		if err := p.Hangup(ctx, h.Ref); err != nil {
			e := phone.About(err, id)
			e.Started = phone.StartedYes
			return h.Call, e
		}
		return s.Get(ctx, who, id)
	case ledger.Unknown:
		return h.Call, failureOf(h.Call)
	}
	return h.Call, nil
}

// givenUp says whether a call counts as over though nobody has seen its end: it may go on.
func givenUp(h ledger.Held) bool {
	return h.Ended() && h.Dial == ledger.Placed && h.Outcome == phone.UnknownOutcome && h.Record == phone.Partial
}

// Run keeps this process's place among those that share the ledger: it renews its lease, takes up the calls that nobody
// follows any more, and looks out for what others record. It runs until the context ends: a round at once, one every 5 s,
// and one soon after anything was recorded, since that may be that a process has given up its calls. With a lease shorter
// than 30 s rounds come as much more often.
func (s *Switchboard) Run(ctx context.Context) {
	var tail sync.WaitGroup
	defer tail.Wait()
	tail.Go(func() { s.Ledger.Tail(ctx) })
	tail.Go(func() { s.deliver(ctx) })
	tail.Go(func() { s.tellEndings(ctx) })
	tail.Go(func() { s.keep(ctx) })
	round := min(5*time.Second, max(500*time.Millisecond, s.Ledger.Lease()/6))
	tick := time.NewTicker(round)
	defer tick.Stop()
	var renewed time.Time
	for first := true; ; first = false {
		news, now := s.Ledger.News(), time.Now()
		if now.Sub(renewed) >= s.Ledger.Lease()/3 {
			if err := s.Ledger.Renew(ctx, now); ctx.Err() != nil {
				return
			} else if err != nil {
				s.Log.Error().Err(err).Msg("the lease could not be renewed")
			} else {
				renewed = now
			}
		}
		s.letGo(ctx)
		looks := s.takeUp(ctx, now)
		if first {
			tail.Go(func() { s.waitFor(ctx, looks) })
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			continue
		case <-news:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(soon, round/10)):
		}
	}
}

// soon is how long after a record a round comes: many records come at once.
const soon = 500 * time.Millisecond

// heldFor is how long a call waits for a process with the key of its account.
const heldFor = 24 * time.Hour

// giveUp ends a call that nobody can ask about any more, with what is known of it.
func (s *Switchboard) giveUp(ctx context.Context, h ledger.Held) {
	after := h.Clone()
	events := h.Settle(time.Now())
	for _, e := range events {
		after.Apply(e)
	}
	if err := s.Ledger.Append(ctx, after, h.Epoch, events); err != nil {
		s.Log.Error().Err(err).Str("call", h.ID).Msg("a call whose account nobody holds could not be given up")
		return
	}
	s.meterEvents(after, events)
}

// waitFor waits until the first of the calls that nobody followed were looked up, for a while.
func (s *Switchboard) waitFor(ctx context.Context, looks []<-chan struct{}) {
	defer close(s.caughtUp)
	ctx, cancel := context.WithTimeout(ctx, catchUpFor)
	defer cancel()
	for _, looked := range looks {
		select {
		case <-looked:
		case <-ctx.Done():
			return
		}
	}
}

// takeUp claims calls that nobody is at work on. Of one that was being dialed nobody knows whether it happened: it is never
// dialed again. looks are closed as those that are followed now have been looked up.
func (s *Switchboard) takeUp(ctx context.Context, now time.Time) (looks []<-chan struct{}) {
	accounts := ledger.Accounts{Any: now.Add(-heldFor)}
	for _, p := range s.Providers {
		accounts.Ask = append(accounts.Ask, p.Account())
		if p.CanFind() {
			accounts.Search = append(accounts.Search, p.Account())
		}
	}
	held, err := s.Ledger.Claim(ctx, accounts, s.worksOn, now)
	if err != nil && ctx.Err() == nil {
		s.Log.Error().Err(err).Msg("not all calls that nobody follows could be claimed")
	}
	for _, h := range held {
		switch h.Dial {
		case ledger.Placed:
			if _, ok := s.holding(h.Call); !ok {
				s.giveUp(ctx, h)
				continue
			}
			looks = append(looks, s.follow(h))
			continue
		case ledger.Unknown:
			s.search(h)
			continue
		}
		why := &phone.Failure{Code: phone.Uncertain, Message: "outdial stopped while it was dialing: the phone may have rung. Do not ask again; ask about this call instead."}
		// If its answer has come meanwhile after all, that stands, and the next round follows the call.
		if _, err := s.Ledger.Unknown(ctx, h.ID, why); err != nil {
			s.Log.Error().Err(err).Str("call", h.ID).Msg("an interrupted dial could not be recorded")
		}
	}
	return looks
}
