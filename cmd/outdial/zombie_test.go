//go:build unix

package main

import (
	"database/sql"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// gate holds up whoever asks a service how a call goes on, while it is shut. A stream that is open goes on.
type gate struct {
	http.Handler
	dials string

	mu   sync.Mutex
	open chan struct{} // closed while it is
}

func newGate(s *service) *gate {
	g := &gate{Handler: s.Handler, dials: s.path, open: make(chan struct{})}
	close(g.open)
	s.Handler = g
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, g.dials) {
		g.mu.Lock()
		open := g.open
		g.mu.Unlock()
		select {
		case <-open:
		case <-r.Context().Done():
			return
		}
	}
	g.Handler.ServeHTTP(w, r)
}

// shut shuts it until open is called.
func (g *gate) shut() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := make(chan struct{})
	g.open = shut
	return sync.OnceFunc(func() { close(shut) })
}

// A process that stands still for longer than its lease, as under a debugger or on a laptop that sleeps, finds its call
// taken over when it goes on. What it still hears gets nowhere, and both processes tell the same of the call.
func TestZombie(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]bool{
		// The new follower has heard nothing when the old one wakes: the call stands where the old one left it, so that
		// nothing but who writes can tell its words from those of the new one.
		"the new follower waits": true,
		"the call is over":       false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := steponeService(1, steady(40, 80*time.Millisecond))
			g := newGate(&s)
			b := newBench(t, "zombie", s)
			w := b.errand()

			old := b.start("TEST_LEASE=4s")
			b.place(old, w)
			watched := old.watch(w.acked, "old")
			b.reaches(w, func(s progress) bool { return s.seq >= 4 }) // words are coming in
			open := func() {}
			if silent {
				open = g.shut()
			}
			b.stop(old)
			time.Sleep(4100 * time.Millisecond) // until the lease is over
			heir := b.start("TEST_LEASE=8s")    // which it keeps, or the other would take the call back
			b.reaches(w, func(s progress) bool { return s.epoch == 2 })
			inherited := heir.watch(w.acked, "heir")
			if !silent {
				heir.answer(inherited)
			}
			stood := b.stands(w)
			old.signal(syscall.SIGCONT)
			for deadline := time.Now().Add(patience); !strings.Contains(old.stderr.String(), "Another process follows this call"); {
				if time.Now().After(deadline) {
					t.Errorf("the old process goes on following:\n%s", old.stderr)
					break
				}
				time.Sleep(5 * time.Millisecond) // it says on stderr why it stopped, and a buffer cannot be waited for
			}
			if now := b.stands(w); now != stood {
				t.Errorf("the call stood at %+v when the old process went on, and then at %+v", stood, now)
			}
			open()
			if silent {
				heir.answer(inherited)
			}
			if a := old.answer(watched); a.Status != "ended" {
				t.Errorf("who watched at the old process was told %+v", a)
			}
			if diff := cmp.Diff(heir.call(w.acked), old.call(w.acked)); diff != "" {
				t.Errorf("the two processes tell the call otherwise:\n%s", diff)
			}
			for _, l := range []*life{old, heir} {
				for i, p := range l.pushes() {
					if p.seq != i+1 {
						t.Errorf("event %d was pushed as number %d", p.seq, i+1)
					}
				}
			}
			if err := old.in.Close(); err != nil {
				t.Fatal(err)
			}
			old.ends(5 * time.Second)
			b.finish(heir)
		})
	}
}

// stop stops a process that is not in a transaction: as long as one that is stands still, nobody can write.
func (b *bench) stop(l *life) {
	b.t.Helper()
	for range 100 {
		l.signal(syscall.SIGSTOP)
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(l.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
			b.t.Fatalf("it did not stop: %v, %v\n%s", status, err, l.stderr)
		}
		free := false
		b.look(func(db *sql.DB) {
			_, err := db.ExecContext(b.t.Context(), `PRAGMA busy_timeout = 0; PRAGMA query_only = 0; BEGIN IMMEDIATE; ROLLBACK`)
			free = err == nil
		})
		if free {
			return
		}
		l.signal(syscall.SIGCONT)
		time.Sleep(5 * time.Millisecond) // its transaction ends by itself
	}
	b.t.Fatal("it is always in a transaction")
}

// progress is how far a call stands in the ledger.
type progress struct{ seq, events, epoch int }

func (b *bench) stands(w *errand) (s progress) {
	b.t.Helper()
	b.look(func(db *sql.DB) {
		if err := db.QueryRowContext(b.t.Context(), `SELECT seq, epoch, (SELECT count(*) FROM events WHERE call_id = id) FROM calls WHERE id = ?`,
			w.acked).Scan(&s.seq, &s.epoch, &s.events); err != nil {
			b.t.Fatal(err)
		}
	})
	return s
}

// reaches waits until a call stands so far.
func (b *bench) reaches(w *errand, far func(progress) bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !far(b.stands(w)); {
		if time.Now().After(deadline) {
			b.t.Fatalf("the call stands at %+v", b.stands(w))
		}
		time.Sleep(5 * time.Millisecond) // another process writes, and its file cannot be waited for
	}
}

// pushes are a life's progress notifications so far.
func (l *life) pushes() []push {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pushed)
}

// What one process hears is seen by who watches at another one before a tenth of a second is over. Not parallel: what it
// measures is not the other tests. A busy machine may spoil a round: the best of three counts.
func TestFragmentsSeenByOthers(t *testing.T) {
	const most, rounds = 100 * time.Millisecond, 3
	for round := 1; ; round++ {
		b := newBench(t, "others", steponeService(1, steady(60, 50*time.Millisecond)))
		w := b.errand()
		follower, other := b.start("TEST_LEASE=30s"), b.start("TEST_LEASE=30s")
		b.place(follower, w)
		here, there := follower.watch(w.acked, "here"), other.watch(w.acked, "there")
		follower.answer(here)
		other.answer(there)
		first := map[int]time.Time{}
		for _, p := range follower.pushes() {
			first[p.seq] = p.at
		}
		var late []time.Duration
		for _, p := range other.pushes() {
			if at, ok := first[p.seq]; ok {
				late = append(late, p.at.Sub(at))
			}
		}
		if len(late) < 60 {
			t.Fatalf("only %d events were seen by both", len(late))
		}
		slices.Sort(late)
		p95 := late[len(late)*95/100]
		t.Logf("round %d: %d events, seen by the other process after %v in the middle, %v in 95 of 100, %v at the most",
			round, len(late), late[len(late)/2], p95, late[len(late)-1])
		if err := other.in.Close(); err != nil {
			t.Fatal(err)
		}
		other.ends(5 * time.Second)
		b.finish(follower)
		if p95 <= most {
			return
		}
		if round == rounds {
			t.Fatalf("in no round 95 of 100 events were seen within %v", most)
		}
	}
}
