package faultlab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/phone"
)

// TestConcurrentSameIntent: fifty equal requests at once over three replicas are one call, with a key and without (P2).
func TestConcurrentSameIntent(t *testing.T) {
	const rounds, requests = max(1, 42/one), 50
	for _, k := range kinds() {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, k)
				replicas := []*replica{w.start(), w.start(), w.start()}
				for round := range rounds {
					key := ""
					if round%2 == 0 {
						key = fmt.Sprint("key ", round)
					}
					answers := make([]told, requests)
					var all sync.WaitGroup
					for i := range requests {
						all.Go(func() { answers[i] = replicas[i%3].place(t.Context(), round+1, "the errand", key) })
					}
					all.Wait()
					fresh := 0
					for _, a := range answers {
						if a.lost != nil || a.failed || a.CallID != answers[0].CallID {
							t.Fatalf("round %d: %+v, and not %s", round, a, answers[0].CallID)
						}
						if !a.Replayed {
							fresh++
						}
					}
					if n := len(w.service.recorded()); fresh != 1 || n != round+1 {
						t.Fatalf("round %d: %d new calls, %d dials in all", round, fresh, n)
					}
				}
				time.Sleep(3 * time.Minute) // of virtual time: until the calls are over
				w.end()
				w.judge()
			})
		})
	}
}

// TestDisconnectDuringPlace: a client that leaves at any moment of a dial loses nothing: the same request again, at another
// replica even, gives the same call, and nobody is called twice (P6).
func TestDisconnectDuringPlace(t *testing.T) {
	const moments = max(1, 99/one) // at each of two services
	for _, k := range kinds() {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, k)
				a, b := w.start(), w.start()
				for n := 1; n <= moments; n++ {
					w.service.arm(slowly, 0)
					ctx, leave := context.WithTimeout(t.Context(), rand.N(6*time.Second))
					first := a.place(ctx, n, "the errand", "")
					leave()
					again := b.place(t.Context(), n, "the errand", "")
					if again.lost != nil || again.failed || again.CallID == "" || first.lost == nil && first.CallID != again.CallID {
						t.Fatalf("%d: first %+v, then %+v", n, first, again)
					}
					if dials := len(w.service.recorded()); dials != n {
						t.Fatalf("%d: %d dials", n, dials)
					}
				}
				time.Sleep(3 * time.Minute) // of virtual time: until the calls are over
				w.end()
				w.judge()
			})
		})
	}
}

// TestTakeOver: a call whose follower dies is followed by another replica within 35 s, and at once after a clean end (P10).
func TestTakeOver(t *testing.T) {
	const rounds = max(1, 12/one)
	for name, clean := range map[string]bool{"killed": false, "ended in order": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var longest time.Duration
			for range rounds {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, stepOneKind())
					w.service.number = func(int) string { return "+8613800130107" } // a long call
					a, b := w.start(), w.start()
					time.Sleep(rand.N(20 * time.Second)) // of virtual time: at any moment between two renewals of the lease
					id := a.place(t.Context(), 1, "the errand", "").CallID
					epoch := func() int64 {
						h, err := b.ledger.Call(t.Context(), "local", id)
						if err != nil {
							t.Fatal(err)
						}
						return h.Epoch
					}
					before, died := epoch(), time.Now()
					if clean {
						a.end()
					} else {
						a.kill()
					}
					for epoch() == before && time.Since(died) < time.Minute {
						time.Sleep(50 * time.Millisecond) // of virtual time
					}
					longest = max(longest, time.Since(died))
					time.Sleep(8 * time.Minute) // of virtual time: until the call is over
					w.end()
					w.judge()
				})
			}
			t.Logf("the longest of %d took %v", rounds, longest)
			if limit := map[bool]time.Duration{false: 35 * time.Second, true: 2 * time.Second}[clean]; longest > limit {
				t.Errorf("taken over after %v, not %v", longest, limit)
			}
		})
	}
}

// TestShutdown: a replica that ends while it dials ends within 30 s, and leaves no dial of which it does not say what became
// (P17).
func TestShutdown(t *testing.T) {
	const rounds, dials = max(1, 6/one), 5
	for _, k := range kinds() {
		for _, p := range []point{slowly, tooLate, beforeDial, beforeConnect} {
			t.Run(fmt.Sprintf("%s/%s", k, p), func(t *testing.T) {
				t.Parallel()
				for range rounds {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, k)
						a := w.start()
						w.service.arm(p, 0)
						var asks sync.WaitGroup
						for n := range dials {
							asks.Go(func() { a.place(context.Background(), n+1, "the errand", "") })
						}
						time.Sleep(rand.N(2 * time.Second)) // of virtual time: anywhere in the dials
						began := time.Now()
						a.end()
						if took := time.Since(began); took > 30*time.Second {
							t.Errorf("it took %v to end", took)
						}
						asks.Wait()
						for id, row := range w.rows() {
							if row.Status == phone.Dialing {
								t.Errorf("%s is left %s", id, row.Status)
							}
						}
						w.service.disarm()
						w.start()                   // which goes on with what the first has left
						time.Sleep(6 * time.Minute) // of virtual time
						w.end()
						w.judge()
					})
				}
			})
		}
	}
}
