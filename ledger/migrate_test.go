package ledger

import (
	"path/filepath"
	"testing"
)

// A ledger of the first schema keeps what its calls stand for: the same request again is no second dial.
func TestALedgerOfTheFirstSchema(t *testing.T) {
	sqliteAlone(t)
	path := filepath.Join(t.TempDir(), "outdial.db")
	l := open(t, path)
	plain := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	keyed := reserve(t, l, wish(t, "+8613800138001", "k", "p"))
	if _, err := l.write.pool.Exec(`
		INSERT INTO intents (principal, key, call_id, params) SELECT principal, 'derived:' || name, call_id, 'p' FROM names;
		DROP TABLE names; DROP INDEX calls_by_ref; DROP INDEX calls_by_account; DROP INDEX calls_by_age; DROP INDEX calls_not_over;
		DROP INDEX calls_by_charge; DROP INDEX calls_by_fault; DROP INDEX calls_to_number;
		ALTER TABLE calls DROP COLUMN currency; ALTER TABLE calls DROP COLUMN per_minute; ALTER TABLE calls DROP COLUMN worst;
		ALTER TABLE calls DROP COLUMN charge; ALTER TABLE calls DROP COLUMN faulty; ALTER TABLE calls DROP COLUMN erased; ALTER TABLE calls DROP COLUMN erased_at;
		DROP TABLE contacts; DROP TABLE do_not_call; DROP TABLE heard; DROP TABLE refusals; DROP TABLE questions; DROP TABLE inbox; DROP TABLE inquiries; DROP TABLE call_tools; DROP TABLE endings;
		PRAGMA user_version = 1`); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	for id, in := range map[string]Intent{
		plain.ID: wish(t, "+8613800138000", "", "p"), keyed.ID: wish(t, "+8613800138001", "k", "p"),
	} {
		if h, replayed, err := l.Reserve(t.Context(), in, yes); err != nil || !replayed || h.ID != id {
			t.Errorf("%s: %+v, replayed %v, %v", id, h.Call, replayed, err)
		}
	}
	if h, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138001", "", "p"), yes); err != nil || !replayed || h.ID != keyed.ID {
		t.Errorf("%+v, replayed %v, %v", h.Call, replayed, err)
	}
}
