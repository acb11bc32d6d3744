package server

import (
	"net/netip"
	"sync"
	"time"
)

const (
	attemptsWindow    = time.Minute
	attemptsPerSource = 20   // failed ones in a window, after which further ones are told to wait
	attemptsInAll     = 1000 // of all sources together
	attemptsSources   = 4096 // that are told apart
)

// attempts counts the requests whose token was not taken. It only shapes the answers to further ones of that kind: a request
// whose token is taken never comes here. Behind a proxy all sources are one, which for the same reason does no harm.
type attempts struct {
	mu     sync.Mutex
	since  time.Time // when the window began
	all    int
	by     map[netip.Addr]int
	logged time.Time
	quiet  int // failed since something was logged
}

// failed counts one, and says for how long the source is to wait if there are too many. Now and then it tells, with how many
// have failed since it last did.
func (a *attempts) failed(remote string, now time.Time, tell func(n int, from string)) (wait time.Duration, flood bool) {
	from := sourceOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil || now.Sub(a.since) >= attemptsWindow {
		a.since, a.all, a.by = now, 0, map[netip.Addr]int{}
	}
	if a.all++; len(a.by) < attemptsSources || a.by[from] > 0 {
		a.by[from]++
	}
	a.quiet++
	if now.Sub(a.logged) >= attemptsWindow/6 {
		tell(a.quiet, from.String())
		a.logged, a.quiet = now, 0
	}
	return a.since.Add(attemptsWindow).Sub(now), a.by[from] > attemptsPerSource || a.all > attemptsInAll
}

// sourceOf is the address that a request came from; of IPv6 the network, since a host has a whole one of its own.
func sourceOf(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			return network.Masked().Addr()
		}
	}
	return ip
}
