package auth_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/phone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made adds a token to a file.
func made(t *testing.T, path, name string, scopes ...string) (token string, e auth.Entry) {
	t.Helper()
	if scopes == nil {
		scopes = []string{phone.PlaceScope, phone.ReadScope}
	}
	token, e, err := auth.NewToken(name, scopes)
	if err == nil {
		err = auth.Add(path, e, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return token, e
}

func opened(t *testing.T, path string) (a *auth.Auth, warned func() string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	a, err := auth.New(auth.Options{TokensFile: path, Warn: func(s string) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, s)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(all, "\n")
	}
}

func TestStaticTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	ann, _ := made(t, path, "ann")
	bob, _ := made(t, path, "bob@example", phone.ReadScope)
	if len(ann) < 4+26 || !strings.HasPrefix(ann, "odt_") || ann == bob {
		t.Errorf("tokens %d characters long", len(ann))
	}
	raw, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(raw), ann[4:]) || strings.Contains(string(raw), bob[4:]) {
		t.Errorf("the file holds a token: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	a, _ := opened(t, path)
	id, err := a.Identify(t.Context(), ann)
	if err != nil || id.Caller.Principal != "token:ann" || !id.Caller.May(phone.PlaceScope) || !id.Still() {
		t.Errorf("%+v, %v", id, err)
	}
	if id, err := a.Identify(t.Context(), bob); err != nil || id.Caller.Principal != "token:bob@example" || id.Caller.May(phone.PlaceScope) || !id.Caller.May(phone.ReadScope) {
		t.Errorf("%+v, %v", id, err)
	}
	for _, wrong := range []string{"", "odt_", ann[:len(ann)-1], ann + "A", ann + "=", strings.ToLower(ann), " " + ann, ann + "\n", strings.Repeat("a", 1<<20), "ann", strings.Fields(string(raw[strings.Index(string(raw), "\n"):]))[1]} {
		if id, err := a.Identify(t.Context(), wrong); !errors.Is(err, auth.ErrInvalid) || id.Caller.Principal != "" {
			t.Errorf("%.80q: %+v, %v", wrong, id, err)
		}
	}
}

// What is done to the file holds at once, for whoever is there already too.
func TestTokensFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	ann, first := made(t, path, "ann")
	a, warned := opened(t, path)
	held, err := a.Identify(t.Context(), ann)
	if err != nil {
		t.Fatal(err)
	}
	next, _ := made(t, path, "ann")
	for _, token := range []string{ann, next} {
		if id, err := a.Identify(t.Context(), token); err != nil || id.Caller.Principal != "token:ann" {
			t.Errorf("after the rotation: %+v, %v", id, err)
		}
	}
	if gone, err := auth.Revoke(path, first.Print()); err != nil || len(gone) != 1 {
		t.Fatalf("%v, %v", gone, err)
	}
	if _, err := a.Identify(t.Context(), ann); !errors.Is(err, auth.ErrInvalid) || held.Still() {
		t.Errorf("revoked: %v, still %v", err, held.Still())
	}
	if _, err := a.Identify(t.Context(), next); err != nil {
		t.Errorf("the other of the name: %v", err)
	}

	// A slip in the file costs what is in that line, and keeps nobody else out; what was taken out is out.
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(string(raw) + "mallory " + ann + " calls:place\n")
	if _, err := a.Identify(t.Context(), next); err != nil {
		t.Errorf("beside a line that is not understood: %v", err)
	}
	if _, err := a.Identify(t.Context(), ann); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("a token as it is, in place of its hash: %v", err)
	}
	if note, err := a.Ready(); err != nil || note == "" || !strings.Contains(warned(), "line 3") || strings.Contains(warned(), ann) {
		t.Errorf("%q, %v; warned %q", note, err, warned())
	}
	if _, err := auth.New(auth.Options{TokensFile: path}); err == nil || strings.Contains(err.Error(), ann) {
		t.Errorf("at a start: %v", err)
	}

	// A file that cannot be trusted or read grants nothing, and does not say that a token is wrong.
	for name, do := range map[string]func() error{
		"others can write": func() error { return os.Chmod(path, 0o620) },
		"not text":         func() error { write(string(raw) + "\x00"); return nil },
		"too large":        func() error { write(string(raw) + strings.Repeat("#", 1<<20)); return nil },
		"gone":             func() error { return os.Remove(path) },
		"a directory":      func() error { return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Identify(t.Context(), next); !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := a.Ready(); err == nil {
			t.Errorf("%s: ready", name)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		write(string(raw))
		if _, err := a.Identify(t.Context(), next); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if !strings.Contains(warned(), "chmod 600") || !strings.Contains(warned(), "again") {
		t.Errorf("warned of %q", warned())
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Identify(t.Context(), next); err != nil || !strings.Contains(warned(), "read by everybody") {
		t.Errorf("readable by others: %v, warned %q", err, warned())
	}
}

// The time of a file is coarse: a change within the same tick and of the same length is seen too.
func TestTokensFileChangesWithinATick(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	_, e := made(t, path, "ann")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := opened(t, path)
	now := time.Now()
	token, f, err := auth.NewToken("ann", e.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, now, now); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Identify(t.Context(), token); !errors.Is(err, auth.ErrInvalid) {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, []byte(strings.Replace(string(raw), e.String(), f.String(), 1)), 0o600), os.Chtimes(path, now, now)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Identify(t.Context(), token); err != nil {
		t.Errorf("%v", err)
	}
}

func TestEditing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	for _, name := range []string{"", "-x", "a b", "a\nb", "local:x", strings.Repeat("a", 65), "é"} {
		if _, _, err := auth.NewToken(name, []string{phone.ReadScope}); phone.CodeOf(err) != phone.Invalid {
			t.Errorf("the name %q: %v", name, err)
		}
	}
	for _, scopes := range [][]string{nil, {""}, {"calls:*"}, {phone.ReadScope, "admin"}} {
		if _, _, err := auth.NewToken("ann", scopes); phone.CodeOf(err) != phone.Invalid {
			t.Errorf("the scopes %q: %v", scopes, err)
		}
	}
	if err := os.WriteFile(path, []byte("# mine\n\nnot a line of ours\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	_, e := made(t, path, "ann")
	if err := auth.Add(path, e, false); phone.CodeOf(err) != phone.Invalid {
		t.Errorf("a second one unasked: %v", err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || string(raw) != "# mine\n\nnot a line of ours\n"+e.String()+"\n" {
		t.Errorf("%q, %v", raw, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("who could read it no longer can: %v, %v", info.Mode(), err)
	}
	if all, faults, err := auth.List(path); err != nil || len(all) != 1 || faults != 1 {
		t.Errorf("%v, %d, %v", all, faults, err)
	}
	if _, err := auth.Revoke(path, "bob"); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("nobody's: %v", err)
	}
	if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.Revoke(path, "ann"); phone.CodeOf(err) != phone.Invalid {
		t.Errorf("while another edits: %v", err)
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if gone, err := auth.Revoke(path, "ann"); err != nil || len(gone) != 1 {
		t.Errorf("%v, %v", gone, err)
	}
	if err := os.Chmod(path, 0o602); err != nil {
		t.Fatal(err)
	}
	if err := auth.Add(path, e, true); phone.CodeOf(err) != phone.Invalid {
		t.Errorf("into a file that others write: %v", err)
	}
	if left, err := filepath.Glob(filepath.Dir(path) + "/*"); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Many who edit at once lose nothing of each other's: each is in, or was told that it is not.
func TestEditingAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	var all sync.WaitGroup
	var mu sync.Mutex
	added := map[string]bool{}
	for range 20 {
		all.Go(func() {
			_, e, err := auth.NewToken("ann", []string{phone.ReadScope})
			if err != nil {
				t.Error(err)
				return
			}
			if auth.Add(path, e, true) == nil {
				mu.Lock()
				defer mu.Unlock()
				added[e.Print()] = true
			}
		})
	}
	all.Wait()
	there, faults, err := auth.List(path)
	if err != nil || faults > 0 || len(there) != len(added) || len(added) == 0 {
		t.Errorf("%d are there of %d, %d faults, %v", len(there), len(added), faults, err)
	}
}

func FuzzTokensFile(f *testing.F) {
	f.Add("ann sha256:0000 calls:place\n")
	f.Add("# x\r\nann sha256:" + strings.Repeat("ab", 32) + " calls:read calls:place")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "tokens")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, _, err := auth.List(path)
		if err != nil {
			return
		}
		for _, e := range all {
			if !strings.Contains(text, strings.Fields(e.String())[1]) && !strings.Contains(strings.ToLower(text), strings.Fields(e.String())[1]) {
				t.Errorf("%v is not in the file", e)
			}
		}
	})
}

// A file that cannot be read is tried again with each request: what lets it be read, its owner for one, need not show in its
// size, its time or its mode.
func TestUnreadableTokensFileIsTriedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	ann, _ := made(t, path, "ann")
	a, _ := opened(t, path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	longAgo := time.Now().Add(-time.Hour)
	put := func(raw []byte) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, longAgo, longAgo); err != nil {
			t.Fatal(err)
		}
	}
	put(make([]byte, len(good)))
	if _, err := a.Identify(t.Context(), ann); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("unreadable: %v", err)
	}
	put(good)
	if _, err := a.Identify(t.Context(), ann); err != nil {
		t.Errorf("readable again: %v", err)
	}
}

func TestTokensFileBegunByAnEditor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	token, e, err := auth.NewToken("ann", []string{phone.ReadScope})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("\ufeff"+e.String()+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, _ := opened(t, path)
	if id, err := a.Identify(t.Context(), token); err != nil || id.Caller.Principal != "token:ann" {
		t.Errorf("%+v, %v", id, err)
	}
	if all, faults, err := auth.List(path); len(all) != 1 || faults != 0 || err != nil {
		t.Errorf("%v, %d, %v", all, faults, err)
	}
}

// As many tokens as a file may hold are read in a moment, and one more is refused before it costs all of them.
func TestTokensFileAtItsLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	var file strings.Builder
	var last string
	for n := 0; file.Len() < 1<<20-200; n++ {
		token, e, err := auth.NewToken(fmt.Sprintf("agent-%d", n), []string{phone.PlaceScope})
		if err != nil {
			t.Fatal(err)
		}
		last = token
		file.WriteString(e.String() + "\n")
	}
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a, _ := opened(t, path)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("read in %v, while requests wait", took)
	}
	for n := 0; ; n++ {
		_, e, err := auth.NewToken(fmt.Sprintf("more-%d", n), []string{phone.PlaceScope})
		if err != nil {
			t.Fatal(err)
		}
		if err := auth.Add(path, e, false); err != nil {
			if n == 0 || phone.CodeOf(err) != phone.Invalid || !strings.Contains(err.Error(), "1 MiB") {
				t.Errorf("after %d more: %v", n, err)
			}
			break
		}
		if n > 10 {
			t.Fatal("the file grows without end")
		}
	}
	if _, err := a.Identify(t.Context(), last); err != nil {
		t.Errorf("after one was refused: %v", err)
	}
}

// A file in the place of another, of the same size and the same time, is another; and one that others may write from now on
// is not believed any more.
func TestTokensFileInThePlaceOfAnother(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "tokens"), filepath.Join(dir, "other")
	longAgo := time.Now().Add(-time.Hour)
	ann, _ := made(t, path, "ann")
	bob, _ := made(t, other, "bob")
	for _, file := range []string{path, other} {
		if err := os.Chtimes(file, longAgo, longAgo); err != nil {
			t.Fatal(err)
		}
	}
	a, _ := opened(t, path)
	if _, err := a.Identify(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Identify(t.Context(), ann); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("a token of the file that was there: %v", err)
	}
	if _, err := a.Identify(t.Context(), bob); err != nil {
		t.Errorf("one of the file that is there: %v", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Identify(t.Context(), bob); !errors.Is(err, auth.ErrUnavailable) && runtime.GOOS != "windows" {
		t.Errorf("of a file that anybody can write: %v", err)
	}
}
