package server

import (
	"sync"
	"time"
)

// lastWords is for requests that are cut short, when the grace is over, to say so.
const lastWords = 250 * time.Millisecond

// gate counts the requests that run, and can be shut to further ones.
type gate struct {
	mu      sync.Mutex
	isShut  bool
	running sync.WaitGroup
}

// enter reports whether one more may run. If so, it calls leave when it is done.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.isShut {
		g.running.Add(1)
	}
	return !g.isShut
}

func (g *gate) leave() { g.running.Done() }

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = true
}

// finish waits until nothing runs, for the grace; whatever still runs then is cut, and given its last words. It is true
// if nothing had to be cut, and ends early when the channel is closed: nobody would read the answers.
func (g *gate) finish(grace time.Duration, cut func(), unread <-chan struct{}) bool {
	defer cut()
	if within(grace, g.running.Wait, unread) {
		return true
	}
	cut()
	within(lastWords, g.running.Wait, nil)
	return false
}

// within runs wait and reports whether it returned within d, and before the channel was closed.
func within(d time.Duration, wait func(), closed <-chan struct{}) bool {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-closed:
	}
	return false
}

// crowd counts the requests of each principal, so that one cannot take the room of all.
type crowd struct {
	each int // that one may have at once; 0: any number

	mu sync.Mutex
	by map[string]int
}

func (c *crowd) enter(principal string) bool {
	if c.each == 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[string]int{}
	}
	if c.by[principal] >= c.each {
		return false
	}
	c.by[principal]++
	return true
}

func (c *crowd) leave(principal string) {
	if c.each == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[principal]--; c.by[principal] <= 0 {
		delete(c.by, principal)
	}
}
