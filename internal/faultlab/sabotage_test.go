package faultlab

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

var sabotaged = flag.Bool("sabotage", false, "whether TestSabotage runs")

// sabotage is a change to the program that breaks a promise, and the tests that must not let it pass.
type sabotage struct {
	name  string
	file  string
	edits [][2]string // what stands there once, and what takes its place
	run   string      // the tests, and where they are
	in    []string
}

func sabotages() []sabotage {
	return []sabotage{
		{
			"the dial does not wait for its record", "ledger/writer.go",
			[][2]string{
				{"	err := func() error {\n", "	answered := false\n	answer := func(err error) {\n		for i, j := range group {\n			if !answered {\n				j.done <- errors.Join(err, answers[i])\n			}\n		}\n		answered = true\n	}\n	err := func() error {\n"},
				{"		return tx.Commit()\n", "		answer(nil)\n		return tx.Commit()\n"},
				{"	for i, j := range group {\n		j.done <- errors.Join(err, answers[i])\n	}\n", "	answer(err)\n"},
			},
			"NoRecordNoDial|SyncBeforeDial",
			[]string{"./internal/faultlab", "./cmd/outdial"},
		},
		{
			"commits are not synced", "ledger/sqlite.go",
			[][2]string{{"\"synchronous(FULL)\", \"fullfsync(1)\", \"foreign_keys(0)\"", "\"synchronous(OFF)\", \"fullfsync(1)\", \"foreign_keys(0)\""}},
			"SyncBeforeDial|DurableSettings",
			[]string{"./cmd/outdial", "./ledger"},
		},
		{
			"a follower that has lost its call writes on", "ledger/events.go",
			[][2]string{
				{"WHERE id = ? AND owner = ? AND epoch = ? AND seq = ?", "WHERE id = ? AND seq = ?"},
				{"after.ID, l.process, epoch, before)", "after.ID, before)"},
			},
			"Claim|Lease|Zombie|TakesUp|Requests|Release",
			[]string{"./ledger", "./cmd/outdial", "./switchboard"},
		},
		{
			"a dial may be repeated by net/http", "providers/internal/upstream/client.go",
			[][2]string{
				{"transport(wired(again), false)", "transport(wired(again), true)"},
				{"	req.GetBody = nil // so that net/http has nothing to send again\n", "	req.Header.Set(\"Idempotency-Key\", \"x\")\n"},
			},
			"TransportNeverRepeats|DialFaultMatrix/.*/the_death_of",
			[]string{"./providers/internal/upstream", "./internal/faultlab"},
		},
		{
			"a dial follows redirects", "providers/internal/upstream/client.go",
			[][2]string{{"dial: &http.Client{Transport: transport(wired(again), false), CheckRedirect: stay}", "dial: &http.Client{Transport: transport(wired(again), false)}"}},
			"TransportNeverRepeats",
			[]string{"./providers/internal/upstream"},
		},
		{
			"a lost answer is taken for a dial that never happened", "providers/internal/upstream/dial.go",
			[][2]string{{"case used == nil || !used.close():", "case used == nil || used.close() || true:"}},
			"DialFaultMatrix",
			[]string{"./internal/faultlab"},
		},
		{
			"an interrupted dial is given up for never sent", "switchboard/following.go",
			[][2]string{{"s.Ledger.Unknown(ctx, h.ID, why)", "s.Ledger.Rejected(ctx, h.ID, why)"}},
			"DialFaultMatrix",
			[]string{"./internal/faultlab"},
		},
		{
			"an uncertain dial blocks nothing", "guard/limits.go",
			[][2]string{{"	case c.Status == phone.Unconfirmed:\n		return c.CreatedAt.Add(unconfirmedBlocks)\n", ""}},
			"BlocksItsNumber|Judge",
			[]string{"./switchboard", "./guard"},
		},
		{
			"limits are judged on what stood before the transaction", "ledger/intents.go",
			[][2]string{{"facts, err := l.factsAbout(ctx, tx, in.Call)", "facts, err := l.factsAbout(ctx, l.read, in.Call)"}},
			"BudgetRace",
			[]string{"./cmd/outdial"},
		},
		{
			"a person's yes is never used up", "ledger/questions.go",
			[][2]string{{"UPDATE questions SET state = ?, call_id = ? WHERE id = ?", "UPDATE questions SET state = ?, call_id = ? WHERE id = ? AND 1 = 0"}},
			"ApprovalIsUsedOnce|HeardNumber",
			[]string{"./ledger", "./switchboard"},
		},
		{
			"what was heard on a line is called", "ledger/heard.go",
			[][2]string{{"	case phone.Fragment:\n		return hear(tx, c, e.At, b.Text, wordsUpTo(c, b.Turn))\n", ""}},
			"Heard",
			[]string{"./ledger", "./switchboard"},
		},
		{
			"replicas write to Postgres all at once", "ledger/postgres.go",
			[][2]string{{"SELECT pg_advisory_xact_lock(?)::text, ", "SELECT ?::bigint::text, "}},
			"PostgresBudget|PostgresSameIntent",
			[]string{"./ledger"},
		},
		{
			"each replica tells leases by its own clock", "ledger/database.go",
			[][2]string{{"if t.clock.IsZero() {", "if t.clock.IsZero() || here.Unix() > 0 {"}},
			"PostgresLease",
			[]string{"./ledger"},
		},
		{
			"a commit without an answer is taken for none", "ledger/database.go",
			[][2]string{{"if err != nil && t.numbered && !refusedCommit(err) {", "if err != nil && t.numbered && refusedCommit(err) {"}},
			"WithoutAnAnswer",
			[]string{"./ledger"},
		},
		{
			"Postgres may forget what it has answered", "ledger/postgres.go",
			[][2]string{{`if synchronousCommit == "on" || synchronousCommit == "remote_apply" {`, `if synchronousCommit != "" {`}},
			"PostgresRefused|NoLongerDurable",
			[]string{"./ledger"},
		},
		{
			"a principal's calls are everybody's", "ledger/calls.go",
			[][2]string{{"`id = ? AND principal = ?`, id, principal)", "`id = ?`, id)"}},
			"TenantIsolation|AnotherPrincipal|Foreign",
			[]string{"./tools", "./ledger"},
		},
		{
			"webhooks need no signature", "providers/pamela/internal/signed/signed.go",
			[][2]string{{"genuine = hmac.Equal(h.Sum(nil), given) || genuine", "genuine = len(h.Sum(nil)) == len(given)"}},
			"Webhook",
			[]string{"./providers/pamela"},
		},
		{
			"a webhook that was read is read again", "ledger/inbox.go",
			[][2]string{{"UPDATE inbox SET unread = 0, body = '' WHERE digest = ?", "UPDATE inbox SET unread = 1 WHERE digest = ?"}},
			"Webhook",
			[]string{"./switchboard"},
		},
		{
			"the task comes before the disclosure", "providers/brief.go",
			[][2]string{{`return Preamble(o) + "\n\n" + text`, `return text + "\n\n" + Preamble(o)`}},
			"Disclosure",
			[]string{"./providers/pamela"},
		},
	}
}

// TestSabotage breaks the program on purpose, one promise at a time: whoever guards that promise must notice. A test that
// cannot fail proves nothing.
func TestSabotage(t *testing.T) {
	if !*sabotaged {
		t.Skip("it builds the program anew for each sabotage: make sabotage")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var caught atomic.Int32
	for _, s := range sabotages() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			out, err := s.play(t, root)
			red := strings.Contains(out, "--- FAIL") || strings.Contains(out, "panic: ")
			switch {
			case err == nil:
				t.Errorf("nobody noticed:\n%s", out)
			case !red:
				t.Errorf("it does not even build:\n%s", out)
			default:
				caught.Add(1)
				t.Logf("caught by %s", strings.Join(reds(out), ", "))
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d of %d caught", caught.Load(), len(sabotages())) })
}

// A sabotage that fits the program no more would be noticed only when all are played.
func TestSabotagesFit(t *testing.T) {
	for _, s := range sabotages() {
		raw, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(s.file)))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.edits {
			if n := strings.Count(string(raw), e[0]); n != 1 {
				t.Errorf("%s: %q stands %d times in %s", s.name, e[0], n, s.file)
			}
		}
	}
}

// play runs the tests over the program with the sabotage laid over it; the tree stays as it is.
func (s sabotage) play(t *testing.T, root string) (out string, err error) {
	t.Helper()
	file := filepath.Join(root, filepath.FromSlash(s.file))
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, e := range s.edits {
		if n := strings.Count(text, e[0]); n != 1 {
			t.Fatalf("%q stands %d times in %s: this sabotage must be written anew", e[0], n, s.file)
		}
		text = strings.Replace(text, e[0], e[1], 1)
	}
	broken := filepath.Join(t.TempDir(), "broken.go")
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	plan, err := json.Marshal(map[string]any{"Replace": map[string]string{file: broken}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{broken: []byte(text), overlay: plan} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count=1", "-overlay", overlay, "-run", s.run}, s.in...)...)
	c.Dir = root
	all, err := c.CombinedOutput()
	return string(all), err
}

// reds are the tests that failed, without their subtests.
func reds(out string) []string {
	var all []string
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " ")
			all = append(all, name)
		}
	}
	return all
}
