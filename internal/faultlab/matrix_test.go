package faultlab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// behaviour is what a client does about a fault, or what becomes of the replica that it asked.
type behaviour string

const (
	waits            behaviour = "the client waits"
	leaves           behaviour = "the client leaves"
	repeatsKeyed     behaviour = "the client repeats with a key"
	repeatsUnkeyed   behaviour = "the client repeats without a key"
	repeatsElsewhere behaviour = "the client repeats at another replica"
	killed           behaviour = "the replica is killed"
)

func behaviours() []behaviour {
	return []behaviour{waits, leaves, repeatsKeyed, repeatsUnkeyed, repeatsElsewhere, killed}
}

func kinds() []kind { return []kind{pamelaKind(), tersePamela(), stepOneKind()} }

// TestDialFaultMatrix breaks a dial at every point, with every behaviour about it, at each real adapter (promise P1).
func TestDialFaultMatrix(t *testing.T) {
	n := 0
	for _, k := range kinds() {
		for _, p := range points() {
			for _, b := range behaviours() {
				if n++; n%one != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", k, p, b), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, k)
						w.meets(p, b)
						time.Sleep(6 * time.Minute) // of virtual time: what can be found out is known by then
						w.end()
						w.judge()
						if b == waits {
							if a := w.first(); p != tooLate || a.failed { // it may have been found in the moment in which the time was over
								a.is(t, answersTo(p))
							}
						}
					})
				})
			}
		}
	}
}

// meets has one wish to call meet a fault.
func (w *world) meets(p point, b behaviour) {
	a := w.start()
	if p == reused { // so that there are connections to be used again
		a.ask(context.Background(), "", "check_balance", nil)
		a.place(context.Background(), 2, "another errand", "")
	}
	hit := w.service.arm(p, 37)
	key := map[behaviour]string{repeatsKeyed: "k1", killed: "k1"}[b]
	wish := func(r *replica, ctx context.Context) told { return r.place(ctx, 1, "the errand", key) }
	moment := func() {
		select {
		case <-hit:
		case <-time.After(time.Second):
		}
	}
	var all sync.WaitGroup
	defer all.Wait()
	switch b {
	case waits:
		wish(a, context.Background())
	case leaves:
		ctx, leave := context.WithCancel(context.Background())
		all.Go(func() { wish(a, ctx) })
		moment()
		leave()
	case repeatsKeyed, repeatsUnkeyed, repeatsElsewhere:
		other := a
		if b == repeatsElsewhere {
			other = w.start()
		}
		all.Go(func() { wish(a, context.Background()) })
		moment()
		for range 3 {
			all.Go(func() { wish(other, context.Background()) })
		}
		all.Wait()
		a = other
	case killed:
		all.Go(func() { wish(a, context.Background()) })
		moment()
		a.kill()
		a = w.start()
	}
	w.service.disarm()
	time.Sleep(10 * time.Second) // of virtual time: a client that has heard nothing good asks again
	wish(a, context.Background())
	time.Sleep(5 * time.Minute) // of virtual time: an uncertain dial has been looked for by then
	wish(a, context.Background())
}

// first is the first answer to the wish that met a fault.
func (w *world) first() told {
	return w.told[slices.IndexFunc(w.told, func(a told) bool { return strings.HasPrefix(a.intent, "1 ") })]
}

// TestNoRecordNoDial: a call that cannot be recorded is not placed, and the client is told so.
func TestNoRecordNoDial(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, k)
				r := w.start()
				w.bury(r)
				a := r.place(t.Context(), 1, "the errand", "")
				if a.lost != nil || !a.failed || a.CallStarted != "no" || a.CallID != "" {
					t.Errorf("%+v", a)
				}
				w.end()
				if n := len(w.service.recorded()); n > 0 {
					t.Errorf("%d dials", n)
				}
			})
		})
	}
}

// place asks a replica to call the nth number.
func (r *replica) place(ctx context.Context, n int, task, key string) told {
	arguments := map[string]any{"to": r.w.service.number(n), "task": task}
	if key != "" {
		arguments["idempotency_key"] = key
	}
	return r.ask(ctx, fmt.Sprint(n, " ", task, " ", key), "create_call", arguments)
}

// answersTo is the code that a client is answered with whose dial meets a fault; empty if the call is placed.
func answersTo(p point) string {
	switch p {
	case beforeConnect, afterConnect:
		return "unavailable"
	case reused:
		return ""
	}
	return "uncertain"
}

func (a told) is(t *testing.T, code string) {
	t.Helper()
	started := map[string]string{"unavailable": "no", "uncertain": "unknown"}[code]
	if a.lost != nil || a.failed != (code != "") || a.Code != code || a.CallStarted != started || a.CallID == "" || a.RetrySafe != (code == "unavailable") {
		t.Errorf("the client was told %+v", a)
	}
}

// TestAnswerThatCannotBeRecorded: what a provider has answered is recorded as soon as the ledger can be written again.
func TestAnswerThatCannotBeRecorded(t *testing.T) {
	for _, k := range kinds() {
		for _, p := range []point{slowly, beforeAnswer, faultUndialed} {
			t.Run(fmt.Sprintf("%s/%s", k, p), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, k)
					r := w.start()
					hit := w.service.arm(p, 0)
					var asks sync.WaitGroup
					asks.Go(func() {
						if a := r.place(t.Context(), 1, "the errand", ""); a.lost != nil || a.failed || a.Status != "dialing" {
							t.Errorf("while nothing can be recorded the client is told %+v", a)
						}
					})
					<-hit
					w.bury(r)
					asks.Wait()
					time.Sleep(time.Minute) // of virtual time, in which the disk is full
					w.unearth(r)
					time.Sleep(6 * time.Minute) // of virtual time
					w.end()
					w.judge()
				})
			})
		}
	}
}
