package ledger

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/outdial/outdial/phone"
)

// later is a migration of a version that does not exist: like all of them it only adds.
const later = `
	ALTER TABLE calls ADD COLUMN later TEXT NOT NULL DEFAULT 'x';
	ALTER TABLE events ADD COLUMN later BIGINT NOT NULL DEFAULT 0;
	CREATE TABLE later (id TEXT PRIMARY KEY);
	CREATE INDEX events_by_later ON events (later, at);
	INSERT INTO later (id) SELECT id FROM calls;`

// A file that a newer version has written to is refused, and left as it is: nothing is migrated, nothing recorded that
// could be dialed.
func TestANewerFileIsLeftAlone(t *testing.T) {
	sqliteAlone(t)
	path := freshFile(t)
	f := raw(t, path)
	f.exec(t, later+fmt.Sprintf(`PRAGMA user_version = %d`, f.schema(t)+1))
	if err := checkpointed(f); err != nil {
		t.Fatal(err)
	}
	before := digest(t, path)
	for range 2 {
		l, err := Open(t.Context(), "sqlite:"+path, Options{})
		if err == nil {
			_ = l.Close()
		}
		if e := phone.AsError(err); err == nil || e.Reason != "ledger_newer" || e.Code != phone.Refused || e.CallStarted() != phone.StartedNo {
			t.Fatalf("%+v", e)
		}
	}
	if err := checkpointed(f); err != nil {
		t.Fatal(err)
	}
	if digest(t, path) != before {
		t.Error("the file has changed")
	}
}

func checkpointed(f rawFile) error {
	var busy, log, done int
	if err := f.QueryRow(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &done); err != nil {
		return err
	}
	if busy != 0 {
		return fmt.Errorf("busy: %d, %d, %d", busy, log, done)
	}
	return nil
}

func digest(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// A process that had the file open when a newer version migrated it goes on: it reserves, records, finds, and what it
// records the newer one sees.
func TestAFileIsMigratedUnderAProcess(t *testing.T) {
	sqliteAlone(t)
	path := filepath.Join(t.TempDir(), "outdial.db")
	old, sibling := open(t, path), open(t, path)
	h := reserve(t, old, wish(t, "+8613800138000", "k", "p"))
	h, err := old.Placed(t.Context(), h.ID, "ref")
	if err != nil {
		t.Fatal(err)
	}
	words := func(text string) phone.Observation {
		return phone.Observation{Words: []phone.Words{{Role: phone.Callee, Text: text, Final: true}}}
	}
	if err := observe(t, old, &h, words("before")); err != nil {
		t.Fatal(err)
	}

	f := raw(t, path)
	f.exec(t, later+fmt.Sprintf(`PRAGMA user_version = %d`, f.schema(t)+1))

	if err := observe(t, old, &h, words("after")); err != nil {
		t.Fatal(err)
	}
	if again, replayed, err := old.Reserve(t.Context(), wish(t, "+8613800138000", "k", "p"), yes); err != nil || !replayed || again.ID != h.ID {
		t.Errorf("a request that comes again: %+v, replayed %v, %v", again.Call, replayed, err)
	}
	fresh := reserve(t, sibling, wish(t, "+8613800138001", "", "p"))
	if err := sibling.Close(); err != nil {
		t.Fatal(err)
	}
	held, err := old.Claim(t.Context(), Accounts{}, func(id string) bool { return id == h.ID }, now())
	if err != nil || len(held) != 1 || held[0].ID != fresh.ID {
		t.Errorf("of a process that has gone: %+v, %v", held, err)
	}
	if err := old.Renew(t.Context(), now()); err != nil {
		t.Error(err)
	}
	if facts := about(t, old, "+8613800138000"); len(facts.ToNumber) != 1 || len(facts.Open) != 2 {
		t.Errorf("%+v", facts)
	}
	if list, _, err := old.List(t.Context(), "local", Filter{Limit: 10}); err != nil || len(list) != 2 {
		t.Errorf("%d calls in the list, %v", len(list), err)
	}
	got, err := old.Call(t.Context(), "local", h.ID)
	if err != nil || len(got.Turns) != 2 || got.Turns[1].Text != "after" {
		t.Errorf("%+v, %v", got.Call, err)
	}

	seen := map[string]int64{}
	each(t, f, `SELECT c.number || c.later, COUNT(e.seq) FROM calls c LEFT JOIN events e ON e.call_id = c.id AND e.later = 0 GROUP BY 1`, func(r *sql.Rows) error {
		var number string
		var events int64
		err := r.Scan(&number, &events)
		seen[number] = events
		return err
	})
	if len(seen) != 2 || seen["+8613800138000x"] != got.Seq || seen["+8613800138001x"] != 0 {
		t.Errorf("the newer one sees %v, the call has %d events", seen, got.Seq)
	}
}
