package faultlab

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/ledger"
)

// TestARenewalThatFailsIsMadeAgain: a lease that could not be renewed is renewed at the next round, and not a third of a
// lease later.
func TestARenewalThatFailsIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, stepOneKind())
		w.service.number = func(int) string { return "+8613800130107" } // a long call
		began := time.Now()
		r := w.start()
		r.place(t.Context(), 1, "the errand", "")
		time.Sleep(time.Until(began.Add(7 * time.Second))) // of virtual time: before the first renewal
		w.bury(r)
		time.Sleep(5 * time.Second) // of virtual time: it has failed
		w.unearth(r)
		time.Sleep(4 * time.Second) // of virtual time: one round later
		l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(w.dir, "outdial.db"), ledger.Options{})
		if err != nil {
			t.Fatal(err)
		}
		held, err := l.Claim(t.Context(), ledger.Accounts{Ask: []string{"lab"}}, func(string) bool { return false }, began.Add(41*time.Second))
		if err != nil || len(held) != 0 {
			t.Errorf("%d calls of a process that lives are to be had, %v", len(held), err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(8 * time.Minute) // of virtual time: until the call is over
		w.end()
		w.judge()
	})
}
