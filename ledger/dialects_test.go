package ledger

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/internal/pgtest"
)

var server = pgtest.Server{Sync: os.Getenv("OUTDIAL_TEST_SYNC") == "on"}

// onPostgres says whether this run of the suite is the one on Postgres.
func onPostgres() bool { return os.Getenv("OUTDIAL_TEST_DIALECT") == "postgres" }

// sqliteAlone and postgresAlone are for what only one dialect has.
func sqliteAlone(t *testing.T) {
	t.Helper()
	if onPostgres() {
		t.Skip("it is about SQLite's file")
	}
}

func postgresAlone(t *testing.T) {
	t.Helper()
	if onPostgres() {
		t.Skip("it has a server of its own, and was run already")
	}
}

// TestSuiteOnPostgres runs every test of this package again, with each file in it a database of a real Postgres.
func TestSuiteOnPostgres(t *testing.T) {
	postgresAlone(t)
	t.Parallel()
	server.Database(t) // says what is missing where there is none
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.v", "-test.timeout=5m", "-opens=2"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), "OUTDIAL_TEST_DIALECT=postgres")
	out, err := c.CombinedOutput()
	passed := strings.Count(string(out), "\n--- PASS: ")
	if err != nil || passed < 50 {
		t.Fatalf("%d tests passed, %v\n%s", passed, err, out)
	}
	t.Logf("%d tests passed on Postgres too", passed)
}

// address is the ledger that a path stands for: the file itself, or a database.
func address(t testing.TB, path string) string {
	t.Helper()
	if !onPostgres() {
		return "sqlite:" + path
	}
	known := path + ".url"
	if url, err := os.ReadFile(known); err == nil {
		return string(url)
	}
	url := server.Database(t)
	if err := os.MkdirAll(filepath.Dir(known), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(known, []byte(url), 0o600); err != nil {
		t.Fatal(err)
	}
	return url
}

// in is a moment from now, as leases are told: on Postgres they are told by the server's clock, so they are aged instead.
func in(t *testing.T, l *Ledger, d time.Duration) time.Time {
	t.Helper()
	if onPostgres() {
		change(t, l, `UPDATE processes SET expires_at = expires_at - ?`, d.Microseconds())
	}
	return now().Add(d)
}

// change writes to a ledger past everything.
func change(t *testing.T, l *Ledger, statement string, args ...any) {
	t.Helper()
	if err := l.do(t.Context(), "test", func(tx *transaction) error {
		_, err := tx.Exec(statement, args...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
