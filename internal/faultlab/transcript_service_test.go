package faultlab

import (
	"context"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// teller is a provider that tells of one scheduled call. How the call stands is a function of the time.
type teller struct {
	schedule
	log    []moment
	over   time.Duration // when the line closes
	dialed time.Time

	mu          sync.Mutex
	connections int
	lookups     int
	sent        int // the furthest moment that any connection has sent, from 1
	cutOff      [beforeMarker + 1]int64
}

func newTeller(s schedule) *teller {
	return &teller{schedule: s, log: s.moments(), over: s.closes(), dialed: time.Now()}
}

func (s *teller) since() time.Duration { return time.Since(s.dialed) }

// driver is the teller as one process asks it. It remembers what this process was told.
type driver struct {
	*teller

	told     phone.Outcome
	heard    map[int]bool // the utterances of which some connection brought something
	last     []moment     // what the connection brought that told of the end
	replayed bool         // the last connection played all of it from the start, and told of the end
	caught   bool         // a look-up told all words after the line had closed
}

// streamer is a driver that streams too.
type streamer struct{ *driver }

func (s *teller) driver() (providers.Driver, *driver) {
	d := &driver{teller: s, heard: map[int]bool{}}
	if s.streams {
		return streamer{d}, d
	}
	return d, d
}

func (*driver) Place(context.Context, phone.Order) (phone.Ref, error) { return "ref", nil }

func (d *driver) Lookup(ctx context.Context, _ phone.Ref) (phone.Observation, error) {
	d.mu.Lock()
	d.lookups++
	r := rand.New(rand.NewPCG(d.seed, uint64(1000+d.lookups)))
	d.mu.Unlock()
	if r.IntN(3) == 0 && !sleep(ctx, time.Duration(r.Int64N(int64(1500*time.Millisecond)))) {
		return phone.Observation{}, ctx.Err()
	}
	if r.IntN(10) < d.failing {
		switch r.IntN(6) {
		case 0:
			return phone.Observation{}, phone.Errorf(phone.NotFound, "No such call.")
		case 1:
			panic("an odd answer")
		case 2:
			return phone.Observation{}, &phone.Error{Code: phone.Exhausted, RetryAt: time.Now().Add(time.Duration(r.IntN(20)) * time.Second)}
		}
		return phone.Observation{}, phone.Errorf(phone.Unavailable, "Not now.")
	}
	o := d.stands()
	if o.Outcome != "" {
		d.told = o.Outcome
	}
	return o, nil
}

// stands is what a look-up says now.
func (d *driver) stands() phone.Observation {
	now := d.since()
	if now < d.over {
		return d.soFar(d.tells, now)
	}
	switch {
	case d.record >= 0 && now >= d.over+d.record:
		return d.recorded()
	case d.closing == tellsNothing:
		return phone.Observation{}
	case d.closing == tellsOpen:
		return d.soFar(d.tells, d.over)
	}
	o := d.soFar(d.closing, now)
	o.Line = phone.WrappingUp
	if d.outcomes {
		o.Outcome = d.outcome
	}
	d.caught = d.caught || o.Extent == phone.SoFar && d.lag == 0
	return o
}

// recorded is what a look-up says once the record is there.
func (s *teller) recorded() phone.Observation {
	took := s.over - s.ring
	return phone.Observation{Line: phone.WrappingUp, Extent: phone.Whole, Words: s.whole(), Outcome: s.outcome, Duration: &took}
}

// soFar is what a look-up says of the line, and of the words that were said some time ago.
func (d *driver) soFar(t telling, now time.Duration) phone.Observation {
	var o phone.Observation
	if t == tellsNothing {
		return o
	}
	o.Line = phone.Ringing
	if now >= d.ring {
		o.Line = phone.InProgress
	}
	if t != tellsSoFar {
		return o
	}
	for _, m := range d.log {
		switch {
		case m.at > now-d.lag:
			continue
		case m.turn < len(o.Words):
			o.Words[m.turn] = m.words
		default:
			o.Words = append(o.Words, m.words)
		}
	}
	if len(o.Words) > 0 {
		o.Extent = phone.SoFar
	}
	return o
}

// Stream plays the conversation through one connection, from where the provider opens it to where it is cut.
func (d streamer) Stream(ctx context.Context, _ phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) {
		d.mu.Lock()
		n := d.connections
		d.connections++
		d.mu.Unlock()
		d.replayed = false
		r := rand.New(rand.NewPCG(d.seed, uint64(2000+n)))
		if !sleep(ctx, time.Duration(r.Int64N(int64(time.Second)))) {
			return
		}
		if d.brokenAt >= 0 && n >= d.brokenAt {
			yield(phone.Observation{}, phone.Errorf(phone.Unavailable, "No stream."))
			return
		}
		c := connection{driver: d.driver, ctx: ctx, yield: yield, opened: d.since(), uncut: n >= len(d.cuts)}
		if !c.uncut {
			c.cut = d.cuts[n]
		}
		c.play()
	}
}

// connection is one stream while it is open.
type connection struct {
	*driver
	ctx    context.Context
	yield  func(phone.Observation, error) bool
	opened time.Duration
	cut    cut
	uncut  bool
	told   bool // something came
	words  int
	said   []moment
}

func (c *connection) play() {
	pos := c.opensAt()
	replay := pos == 0
	if c.greets && !c.say(phone.Observation{Line: c.soFar(tellsLine, c.opened).Line}) {
		return
	}
	for {
		for ; pos < len(c.log) && c.log[pos].at <= c.since(); pos++ {
			if c.isCut(cut{where: afterWords, n: c.words}) || c.isCut(cut{where: afterMoment, n: pos}) {
				c.breakOff()
				return
			}
			m := c.log[pos]
			if again := pos+1 < len(c.log) && c.log[pos+1].turn == m.turn && c.log[pos+1].at <= c.opened; again && c.condense {
				continue
			}
			if !c.say(phone.Observation{Words: []phone.Words{m.words}}) {
				return
			}
			c.words++
			c.said = append(c.said, m)
			c.heard[m.turn] = true
			c.mu.Lock()
			c.sent = max(c.sent, pos+1)
			c.mu.Unlock()
		}
		if pos == len(c.log) && c.since() >= c.over {
			if c.isCut(cut{where: beforeMarker}) || c.isCut(cut{where: afterWords, n: c.words}) || c.isCut(cut{where: afterMoment, n: pos}) {
				c.breakOff()
				return
			}
			c.end(replay)
			return
		}
		next := c.over
		if pos < len(c.log) {
			next = c.log[pos].at
		}
		silence := c.opened + c.cut.wait
		cutFirst := !c.uncut && c.cut.where == inSilence && silence < next
		if cutFirst {
			next = silence
		}
		if !sleep(c.ctx, next-c.since()) {
			return
		}
		if cutFirst {
			c.breakOff()
			return
		}
	}
}

// opensAt is the moment at which this connection begins.
func (c *connection) opensAt() int {
	now, begun := 0, 0 // the first moment that is still to come, and the utterances begun
	for now < len(c.log) && c.log[now].at <= c.opened {
		begun = c.log[now].turn
		now++
	}
	c.mu.Lock()
	first, sent := c.connections == 1, c.sent
	c.mu.Unlock()
	back := func(turn int) int {
		for i, m := range c.log {
			if m.turn >= turn {
				return min(i, now)
			}
		}
		return now
	}
	switch {
	case first, c.reopen == fromStart:
		return 0
	case c.reopen == fromHeard && sent == 0:
		return 0
	case c.reopen == fromHeard:
		return back(c.log[sent-1].turn - c.back)
	case c.reopen == fromBack:
		return back(begun - c.back)
	}
	return now
}

func (c *connection) isCut(at cut) bool {
	return !c.uncut && c.cut.where == at.where && (at.where == beforeMarker || c.cut.n == at.n)
}

func (c *connection) say(o phone.Observation) bool {
	o.Opened = !c.told
	c.told = true
	return c.yield(o, nil)
}

func (c *connection) breakOff() {
	if !c.uncut {
		c.mu.Lock()
		c.cutOff[c.cut.where]++
		c.mu.Unlock()
	}
	if c.cut.how == stalls && !sleep(c.ctx, 90*time.Second) || c.cut.how == ends {
		return
	}
	c.yield(phone.Observation{}, phone.Errorf(phone.Unavailable, "It broke off."))
}

// end tells that the line has closed, or breaks off where this provider does not tell.
func (c *connection) end(replay bool) {
	if !c.marker {
		c.yield(phone.Observation{}, phone.Errorf(phone.Unavailable, "It broke off."))
		return
	}
	o := phone.Observation{Line: phone.WrappingUp}
	if c.outcomes {
		o.Outcome = c.outcome
		c.driver.told = o.Outcome
	}
	c.replayed, c.last = replay, c.said
	c.say(o)
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
