package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/outdial/outdial/phone"
)

// A copy that is made while others write is whole and sound, belongs to its user alone, dials nobody, and takes the calls
// that were under way up as after a crash.
func TestBackup(t *testing.T) {
	sqliteAlone(t)
	dir := t.TempDir()
	path, to := filepath.Join(dir, "outdial.db"), filepath.Join(dir, "copy.db")
	l, sibling := open(t, path), open(t, path)
	in, ended := secret(t, l, canaryNumber, "k")
	placed := reserve(t, l, wish(t, "+8613800138001", "", "p"))
	if _, err := l.Placed(t.Context(), placed.ID, "r"); err != nil {
		t.Fatal(err)
	}
	sending := reserve(t, l, wish(t, "+8613800138002", "", "p"))

	writing, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	wrote := make(chan struct{}, 1)
	writers.Go(func() {
		for i := 0; writing.Err() == nil; i++ {
			b := phone.Block{Number: placed.Order.To, CallID: fmt.Sprint("call_", i), AddedAt: now()}
			if err := sibling.DoNotCall(t.Context(), b); err != nil {
				t.Error(err)
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	})
	<-wrote
	b, err := l.Backup(t.Context(), to, now())
	stop()
	writers.Wait()
	if err != nil || b.Calls != 3 || b.Open != 2 || b.Bytes == 0 {
		t.Fatalf("%+v, %v", b, err)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 || info.Size() != b.Bytes {
		t.Errorf("%v, %v", info, err)
	}
	if left, err := filepath.Glob(to + "?*"); err != nil || len(left) != 0 {
		t.Errorf("beside it: %v, %v", left, err)
	}
	before := digest(t, to)
	if _, err := l.Backup(t.Context(), to, now()); err == nil || phone.AsError(err).Reason != "file_exists" || digest(t, to) != before {
		t.Errorf("over one that is there: %v", err)
	}
	if why, err := l.WhyOff(t.Context()); err != nil || why != "" {
		t.Errorf("the ledger itself: %q, %v", why, err)
	}

	home := filepath.Join(t.TempDir(), "outdial.db")
	if err := os.Rename(to, home); err != nil {
		t.Fatal(err)
	}
	restored := open(t, home)
	why, err := restored.WhyOff(t.Context())
	if err != nil || !strings.Contains(why, "2 calls were under way") || !strings.Contains(why, "idempotency keys") || !strings.Contains(why, "switch it on") {
		t.Errorf("%q, %v", why, err)
	}
	if f := about(t, restored, "+12025550143"); f.Off != why {
		t.Errorf("a rule sees %q", f.Off)
	}
	got, err := restored.Call(t.Context(), "local", ended.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, ended.Call, got.Call)
	if h, replayed, err := restored.Reserve(t.Context(), in, yes); err != nil || !replayed || h.ID != ended.ID {
		t.Errorf("its key: replayed %v, %v", replayed, err)
	}
	held, err := restored.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, in.Call.CreatedAt.Add(aDay))
	if err != nil || len(held) != 2 {
		t.Fatalf("%d calls are taken up, %v", len(held), err)
	}
	for _, h := range held {
		if h.ID == sending.ID && h.Dial != Sending || h.ID == placed.ID && (h.Dial != Placed || h.Epoch != 2) {
			t.Errorf("%+v", h)
		}
	}
	if err := restored.SwitchDialing(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := restored.Close(); err != nil {
		t.Fatal(err)
	}
	if why, err := open(t, home).WhyOff(t.Context()); err != nil || why != "" {
		t.Errorf("after it was acknowledged: %q, %v", why, err)
	}
}

func TestBackupThatCannotBe(t *testing.T) {
	l := fresh(t)
	to := filepath.Join(t.TempDir(), "none", "copy.db")
	_, err := l.Backup(t.Context(), to, now())
	want := phone.Unavailable
	if onPostgres() {
		want = phone.Unsupported
	}
	if phone.CodeOf(err) != want {
		t.Errorf("%v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	dir := t.TempDir()
	if _, err := l.Backup(gone, filepath.Join(dir, "copy.db"), now()); err == nil {
		t.Error("a copy was made for somebody who has gone")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("what is no copy is left there: %v, %v", left, err)
	}
}

// What was erased is in no copy that is made after it.
func TestErasedBeforeABackup(t *testing.T) {
	sqliteAlone(t)
	dir := t.TempDir()
	l := open(t, filepath.Join(dir, "outdial.db"))
	secret(t, l, canaryNumber, "canary-key")
	if _, err := l.EraseNumber(t.Context(), number(t, canaryNumber), now()); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "copy.db")
	if _, err := l.Backup(t.Context(), to, now()); err != nil {
		t.Fatal(err)
	}
	if left := found(t, l, to); len(left) > 0 {
		t.Errorf("%q", left)
	}
}

// switchedOn switches on a ledger, and says why it dialed nobody.
func switchedOn(t *testing.T, address string) string {
	t.Helper()
	l := openWith(t, address, Options{})
	why, err := l.WhyOff(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SwitchDialing(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return why
}

// A file that is put in the place of a newer one is noticed, however it was copied, and one that stays where it is is not.
func TestAnOlderFile(t *testing.T) {
	sqliteAlone(t)
	path := filepath.Join(t.TempDir(), "outdial.db")
	visit := func(at string) string { return switchedOn(t, "sqlite:"+at) }
	read := func(path string) []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if why := visit(path); why != "" {
			t.Fatal(why)
		}
	}
	if info, err := os.Stat(sideFile(path)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	older := read(path)
	if why := visit(path); why != "" {
		t.Error(why)
	}
	write(path, older)
	if why := visit(path); !strings.Contains(why, "older than") {
		t.Errorf("an older file: %q", why)
	}
	if why := visit(path); why != "" {
		t.Errorf("once it was acknowledged: %q", why)
	}

	// A process that runs: the copy is noticed though nobody has opened the ledger since.
	l := open(t, path)
	live := read(path) // what is in the log is missing, as in a copy of the file alone
	if err := l.Renew(t.Context(), now()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	write(path, live)
	if why := visit(path); !strings.Contains(why, "older than") {
		t.Errorf("a copy of a file in use: %q", why)
	}

	elsewhere := filepath.Join(t.TempDir(), "outdial.db")
	write(elsewhere, read(path))
	if why := visit(elsewhere); !strings.Contains(why, "from elsewhere") {
		t.Errorf("elsewhere: %q", why)
	}
	write(sideFile(elsewhere), []byte("rubbish"))
	if why := visit(elsewhere); !strings.Contains(why, "from elsewhere") {
		t.Errorf("a count that cannot be read: %q", why)
	}
	if err := os.Remove(elsewhere); err != nil {
		t.Fatal(err)
	}
	if why := visit(elsewhere); !strings.Contains(why, "older than") {
		t.Errorf("a new ledger in the place of one that was used: %q", why)
	}
	write(sideFile(elsewhere), fmt.Appendf(nil, "%019d\n", 1)) // one behind, as after a crash
	if why := visit(elsewhere); why != "" {
		t.Errorf("after a crash: %q", why)
	}
}

// A reason that the operator has given stays.
func TestAnOlderFileThatIsOff(t *testing.T) {
	sqliteAlone(t)
	path := filepath.Join(t.TempDir(), "outdial.db")
	l := open(t, path)
	if err := l.SwitchDialing(t.Context(), "it runs wild"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(sideFile(path)); err != nil {
		t.Fatal(err)
	}
	if why, err := open(t, path).WhyOff(t.Context()); err != nil || why != "it runs wild" {
		t.Errorf("%q, %v", why, err)
	}
}

// On Postgres tables that were restored from a dump are others, and so is the ledger.
func TestPostgresRestoredFromADump(t *testing.T) {
	postgresAlone(t)
	t.Parallel()
	url := server.Database(t)
	visit := func() string { return switchedOn(t, url) }
	for range 2 {
		if why := visit(); why != "" {
			t.Fatal(why)
		}
	}
	server.SQL(t, url, `CREATE TABLE dumped AS TABLE meta; DROP TABLE meta; ALTER TABLE dumped RENAME TO meta; ALTER TABLE meta ADD PRIMARY KEY (key)`)
	if why := visit(); !strings.Contains(why, "restored from a dump") || !strings.Contains(why, "switch it on") {
		t.Errorf("restored: %q", why)
	}
	if why := visit(); why != "" {
		t.Errorf("once it was acknowledged: %q", why)
	}
}
