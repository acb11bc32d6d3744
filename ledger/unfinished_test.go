package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// unsealed is a ledger's engine with which no commit comes to pass after some.
type unsealed struct {
	engine
	left *int
}

func (u unsealed) seal(tx *transaction) error {
	if *u.left--; *u.left < 0 {
		return errors.New("no room")
	}
	return u.engine.seal(tx)
}

// What an erasure tells was erased is erased, and an error on the way speaks of the rest alone.
func TestAnErasureThatIsNotFinished(t *testing.T) {
	path := t.TempDir() + "/outdial.db"
	l := open(t, path)
	n, err := phone.ParseNumber(canaryNumber, "")
	if err != nil {
		t.Fatal(err)
	}
	_, h := secret(t, l, canaryNumber, "k")
	well := l.engine
	none := 0
	l.engine = unsealed{well, &none}
	if e, err := l.EraseCall(t.Context(), h.ID, now()); err == nil || len(e.Calls) > 0 {
		t.Errorf("a call that was not erased: %+v, %v", e, err)
	}
	if e, err := l.EraseNumber(t.Context(), n, now()); err == nil || len(e.Calls) > 0 {
		t.Errorf("a number that was not erased: %+v, %v", e, err)
	}
	l.engine = well
	if found(t, l, path) == nil {
		t.Fatal("it was erased after all")
	}

	// The words of other calls take longest to search, and are searched last.
	within := l.read.within
	l.read.within = time.Nanosecond
	e, err := l.EraseNumber(t.Context(), n, now())
	l.read.within = within
	if failed := phone.AsError(err); len(e.Calls) != 1 || failed == nil || failed.Code != phone.Unavailable || failed.Reason != "not_searched" {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err = l.EraseNumber(t.Context(), n, now()); err != nil || len(e.Calls) > 0 {
		t.Errorf("again: %+v, %v", e, err)
	}
}
