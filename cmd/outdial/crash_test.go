package main

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readyWithin is how soon a process must answer on a ledger that the last one was killed over.
const readyWithin = 3 * time.Second

// errand is one call that a client wants, and what it was told.
type errand struct {
	word, to, key string
	acked         string // the call_id that a client was given
	want          *want  // what must be found after the kill; nil: whatever is consistent
}

// want is how things stand after a kill.
type want struct {
	row    bool   // the intent is on disk
	dials  int    // that reached the provider
	answer string // to the same request again: "new", "replayed" or "uncertain"
}

func (w *errand) arguments() string {
	key := ""
	if w.key != "" {
		key = fmt.Sprintf(`,"idempotency_key":%q`, w.key)
	}
	return fmt.Sprintf(`{"to":%q,"task":"Say %s"%s}`, w.to, w.word, key)
}

// bench is one ledger that processes live and die over, and the provider that its calls are at.
type bench struct {
	t       *testing.T
	name    string
	r       *recorder
	file    string
	errands []*errand
	lives   int
	slowest time.Duration
	late    int // starts that were not ready in time
}

func newBench(t *testing.T, name string, s service) *bench {
	return &bench{t: t, name: name, r: record(t, s), file: filepath.Join(t.TempDir(), "outdial.db")}
}

// errand makes a new one; every other has a key.
func (b *bench) errand() *errand {
	n := len(b.errands)
	w := &errand{word: fmt.Sprintf("crash-%s-%03d", b.name, n), to: b.r.number(n)}
	if n%2 == 1 {
		w.key = "key-" + w.word
	}
	b.errands = append(b.errands, w)
	return w
}

// start starts a process on the ledger. What the last one followed is free as soon as that was killed: its lease is over.
func (b *bench) start(env ...string) *life {
	b.t.Helper()
	env = append(append(b.r.env(b.r.base), "TEST_LEASE=100ms"), env...)
	l := begin(b.t, filepath.Dir(b.file), append(env, "OUTDIAL_DATABASE=sqlite:"+b.file)...)
	if b.lives++; b.lives > 1 { // the first makes the ledger
		b.slowest = max(b.slowest, l.took)
	}
	if b.lives > 1 && l.took > readyWithin {
		// On a machine that is busy with other things every start takes long, that on a new ledger too.
		other := begin(b.t, b.t.TempDir(), env...)
		_ = other.cmd.Process.Kill()
		b.t.Logf("ready again after %v, and on a new ledger after %v", l.took, other.took)
		if l.took > 4*other.took {
			b.late++
		}
	}
	if b.late > 1 { // one may fall into a moment in which the disk or the machine stood still
		b.t.Errorf("it took %v to be ready again", l.took)
	}
	return l
}

// place places a call, which must be acknowledged.
func (b *bench) place(l *life, w *errand) {
	b.t.Helper()
	began := time.Now()
	a := l.answer(l.tool("create_call", w.arguments()))
	if took := time.Since(began); took > patience/2 {
		b.t.Fatalf("%s: create_call took %v: that the provider had answered was not seen\n%s", w.word, took, l.stderr)
	}
	if a.Code != "" || a.CallID == "" || a.Status == "dialing" {
		b.t.Fatalf("%s: create_call: %+v\n%s", w.word, a, l.stderr)
	}
	w.acked = a.CallID
}

// row is a call as the ledger has it.
type row struct{ id, to, dial string }

// look opens the ledger from beside. A process must have it open too: that the next one finds it as the last one left it
// is what is tested.
func (b *bench) look(at func(*sql.DB)) {
	b.t.Helper()
	db, err := sql.Open("sqlite", "file:"+b.file+"?_pragma=query_only(1)&_pragma=busy_timeout(5000)")
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	at(db)
}

// rows reads the calls by their words.
func (b *bench) rows() map[string]row {
	b.t.Helper()
	found := map[string]row{}
	b.look(func(db *sql.DB) {
		all, err := db.QueryContext(b.t.Context(), `SELECT id, number, dial, spec FROM calls`)
		if err != nil {
			b.t.Fatal(err)
		}
		defer all.Close()
		for all.Next() {
			var r row
			var spec string
			if err := all.Scan(&r.id, &r.to, &r.dial, &spec); err != nil {
				b.t.Fatal(err)
			}
			word := crashWord.FindString(spec)
			if other, twice := found[word]; twice {
				b.t.Errorf("%s has two rows: %v, %v", word, other, r)
			}
			found[word] = r
		}
		if err := all.Err(); err != nil {
			b.t.Fatal(err)
		}
	})
	return found
}

// sound holds what must be true of any ledger.
func (b *bench) sound() {
	b.t.Helper()
	b.look(func(db *sql.DB) {
		for query, want := range map[string]string{
			`PRAGMA integrity_check`: "ok",
			`SELECT count(*) FROM calls c WHERE seq <> (SELECT count(*) FROM events WHERE call_id = c.id)
				OR seq <> (SELECT coalesce(max(seq), 0) FROM events WHERE call_id = c.id)`: "0",
			`SELECT count(*) FROM events WHERE call_id NOT IN (SELECT id FROM calls)`:                                     "0",
			`SELECT count(*) FROM (SELECT call_id FROM events WHERE kind = 'ended' GROUP BY call_id HAVING count(*) > 1)`: "0",
		} {
			var got string
			if err := db.QueryRowContext(b.t.Context(), query).Scan(&got); err != nil || got != want {
				b.t.Errorf("%s gives %q, %v", query, got, err)
			}
		}
	})
}

// settle asks for errands again, as a client does that lost its server, and compares what it is told with what the
// provider saw.
func (b *bench) settle(l *life, errands []*errand) {
	b.t.Helper()
	rows := b.rows()
	before := map[*errand]int{}
	for _, w := range errands {
		before[w] = b.survived(w, rows)
	}
	asked := map[*errand]<-chan reply{}
	for _, w := range errands {
		if b.r.lists && w.want != nil && w.want.answer == "replayed" {
			b.found(l, w, rows[w.word].id)
		}
		asked[w] = l.tool("create_call", w.arguments())
	}
	for _, w := range errands {
		a := l.answer(asked[w])
		answer, dials, r := a.Code, before[w], rows[w.word]
		switch {
		case a.Code == "" && a.Replayed:
			answer = "replayed"
		case a.Code == "" && a.CallID != "":
			answer = "new"
		}
		if r.id == "" {
			dials++
		}
		if got := len(b.r.of(w.word)); got != dials {
			b.t.Errorf("%s: %d dials, and after the same request again %d", w.word, before[w], got)
		}
		if r.id != "" && (a.CallID != r.id || answer != "replayed" && answer != "uncertain") || r.id == "" && answer != "new" {
			b.t.Errorf("%s, in the ledger %+v: the same request again was answered %+v", w.word, r, a)
		}
		if w.want != nil && answer != w.want.answer {
			b.t.Errorf("%s: the same request again is %q, not %q", w.word, answer, w.want.answer)
		}
		w.acked = a.CallID
	}
	b.goOn()
}

// goOn ends a test that has failed: what comes after is no longer what it should be, and waits for what never comes.
func (b *bench) goOn() {
	b.t.Helper()
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// survived holds what must be there of a wish after a kill, and says how often it was dialed.
func (b *bench) survived(w *errand, rows map[string]row) int {
	b.t.Helper()
	dials, r := b.r.of(w.word), rows[w.word]
	if len(dials) > 1 {
		b.t.Errorf("%s was dialed %d times", w.word, len(dials))
	}
	if w.acked != "" && (r.id != w.acked || r.to != w.to) {
		b.t.Errorf("%s was acknowledged as %s to %s, and the ledger has %+v", w.word, w.acked, w.to, r)
	}
	for _, d := range dials {
		if r.id != d.call || r.to != d.to || r.dial == "rejected" || d.to != w.to {
			b.t.Errorf("%s was dialed as %+v, and the ledger has %+v", w.word, d, r)
		}
	}
	if w.want != nil && (w.want.row != (r.id != "") || w.want.dials != len(dials)) {
		b.t.Errorf("%s: %d dials and in the ledger %+v, want %+v", w.word, len(dials), r, *w.want)
	}
	return len(dials)
}

// found waits until it is known what became of a dial.
func (b *bench) found(l *life, w *errand, id string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		switch c := l.call(id); {
		case c.Status != "unconfirmed" && c.Status != "dialing":
			return
		case time.Now().After(deadline):
			b.t.Fatalf("%s is not found again: %+v\n%s", w.word, c, l.stderr)
		}
		time.Sleep(20 * time.Millisecond) // get_call waits for events, and the next one may be there already
	}
}

// finish has the last process follow all calls to their ends, and compares them with the provider's record. It says how
// many dials nobody knows of.
func (b *bench) finish(l *life) (unconfirmed int) {
	b.t.Helper()
	for _, w := range b.errands {
		b.goOn()
		dials := b.r.of(w.word)
		if b.r.lists && len(dials) > 0 {
			b.found(l, w, w.acked)
		}
		c := l.call(w.acked)
		if c.Status != "unconfirmed" && c.Status != "ended" {
			l.answer(l.watch(w.acked, w.word))
			c = l.call(w.acked)
		}
		if c.CallID != w.acked || c.To != w.to {
			b.t.Errorf("%s to %s became %+v", w.word, w.to, c)
		}
		neverPlaced := b.r.lists && len(dials) == 0 && c.Outcome == "failed" // it is not on the list, minutes later
		if c.Status == "unconfirmed" && len(dials) <= 1 || neverPlaced {
			unconfirmed++
			continue
		}
		if c.Status != "ended" || c.Outcome != "completed" || c.Record != "complete" || len(dials) != 1 {
			b.t.Errorf("%s: %d dials, and in the end %+v", w.word, len(dials), c)
			continue
		}
		said, err := b.r.record(b.r.Handler, dials[0])
		if diff := cmp.Diff(said, c.Turns); diff != "" || err != nil || len(said) == 0 || !strings.Contains(said[0].Text, w.word) {
			b.t.Errorf("%s: the transcript is not the provider's: %v\n%s", w.word, err, diff)
		}
	}
	if err := l.in.Close(); err != nil {
		b.t.Fatal(err)
	}
	if code := l.ends(5 * time.Second); code != 0 {
		b.t.Errorf("exit code %d:\n%s", code, l.stderr)
	}
	b.sound()
	return unconfirmed
}
