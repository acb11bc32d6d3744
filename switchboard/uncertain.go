package switchboard

import (
	"context"
	"fmt"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// How an uncertain dial is searched for.
const (
	searchFor  = 2 * time.Minute // a call that the provider does not list for so long
	searchRead = 3               // in so many answers was never placed
	searchRest = 10 * time.Minute
)

// search looks for the call that an uncertain dial led to, among those that its provider lists, until that is known.
func (s *Switchboard) search(h ledger.Held) {
	p, ok := s.holding(h.Call)
	if !ok {
		return
	}
	done := s.work(h.ID)
	if !s.begin(&s.follows, func() {
		defer done()
		ctx, over := s.held(h)
		defer over()
		s.find(ctx, p, h)
	}) {
		done()
	}
}

// find asks often at first. Where several calls could be the one, only a person can tell, so it goes on looking whether
// somebody has, and rests between two looks.
func (s *Switchboard) find(ctx context.Context, p *providers.Provider, h ledger.Held) {
	log := s.Log.With().Str("call", h.ID).Logger()
	missing, reads := time.Time{}, 0 // since when it is not on the list, and in how many answers
	for wait := 5 * time.Second; ; wait = min(2*wait, searchRest) {
		listed, err := p.Find(ctx, h.Order, h.CreatedAt)
		found, candidates := ledger.Held{}, 0
		if err == nil {
			found, candidates, err = s.Ledger.Adopt(ctx, h.ID, listed)
		}
		now := time.Now()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Warn().Err(err).Msg("an uncertain dial could not be looked for")
			wait = max(wait, min(searchRest, time.Until(phone.AsError(err).RetryAt)))
		case found.Dial != ledger.Unknown || found.Ended():
			log.Info().Str("ref", string(found.Ref)).Str("dial", string(found.Dial)).Msg("it is known what became of an uncertain dial")
			if s.Ledger.Follows(found) {
				s.follow(found)
			}
			return
		case candidates > 0:
			missing, reads = time.Time{}, 0
			log.Error().Int("calls", candidates).Msg("an uncertain dial has led to more than one call, or nobody knows to which: a person must look")
		default:
			if reads++; missing.IsZero() {
				missing = now
			}
			left := searchFor - now.Sub(missing)
			if left <= 0 && reads >= searchRead {
				s.neverPlaced(ctx, p, h.ID)
				return
			}
			if left > 0 {
				wait = min(wait, left)
			}
		}
		if !s.uncertainFor(ctx, h, wait) {
			return // a person or the answer has settled it, and a round takes it up from there
		}
	}
}

// uncertainFor waits so long, unless it becomes known what became of a dial.
func (s *Switchboard) uncertainFor(ctx context.Context, h ledger.Held, wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		news := s.Ledger.News()
		if now, err := s.Ledger.Call(ctx, h.Principal, h.ID); err == nil && (now.Dial != ledger.Unknown || now.Ended()) {
			return false
		}
		select {
		case <-news:
		case <-ctx.Done():
			return s.life.Err() == nil
		}
		select {
		case <-time.After(soon):
		case <-ctx.Done():
			return s.life.Err() == nil
		}
	}
}

// neverPlaced records that an uncertain dial did not happen. If an answer has come meanwhile after all, that stands.
func (s *Switchboard) neverPlaced(ctx context.Context, p *providers.Provider, id string) {
	why := &phone.Failure{
		Code: phone.Unavailable, Reason: "not_placed",
		Message: fmt.Sprintf("%s never got the call: it is not on its list, two minutes later. Nobody was called; ask again.", p.Spec().Title),
	}
	settled, err := s.Ledger.NeverPlaced(ctx, id, why)
	if err != nil {
		s.Log.Error().Err(err).Str("call", id).Msg("what became of an uncertain dial could not be recorded")
		return
	}
	if settled.Dial == ledger.Rejected {
		s.Meter.Ended(settled.Provider, settled.Outcome)
	}
}
