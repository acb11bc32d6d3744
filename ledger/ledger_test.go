package ledger

import (
	"context"
	"errors"
	flags "flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"go.uber.org/goleak"
)

var opens = flags.Int("opens", 5, "how often TestFirstOpenAtOnce has eight processes open a ledger that does not exist yet")

// TestMain lets the test binary stand for a further process that opens a ledger for the first time.
func TestMain(m *testing.M) {
	if path := os.Getenv("OUTDIAL_TEST_OPEN"); path != "" {
		l, err := Open(context.Background(), path, Options{})
		if err == nil {
			err = errors.Join(l.Ready(context.Background()), l.Close())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		server.Stop()
		os.Exit(code)
	}))
}

func open(t *testing.T, path string) *Ledger {
	t.Helper()
	return openWith(t, address(t, path), Options{})
}

func openWith(t *testing.T, url string, o Options) *Ledger {
	t.Helper()
	l, err := Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func fresh(t *testing.T) *Ledger { return open(t, filepath.Join(t.TempDir(), "outdial.db")) }

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// wish is a new intent to call a number.
func wish(t testing.TB, number, key, params string) Intent {
	t.Helper()
	n, err := phone.ParseNumber(number, "")
	if err != nil {
		t.Fatal(err)
	}
	o := phone.Order{To: n, Task: "x", Voice: "v", MaxDuration: time.Minute, Options: map[string]any{"a": "b"}}
	return Intent{
		Call: phone.Begin(NewCallID(), "local", "stepone", "acc", o, now()),
		Key:  key, Params: params, Names: []string{"by p " + number, "by any " + number}, Known: []string{"by any " + number}, Window: 10 * time.Minute,
	}
}

func yes(phone.Facts) error { return nil }

func idle(string) bool { return false }

func reserve(t *testing.T, l *Ledger, in Intent) Held {
	t.Helper()
	h, replayed, err := l.Reserve(t.Context(), in, yes)
	if err != nil || replayed {
		t.Fatalf("replayed %v, %v", replayed, err)
	}
	return h
}

func same(t *testing.T, want, got *phone.Call) {
	t.Helper()
	opts := cmp.Options{
		cmp.AllowUnexported(phone.Number{}, phone.Money{}),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".hearing" }, cmp.Ignore()),
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Error(diff)
	}
}

// append records what an observation brings, as a follower does.
func observe(t testing.TB, l *Ledger, h *Held, o phone.Observation) error {
	t.Helper()
	o.At = now()
	after := h.Clone()
	events := h.Observe(o)
	for _, e := range events {
		after.Apply(e)
	}
	err := l.Append(t.Context(), after, h.Epoch, events)
	if err == nil {
		h.Call = after
	}
	return err
}

func TestACallSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "outdial.db")
	first := open(t, path)
	h := reserve(t, first, wish(t, "+8613800138000", "", "p"))
	h, err := first.Placed(t.Context(), h.ID, "ref^1")
	if err != nil {
		t.Fatal(err)
	}
	talk := 42 * time.Second
	money, err := phone.ParseMoney("0.6", "CNY")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []phone.Observation{
		{Opened: true, Words: []phone.Words{{Role: phone.Agent, Text: "喂", Final: true}}},
		{Words: []phone.Words{{Role: phone.Callee, Text: "er", Final: true}}},
		{
			Extent: phone.Whole, Line: phone.WrappingUp, Outcome: phone.Completed, Duration: &talk, Summary: "s", Recording: "r",
			Cost: &phone.Cost{Money: money, Estimated: true}, Words: []phone.Words{{Role: phone.Agent, Text: "喂", Final: true}},
		},
	} {
		if err := observe(t, first, &h, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, path)
	got, err := second.Call(t.Context(), "local", h.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, h.Call, got.Call)
	if got.Ref != "ref^1" || got.Dial != Placed || len(got.Turns) != 2 || !got.Turns[1].Withdrawn {
		t.Errorf("%+v", got)
	}
	calls, _, err := second.List(t.Context(), "local", Filter{Limit: 10})
	if err != nil || len(calls) != 1 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	want := h.Clone()
	want.Turns = nil
	same(t, want, calls[0])
	if onPostgres() {
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode: %v", info.Mode())
	}
}

// A client that names its wish on one try and not on the other means one call; two names are two wishes.
// A dial that was interrupted needs no key to be known as such; a call that a provider has needs its account's.
func TestAnInterruptedDialIsAnybodys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	a, b := open(t, path), open(t, path)
	h := reserve(t, a, wish(t, "+8613800138000", "", "p"))
	if taken, err := b.Claim(t.Context(), Accounts{Ask: []string{"another"}}, idle, in(t, b, time.Minute)); err != nil || len(taken) != 1 || taken[0].ID != h.ID {
		t.Errorf("%+v, %v", taken, err)
	}
}

// What this process follows no more, though its name stands in the row, is taken up again.
func TestADroppedCallIsClaimedByItsOwnProcess(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	h, err := l.Placed(t.Context(), h.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	taken, err := l.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, now())
	if err != nil || len(taken) != 1 || taken[0].Epoch != h.Epoch+1 {
		t.Fatalf("%+v, %v", taken, err)
	}
	if err := observe(t, l, &h, phone.Observation{Line: phone.Ringing}); !errors.Is(err, ErrLost) {
		t.Errorf("the following that was dropped still writes: %v", err)
	}
}

func TestANumberThatIsNoLongerValidIsStillRead(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	change(t, l, `UPDATE calls SET number = '+8699900138000'`)
	if got, err := l.Call(t.Context(), "local", h.ID); err != nil || got.Order.To.E164() != "+8699900138000" {
		t.Errorf("%v, %v", got.Call, err)
	}
}

func TestOnlyTheFollowerAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	a, b := open(t, path), open(t, path)
	h := reserve(t, a, wish(t, "+8613800138000", "", "p"))
	h, err := a.Placed(t.Context(), h.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	if held, err := b.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, now()); err != nil || len(held) != 0 {
		t.Fatalf("a call whose process lives was claimed: %d, %v", len(held), err)
	}
	if held, err := b.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, func(string) bool { return true }, in(t, b, time.Hour)); err != nil || len(held) != 0 {
		t.Fatalf("a call that is worked on here was claimed: %d, %v", len(held), err)
	}
	if held, err := b.Claim(t.Context(), Accounts{Ask: []string{"another account"}}, idle, in(t, b, time.Hour)); err != nil || len(held) != 0 {
		t.Fatalf("another account's call was claimed: %d, %v", len(held), err)
	}
	taken, err := b.Claim(t.Context(), Accounts{Ask: []string{"x", "acc"}}, idle, in(t, b, 31*time.Second))
	if err != nil || len(taken) != 1 || taken[0].ID != h.ID || taken[0].Epoch != h.Epoch+1 {
		t.Fatalf("claimed %+v, %v", taken, err)
	}
	words := phone.Observation{Words: []phone.Words{{Role: phone.Agent, Text: "hi", Final: true}}}
	if err := observe(t, a, &h, words); !errors.Is(err, ErrLost) {
		t.Errorf("the old follower writes: %v", err)
	}
	if err := observe(t, b, &taken[0], words); err != nil {
		t.Error(err)
	}
	if got, err := a.Call(t.Context(), "local", h.ID); err != nil || len(got.Turns) != 1 {
		t.Errorf("%d turns, %v", len(got.Turns), err)
	}
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held, err := a.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, now()); err != nil || len(held) != 1 {
		t.Errorf("after a clean exit %d calls are to be had, %v", len(held), err)
	}
}

func TestAnInterruptedDialCanBeTakenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	a, b := open(t, path), open(t, path)
	h := reserve(t, a, wish(t, "+8613800138000", "", "p"))
	taken, err := b.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, in(t, b, time.Minute))
	if err != nil || len(taken) != 1 || taken[0].Dial != Sending {
		t.Fatalf("%+v, %v", taken, err)
	}
	if _, err := b.Unknown(t.Context(), h.ID, &phone.Failure{Code: phone.Uncertain}); err != nil {
		t.Fatal(err)
	}
	if taken, err = b.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, in(t, b, time.Hour)); err != nil || len(taken) != 0 {
		t.Errorf("a call of which nobody knows is claimed again: %+v, %v", taken, err)
	}
	got, err := a.Placed(t.Context(), h.ID, "r")
	if err != nil || got.Dial != Placed || a.Follows(got) {
		t.Errorf("%+v, followed here %v, %v", got, a.Follows(got), err)
	}
}

func TestListPages(t *testing.T) {
	l := fresh(t)
	at := now()
	for i := range 7 {
		in := wish(t, fmt.Sprintf("+861380013800%d", i), "", "p")
		in.Call.CreatedAt = at.Add(time.Duration(i/2) * time.Second) // pairs of one moment
		reserve(t, l, in)
	}
	seen, cursor := map[string]bool{}, ""
	for page := 1; ; page++ {
		calls, next, err := l.List(t.Context(), "local", Filter{Limit: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			if seen[c.ID] {
				t.Errorf("%s comes twice", c.ID)
			}
			seen[c.ID] = true
		}
		if cursor = next; next == "" {
			if page != 4 || len(seen) != 7 {
				t.Errorf("%d pages, %d calls", page, len(seen))
			}
			break
		}
	}
	for _, bad := range []string{"x", "!!", "YWJj"} {
		if _, _, err := l.List(t.Context(), "local", Filter{Limit: 2, Cursor: bad}); phone.CodeOf(err) != phone.Invalid {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
	n, err := phone.ParseNumber("+8613800138003", "")
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[int]Filter{1: {To: n}, 0: {Status: phone.Queued}, 7: {Status: phone.Dialing, Provider: "stepone"}} {
		f.Limit = 200
		if calls, _, err := l.List(t.Context(), "local", f); err != nil || len(calls) != want {
			t.Errorf("%+v: %d calls, %v", f, len(calls), err)
		}
	}
	if calls, _, err := l.List(t.Context(), "somebody else", Filter{Limit: 10}); err != nil || len(calls) != 0 {
		t.Errorf("somebody else sees %d calls, %v", len(calls), err)
	}
	if _, err := l.Call(t.Context(), "somebody else", firstOf(seen)); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("somebody else's call: %v", err)
	}
}

func firstOf(m map[string]bool) string {
	for k := range m {
		return k
	}
	return ""
}

func TestOneWriteFailsAlone(t *testing.T) {
	l := fresh(t)
	broken := errors.New("broken")
	var all sync.WaitGroup
	for i := range 40 {
		in := wish(t, fmt.Sprintf("+86138001380%02d", i), "", "p")
		all.Go(func() {
			_, _, err := l.Reserve(t.Context(), in, func(phone.Facts) error {
				switch i % 4 {
				case 1:
					return broken
				case 2:
					panic("a fault of ours")
				}
				return nil
			})
			if (err != nil) != (i%4 == 1 || i%4 == 2) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	if calls, _, err := l.List(t.Context(), "local", Filter{Limit: 200}); err != nil || len(calls) != 20 {
		t.Errorf("%d calls, %v", len(calls), err)
	}
}

func TestNewsOfAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	a, b := open(t, path), open(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	var tail sync.WaitGroup
	tail.Go(func() { b.Tail(ctx) })
	defer func() { cancel(); tail.Wait() }()
	for i := range 3 {
		news := b.News()
		reserve(t, a, wish(t, fmt.Sprintf("+861380013800%d", i), "", "p"))
		select {
		case <-news:
		case <-time.After(5 * time.Second):
			t.Fatal("no news of another process's commit")
		}
	}
}

func TestANewerLedgerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	l := open(t, path)
	if onPostgres() {
		change(t, l, `INSERT INTO schema_version (version) VALUES (99)`)
	} else if _, err := l.write.pool.Exec(`PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), address(t, path), Options{})
	if e := phone.AsError(err); err == nil || e.Reason != "ledger_newer" {
		t.Errorf("%v", err)
	}
	for _, url := range []string{"", "sqlite:", "mysql:x", "/tmp/x", "sqlite:~/x.db", "sqlite::memory:", "sqlite://x/y.db"} {
		if _, err := Open(t.Context(), url, Options{}); phone.CodeOf(err) != phone.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestDurableSettings(t *testing.T) {
	sqliteAlone(t)
	l := fresh(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "fullfsync": "1"} {
		var got string
		if err := l.write.pool.QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v", pragma, got, err)
		}
	}
}

// Eight processes open a ledger that does not exist yet, at once.
func TestFirstOpenAtOnce(t *testing.T) {
	rounds := *opens
	if testing.Short() {
		rounds = 1
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range rounds {
		url := address(t, filepath.Join(t.TempDir(), "state", "outdial.db"))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c := exec.CommandContext(t.Context(), self)
				c.Env = append(os.Environ(), "OUTDIAL_TEST_OPEN="+url)
				if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		all.Wait()
	}
}
