package providers

import (
	"context"
	"time"
)

const (
	skewHolds  = time.Hour       // so long what a service's clock said holds
	skewAgain  = time.Minute     // after which one that did not tell is asked again
	skewWithin = 3 * time.Second // that it may take to tell
	clockSet   = 10 * time.Second
)

// skew is how far this machine's clock goes from a service's, as far as it is known.
type skew struct {
	asks  chan struct{} // holds one while the service is asked; the others wait for what it says
	by    time.Duration
	at    time.Time // when it was asked for; zero: never
	holds time.Duration
}

// Skew is how far this machine's clock is ahead of the service's, negative behind; 0 if that is not to be known. It asks the
// service, though seldom: once an hour, and after the clock here was set.
func (p *Provider) Skew(ctx context.Context) time.Duration {
	if p.clock == nil {
		return 0
	}
	s := &p.skew
	s.asks <- struct{}{}
	defer func() { <-s.asks }()
	now := time.Now()
	elapsed := now.Sub(s.at)
	set := now.Round(0).Sub(s.at.Round(0)) - elapsed // what the clock on the wall shows and the time that went by
	if !s.at.IsZero() && elapsed < s.holds && set.Abs() < clockSet {
		return s.by
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), skewWithin)
	defer cancel()
	told, err := caught(func() (time.Time, error) { return p.clock.Clock(ctx) })
	after := time.Now()
	s.at, s.by, s.holds = after, 0, skewAgain
	if err != nil {
		p.log.Debug().Err(err).Msg("the service does not tell the time")
		return 0
	}
	s.by, s.holds = after.Add(-after.Sub(now)/2).Sub(told), skewHolds
	return s.by
}
