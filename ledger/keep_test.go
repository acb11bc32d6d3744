package ledger

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
)

func usual() Keeping { return Keeping{Transcripts: 30 * aDay, Numbers: 90 * aDay, Calls: 400 * aDay} }

// keep has what is kept too long at a moment erased.
func keep(t *testing.T, l *Ledger, k Keeping, at time.Time) Kept {
	t.Helper()
	done, err := l.Keep(t.Context(), k, at)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// What is kept too long goes in its order, what still counts does not, and a call that is not over stays as it is.
func TestKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	l, sibling := open(t, path), open(t, path)
	in, h := secret(t, l, canaryNumber, "canary-key "+canaryNumber)
	unsure := reserve(t, l, wish(t, "+8613800138001", "", "p"))
	if _, err := l.Unknown(t.Context(), unsure.ID, nil); err != nil {
		t.Fatal(err)
	}
	n := number(t, canaryNumber)
	began := now()
	after := func(d time.Duration) time.Time { return began.Add(d) }
	fields := func(text string) string { // what is left of the call
		t.Helper()
		got, err := l.Call(t.Context(), "local", h.ID)
		if phone.CodeOf(err) == phone.NotFound {
			return "nothing"
		}
		if err != nil {
			t.Fatal(err)
		}
		if got.Outcome != h.Outcome || *got.Duration != *h.Duration || got.Seq != h.Seq {
			t.Errorf("%s: %+v", text, got.Call)
		}
		return fmt.Sprintf("task %v, turns %v, number %v", got.Order.Task != "", len(got.Turns) > 0, !got.Order.To.IsZero())
	}
	for _, step := range []struct {
		at   time.Duration
		want Kept
		left string
	}{
		{29*aDay + 23*time.Hour, Kept{}, "task true, turns true, number true"},
		{30*aDay + 10*time.Minute, Kept{}, "task true, turns true, number true"}, // no half an hour later: it is not time
		{30*aDay + 40*time.Minute, Kept{Transcripts: 1}, "task false, turns false, number true"},
		{89 * aDay, Kept{}, "task false, turns false, number true"},
		{90*aDay + time.Minute, Kept{Numbers: 1}, "task false, turns false, number false"},
		{399 * aDay, Kept{}, "task false, turns false, number false"},
	} {
		if step.at == 30*aDay+10*time.Minute {
			keep(t, sibling, usual(), after(30*aDay-10*time.Minute)) // the other process has its turn
		}
		if done := keep(t, l, usual(), after(step.at)); done != step.want {
			t.Errorf("at %s: %+v, not %+v", step.at, done, step.want)
		}
		if left := fields(step.at.String()); left != step.left {
			t.Errorf("at %s: %s", step.at, left)
		}
		again := in
		c := *in.Call
		c.ID, c.CreatedAt = NewCallID(), after(step.at)
		again.Call = &c
		if same, replayed, err := sibling.Reserve(t.Context(), again, yes); err != nil || !replayed || same.ID != h.ID {
			t.Errorf("at %s: the key no more: replayed %v, %v", step.at, replayed, err)
		}
		if f := about(t, sibling, canaryNumber); !f.Known {
			t.Errorf("at %s: %+v", step.at, f)
		}
	}
	if left := found(t, l, path); len(left) != 0 {
		t.Errorf("after 90 days: %q", left)
	}
	if err := l.DoNotCall(t.Context(), phone.Block{Number: n, AddedAt: now()}); err != nil {
		t.Fatal(err)
	}
	if done := keep(t, l, usual(), after(401*aDay)); done != (Kept{Calls: 1}) || fields("") != "nothing" {
		t.Errorf("%+v, %s", done, fields(""))
	}
	if f := about(t, l, canaryNumber); f.DoNotCall == nil || f.Known {
		t.Errorf("%+v", f)
	}
	got, err := l.Call(t.Context(), "local", unsure.ID)
	if err != nil || got.Status != phone.Unconfirmed || got.Order.Task != "x" || got.Order.To.E164() != "+8613800138001" {
		t.Errorf("a call of which nobody knows: %+v, %v", got.Call, err)
	}
	for _, table := range []string{"events", "intents", "names", "inquiries", "endings", "heard", "questions"} {
		if ids, err := column[string](t.Context(), l.read, `SELECT call_id FROM `+table+` WHERE call_id = ?`, h.ID); err != nil || len(ids) != 0 {
			t.Errorf("%s: %d rows, %v", table, len(ids), err)
		}
	}
}

func TestKeepForGood(t *testing.T) {
	l := fresh(t)
	_, h := secret(t, l, canaryNumber, "k")
	if done := keep(t, l, Keeping{}, now().Add(4000*aDay)); done != (Kept{}) {
		t.Errorf("%+v", done)
	}
	got, err := l.Call(t.Context(), "local", h.ID)
	if err != nil || len(got.Turns) == 0 {
		t.Errorf("%+v, %v", got.Call, err)
	}
	f := about(t, l, canaryNumber)
	if diff := cmp.Diff(1, len(f.ToNumber)); diff != "" {
		t.Error(diff)
	}
}

// Two processes that look at once: one does it.
func TestOneKeeper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	ledgers := []*Ledger{open(t, path), open(t, path), open(t, path)}
	turns := make(chan bool)
	at := now()
	for _, l := range ledgers {
		go func() {
			due, err := l.keeper(t.Context(), at)
			if err != nil {
				t.Error(err)
			}
			turns <- due
		}()
	}
	n := 0
	for range ledgers {
		if <-turns {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of them", n)
	}
	if due, err := ledgers[0].keeper(t.Context(), at.Add(-time.Hour)); err != nil || !due {
		t.Errorf("with the clock set back: %v, %v", due, err)
	}
}

// A round over many calls holds up nobody: no write waits long for it.
func TestKeepInBatches(t *testing.T) {
	const calls = 300
	path := filepath.Join(t.TempDir(), "outdial.db")
	l, sibling := open(t, path), open(t, path)
	_, h := secret(t, l, canaryNumber, "k")
	for i := range calls {
		id := fmt.Sprintf("call_%d", i)
		change(t, l, `INSERT INTO calls SELECT CAST(? AS TEXT), principal, provider, account, simulated, number, spec, dial, ref, hangup_wanted, created_at, status, seq, ended_at, head, owner, epoch,
			currency, per_minute, worst, charge, faulty, erased, erased_at FROM calls WHERE id = ?`, id, h.ID)
		change(t, l, `INSERT INTO events SELECT CAST(? AS TEXT), seq, at, kind, body FROM events WHERE call_id = ?`, id, h.ID)
	}
	swept := make(chan Kept)
	go func() {
		done, err := l.Keep(t.Context(), usual(), now().Add(31*aDay))
		if err != nil {
			t.Error(err)
		}
		swept <- done
	}()
	var longest time.Duration
	for n := 0; ; n++ {
		began := time.Now()
		if err := sibling.Renew(t.Context(), now()); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(began))
		select {
		case done := <-swept:
			if done.Transcripts != calls+1 {
				t.Errorf("%+v", done)
			}
			t.Logf("%d calls with %d events; another process's slowest of %d writes meanwhile took %s", calls, h.Seq, n+1, longest)
			if n < 3 || longest > time.Second {
				t.Errorf("only %d writes came between, the slowest took %s", n, longest)
			}
			left := func() []string { // without VACUUM, which a round does not do
				t.Helper()
				if err := l.engine.scrub(t.Context(), false); err != nil {
					t.Error(err)
				}
				return found(t, l, path)
			}
			for _, c := range left() {
				if !strings.Contains(c, "13800138077") {
					t.Errorf("words are left: %s", c)
				}
			}
			keep(t, l, usual(), now().Add(92*aDay))
			if all := left(); len(all) > 0 {
				t.Errorf("left: %q", all)
			}
			return
		default:
		}
	}
}

// A no that somebody has just said to a call is not forgotten with an old call of the same words.
func TestKeepsAFreshNo(t *testing.T) {
	l := fresh(t)
	old := wish(t, "+8613800138000", "", "p").costing(10, 10).at(now().Add(-31 * aDay))
	over(t, l, old, phone.Observation{Outcome: phone.Completed})
	again := wish(t, "+8613800138000", "other", "p").costing(10, 10)
	q, err := l.Ask(t.Context(), phone.Question{
		Principal: again.Call.Principal, Order: again.Call.Order, Provider: again.Call.Provider, Worst: again.Call.Worst, AskedAt: now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Answer(t.Context(), q.ID, false, now()); err != nil {
		t.Fatal(err)
	}
	if done := keep(t, l, usual(), now()); done.Transcripts != 1 {
		t.Fatalf("%+v", done)
	}
	if f, err := l.Facts(t.Context(), again.Call); err != nil || !f.Declined {
		t.Errorf("declined %v, %v", f.Declined, err)
	}
}
