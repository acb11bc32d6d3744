package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
)

// However long a service's name of a call is, its answer is recorded and found again.
func TestALongNameOfACall(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	var long strings.Builder
	for range 400 {
		long.WriteString(newID()) // nothing that could be kept shorter
	}
	ref := phone.Ref(long.String())
	if _, err := l.Placed(t.Context(), h.ID, ref); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Post(t.Context(), Letter{Digest: "d", Account: "acc", Ref: ref, Observation: phone.Observation{At: now()}}); err != nil {
		t.Error(err)
	}
	if got, err := l.CallOf(t.Context(), "acc", ref); err != nil || got.ID != h.ID || got.Ref != ref {
		t.Errorf("%+v, %v", got.Call, err)
	}
}

// Letters, questions of the agent on the line, endings to be told and registered tools are kept alike in either dialect.
func TestWhatAServerKeeps(t *testing.T) {
	path := t.TempDir() + "/outdial.db"
	l := openWith(t, address(t, path), Options{})
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	h, err := l.Placed(t.Context(), h.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	letter := Letter{Digest: "d", Account: "acc", Ref: "r", Observation: phone.Observation{At: now(), Words: []phone.Words{{Role: phone.Agent, Text: "a\x00b"}}}}
	for i := range 2 {
		if fresh, err := l.Post(t.Context(), letter); err != nil || fresh != (i == 0) {
			t.Errorf("fresh %v, %v", fresh, err)
		}
	}
	if ids, over, err := l.Addressees(t.Context(), []string{"acc"}); err != nil || len(ids) != 1 || ids[0] != h.ID || len(over) > 0 {
		t.Errorf("%v, %v, %v", ids, over, err)
	}
	letters, err := l.Letters(t.Context(), h)
	if err != nil || len(letters) != 1 {
		t.Fatal(letters, err)
	}
	got := letters[0]
	if foreign, err := l.CallOf(t.Context(), "another account", "r"); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("a call of another account: %+v, %v", foreign.Call, err)
	}
	if diff := cmp.Diff(letter.Observation.Words, got.Observation.Words); diff != "" || got.Digest != "d" {
		t.Error(diff)
	}
	if c, err := l.CallOf(t.Context(), "acc", "r"); err != nil || c.ID != h.ID {
		t.Errorf("%+v, %v", c.Call, err)
	}
	asked := phone.Asked{ID: "q", Tool: "birthday", Arguments: `{"a":"b"}`, Deadline: now().Add(time.Minute)}
	if i, err := l.Inquire(t.Context(), h, asked, now()); err != nil || !i.Open() {
		t.Errorf("%+v, %v", i, err)
	}
	if i, err := l.Answered(t.Context(), "q", "agent", "no\x00ne", now()); err != nil || i.Answer != "no\x00ne" {
		t.Errorf("%+v, %v", i, err)
	}
	if id, i, err := l.Inquiry(t.Context(), "q"); err != nil || id != h.ID || i.Answer != "no\x00ne" || i.Tool != "birthday" {
		t.Errorf("%s, %+v, %v", id, i, err)
	}
	tool := CallTool{ID: "t", Name: "birthday", Digest: "x"}
	for range 2 {
		if err := l.SaveCallTool(t.Context(), "acc", tool); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := l.CallTools(t.Context(), "acc"); err != nil || len(all) != 1 || all[0] != tool {
		t.Errorf("%+v, %v", all, err)
	}
	if err := l.DropCallTool(t.Context(), "acc", "t"); err != nil {
		t.Error(err)
	}
	if err := observe(t, l, &h, phone.Observation{Extent: phone.Whole, Line: phone.WrappingUp, Outcome: phone.Completed}); err != nil {
		t.Fatal(err)
	}
	settled := h.Clone()
	events := h.Settle(now().Add(time.Hour))
	for _, e := range events {
		settled.Apply(e)
	}
	if err := l.Append(t.Context(), settled, h.Epoch, events); err != nil {
		t.Fatal(err)
	}
	if old, err := l.Endings(t.Context(), now().Add(2*time.Hour), now().Add(2*time.Hour), 10); err != nil || len(old) > 0 {
		t.Errorf("an ending from before anybody wanted to know: %+v, %v", old, err)
	}
	due, err := l.Endings(t.Context(), now().Add(-time.Hour), now(), 10)
	if err != nil || len(due) != 1 || due[0].CallID != h.ID || due[0].Tries != 1 {
		t.Fatalf("%+v, %v", due, err)
	}
	if again, err := l.Untold(t.Context(), due[0], now()); err != nil || !again {
		t.Errorf("%v, %v", again, err)
	}
	old := due[0]
	old.At = old.At.Add(-26 * time.Hour)
	if again, err := l.Untold(t.Context(), old, now()); err != nil || again {
		t.Errorf("after a day it is tried again: %v, %v", again, err)
	}
	if err := l.Told(t.Context(), h.ID); err != nil {
		t.Error(err)
	}
	if err := l.ClearInbox(t.Context(), now().Add(25*time.Hour)); err != nil {
		t.Error(err)
	}
	if left, err := l.Letters(t.Context(), h); err != nil || len(left) > 0 {
		t.Errorf("%v", err)
	}
}

// Endings are told that came while nobody was there who tells them, for a day; but none from before anybody wanted to know.
func TestEndingsWhileNobodyTells(t *testing.T) {
	l, start := fresh(t), now()
	since := start.Add(-10 * time.Minute)
	for name, tt := range map[string]struct{ later, want time.Duration }{
		"at first":           {0, -10 * time.Minute},
		"after a restart":    {time.Hour, -10 * time.Minute},
		"after a day":        {30 * time.Hour, 6 * time.Hour},
		"a clock set back":   {-time.Hour, -70 * time.Minute},
		"a clock set back 2": {-48 * time.Hour, -48*time.Hour - 10*time.Minute},
	} {
		if name != "at first" {
			if _, err := l.EndingsFrom(t.Context(), since, start); err != nil {
				t.Fatal(err)
			}
		}
		from, err := l.EndingsFrom(t.Context(), since.Add(tt.later), start.Add(tt.later))
		if err != nil || !from.Equal(start.Add(tt.want)) {
			t.Errorf("%s: from %v on, %v", name, from.Sub(start), err)
		}
	}
}

// Letters about calls of others that wait keep out their like, and none about a call that is known.
func TestStrangeLettersKeepNoOtherOut(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	if _, err := l.Placed(t.Context(), h.ID, "r"); err != nil {
		t.Fatal(err)
	}
	if err := l.do(t.Context(), "test", func(tx *transaction) error {
		_, err := tx.Exec(`INSERT INTO inbox (digest, account, ref, at, body, unread)
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
			SELECT CAST(i AS TEXT), 'acc', 'strange', CAST(? AS BIGINT), '{}', 1 FROM n`, micros(now()))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	about := func(account string, ref phone.Ref) Letter {
		return Letter{Digest: account + string(ref), Account: account, Ref: ref, Observation: phone.Observation{At: now()}}
	}
	for _, m := range []Letter{about("acc", "strange"), about("another", "r")} {
		if _, err := l.Post(t.Context(), m); phone.CodeOf(err) != phone.Exhausted {
			t.Errorf("about %s of %s: %v", m.Ref, m.Account, err)
		}
	}
	if fresh, err := l.Post(t.Context(), about("acc", "r")); err != nil || !fresh {
		t.Errorf("about a call that is known: %v, %v", fresh, err)
	}
}
