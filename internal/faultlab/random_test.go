package faultlab

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/phone"
)

var (
	faults    = flag.Int("faults", randomFaults, "how many random schedules TestRandomFaults plays")
	faultSeed = flag.Uint64("fault-seed", 0, "of the first schedule of TestRandomFaults; 0: another one each time")
)

// TestRandomFaults plays schedules in which everything goes wrong at any time: several wishes, repeated at several
// replicas, at a service whose dials break and whose connections are cut, while replicas are killed and started again.
func TestRandomFaults(t *testing.T) {
	first := *faultSeed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	var sum tolls
	t.Cleanup(func() { t.Log(sum.String()) })
	t.Logf("%d schedules from -fault-seed %d on", *faults, first)
	const groups = 8 // so that some wait for the disk while others reckon
	for g := range groups {
		t.Run(fmt.Sprint("group ", g), func(t *testing.T) {
			t.Parallel()
			for i := g; i < *faults && !t.Failed(); i += groups {
				t.Run(fmt.Sprint("seed ", first+uint64(i)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { anything(t, first+uint64(i), &sum) })
				})
			}
		})
	}
}

// tolls count what the schedules brought, so that a lab in which nothing breaks any more is seen.
type tolls struct{ requests, dials, met, uncertain, found, killed atomic.Int64 }

func (n *tolls) String() string {
	return fmt.Sprintf("%d requests to call, %d dials, %d faults met, %d answers uncertain, %d uncertain calls settled, %d replicas killed",
		n.requests.Load(), n.dials.Load(), n.met.Load(), n.uncertain.Load(), n.found.Load(), n.killed.Load())
}

func (n *tolls) count(w *world) {
	n.dials.Add(int64(len(w.service.recorded())))
	n.met.Add(int64(w.service.met))
	for _, a := range w.told {
		if a.tool == "create_call" {
			n.requests.Add(1)
		}
		if a.Code == "uncertain" {
			n.uncertain.Add(1)
		}
	}
	for _, events := range w.events {
		for i, e := range events {
			if p, ok := e.Body.(phone.Progress); ok && p.State == phone.Unconfirmed && i < len(events)-1 {
				n.found.Add(1)
			}
		}
	}
}

// anything plays one schedule.
func anything(t *testing.T, seed uint64, sum *tolls) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, kinds()[rnd.IntN(len(kinds()))])
	x := &mess{world: w, rnd: rnd, sum: sum}
	for range 1 + rnd.IntN(2) {
		x.replicas = append(x.replicas, w.start())
	}
	var all sync.WaitGroup
	for range 1 + rnd.IntN(3) {
		x.wishes(&all, 1+rnd.IntN(3))
	}
	begun := time.Now()
	for time.Since(begun) < time.Minute {
		x.happens()
		time.Sleep(time.Duration(rnd.Int64N(int64(6 * time.Second)))) // of virtual time
	}
	all.Wait()
	w.service.disarm()
	if len(x.replicas) == 0 {
		x.replicas = append(x.replicas, w.start())
	}
	time.Sleep(4 * time.Minute) // of virtual time: longer than a lease, a search and a call together
	w.end()
	w.judge()
	sum.count(w)
}

// mess is a world in which things happen.
type mess struct {
	*world
	rnd *rand.Rand // for the schedule's own goroutine alone
	sum *tolls

	lock     sync.Mutex
	replicas []*replica // that live
}

// any gives a replica that lives, if one does.
func (x *mess) any(n int) *replica {
	x.lock.Lock()
	defer x.lock.Unlock()
	if len(x.replicas) == 0 {
		return nil
	}
	return x.replicas[n%len(x.replicas)]
}

// wishes has clients ask for the nth number, several times and in their ways, over the next minute.
func (x *mess) wishes(all *sync.WaitGroup, n int) {
	task, key := fmt.Sprint("errand ", x.rnd.IntN(2)), ""
	if x.rnd.IntN(2) == 0 {
		key = fmt.Sprint(task, " to ", n)
	}
	for range 1 + x.rnd.IntN(4) {
		after, at := time.Duration(x.rnd.Int64N(int64(40*time.Second))), x.rnd.IntN(8)
		patience, cancels := time.Duration(x.rnd.Int64N(int64(40*time.Second))), x.rnd.IntN(8) == 0
		all.Go(func() {
			time.Sleep(after) // of virtual time
			r := x.any(at)
			if r == nil {
				return
			}
			ctx, leave := context.WithTimeout(context.Background(), patience)
			defer leave()
			a := r.place(ctx, n, task, key)
			if cancels && a.CallID != "" {
				r.ask(ctx, a.CallID, "cancel_call", map[string]any{"call_id": a.CallID})
			}
		})
	}
}

// happens breaks something, or mends it.
func (x *mess) happens() {
	switch n := x.rnd.IntN(10); {
	case n < 5:
		x.service.arm(points()[x.rnd.IntN(len(points()))], 1+x.rnd.IntN(900))
	case n == 5:
		x.service.disarm()
	case n == 6:
		x.net.sever(x.service.name)
	case n == 7:
		x.lock.Lock()
		defer x.lock.Unlock()
		if len(x.replicas) > 0 {
			x.replicas[0].kill()
			x.sum.killed.Add(1)
			x.replicas = x.replicas[1:]
		}
	default:
		if x.any(0) == nil || x.rnd.IntN(4) == 0 && len(x.replicas) < 3 {
			r := x.start()
			x.lock.Lock()
			defer x.lock.Unlock()
			x.replicas = append(x.replicas, r)
		}
	}
}
