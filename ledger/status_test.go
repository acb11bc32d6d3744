package ledger

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
)

// What an operator is told of a ledger: of all principals, by whichever process looks.
func TestStatusOfALedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	l, looks, now := open(t, path), open(t, path), time.Now()
	to, err := phone.ParseNumber("+8613800138000", "")
	if err != nil {
		t.Fatal(err)
	}
	place := func(who, provider string, at time.Time) *phone.Call {
		t.Helper()
		c := phone.Begin(NewCallID(), who, provider, "acc", phone.Order{To: to, Task: "x"}, at)
		c.Worst = phone.Micros(2_000_000, "CNY")
		reserve(t, l, Intent{Call: c, Params: "p"})
		return c
	}
	placed, unsure, over := place("ann", "one", now.Add(-time.Hour)), place("bob", "two", now.Add(-time.Minute)), place("ann", "one", now.Add(-25*time.Hour))
	if _, err := l.Placed(t.Context(), placed.ID, "r"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Unknown(t.Context(), unsure.ID, &phone.Failure{Code: phone.Uncertain}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Rejected(t.Context(), over.ID, &phone.Failure{Code: phone.Unavailable}); err != nil {
		t.Fatal(err)
	}
	if err := l.Refused(t.Context(), "bob", false, now); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Post(t.Context(), Letter{Digest: "d", Account: "acc", Ref: "r", Observation: phone.Observation{At: now}}); err != nil {
		t.Fatal(err)
	}

	live, unconfirmed, err := looks.Going(t.Context())
	if diff := cmp.Diff(map[string]int{"one": 1}, live); diff != "" || unconfirmed != 1 || err != nil {
		t.Errorf("going: %s, %d unconfirmed, %v", diff, unconfirmed, err)
	}
	calls, err := looks.OpenCalls(t.Context())
	if err != nil || len(calls) != 2 || calls[0].ID != unsure.ID || calls[1].ID != placed.ID || calls[0].Principal != "bob" {
		t.Errorf("open calls: %v, %v", calls, err)
	}
	for within, want := range map[time.Duration]int64{30 * time.Minute: 2_000_000, 24 * time.Hour: 4_000_000, 48 * time.Hour: 4_000_000} {
		all, err := looks.Spending(t.Context(), within, now)
		var used int64
		for _, one := range all {
			used += one.Used().Micros()
			if one.Reserved.Micros() != 2_000_000 || one.Spent.Micros() != 0 || one.Used().Currency() != "CNY" {
				t.Errorf("within %v: %+v", within, one)
			}
		}
		if err != nil || used != want {
			t.Errorf("within %v: %v, %v", within, all, err)
		}
	}
	troubles, err := looks.Troubles(t.Context(), now)
	if err != nil || len(troubles.Faults) != 1 || len(troubles.Faults["two"]) != 1 || len(troubles.Refusals["bob"]) != 1 {
		t.Errorf("troubles: %+v, %v", troubles, err)
	}
	processes, err := looks.Processes(t.Context())
	if err != nil || len(processes) != 1 || processes[0].Calls != 1 || processes[0].ExpiresAt.Before(now) {
		t.Errorf("processes: %+v, %v", processes, err)
	}
	if n, err := looks.UnreadLetters(t.Context()); err != nil || n != 1 {
		t.Errorf("%d letters, %v", n, err)
	}
	if n, err := looks.Size(t.Context()); err != nil || n < 4096 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// A process that has not renewed its lease for a whole one is not ready: its calls may be another's by now.
func TestNotReadyWithoutALease(t *testing.T) {
	l := openWith(t, address(t, filepath.Join(t.TempDir(), "outdial.db")), Options{Lease: time.Hour})
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Renew(t.Context(), time.Now().Add(-61*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := l.Ready(t.Context()); phone.CodeOf(err) != phone.Unavailable {
		t.Errorf("an hour after its lease: %v", err)
	}
	if err := l.Renew(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := l.Ready(t.Context()); err != nil {
		t.Errorf("with a lease again: %v", err)
	}
}

// Each commit is told with the time that it took.
func TestCommitsAreTold(t *testing.T) {
	told := make(chan time.Duration, 100)
	l := openWith(t, address(t, filepath.Join(t.TempDir(), "outdial.db")), Options{Committed: func(took time.Duration) { told <- took }})
	before := len(told)
	if err := l.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Ready(t.Context()); err != nil { // by the time that this one is carried out, the first has been told
		t.Fatal(err)
	}
	if len(told) <= before {
		t.Error("nobody was told")
	}
	if took := <-told; took <= 0 || took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// Whether a ledger is ready is answered when it is wanted, also while another process holds it.
func TestNotReadyWhileAnotherHoldsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	l, other := open(t, path), open(t, path)
	holds, release := make(chan struct{}), make(chan struct{})
	var holding sync.WaitGroup
	holding.Go(func() {
		_ = other.do(t.Context(), "test", func(*transaction) error { close(holds); <-release; return nil })
	})
	<-holds
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := l.Ready(soon)
	if took := time.Since(began); phone.CodeOf(err) != phone.Unavailable || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	close(release)
	holding.Wait()
	if err := l.Ready(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
