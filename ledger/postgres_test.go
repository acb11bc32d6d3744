package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// replicas are three ledgers on one Postgres.
func replicas(t *testing.T) [3]*Ledger {
	t.Helper()
	postgresAlone(t)
	url := server.Database(t)
	var all [3]*Ledger
	for i := range all {
		all[i] = openWith(t, url, Options{})
	}
	return all
}

// The same request at three replicas at once, with a key and without one, is one call.
func TestPostgresSameIntent(t *testing.T) {
	all := replicas(t)
	const rounds, racers = 10, 50
	for round := range rounds {
		key := []string{"", fmt.Sprint("k", round)}[round%2]
		number := fmt.Sprintf("+86138001380%02d", round)
		ids := map[string]int{}
		var fresh int
		var mu sync.Mutex
		var racing sync.WaitGroup
		for i := range racers {
			in := wish(t, number, key, "p")
			racing.Go(func() {
				h, replayed, err := all[i%3].Reserve(t.Context(), in, yes)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("round %d: %v", round, err)
					return
				}
				if ids[h.ID]++; !replayed {
					fresh++
				}
			})
		}
		racing.Wait()
		if len(ids) != 1 || fresh != 1 {
			t.Errorf("round %d: %d calls, %d dials", round, len(ids), fresh)
		}
	}
	t.Logf("%d rounds of %d equal requests at 3 replicas: one dial each", rounds, racers)
}

// A limit holds though three replicas judge at once.
func TestPostgresBudget(t *testing.T) {
	all := replicas(t)
	const racers, limit = 90, 7
	var granted, peak atomic.Int64
	var racing sync.WaitGroup
	for i := range racers {
		in := wish(t, fmt.Sprintf("+86138001380%02d", i), "", "p")
		racing.Go(func() {
			_, _, err := all[i%3].Reserve(t.Context(), in, func(f phone.Facts) error {
				if len(f.Placed) >= limit {
					return phone.Errorf(phone.Exhausted, "no more")
				}
				peak.Store(max(peak.Load(), int64(len(f.Placed))))
				return nil
			})
			if err == nil {
				granted.Add(1)
			} else if phone.CodeOf(err) != phone.Exhausted {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if granted.Load() != limit || peak.Load() != limit-1 {
		t.Errorf("%d of %d were granted, the last after %d", granted.Load(), limit, peak.Load())
	}
}

// Leases are told by the server's clock, whatever a process believes the time to be.
func TestPostgresLeaseByTheServersClock(t *testing.T) {
	all := replicas(t)
	h := reserve(t, all[0], wish(t, "+8613800138000", "", "p"))
	if held, err := all[1].Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, now().Add(time.Hour)); err != nil || len(held) != 0 {
		t.Errorf("a clock that is ahead takes a call from a process that lives: %+v, %v", held, err)
	}
	if held, err := all[1].ClaimOne(t.Context(), h.ID, now().Add(time.Hour)); err != nil || len(held) != 0 {
		t.Errorf("a clock that is ahead takes one call from a process that lives: %+v, %v", held, err)
	}
	if err := all[0].Renew(t.Context(), now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if held, err := all[1].Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, now()); err != nil || len(held) != 0 {
		t.Errorf("a clock that is behind loses its calls: %+v, %v", held, err)
	}
	change(t, all[0], `UPDATE processes SET expires_at = expires_at - ?`, (31 * time.Second).Microseconds())
	if held, err := all[1].Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, now().Add(-time.Hour)); err != nil || len(held) != 1 {
		t.Errorf("a clock that is behind finds no dead process: %+v, %v", held, err)
	}
}

// A replica that is stopped within a transaction, as SIGSTOP does or a cut network, holds up the others for some seconds,
// and writes nothing when it goes on.
func TestPostgresAStoppedReplica(t *testing.T) {
	t.Parallel()
	all := replicas(t)
	var tx *transaction
	var err error
	if tx, err = all[0].write.write(); err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if err := all[0].engine.enter(tx); err != nil {
		t.Fatal(err)
	}
	h := Held{Call: wish(t, "+8613800138009", "", "p").Call, Epoch: 1, Dial: Sending}
	if err := insertCall(tx, h); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	reserve(t, all[1], wish(t, "+8613800138000", "", "p"))
	took := time.Since(began)
	t.Logf("held up for %v", took.Round(10*time.Millisecond))
	if took < idleWithin/2 || took > idleWithin+2*time.Second {
		t.Errorf("held up for %v", took)
	}
	if err := tx.Commit(); err == nil || phone.CodeOf(failed("test", err)) != phone.Unavailable {
		t.Errorf("it commits when it goes on: %v", err)
	}
	if calls, _, err := all[2].List(t.Context(), "local", Filter{Limit: 10}); err != nil || len(calls) != 1 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
	reserve(t, all[0], wish(t, "+8613800138001", "", "p")) // on a new connection
}

// A connection that is killed in the middle of a group takes the group with it, whole, and the next one goes on.
func TestPostgresAKilledConnection(t *testing.T) {
	l := replicas(t)[0]
	group := make([]job, 5)
	ins := make([]Intent, len(group))
	for i := range group {
		ins[i] = wish(t, fmt.Sprintf("+861380013800%d", i), "", "p")
		group[i] = job{ctx: t.Context(), done: make(chan error, 1), do: func(tx *transaction) error {
			if i == 3 {
				if _, err := tx.Exec(`SELECT pg_terminate_backend(pg_backend_pid())`); err == nil {
					t.Error("it lives")
				}
			}
			return insertCall(tx, Held{Call: ins[i].Call, Epoch: 1, Dial: Sending})
		}}
	}
	if err := l.do(t.Context(), "test", func(*transaction) error { return nil }); err != nil { // the writer waits for work from here on
		t.Fatal(err)
	}
	l.commit(group)
	for i := range group {
		if err := <-group[i].done; err == nil || phone.CodeOf(failed("test", err)) != phone.Unavailable {
			t.Errorf("%d: %v", i, err)
		}
	}
	if calls, _, err := l.List(t.Context(), "local", Filter{Limit: 10}); err != nil || len(calls) != 0 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
	reserve(t, l, ins[0])
}

// What was acknowledged is there after the server has crashed under load, once, and everything goes on by itself.
func TestPostgresRestartedUnderLoad(t *testing.T) {
	all := replicas(t)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var failures, last atomic.Int64
	var load sync.WaitGroup
	for w := range 9 {
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				in := wish(t, fmt.Sprintf("+861380%07d", w*100000+i), "", "p")
				for ctx.Err() == nil { // a client that asks again until it is answered
					h, replayed, err := all[w%3].Reserve(t.Context(), in, yes)
					if err == nil {
						mu.Lock()
						if acknowledged[h.ID] != replayed && !replayed {
							t.Errorf("%s is dialed twice", h.ID)
						}
						acknowledged[h.ID] = true
						mu.Unlock()
						last.Store(time.Now().UnixMicro())
						break
					}
					if phone.CodeOf(err) != phone.Unavailable {
						t.Errorf("%v: %v", err, phone.AsError(err).Err)
					}
					failures.Add(1)
				}
			}
		})
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acknowledged) }
	for range 3 {
		for n := count(); count() < n+100; {
			<-all[0].News()
		}
		server.Restart(t)
	}
	up := time.Now()
	for n := count(); count() < n+100; {
		<-all[0].News()
	}
	t.Logf("100 requests after the last restart: %v", time.Since(up).Round(time.Millisecond))
	stop()
	load.Wait()
	rows, err := column[string](t.Context(), all[0].read, `SELECT id FROM calls`)
	if err != nil {
		t.Fatal(err)
	}
	there, numbers := map[string]bool{}, 0
	for _, id := range rows {
		there[id] = true
	}
	lost := 0
	for id := range acknowledged {
		if !there[id] {
			lost++
		}
	}
	if err := all[0].read.QueryRowContext(t.Context(), `SELECT COUNT(DISTINCT number) FROM calls`).Scan(&numbers); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d acknowledged, %d rows, %d failures told, %d lost, %d duplicates", len(acknowledged), len(rows), failures.Load(), lost, len(rows)-numbers)
	if lost > 0 || numbers != len(rows) || failures.Load() == 0 {
		t.Error("lost or twice, or nothing happened")
	}
}

// What becomes visible when: normally at once, by a notification, and soon where every one gets lost.
func TestNotifyLoss(t *testing.T) {
	postgresAlone(t)
	t.Parallel()
	for name, c := range map[string]struct {
		deaf   bool
		rounds int
		within time.Duration
	}{"normal": {false, 100, 250 * time.Millisecond}, "every notification lost": {true, 10, 1500 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := server.Database(t)
			a, b := openWith(t, url, Options{}), openWith(t, url, Options{Deaf: c.deaf})
			ctx, cancel := context.WithCancel(t.Context())
			var tail sync.WaitGroup
			tail.Go(func() { b.Tail(ctx) })
			defer func() { cancel(); tail.Wait() }()
			h := reserve(t, a, wish(t, "+8613800138000", "", "p"))
			h, err := a.Placed(t.Context(), h.ID, "r")
			if err != nil {
				t.Fatal(err)
			}
			var took []time.Duration
			for range c.rounds {
				seq, news := h.Seq, b.News() // it waits already
				if err := observe(t, a, &h, phone.Observation{Words: []phone.Words{{Role: phone.Agent, Text: strings.Repeat("x", len(took)+1), Final: true}}}); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for {
					<-news
					news = b.News()
					events, err := b.Events(t.Context(), h.ID, seq)
					if err != nil {
						t.Fatal(err)
					}
					if len(events) > 0 {
						break
					}
				}
				took = append(took, time.Since(began))
			}
			worst := percentile(took, 99)
			t.Logf("%d events: p50 %v, p99 %v", len(took), percentile(took, 50).Round(time.Millisecond), worst.Round(time.Millisecond))
			if worst > c.within {
				t.Errorf("p99 is %v", worst)
			}
			if c.deaf && percentile(took, 50) < 50*time.Millisecond {
				t.Error("it hears notifications")
			}
		})
	}
}

// A process whose listening connection is killed listens again.
func TestPostgresListensAgain(t *testing.T) {
	postgresAlone(t)
	url := server.Database(t)
	a, b := openWith(t, url, Options{}), openWith(t, url, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var tail sync.WaitGroup
	tail.Go(func() { b.Tail(ctx) })
	defer func() { cancel(); tail.Wait() }()
	told := func() time.Duration {
		news := b.News()
		change(t, a, `DELETE FROM refusals`)
		began := time.Now()
		<-news
		return time.Since(began)
	}
	listening := func() bool {
		soon := 0
		for range 30 {
			if soon++; told() > pollEvery/5 {
				soon = 0
			}
			if soon == 3 { // polls come not so soon three times in a row
				return true
			}
		}
		return false
	}
	if !listening() {
		t.Fatal("it does not listen")
	}
	if n := server.SQL(t, url, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`); n == "0" {
		t.Fatal("nobody listens")
	}
	if !listening() {
		t.Error("it listens no more")
	}
}

func percentile(all []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
