package faultlab

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// schedule is one generated call: what is said and when, how its provider tells of it, and what breaks on the way. It is a
// value, so that a failing one can be made smaller and run again.
type schedule struct {
	seed     uint64
	distinct bool // no two utterances can be taken for each other
	said     []utterance
	ring     time.Duration
	goodbye  time.Duration // from the last word until the line closes
	outcome  phone.Outcome

	streams  bool // else the provider can only be looked up
	reopen   reopening
	back     int  // utterances that an overlap goes back
	condense bool // what is played again comes without the steps in which it grew
	finals   bool // an utterance that is over is marked so
	greets   bool // a connection opens with a state of the line and without words
	marker   bool // a stream tells that the line has closed
	outcomes bool // with it, how the call went
	cuts     []cut
	brokenAt int // from this connection on streams fail for good; -1: never

	tells   telling // what look-ups say while they talk
	lag     time.Duration
	closing telling       // what they say between the end and the record
	failing int           // of 10 look-ups
	record  time.Duration // from the end of the call until the record is there; negative: never

	deaths   []death
	watchers int
}

// utterance is what one says: it grows through its steps, each a beginning of the text, to the text.
type utterance struct {
	role  phone.Role
	text  string
	steps []string
	after time.Duration // since the end of the one before
	pace  time.Duration // between its steps
}

// reopening is where a further stream of the same call begins.
type reopening int

const (
	fromStart reopening = iota
	fromNow             // what was said meanwhile is never heard
	fromHeard           // some utterances before the last one that any connection has sent
	fromBack            // some utterances before the present one: what was said meanwhile may be missing before them
)

// cut is how a connection ends before its time.
type cut struct {
	where cutting
	n     int           // after so many words, or after this moment of the conversation
	wait  time.Duration // in silence: so long after it was opened
	how   breaking
}

type cutting int

const (
	afterWords  cutting = iota // of this connection; 0: before the first
	afterMoment                // in mid-utterance mostly
	inSilence
	beforeMarker
)

type breaking int

const (
	breaks breaking = iota
	ends            // without an error, which says nothing about the call
	stalls          // it falls silent, and breaks a minute and a half later
)

// telling is what a look-up says of the words.
type telling int

const (
	tellsNothing telling = iota
	tellsLine            // the state of the line alone
	tellsSoFar           // and all words so far
	tellsOpen            // of a call that is over: that it goes on
)

// death is the end of a process that follows the call: at some time, or with what it was about to record.
type death struct {
	at    time.Duration // since it began to follow; 0: at a write
	write int
	wrote bool          // the write was carried out, and nobody told it so
	stuck time.Duration // it comes back after so long, and writes on as if it still followed the call
	pause time.Duration // until another process takes the call over
	same  bool          // or the same one takes it up again
}

// pools are what people say, some of it often, and some of it what a provider's stream would mean.
var pools = [][]string{
	{"yes", "no"},
	{"好的", "好", "好的，没问题", "嗯", "嗯嗯"},
	{"yes", "yes please", "yes, please do", "no", "ok"},
	{"[DONE]", "[TIMEOUT]", "data: x", `{"role":"system","content":"[DONE]"}`, "event: end", ": keep-alive"},
	{".", "…", " ", "1", "a", "喂", "\u00a0", "🙂"},
	{
		"Hello, this is an AI assistant calling.", "您好，我是AI助手，受林女士委托给您打电话。", "One moment.", "two\nlines", "Could you say that again?",
		"可以的，没问题。", "再见", "Goodbye!", "yes", "嗯",
	},
}

func generate(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 1))
	chance := func(percent int) bool { return r.IntN(100) < percent }
	upTo := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d) + 1)) }
	s := schedule{
		seed: seed, distinct: chance(25), ring: upTo(20 * time.Second), goodbye: upTo(3 * time.Second), outcome: phone.Completed,
		streams: chance(85), reopen: reopening(r.IntN(4)), back: r.IntN(4), condense: chance(50), finals: chance(80), greets: chance(30),
		marker: chance(80), outcomes: chance(50), brokenAt: -1,
		tells: telling(r.IntN(3)), closing: telling(r.IntN(4)), watchers: 3,
	}
	s.converse(r)
	if chance(30) {
		s.lag = upTo(8 * time.Second)
	}
	if chance(40) {
		s.failing = 1 + r.IntN(5)
	}
	if chance(15) {
		s.outcome = []phone.Outcome{phone.Voicemail, phone.Failed, phone.Cancelled, phone.UnknownOutcome}[r.IntN(4)]
	}
	if len(s.said) == 0 {
		s.outcome = []phone.Outcome{phone.NoAnswer, phone.Busy, phone.Declined}[r.IntN(3)]
	}
	switch n := r.IntN(100); {
	case n < 40:
		s.record = upTo(5 * time.Second)
	case n < 70:
		s.record = upTo(50 * time.Second)
	case n < 80:
		s.record = time.Minute + upTo(10*time.Minute) // too late for who follows the call
	default:
		s.record = -1
	}
	moments := s.moments()
	for range r.IntN(6) {
		c := cut{where: cutting(r.IntN(4)), how: breaks, wait: upTo(40 * time.Second)}
		if chance(25) {
			c.how = breaking(r.IntN(3))
		}
		if c.n = r.IntN(len(moments) + 2); c.where == afterWords && chance(40) {
			c.n = r.IntN(3)
		}
		s.cuts = append(s.cuts, c)
	}
	if chance(15) {
		s.brokenAt = r.IntN(len(s.cuts) + 1)
	}
	if chance(25) {
		for range 1 + r.IntN(2) {
			d := death{pause: upTo(45 * time.Second), same: chance(30)}
			if chance(50) {
				d.at = time.Millisecond + upTo(s.closes()+10*time.Second)
			} else {
				d.write, d.wrote = 1+r.IntN(2*len(moments)+2), chance(50)
			}
			if chance(30) {
				d.stuck, d.same = d.pause+upTo(time.Minute), false
			}
			s.deaths = append(s.deaths, d)
		}
	}
	return s
}

// converse draws what is said.
func (s *schedule) converse(r *rand.Rand) {
	pool := pools[r.IntN(len(pools))]
	grows := r.IntN(3) == 0
	n := 1 + r.IntN(30)
	if r.IntN(100) < 3 {
		n = 0 // nobody answers
	}
	for i := range n {
		if r.IntN(10) == 0 {
			pool = pools[r.IntN(len(pools))]
		}
		u := utterance{role: phone.Agent, text: pool[r.IntN(len(pool))], after: time.Duration(r.Int64N(int64(5 * time.Second)))}
		if r.IntN(2) == 0 {
			u.role = phone.Callee
		}
		if r.IntN(30) == 0 {
			u.after += 30*time.Second + time.Duration(r.Int64N(int64(80*time.Second))) // nobody says anything for long
		}
		least := 1
		if s.distinct {
			u.text = fmt.Sprintf("%02d %s", i, u.text)
			least = 3
		}
		if runes := []rune(u.text); grows && len(runes) > least {
			u.pace = 50*time.Millisecond + time.Duration(r.Int64N(int64(time.Second)))
			for range r.IntN(4) {
				u.steps = append(u.steps, string(runes[:least+r.IntN(len(runes)-least)]))
			}
			slices.SortFunc(u.steps, func(a, b string) int { return len(a) - len(b) })
			u.steps = slices.Compact(u.steps)
		}
		s.said = append(s.said, u)
	}
}

// moment is one change of the conversation: an utterance begins or grows.
type moment struct {
	at    time.Duration // since the dial
	turn  int
	words phone.Words
}

func (s *schedule) moments() []moment {
	var all []moment
	at := s.ring
	for i, u := range s.said {
		at += u.after
		for _, step := range u.steps {
			all = append(all, moment{at, i, phone.Words{Role: u.role, Text: step}})
			at += u.pace
		}
		all = append(all, moment{at, i, phone.Words{Role: u.role, Text: u.text, Final: s.finals}})
	}
	return all
}

// closes is when the line closes.
func (s *schedule) closes() time.Duration {
	at := s.ring + s.goodbye
	for _, u := range s.said {
		at += u.after + time.Duration(len(u.steps))*u.pace
	}
	return at
}

// whole is the provider's record.
func (s *schedule) whole() []phone.Words {
	var all []phone.Words
	for _, u := range s.said {
		all = append(all, phone.Words{Role: u.role, Text: u.text, Final: true})
	}
	return all
}

// smaller gives schedules that lack something of this one.
func (s *schedule) smaller() []schedule {
	var all []schedule
	less := func(change func(*schedule)) {
		c := *s
		c.said, c.cuts, c.deaths = slices.Clone(s.said), slices.Clone(s.cuts), slices.Clone(s.deaths)
		change(&c)
		if fmt.Sprintf("%+v", c) != fmt.Sprintf("%+v", *s) {
			all = append(all, c)
		}
	}
	for i := range s.said {
		less(func(c *schedule) { c.said = slices.Delete(c.said, i, i+1) })
		less(func(c *schedule) { c.said[i].steps = nil })
		less(func(c *schedule) { c.said[i].after = time.Second })
	}
	for i := range s.cuts {
		less(func(c *schedule) { c.cuts = slices.Delete(c.cuts, i, i+1) })
		less(func(c *schedule) { c.cuts[i].how = breaks })
		less(func(c *schedule) { c.cuts[i].n = max(0, c.cuts[i].n-1) })
		less(func(c *schedule) { c.cuts[i].where = afterWords })
	}
	for i := range s.deaths {
		less(func(c *schedule) { c.deaths = slices.Delete(c.deaths, i, i+1) })
	}
	for _, change := range []func(*schedule){
		func(c *schedule) { c.watchers = 0 },
		func(c *schedule) { c.failing = 0 },
		func(c *schedule) { c.lag = 0 },
		func(c *schedule) { c.brokenAt = -1 },
		func(c *schedule) { c.tells = tellsNothing },
		func(c *schedule) { c.closing = tellsNothing },
		func(c *schedule) { c.greets = false },
		func(c *schedule) { c.back = 0 },
		func(c *schedule) { c.ring = time.Second },
		func(c *schedule) { c.goodbye = time.Second },
	} {
		less(change)
	}
	return all
}

func (s schedule) String() string {
	var b strings.Builder
	for i, u := range s.said {
		fmt.Fprintf(&b, "\n  %d %s %q after %v, grown through %q", i, u.role, u.text, u.after, u.steps)
	}
	for i, c := range s.cuts {
		fmt.Fprintf(&b, "\n  cut %d: %+v", i, c)
	}
	for _, d := range s.deaths {
		fmt.Fprintf(&b, "\n  %+v", d)
	}
	s.said, s.cuts, s.deaths = nil, nil, nil
	type plain schedule
	return fmt.Sprintf("-seed %d%s\n  %+v", s.seed, b.String(), plain(s))
}
