package server

import "time"

// RecheckEvery has streams that listen look more often whether their token is still taken.
func (e *Endpoint) RecheckEvery(d time.Duration) { e.recheck = d }

// AtOnce has each principal have fewer requests under way.
func (e *Endpoint) AtOnce(n int) { e.crowd.each = n }
