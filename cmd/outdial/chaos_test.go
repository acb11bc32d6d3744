//go:build unix

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/internal/pgtest"
)

var (
	chaosRounds = flag.Int("chaos", 2, "how many rounds of faults TestLeaseChaos plays")
	chaosCalls  = flag.Int("chaos.calls", 12, "how many calls are placed meanwhile")
	chaosLease  = flag.Duration("chaos.lease", 3*time.Second, "the replicas' lease, with which all times go")
)

// chaos is three replicas on one Postgres, each behind links of its own, and the services that they call through.
type chaos struct {
	t        *testing.T
	lease    time.Duration
	url      string
	sql      func(string) string
	services []*recorder
	replicas []*chaotic
	lives    []*life // all that ever were
	errands  []*task
	placing  sync.WaitGroup
	audited  bool
	played   []struck
}

// task is one call that is wanted at one of the services.
type task struct {
	errand
	at *recorder

	mu   sync.Mutex
	told []string // the names that clients were given for it
}

// TestLeaseChaos: three replicas are killed, stopped and cut off, again and again, while calls are placed through any of them
// and watched at any of them. Nobody is called twice, who has lost a call writes nothing to it, a call is soon followed again,
// and each is in the end what its service has on record (P1, P2, P10).
func TestLeaseChaos(t *testing.T) {
	t.Parallel()
	c := newChaos(t)
	c.placeSome(*chaosCalls/4, 0) // so that there is something to lose
	c.placing.Wait()
	plan := c.plan()
	rest, over := *chaosCalls-len(c.errands), len(plan)*3/4+1
	for i, round := range plan {
		if i < over {
			c.placeSome(rest*(i+1)/over-rest*i/over, c.span())
		}
		c.play(round)
		if t.Failed() {
			break
		}
	}
	c.placing.Wait()
	c.end()
	c.judge()
}

// span is how long a round's faults last, and roughly a round.
func (c *chaos) span() time.Duration { return c.lease * 3 / 2 }

func newChaos(t *testing.T) *chaos {
	server := &pgtest.Server{}
	t.Cleanup(server.Stop)
	c := &chaos{t: t, lease: *chaosLease, url: server.Database(t)}
	c.sql = func(s string) string { t.Helper(); return server.SQL(t, c.url, s) }
	every := min(c.lease/3, 2*time.Second)
	length := max(2*c.span(), c.span()*time.Duration(*chaosRounds)/4) // a quarter of the calls are on the line at any moment
	plays := steady(int(length/every), every)
	c.services = []*recorder{record(t, steponeService(1, plays)), record(t, pamelaService(1, plays))}
	for _, s := range c.services {
		s.hold(nil, slowly)
	}
	for range 3 {
		r := &chaotic{c: c, home: t.TempDir(), ledger: lay(t, hostOf(t, c.url))}
		for _, s := range c.services {
			r.service = append(r.service, lay(t, hostOf(t, s.base)))
		}
		r.start()
		if c.replicas = append(c.replicas, r); !c.audited {
			c.sql(auditing)
			c.audited = true
		}
	}
	return c
}

// plan says which troubles befall two of the replicas in each round, so that each trouble comes equally often, and each kind
// in a short run too.
func (c *chaos) plan() (rounds [][]trouble) {
	all := troubles()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, kind := range []string{"kill", "stop", "partition"} {
		at := slices.IndexFunc(all, func(x trouble) bool { return x.kind == kind })
		all[i], all[at] = all[at], all[i]
	}
	for i := range *chaosRounds {
		rounds = append(rounds, []trouble{all[2*i%len(all)], all[(2*i+1)%len(all)]})
	}
	return rounds
}

// play has troubles befall as many replicas, for longer than a lease.
func (c *chaos) play(round []trouble) {
	c.t.Helper()
	hit := rand.Perm(len(c.replicas))[:len(round)]
	began := time.Now()
	var all []struck
	for i, x := range round {
		r := c.replicas[hit[i]]
		x.strike(r)
		all = append(all, struck{trouble: x, strike: strike{r.process, time.Now()}})
	}
	pause(time.Until(began.Add(c.span())))
	for i, x := range round {
		x.heal(c.replicas[hit[i]])
		all[i].healed = time.Now()
	}
	c.played = append(c.played, all...)
	pause(rand.N(c.lease / 3))
}

// pause lets time pass: what is waited for is the time itself, as a lease tells it.
func pause(d time.Duration) { <-time.After(d) }

// placeSome places calls through any replica at any moment of some time.
func (c *chaos) placeSome(n int, within time.Duration) {
	for range n {
		i := len(c.errands)
		w := &task{at: c.services[i%len(c.services)]}
		w.word, w.to = fmt.Sprintf("crash-chaos-%04d", i), w.at.number(i)
		if i%4 > 1 {
			w.key = "key-" + w.word
		}
		c.errands = append(c.errands, w)
		after := rand.N(within + 1)
		for at := range 1 + i%3 { // one client, or several that ask for the same at once
			c.placing.Go(func() { c.place(w, i+at, after) })
		}
	}
}

// place asks one replica after the other, beginning with a certain one, as a client does that gets no answer, until it is told what became of the call.
func (c *chaos) place(w *task, first int, after time.Duration) {
	pause(after)
	for next, deadline := first, time.Now().Add(20*c.lease+3*patience); time.Now().Before(deadline); pause(c.lease / 20) {
		l := c.replicas[next%len(c.replicas)].now()
		next = rand.Int()
		from := l.tool("create_call", w.arguments())
		select {
		case a := <-from:
			got := a.Result.Call
			switch {
			case got.Code == "unavailable" || got.Code == "internal" && got.Started == "no":
				continue
			case got.CallID == "" || got.Code != "" && got.Code != "uncertain":
				c.t.Errorf("%s: %+v", w.word, got)
				return
			}
			w.mu.Lock()
			w.told = append(w.told, got.CallID)
			w.acked = got.CallID
			w.mu.Unlock()
			c.replicas[rand.N(len(c.replicas))].now().watch(got.CallID, fmt.Sprint(w.word, "-", rand.Uint32()))
			return
		case <-l.read:
		case <-time.After(c.lease): // it may be stopped; the next one can answer
		}
	}
	c.t.Errorf("%s: nobody has said what became of it", w.word)
}

// end waits until all calls are over, and has the replicas end in order.
func (c *chaos) end() {
	c.t.Helper()
	if c.t.Failed() {
		for _, r := range c.replicas {
			c.t.Logf("a replica said:\n%.4000s", r.now().stderr)
		}
		c.t.FailNow()
	}
	uncertain, never := 0, 0
	for i, w := range c.errands {
		l := c.replicas[i%len(c.replicas)].now()
		dials := w.at.of(w.word)
		for _, id := range w.told {
			if id != w.acked {
				c.t.Errorf("%s is %v", w.word, w.told)
			}
		}
		got := l.call(w.acked)
		lasts := time.Duration(2*max(4, *chaosRounds))*c.span() + patience
		for deadline := time.Now().Add(lasts); got.Status != "ended" && time.Now().Before(deadline); got = l.call(w.acked) {
			if got.Status == "unconfirmed" && (len(dials) == 0 || !w.at.lists) {
				break // nobody will learn more for minutes
			}
			l.answer(l.tool("get_call", fmt.Sprintf(`{"call_id":%q,"after_seq":%d,"wait_seconds":1}`, w.acked, got.NextSeq)))
		}
		switch {
		case len(dials) > 1 || len(dials) == 1 && (dials[0].call != w.acked || dials[0].to != w.to):
			c.t.Errorf("%s to %s is %s, and was dialed as %+v", w.word, w.to, w.acked, dials)
		case got.Status == "unconfirmed" && (len(dials) == 0 || !w.at.lists):
			uncertain++
		case len(dials) == 0 && got.Outcome == "failed" && w.at.lists: // two minutes later it is not on the list
			never++
		case len(dials) == 0 || got.Status != "ended" || got.Outcome != "completed" || got.Record != "complete":
			c.t.Errorf("%s: %d dials, and in the end %+v", w.word, len(dials), got)
		default:
			said, err := w.at.record(w.at.Handler, dials[0])
			if diff := cmp.Diff(said, got.Turns); diff != "" || err != nil || len(said) == 0 {
				c.t.Errorf("%s: the transcript is not the service's: %v\n%s", w.word, err, diff)
			}
		}
	}
	for _, r := range c.replicas {
		_ = r.now().in.Close()
	}
	for _, r := range c.replicas {
		if code := r.now().ends(10 * time.Second); code != 0 {
			c.t.Errorf("exit code %d", code)
		}
	}
	c.t.Logf("%d calls: %d of which nobody knows, %d that never happened", len(c.errands), uncertain, never)
}

// judge reads what Postgres has written down.
func (c *chaos) judge() {
	c.t.Helper()
	all := audited(c.t, c.sql)
	wrongs := wrongsOf(all)
	for _, wrong := range wrongs[:min(len(wrongs), 20)] {
		c.t.Error(wrong)
	}
	var took []time.Duration
	by := map[string]int{}
	for _, s := range c.played {
		by[s.kind]++
		if !s.loses {
			continue
		}
		these, unfollowed := takenAfter(all, s.strike, 2*c.lease)
		if took = append(took, these...); len(unfollowed) > 0 {
			c.t.Errorf("%s: %d calls of %d were not followed again within %v: %v", s.name, len(unfollowed), len(these), 2*c.lease, these)
			c.t.Logf("the first, which %s followed at %s:\n%s", s.process, s.at.Format("15:04:05.000"), historyOf(all, unfollowed[0]))
		}
	}
	pushes := c.watched()
	claims, events := 0, 0
	for _, w := range all {
		if w.what == "event" {
			events++
		}
		if w.what == "call" && w.epoch != w.wasEpoch {
			claims++
		}
	}
	slices.Sort(took)
	if len(took) == 0 {
		c.t.Fatal("no call was taken over")
	}
	p99 := took[len(took)*99/100]
	c.t.Logf("%v over %d rounds; %d events, %d of them pushed to watchers once each; %d writes out of turn; %d calls taken over %d times in all, after %v in the middle, %v in 99 of 100, %v at the most, with a lease of %v",
		by, *chaosRounds, events, pushes, len(wrongs), len(took), claims, took[len(took)/2].Round(time.Millisecond), p99.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), c.lease)
	if most := c.lease * 35 / 30; *chaosRounds >= 20 && p99 > most {
		c.t.Errorf("in 99 of 100 cases a call was taken over within %v, not %v", p99, most)
	}
}

// watched holds that each watcher was pushed every event, once and in order, for as long as its replica lived.
func (c *chaos) watched() (n int) {
	c.t.Helper()
	for _, l := range c.lives {
		last := map[string]int{}
		for _, p := range l.pushes() {
			if last[p.token]++; p.seq != last[p.token] {
				c.t.Errorf("%s: event %d was pushed as the %dth", p.token, p.seq, last[p.token])
			}
			n++
		}
	}
	return n
}
