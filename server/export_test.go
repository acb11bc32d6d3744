package server

import "time"

// AtOnce has each principal have fewer requests under way.
func (e *Endpoint) AtOnce(n int) { e.crowd.each = n }

// RecheckEvery has streams that listen look more often whether their token is still taken, and probes each for themselves.
func (e *Endpoint) RecheckEvery(d time.Duration) { e.recheck, e.readiness.fresh = d, 0 }

// Look is what a probe finds.
func (e *Endpoint) Look() (status int, said string) { return e.readiness.look(e.look) }

// Sessions is how many sessions there are.
func (e *Endpoint) Sessions() int {
	e.sessions.mu.Lock()
	defer e.sessions.mu.Unlock()
	return len(e.sessions.live)
}

// BodyWithin has bodies come sooner.
func (e *Endpoint) BodyWithin(d time.Duration) { e.bodyWithin = d }
