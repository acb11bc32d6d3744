//go:build unix

package main

import (
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chaotic is one of the replicas, whichever process plays it at the moment.
type chaotic struct {
	c       *chaos
	home    string
	ledger  *link   // to Postgres
	service []*link // to each service

	mu      sync.Mutex
	life    *life
	process string // its name in the ledger
}

func (r *chaotic) now() *life {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.life
}

// start starts a process. Its name is the one that was not there before.
func (r *chaotic) start() {
	c := r.c
	before := map[string]bool{}
	if c.audited {
		for id := range strings.Lines(c.sql(`SELECT id FROM processes`)) {
			before[strings.TrimSpace(id)] = true
		}
	}
	env := []string{"TEST_LEASE=" + c.lease.String(), "OUTDIAL_DATABASE=" + r.ledger.through(c.t, c.url), "OUTDIAL_LOG_LEVEL=error"}
	var ways []string
	for i, s := range c.services {
		env = append(env, s.env(s.base)...)
		at, err := url.Parse(s.base)
		if err != nil {
			c.t.Fatal(err)
		}
		ways = append(ways, at.Host+"="+r.service[i].Addr().String())
	}
	l := begin(c.t, r.home, append(env, "TEST_VIA="+strings.Join(ways, " "))...)
	r.mu.Lock()
	r.life = l
	for id := range strings.Lines(c.sql(`SELECT id FROM processes`)) {
		if id = strings.TrimSpace(id); !before[id] {
			r.process = id
		}
	}
	r.mu.Unlock()
	c.lives = append(c.lives, l)
}

// trouble is something that befalls a replica, and how it ends. A replica that cannot renew its lease for all of it must
// lose its calls.
type trouble struct {
	name   string
	kind   string // kill, stop or partition
	loses  bool
	strike func(r *chaotic)
	heal   func(r *chaotic)
}

func troubles() []trouble {
	mend := func(r *chaotic) {
		r.ledger.heal()
		for _, s := range r.service {
			s.heal()
		}
	}
	goOn := func(r *chaotic) {
		mend(r)
		r.now().signal(syscall.SIGCONT)
	}
	kill := func(r *chaotic) { _ = r.now().cmd.Process.Kill() }
	stop := func(r *chaotic) { _ = r.now().cmd.Process.Signal(syscall.SIGSTOP) }
	again := func(r *chaotic) {
		r.now().killed()
		mend(r)
		r.start()
	}
	return []trouble{
		{"kill -9", "kill", true, kill, again},
		{"kill -9 in a write", "kill", true, inWrite(kill), again},
		{"SIGSTOP", "stop", true, stop, goOn},
		{"SIGSTOP in a write", "stop", true, inWrite(stop), goOn},
		{"cut off from Postgres", "partition", true, func(r *chaotic) { r.ledger.cut() }, mend},
		{"nothing passes to or from Postgres", "partition", true, func(r *chaotic) { r.ledger.hold(there, back) }, mend},
		{"nothing passes to Postgres, in a write", "partition", true, inWrite(func(*chaotic) {}), mend},
		// It may renew its lease once more, and does not learn of it.
		{"nothing passes from Postgres", "partition", false, func(r *chaotic) { r.ledger.hold(back) }, mend},
		{"cut off from the services", "partition", false, func(r *chaotic) {
			for _, s := range r.service {
				s.cut()
			}
		}, mend},
		{"nothing passes to or from the services", "partition", false, func(r *chaotic) {
			for _, s := range r.service {
				s.hold(there, back)
			}
		}, mend},
		{"alone", "partition", true, func(r *chaotic) {
			r.ledger.cut()
			for _, s := range r.service {
				s.hold(there, back)
			}
		}, mend},
	}
}

// inWrite has something happen while the replica's next commit is under way to Postgres and does not get there: its
// transaction holds the ledger's lock.
func inWrite(do func(*chaotic)) func(*chaotic) {
	return func(r *chaotic) {
		sprung := make(chan struct{})
		r.ledger.atCommit(func() {
			r.ledger.hold(there)
			do(r)
			close(sprung)
		})
		select {
		case <-sprung:
		case <-time.After(r.c.lease): // it renews its lease more often than that
			r.c.t.Errorf("it has written nothing in %v", r.c.lease)
			do(r)
		}
	}
}

// struck is a trouble that a replica was in.
type struck struct {
	trouble
	strike

	healed time.Time
}

// TestTroublesAreOfAllKinds keeps the three kinds that a short run has one of each.
func TestTroublesAreOfAllKinds(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for _, x := range troubles() {
		kinds[x.kind]++
	}
	if kinds["kill"] < 2 || kinds["stop"] < 2 || kinds["partition"] < 5 || len(kinds) != 3 {
		t.Errorf("%v", kinds)
	}
}
