package guard

import (
	"time"

	"github.com/outdial/outdial/phone"
)

const (
	aDay = 24 * time.Hour
	// unconfirmedBlocks is how long a number is left alone after a dial of which nobody knows whether it rang there.
	unconfirmedBlocks = 30 * time.Minute
	// unansweredGap is the gap after a call that reached nobody.
	unansweredGap = 2 * time.Minute
)

// tooSoon keeps a number from being rung again and again.
func (g *Guard) tooSoon(_ Wish, f phone.Facts) *Refusal {
	var latest time.Time
	var of *phone.Call
	for _, c := range f.ToNumber {
		if at := g.again(c); at.After(f.Now) && at.After(latest) {
			latest, of = at, c
		}
	}
	switch {
	case of == nil:
		return nil
	case of.Status == phone.Unconfirmed:
		return refuse("Nobody knows whether an earlier call to this number was placed: the phone may have rung, or ring yet. Ask about that call; the operator can find out and settle it.").until(latest).about(of, f)
	case of.Outcome == phone.Declined && of.Principal == f.Principal:
		return refuse("An earlier call to this number was declined less than a day ago.").until(latest).about(of, f)
	}
	return refuse("This number was called a short while ago. If that was about the same matter, ask about that call.").until(latest).about(of, f)
}

// again is when the number of a call may be called again because of it. A call that surely was not placed is none, and one
// that goes on is another rule's business.
func (g *Guard) again(c *phone.Call) time.Time {
	over := c.EndedAt
	if over.IsZero() {
		over = c.ChangedAt // nobody saw its end
	}
	switch {
	case c.Status == phone.Unconfirmed:
		return c.CreatedAt.Add(unconfirmedBlocks)
	case g.Gap == 0 || c.Status.Live() || c.Failure != nil:
		return time.Time{}
	case c.Outcome == phone.Declined:
		return over.Add(aDay)
	case c.Outcome == phone.NoAnswer || c.Outcome == phone.Busy || c.Outcome == phone.Failed:
		return over.Add(min(g.Gap, unansweredGap))
	}
	return over.Add(g.Gap)
}

func (g *Guard) perNumber(_ Wish, f phone.Facts) *Refusal {
	var at []time.Time
	for _, c := range f.ToNumber {
		if c.Failure == nil || c.Status == phone.Unconfirmed {
			at = append(at, c.CreatedAt)
		}
	}
	if free, full := roomAt(at, g.PerNumber, aDay, f.Now); full {
		return refuse("This number has been called %d times in 24 hours, which is the limit.", g.PerNumber).until(free)
	}
	return nil
}

func (g *Guard) perPrincipal(_ Wish, f phone.Facts) *Refusal {
	if free, full := roomAt(f.Placed, g.PerHour, time.Hour, f.Now); full {
		return refuse("%d calls were placed within the hour, which is the limit.", g.PerHour).until(free)
	}
	if free, full := roomAt(f.Placed, g.PerDay, aDay, f.Now); full {
		return refuse("%d calls were placed in 24 hours, which is the limit.", g.PerDay).until(free)
	}
	return nil
}

func (g *Guard) newNumbers(_ Wish, f phone.Facts) *Refusal {
	if f.Known || f.Contact != nil {
		return nil
	}
	if free, full := roomAt(f.Met, g.NewPerDay, aDay, f.Now); full {
		return refuse("%d numbers that were never called before were called in 24 hours, which is the limit. Numbers that are known can be called.", g.NewPerDay).until(free)
	}
	return nil
}

// roomAt says whether a limit is reached, and when one of those that count, the newest first, is past. 0 is no limit.
func roomAt(at []time.Time, limit int, within time.Duration, now time.Time) (free time.Time, full bool) {
	if limit == 0 || len(at) < limit {
		return time.Time{}, false
	}
	free = at[limit-1].Add(within)
	return free, free.After(now)
}

// busy keeps a number from being rung twice at once, and bounds how many calls go on.
func (g *Guard) busy(w Wish, f phone.Facts) *Refusal {
	going := 0
	var soonest time.Time
	for _, c := range f.Open {
		over := c.CreatedAt.Add(g.Length(c.Order))
		if !g.Occupies(c, f.Now) {
			continue
		}
		if c.Order.To == w.To {
			switch {
			case c.Status == phone.Dialing:
				return refuse("Another call to this number is being dialed at this moment. Ask about that call; when it is known what became of it, ask again.").about(c, f)
			case g.Concurrent > 0:
				return refuse("A call to this number is going on, or nobody knows whether it is. Ask about that call.").about(c, f)
			}
		}
		if going++; soonest.IsZero() || over.Before(soonest) {
			soonest = over
		}
	}
	if g.Concurrent == 0 || going < g.Concurrent {
		return nil
	}
	r := refuse("%d calls are going on, which is the limit. Ask again when one of them has ended.", going)
	if soonest.After(f.Now) {
		r.until(soonest)
	}
	return r
}

// Occupies says whether a call counts for the limit of calls at once: it goes on, or nobody knows whether it does.
func (g *Guard) Occupies(c *phone.Call, now time.Time) bool {
	return c.Status.Live() && (c.Status != phone.Unconfirmed || c.CreatedAt.Add(g.Length(c.Order)).After(now))
}

const (
	faultsWithin   = 10 * time.Minute
	faultsPause    = 10 * time.Minute
	refusalsWithin = 5 * time.Minute
	refusalsPause  = 15 * time.Minute
)

// paused stops a provider that does not work, and a principal that keeps asking for what it may not have.
func (g *Guard) paused(w Wish, f phone.Facts) *Refusal {
	if until := g.ProviderPaused(f.Faults); until.After(f.Now) {
		return refuse("%d calls through %s failed, or may have, in a short time: it is left alone for a while.", g.PauseFailures, w.Title).until(until)
	}
	if until := g.PrincipalPaused(f.Refused); until.After(f.Now) {
		return refuse("%d requests to call whom outdial must not call were refused in a short time: nobody is called for a while. Tell the person you work for.", g.PauseRefusals).until(until)
	}
	return nil
}

// ProviderPaused is until when a provider is left alone after its faults, the oldest first; a past time or zero: it is not.
func (p Policy) ProviderPaused(faults []time.Time) time.Time {
	return pausedUntil(faults, p.PauseFailures, faultsWithin, faultsPause)
}

// PrincipalPaused is until when a principal's calls are refused after its refusals, the oldest first; likewise.
func (p Policy) PrincipalPaused(refusals []time.Time) time.Time {
	return pausedUntil(refusals, p.PauseRefusals, refusalsWithin, refusalsPause)
}

// pausedUntil is the end of the pause that the last n of those moments, the oldest first, that lie close together have set
// off; zero if there was none.
func pausedUntil(at []time.Time, n int, within, pause time.Duration) time.Time {
	for i := len(at) - 1; n > 0 && i >= n-1; i-- {
		if at[i].Sub(at[i-n+1]) <= within {
			return at[i].Add(pause)
		}
	}
	return time.Time{}
}
