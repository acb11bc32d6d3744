package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// killsAtEach is how often a process dies at each point.
const killsAtEach = 20

// killPoint is a moment of a call's life.
type killPoint struct {
	name string // as in TEST_KILL, or of what the provider does
	want want
}

func killPoints() []killPoint {
	unsent, unanswered, placed := want{true, 0, "uncertain"}, want{true, 1, "uncertain"}, want{true, 1, "replayed"}
	return []killPoint{
		{"before_reserve", want{false, 0, "new"}},
		{"in_reserve", want{false, 0, "new"}},
		{"after_reserve", unsent},
		{"mid_post_part", unsent}, // the provider has read a part of the request
		{"mid_post_whole", unanswered},
		{"after_post", unanswered},
		{"in_placed", unanswered},
		{"after_placed", placed},
		{"in_follow", placed},
		{"in_settlement", placed},
		{"in_reconcile", placed}, // the answer was lost, the call is found in the provider's list, and that is not recorded
	}
}

// A process that is killed at any step of a call leaves a ledger that the next one is ready on at once, in which nothing is
// lost that anybody was told, and the same request again dials only where surely nothing was sent. Each life ends at the
// point and is the next one's past, so that a ledger sees twenty kills. Beside the call that dies another one goes on.
func TestKillPoints(t *testing.T) {
	t.Parallel()
	for _, p := range killPoints() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, p.name, p.service())
			var pending []*errand
			for round := range killsAtEach {
				pending = b.killAt(p, round, pending)
			}
			l := b.start()
			b.settle(l, pending)
			b.finish(l)
			t.Logf("%d kills, ready again within %v", b.lives-1, b.slowest)
		})
	}
}

// killAt has a process finish what the last one left, and die at a point.
func (b *bench) killAt(p killPoint, round int, pending []*errand) []*errand {
	b.t.Helper()
	marked, beside := b.errand(), b.errand()
	if round%2 == 1 {
		marked, beside = beside, marked // so that half of those that die have a key
	}
	commit := ""
	if round/2%2 == 1 {
		commit = "@commit"
	}
	l := b.start("TEST_KILL=" + p.name + commit + " " + marked.word)
	b.settle(l, pending)
	b.place(l, beside)
	p.provoke(b.r, l)
	asked := l.tool("create_call", marked.arguments())
	l.killed()
	b.r.hold(nil, nil)
	if a, ok := heard(asked); ok {
		marked.acked = a.CallID
	}
	marked.want, beside.want = &p.want, &want{true, 1, "replayed"}
	return []*errand{marked, beside}
}

// service is the one that the point is shown at.
func (p killPoint) service() service {
	if p.name == "in_reconcile" {
		return pamelaService(speed, short) // which lists its calls
	}
	return steponeService(speed, short)
}

// provoke has the provider kill a process that does not die by itself, or brings it where it does.
func (p killPoint) provoke(r *recorder, l *life) {
	die := func() bool {
		_ = l.cmd.Process.Kill()
		return false
	}
	switch p.name {
	case "mid_post_part":
		r.hold(func(req *http.Request) bool {
			_, _ = io.CopyN(io.Discard, req.Body, req.ContentLength/2)
			return die()
		}, nil)
	case "mid_post_whole":
		r.hold(nil, func(dialed) bool { return die() })
	case "in_reconcile":
		r.hold(nil, func(dialed) bool { return false })
	}
}

var kills = flag.Int("kills", 200, "how many random kills TestRandomKills plays")

// A process is asked for several calls at once, each twice, and for an old one again, and killed at any moment of it: in
// half of the rounds by the clock alone, in the others soon after the first dial has reached the provider.
func TestRandomKills(t *testing.T) {
	t.Parallel()
	ledgers := max(8, *kills/50) // what is left over from one life to the next does not pile up
	var mu sync.Mutex
	var moments [3]int // kills before any, amid and after all dials of their round
	var slowest time.Duration
	var calls, unsent, unanswered int
	t.Run("on", func(t *testing.T) {
		for i := range ledgers {
			t.Run(fmt.Sprint("ledger ", i), func(t *testing.T) {
				t.Parallel()
				s := steponeService(speed, short)
				if i%2 == 1 {
					s = pamelaService(speed, short)
				}
				b := newBench(t, fmt.Sprint("random", i), s)
				arrived := make(chan struct{}, 1)
				b.r.hold(func(*http.Request) bool {
					select {
					case arrived <- struct{}{}:
					default:
					}
					return true
				}, slowly)
				var pending []*errand
				for round := range *kills / ledgers {
					l := b.start()
					b.settle(l, pending)
					pending = []*errand{b.errand(), b.errand()}
					if len(arrived) > 0 {
						<-arrived // of what was settled
					}
					asked := b.askForAll(l, pending)
					within := min(150*time.Millisecond, l.took/4) // who is ready soon is soon through with it too
					if round%2 == 1 {
						receive(t, arrived)
						within /= 3
					}
					time.Sleep(rand.N(within)) // the kill falls anywhere
					dialed := b.kill(l, asked, pending)
					mu.Lock()
					moments[min(dialed, 1)+dialed/len(pending)]++
					mu.Unlock()
				}
				l := b.start()
				b.settle(l, pending)
				unknown := b.finish(l)
				mu.Lock()
				defer mu.Unlock()
				calls += len(b.errands)
				slowest = max(slowest, b.slowest)
				for _, w := range b.errands {
					if len(b.r.of(w.word)) == 0 {
						unsent++
						unknown--
					}
				}
				unanswered += unknown
			})
		}
	})
	t.Logf("%d kills: %d before, %d amid, %d after the dials of their round; of %d calls %d were never sent and %d never answered; ready again within %v",
		*kills/ledgers*ledgers, moments[0], moments[1], moments[2], calls, unsent, unanswered, slowest)
}

// askForAll asks for each twice, and for an old one again.
func (b *bench) askForAll(l *life, errands []*errand) map[<-chan reply]*errand {
	all := append(slices.Concat(errands, errands), b.errands[rand.N(len(b.errands))])
	asked := map[<-chan reply]*errand{}
	for _, w := range all {
		asked[l.tool("create_call", w.arguments())] = w
	}
	return asked
}

// kill kills a process, keeps what it had answered, and says how many of some errands had been dialed.
func (b *bench) kill(l *life, asked map[<-chan reply]*errand, errands []*errand) (dials int) {
	b.t.Helper()
	_ = l.cmd.Process.Kill()
	l.killed()
	for from, w := range asked {
		a, ok := heard(from)
		if !ok || a.CallID == "" {
			continue
		}
		if w.acked != "" && w.acked != a.CallID {
			b.t.Errorf("%s is %s and %s", w.word, w.acked, a.CallID)
		}
		w.acked = a.CallID
	}
	for _, w := range errands {
		dials += min(1, len(b.r.of(w.word)))
	}
	return dials
}
