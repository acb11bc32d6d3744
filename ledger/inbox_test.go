package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// A letter waits for its call for ten minutes, is read once, and is known again for a day.
func TestLettersAreReadOnce(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	post := func(digest string, ref phone.Ref) (fresh bool) {
		t.Helper()
		fresh, err := l.Post(t.Context(), Letter{Digest: digest, Account: "acc", Ref: ref, Observation: phone.Observation{
			At: now(), Extent: phone.Next, Words: []phone.Words{{Role: phone.Callee, Text: "words " + digest, Final: true}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	waiting := func() []Letter {
		t.Helper()
		all, err := l.Letters(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	clear := func(later time.Duration) {
		t.Helper()
		if err := l.ClearInbox(t.Context(), now().Add(later)); err != nil {
			t.Fatal(err)
		}
	}
	post("early", "r") // before the answer to the dial
	clear(9 * time.Minute)
	h, err := l.Placed(t.Context(), h.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	clear(11 * time.Minute) // of a call that is known
	post("second", "r")
	post("strange", "another")
	all := waiting()
	if len(all) != 2 || all[0].Digest != "early" || all[1].Digest != "second" {
		t.Fatalf("%+v", all)
	}
	for n, m := range all {
		after := h.Clone()
		events := h.Observe(m.Observation)
		for _, e := range events {
			after.Apply(e)
		}
		if err := l.Append(t.Context(), after, h.Epoch, events, m.Digest); err != nil {
			t.Fatal(err)
		}
		h.Call = after
		if left := waiting(); len(left) != 1-n {
			t.Errorf("after %d letters were read %d wait", n+1, len(left))
		}
	}
	if n, err := l.UnreadLetters(t.Context()); err != nil || n != 1 {
		t.Errorf("%d wait, %v", n, err)
	}
	clear(11 * time.Minute)
	if n, err := l.UnreadLetters(t.Context()); err != nil || n != 0 {
		t.Errorf("%d wait of which nobody knows the call, %v", n, err)
	}
	clear(23 * time.Hour)
	if post("early", "r") || len(waiting()) > 0 {
		t.Error("a letter that was read is a new one within a day")
	}
	clear(25 * time.Hour)
	if !post("early", "r") {
		t.Error("letters are kept for longer than a day")
	}
}

// Whoever sends more letters than anybody reads is told so, also about a call that is known.
func TestLettersThatNobodyReads(t *testing.T) {
	l := fresh(t)
	if _, err := l.Placed(t.Context(), reserve(t, l, wish(t, "+8613800138000", "", "p")).ID, "r"); err != nil {
		t.Fatal(err)
	}
	change(t, l, `INSERT INTO inbox (digest, account, ref, at, body, unread)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < `+fmt.Sprint(mostUnread-1)+`)
		SELECT CAST(i AS TEXT), 'acc', 'r', 1, '{}', 1 FROM n`)
	for n, want := range []phone.Code{"", phone.Exhausted} {
		if _, err := l.Post(t.Context(), Letter{Digest: fmt.Sprint("m", n), Account: "acc", Ref: "r", Observation: phone.Observation{At: now()}}); phone.CodeOf(err) != want {
			t.Errorf("%v", err)
		}
	}
}

// A question without an answer is given up for one whose answer nobody knows, but not while somebody may still give one; and
// its answer is read behind it, whatever the clock of whoever answered it shows.
func TestQuestionsWithoutAnAnswer(t *testing.T) {
	l := fresh(t)
	h, err := l.Placed(t.Context(), reserve(t, l, wish(t, "+8613800138000", "", "p")).ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	at := now()
	if _, err := l.Inquire(t.Context(), h, phone.Asked{ID: "q", Tool: "birthday", Arguments: `{}`, Deadline: at.Add(5 * time.Minute)}, at); err != nil {
		t.Fatal(err)
	}
	for later, want := range map[time.Duration]int{5 * time.Minute: 0, 7 * time.Minute: 1} {
		if ids, err := l.Forsaken(t.Context(), at.Add(later)); err != nil || len(ids) != want {
			t.Errorf("after %v: %v, %v", later, ids, err)
		}
	}
	if _, err := l.Answered(t.Context(), "q", phone.ByCaller, `"1970"`, at.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if ids, err := l.Forsaken(t.Context(), at.Add(7*time.Minute)); err != nil || len(ids) > 0 {
		t.Errorf("though it was answered: %v, %v", ids, err)
	}
	letters, err := l.Letters(t.Context(), h)
	if err != nil || len(letters) != 2 || letters[0].Observation.Asked == nil || letters[1].Observation.Answered == nil {
		t.Errorf("%+v, %v", letters, err)
	}
}

// A service's name that two calls of an account have says of neither which is meant.
func TestANameOfTwoCalls(t *testing.T) {
	l := fresh(t)
	for _, number := range []string{"+8613800138000", "+8613800138001"} {
		if _, err := l.Placed(t.Context(), reserve(t, l, wish(t, number, "", "p")).ID, "r"); err != nil {
			t.Fatal(err)
		}
	}
	if h, err := l.CallOf(t.Context(), "acc", "r"); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("%+v, %v", h.Call, err)
	}
}
