package faultlab

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

var (
	schedules = flag.Int("schedules", transcriptSchedules, "how many cut-and-reconnect schedules TestTranscripts plays")
	noshrink  = flag.Bool("noshrink", false, "show a failing schedule of TestTranscripts as it was drawn")
	seed      = flag.Uint64("seed", 0, "of the first schedule of TestTranscripts")
)

// TestTranscripts plays calls whose streams are cut at every sort of moment, whose look-ups fail, whose records come late
// and whose followers die. With the record the transcript is the record: nothing lost, doubled or out of order. Without
// one it holds nothing that was not said. Pauses between streams are random and the provider's own, so that a seed alone
// makes a failure likely and not certain: -count helps.
func TestTranscripts(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()>>16 + 1
	}
	t.Logf("%d schedules from -seed %d on", *schedules, first)
	var failed atomic.Int32
	var sum tally
	t.Cleanup(func() {
		t.Log(sum.String())
		if !t.Failed() && sum.poor(*schedules) {
			t.Error("some sort of schedule is hardly among them")
		}
	})
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		t.Run(fmt.Sprint("worker ", w), func(t *testing.T) {
			t.Parallel()
			for i := w; i < *schedules && failed.Load() < 3; i += workers {
				s := generate(first + uint64(i))
				if problem := s.run(t, &sum); problem != "" {
					failed.Add(1)
					if !*noshrink {
						s, problem = s.smallest(t, problem)
					}
					t.Errorf("%s\n%v", problem, s)
				}
			}
		})
	}
}

// tally counts what the schedules were.
type tally struct {
	reconnected, replaced, complete, late, unrecorded, whole, events atomic.Int64

	cuts [beforeMarker + 1]atomic.Int64
}

func (n *tally) String() string {
	return fmt.Sprintf("%d cuts after some words, %d at some moment, %d in silence, %d before the end; reconnected %d times, %d followers replaced; "+
		"%d records in time, %d late, %d calls without one (%d of them whole all the same); %d events",
		n.cuts[afterWords].Load(), n.cuts[afterMoment].Load(), n.cuts[inSilence].Load(), n.cuts[beforeMarker].Load(), n.reconnected.Load(), n.replaced.Load(),
		n.complete.Load(), n.late.Load(), n.unrecorded.Load(), n.whole.Load(), n.events.Load())
}

// poor says that a sort of schedule is hardly among them, so that they prove little.
func (n *tally) poor(schedules int) bool {
	least := n.complete.Load()
	for _, some := range []*atomic.Int64{
		&n.reconnected, &n.replaced, &n.late, &n.unrecorded, &n.whole, &n.cuts[afterWords], &n.cuts[afterMoment], &n.cuts[inSilence], &n.cuts[beforeMarker],
	} {
		least = min(least, some.Load())
	}
	return schedules >= 1000 && least < int64(schedules)/50
}

// run plays a schedule on a clock of its own and tells the first thing that is wrong.
func (s schedule) run(t *testing.T, sum *tally) (problem string) {
	defer func() {
		if fault := recover(); fault != nil {
			problem = fmt.Sprint("panic: ", fault) // a goroutine that never ends is one
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		x := newPlay(t.Context(), s)
		x.follow()
		x.finish(sum)
		problem = x.wrong()
	})
	return problem
}

// smallest takes away from a failing schedule what it fails without.
func (s schedule) smallest(t *testing.T, problem string) (schedule, string) {
	for again := true; again; {
		again = false
		for _, c := range s.smaller() {
			if p := c.run(t, new(tally)); p != "" {
				s, problem, again = c, p, true
				break
			}
		}
	}
	return s, problem
}
