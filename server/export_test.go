package server

import "time"

// RecheckEvery has streams that listen look more often whether their token is still taken.
func (e *Endpoint) RecheckEvery(d time.Duration) { e.recheck = d }
