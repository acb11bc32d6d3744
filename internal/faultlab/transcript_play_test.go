package faultlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/follow"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// play is one schedule under way: the provider, the processes that follow the call one after the other, those who watch.
type play struct {
	schedule
	ctx     context.Context
	teller  *teller
	book    *book
	desks   []*follow.Desk
	driver  *driver // of the last follower
	lives   int
	late    bool          // the record came after the following had ended
	settled bool          // without a record
	gaveUp  time.Duration // when that was

	all      sync.WaitGroup
	watching sync.WaitGroup
	leave    context.CancelFunc // for those who watch
	seers    []*watcher
}

var errKilled = errors.New("killed")

func newPlay(ctx context.Context, s schedule) *play {
	x := &play{schedule: s, ctx: ctx, teller: newTeller(s), desks: []*follow.Desk{follow.NewDesk()}}
	x.book = newBook(x.invented)
	watching, leave := context.WithCancel(ctx)
	x.leave = leave
	alone := s.seed%2 == 0 // with the follower, so that nobody but who watches reads on if that dies
	for i := range s.watchers {
		w := &watcher{desk: x.desks[0], book: x.book, rand: rand.New(rand.NewPCG(s.seed, uint64(3000+i))), patient: i == 0 && alone}
		if i == 1 {
			w.slow = 7 * time.Second
		}
		if i == 2 || i == 1 && alone {
			w.desk = follow.NewDesk() // in another process
		}
		x.seers = append(x.seers, w)
		x.watching.Go(func() { w.watch(watching) })
	}
	return x
}

// follow has the call followed, by one process after the other if they die.
func (x *play) follow() {
	for {
		var d *death
		if x.lives < len(x.deaths) {
			d = &x.deaths[x.lives]
		}
		if x.lives > 0 && !x.deaths[x.lives-1].same {
			x.desks = append(x.desks, follow.NewDesk())
		}
		x.lives++
		if over := x.live(d); over || d == nil {
			return
		}
		sleep(x.ctx, d.pause)
	}
}

// live follows the call as one process does, until it is over or the process dies.
func (x *play) live(d *death) (over bool) {
	epoch := x.book.take()
	history, _, _ := x.book.since(0)
	c := fold(history)
	if c.Ended() {
		return true // nobody takes up a call that is over
	}
	ctx, cancel := context.WithCancel(x.ctx)
	if d != nil && d.at > 0 && d.stuck == 0 {
		ctx, cancel = context.WithTimeout(x.ctx, d.at)
	}
	began := time.Now()
	stuck := make(chan struct{})
	writes := 0
	record := func(_ context.Context, after *phone.Call, events []phone.Event, _ string) error {
		writes++
		due := d != nil && (d.write > 0 && writes == d.write || d.at > 0 && time.Since(began) >= d.at)
		switch {
		case due && d.stuck > 0:
			close(stuck)
			sleep(x.ctx, d.stuck)
			err := x.book.append(epoch, after, events)
			if err == nil {
				x.book.fault("who lost the call still writes")
			}
			return err
		case due && d.wrote:
			return errors.Join(errKilled, x.book.append(epoch, after, events))
		case due:
			return errKilled
		}
		return x.book.append(epoch, after, events)
	}
	raw, drv := x.teller.driver()
	x.driver = drv
	p := providers.New(providers.Spec{Name: "fake", Title: "Fake"}, raw, providers.Options{Pace: providers.Pace{Longest: 20 * time.Minute}})
	ended := make(chan error, 1)
	desk := x.desks[len(x.desks)-1]
	x.all.Go(func() {
		defer cancel()
		err := errKilled
		defer func() {
			if fault := recover(); fault != nil {
				x.book.fault("panic: %v", fault)
			}
			if err != nil && d == nil {
				x.book.fault("its last follower: %v", err)
			}
			ended <- err
		}()
		err = desk.Follow(ctx, c, history, p.Observations(ctx, "ref", providers.How{}), record)
	})
	select {
	case err := <-ended:
		return err == nil
	case <-stuck:
		return false
	}
}

// finish waits for a record that comes too late for the follower, as somebody who asks again does, and for all watchers.
func (x *play) finish(sum *tally) {
	x.settled, x.gaveUp = x.call().Record != phone.Complete, x.teller.since()
	if x.settled && x.record >= 0 {
		sleep(x.ctx, x.teller.over+x.record-x.teller.since())
		raw, _ := x.teller.driver()
		p := providers.New(providers.Spec{Name: "fake", Title: "Fake"}, raw, providers.Options{})
		for x.late = true; x.call().Record != phone.Complete; {
			sleep(x.ctx, 10*time.Second)
			o, err := p.Lookup(x.ctx, "ref")
			if err != nil || o.Extent != phone.Whole {
				continue
			}
			epoch := x.book.take()
			c := x.call()
			events := c.Observe(o)
			for _, e := range events {
				c.Apply(e)
			}
			if err := x.book.append(epoch, c, events); err != nil {
				x.book.fault("the late record: %v", err)
			}
			if c.Record != phone.Complete {
				x.book.fault("with its record the call is %s", c.Record)
				break
			}
		}
	}
	x.all.Wait()
	x.book.close()
	if !x.call().Ended() {
		x.book.fault("its followers have left the call, and it has not ended")
		x.leave()
	}
	x.watching.Wait()
	x.count(sum)
}

func (x *play) count(sum *tally) {
	for where := range sum.cuts {
		sum.cuts[where].Add(x.teller.cutOff[where])
	}
	sum.reconnected.Add(int64(max(0, x.teller.connections-1)))
	sum.replaced.Add(int64(x.lives - 1))
	sum.events.Add(int64(len(x.book.events)))
	switch {
	case x.late:
		sum.late.Add(1)
	case x.settled:
		sum.unrecorded.Add(1)
		if cmp.Equal(spoken(x.call()), x.whole()) {
			sum.whole.Add(1)
		}
	default:
		sum.complete.Add(1)
	}
}

// call is the call as what is recorded tells it.
func (x *play) call() *phone.Call {
	events, _, _ := x.book.since(0)
	return fold(events)
}

func spoken(c *phone.Call) []phone.Words {
	var all []phone.Words
	for _, t := range c.Spoken() {
		all = append(all, phone.Words{Role: t.Role, Text: t.Text, Final: t.Final})
	}
	return all
}

// wrong is what is wrong once all is over.
func (x *play) wrong() string {
	if x.book.wrong != "" {
		return x.book.wrong
	}
	for _, w := range x.seers {
		if missed := w.missed(); missed != "" {
			return missed
		}
	}
	c := x.call()
	if a, b := inJSON(c), inJSON(x.book.after); a != b {
		return "the fold of the events is not the call that its follower had:\n" + cmp.Diff(b, a)
	}
	if !c.Ended() {
		return "the call has not ended: " + string(c.Status)
	}
	if tried := x.teller.connections - x.brokenAt; x.brokenAt >= 0 && tried > 10*x.lives {
		return fmt.Sprintf("a stream that fails for good was opened %d times", tried)
	}
	if x.settled && x.talked() && x.gaveUp < x.teller.over+50*time.Second {
		return fmt.Sprintf("its record was awaited until %v, and the call had ended after %v", x.gaveUp, x.teller.over)
	}
	if x.record < 0 {
		return x.withoutRecord(c)
	}
	if diff := cmp.Diff(x.whole(), spoken(c)); diff != "" {
		return "the transcript is not the record (- record, + transcript):\n" + diff
	}
	if c.Record != phone.Complete || c.Outcome != x.outcome || *c.Duration != x.teller.over-x.ring {
		return fmt.Sprintf("record %s, outcome %s, want %s, duration %v", c.Record, c.Outcome, x.outcome, *c.Duration)
	}
	if again := c.Observe(x.teller.recorded()); again != nil {
		return fmt.Sprintf("the record once more brings %+v", again)
	}
	if x.settled && x.failing == 0 && x.record <= 50*time.Second && x.talked() {
		return "a record that came within 50 s was not waited for"
	}
	return ""
}

// talked says whether the outcome is one of a call in which they talked, whose record is awaited for longer.
func (x *play) talked() bool {
	return slices.Contains([]phone.Outcome{phone.Completed, phone.Voicemail, phone.UnknownOutcome}, x.outcome)
}

func inJSON(c *phone.Call) string {
	raw, err := json.Marshal(c)
	return fmt.Sprint(string(raw), err)
}

// withoutRecord is what must hold of a call whose record never came: it holds nothing that was not said, and lacks only
// what nobody brought, or what could be the repetition of something else. Where a stream was played from the start to its
// end, or a look-up told all of it, it lacks nothing.
func (x *play) withoutRecord(c *phone.Call) string {
	outcome := phone.UnknownOutcome
	if x.driver.told != "" {
		outcome = x.driver.told
	}
	if c.Record != phone.Partial || c.Outcome != outcome {
		return fmt.Sprintf("record %s, outcome %s, want %s", c.Record, c.Outcome, outcome)
	}
	if wrong := x.invented(c); wrong != "" {
		return wrong
	}
	if x.driver.replayed && x.reopen == fromStart && x.finals || x.driver.caught && x.finals {
		if diff := cmp.Diff(x.whole(), spoken(c)); diff != "" {
			return "what was played to its end is not all there (- said, + transcript):\n" + diff
		}
	}
	return x.lost(c)
}

// lost says which utterance is not there although a connection has brought it, or is there in part although it was
// brought whole by the one that told of the end. Where two are alike one can be taken for the replay of the other, and
// what a process hears that dies next nobody has recorded.
func (x *play) lost(c *phone.Call) string {
	if !x.distinct || len(x.deaths) > 0 {
		return ""
	}
	there := map[string]bool{}
	for _, w := range spoken(c) {
		there[w.Text[:2]] = true
		there[w.Text] = w.Final
	}
	for turn := range x.driver.heard {
		if u := x.said[turn]; !there[u.text[:2]] {
			return fmt.Sprintf("%q was heard, and is not there:\n%s", u.text, strings.Join(lines(c), "\n"))
		}
	}
	for _, m := range x.driver.last {
		if m.words.Final && !there[m.words.Text] {
			return fmt.Sprintf("%q was heard whole, and is not:\n%s", m.words.Text, strings.Join(lines(c), "\n"))
		}
	}
	return ""
}

// invented says which turn was not said, or not there, at any moment of the call. Two sorts of provider cannot be held to
// it before the record is there: one that never says that an utterance is over, since two alike are then one that has not
// grown, and one that goes on from now while its look-ups tell less than was heard, or half an utterance, since what they
// tell may lie before what was heard, and may be it.
func (x *play) invented(c *phone.Call) string {
	soFar := x.tells == tellsSoFar || x.closing == tellsSoFar
	grows := slices.ContainsFunc(x.said, func(u utterance) bool { return len(u.steps) > 0 })
	if c.Record == phone.Complete || !x.finals || x.streams && x.reopen != fromStart && soFar && (x.lag > 0 || grows) {
		return ""
	}
	now, i := x.teller.since(), 0
	log := x.teller.log
	for _, w := range spoken(c) {
		turn := -1
		for ; i < len(log); i++ {
			if m := log[i]; m.at <= now && m.words == w {
				turn = m.turn
				break
			}
		}
		if turn < 0 {
			return fmt.Sprintf("after %v %+v was not said there:\n%s", now, w, strings.Join(lines(c), "\n"))
		}
		for i < len(log) && log[i].turn == turn {
			i++
		}
	}
	return ""
}

func lines(c *phone.Call) []string {
	var all []string
	for _, t := range c.Spoken() {
		all = append(all, fmt.Sprintf("    %s: %q", t.Role, t.Text))
	}
	return all
}
