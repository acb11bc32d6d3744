package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/outdial/outdial/phone"
)

// A file that is moved away, or replaced, under a process that has it open is found by nobody again: who is called for it
// would be called again. What was dialed before is still recorded there.
func TestAFileThatIsMovedAway(t *testing.T) {
	sqliteAlone(t)
	for name, replaced := range map[string]bool{"moved": false, "replaced": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "outdial.db")
			l := open(t, path)
			h := reserve(t, l, wish(t, "+8613800138000", "k", "p"))
			if err := l.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, part := range []string{"", "-wal", "-shm"} {
				if err := os.Rename(path+part, path+".old"+part); err != nil {
					t.Fatal(err)
				}
			}
			if replaced {
				open(t, path)
			}
			for _, err := range []error{
				func() error { _, _, err := l.Reserve(t.Context(), wish(t, "+8613800138001", "", "p"), yes); return err }(),
				l.Ready(t.Context()),
			} {
				if e := phone.AsError(err); e == nil || e.Code != phone.Refused || e.Reason != "ledger_moved" {
					t.Errorf("%v", err)
				}
			}
			if again, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "k", "p"), yes); err != nil || !replayed || again.ID != h.ID {
				t.Errorf("the same request: %v, %v", replayed, err)
			}
			if _, err := l.Placed(t.Context(), h.ID, "r"); err != nil {
				t.Errorf("what was dialed before: %v", err)
			}
		})
	}
}

// A standby that takes over without the last commits has forgotten who was called: processes that go on with it dial nobody
// until the operator says so, and do not insist after that.
func TestPostgresAFailOverThatLosesCommits(t *testing.T) {
	postgresAlone(t)
	url := server.Database(t)
	l, other := openWith(t, url, Options{}), openWith(t, url, Options{})
	var before int64
	if err := other.read.QueryRowContext(t.Context(), `SELECT last FROM writers WHERE process = ?`, l.process).Scan(&before); err != nil {
		t.Fatal(err)
	}
	judge := func(f phone.Facts) error {
		if f.Off != "" {
			return errors.New("off")
		}
		return nil
	}
	in := wish(t, "+8613800138000", "k", "p")
	h, _, err := l.Reserve(t.Context(), in, judge)
	if err != nil {
		t.Fatal(err)
	}
	if again, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "k", "p"), judge); err != nil || !replayed || again.ID != h.ID {
		t.Fatalf("%v, %v", replayed, err)
	}
	if why, err := l.WhyOff(t.Context()); err != nil || why != "" {
		t.Fatalf("off before: %q, %v", why, err)
	}
	server.SQL(t, url, fmt.Sprintf(`DELETE FROM calls; DELETE FROM intents; DELETE FROM names; UPDATE writers SET last = %d WHERE process = '%s'`, before, l.process))
	if again, _, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "k", "p"), judge); err == nil {
		t.Fatalf("%s was dialed, and then %s", h.ID, again.ID)
	}
	if why, err := other.WhyOff(t.Context()); err != nil || why == "" {
		t.Errorf("the others: %q, %v", why, err)
	}
	if err := other.SwitchDialing(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "k", "p"), judge); err != nil {
		t.Errorf("once the operator has said that it may: %v", err)
	}
}
