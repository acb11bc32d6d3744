package pgtest

import (
	"os"
	"testing"
)

// Each database is a fresh one, a restart keeps them, and nothing is left in the end.
func TestServer(t *testing.T) {
	var s Server
	t.Cleanup(s.Stop)
	a, b := s.Database(t), s.Database(t)
	s.SQL(t, a, "CREATE TABLE x (n INT); INSERT INTO x VALUES (7)")
	s.SQL(t, b, "CREATE TABLE x (n INT)")
	s.Restart(t)
	if got := s.SQL(t, a, "SELECT n FROM x"); got != "7" {
		t.Errorf("%q", got)
	}
	if got := s.SQL(t, b, "SELECT count(*), current_setting('synchronous_commit') FROM x"); got != "0|on" {
		t.Errorf("%q", got)
	}
	s.Stop()
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("its files are still there: %v", err)
	}
	if out, err := s.psql(a, "SELECT 1"); err == nil {
		t.Errorf("it still answers: %s", out)
	}
}
