package ledger

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// What must not be left of a call to canaryNumber.
const (
	canaryNumber = "+8613800138077"
	otherNumber  = "+8613800138088"
)

func canaries() []string {
	return []string{
		canaryNumber, "13800138077", "canary-task", "canary-name", "canary-caller", "canary-option", "canary-words", "canary-grow", "canary-summary",
		"canary-recording", "canary-arguments", "canary-answer", "canary-letter", "canary-key", "canary-contact", "canary-consent", "canary-note", "canary-heard",
	}
}

// secret fills a call with everything that can be known of one, and gives it ended.
func secret(t *testing.T, l *Ledger, number, key string) (Intent, Held) {
	t.Helper()
	in := wish(t, number, key, l.Digest("params"))
	in.Call.Order.Task, in.Call.Order.AgentName, in.Call.Order.CallerName = "canary-task "+number, "canary-name", "canary-caller"
	in.Call.Order.Options = map[string]any{"instructions": "canary-option", "metadata": map[string]any{"a": number}}
	in.Names = []string{l.Digest("name", number, key)}
	in.Known = in.Names
	question := phone.Question{Principal: "local", Order: in.Call.Order, Whom: "canary-name", Provider: "stepone", AskedAt: now()}
	asked, err := l.Ask(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Answer(t.Context(), asked.ID, true, now()); err != nil {
		t.Fatal(err)
	}
	question.Order.Voice = "another" // a second question, which nobody answers
	if _, err := l.Ask(t.Context(), question); err != nil {
		t.Fatal(err)
	}
	h := reserve(t, l, in)
	if h, err = l.Placed(t.Context(), h.ID, phone.Ref("ref "+l.Digest(key))); err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // a turn that grows, and others
		if err := observe(t, l, &h, phone.Observation{Words: []phone.Words{{Role: phone.Callee, Text: strings.Repeat("canary-grow ", i+1), Final: i == 39}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := observe(t, l, &h, phone.Observation{Words: []phone.Words{{Role: phone.Agent, Text: "canary-words " + number + ", 212 555 0143 000 canary-heard", Final: true}}}); err != nil {
		t.Fatal(err)
	}
	inquiry := phone.Asked{ID: "q " + l.Digest(key), Tool: "birthday", Arguments: `{"a":"canary-arguments"}`, Deadline: now().Add(time.Minute)}
	if _, err := l.Inquire(t.Context(), h, inquiry, now()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Answered(t.Context(), inquiry.ID, phone.ByCaller, "canary-answer", now()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		letters, err := l.Letters(t.Context(), h)
		if err != nil || len(letters) == 0 {
			t.Fatal(letters, err)
		}
		letter := letters[0]
		after := h.Clone()
		events := h.Observe(letter.Observation)
		for _, e := range events {
			after.Apply(e)
		}
		if err := l.Append(t.Context(), after, h.Epoch, events, letter.Digest); err != nil {
			t.Fatal(err)
		}
		h.Call = after
	}
	if _, err := l.Post(t.Context(), Letter{Digest: "d" + l.Digest(key), Account: h.Account, Ref: h.Ref, Observation: phone.Observation{At: now(), Words: []phone.Words{{Text: "canary-letter"}}}}); err != nil {
		t.Fatal(err)
	}
	talk := 42 * time.Second
	after := h.Clone()
	events := h.Observe(phone.Observation{At: now(), Extent: phone.Whole, Line: phone.WrappingUp, Outcome: phone.Completed, Duration: &talk, Summary: "canary-summary", Recording: "canary-recording"})
	for _, e := range events {
		after.Apply(e)
	}
	for _, e := range after.Clone().Settle(now()) {
		events = append(events, e)
		after.Apply(e)
	}
	events = append(events, phone.Event{Seq: after.Seq + 1, At: now(), Body: phone.OptedOut{Until: now().Add(30 * aDay)}})
	after.Apply(events[len(events)-1])
	if err := l.Append(t.Context(), after, h.Epoch, events); err != nil {
		t.Fatal(err)
	}
	h.Call = after
	if !h.Ended() {
		t.Fatalf("%+v", h.Call)
	}
	return in, h
}

// found are the canaries that stand in the ledger: in its files, or on Postgres in its tables.
func found(t *testing.T, l *Ledger, path string) (all []string) {
	t.Helper()
	var raw []byte
	if onPostgres() {
		for _, table := range []string{"calls", "events", "intents", "names", "inquiries", "questions", "heard", "inbox", "contacts", "do_not_call", "endings", "meta"} {
			rows, err := column[string](t.Context(), l.read, `SELECT CAST(x AS TEXT) FROM `+table+` AS x`)
			if err != nil {
				t.Fatal(err)
			}
			raw = append(raw, strings.Join(rows, "\n")...)
		}
	} else {
		files, err := filepath.Glob(path + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			raw = append(raw, b...)
		}
	}
	for _, c := range canaries() {
		if n := bytes.Count(raw, []byte(c)); n > 0 {
			all = append(all, fmt.Sprintf("%s: %d", c, n))
		}
	}
	return all
}

// Of what was erased nothing is left in the ledger's files, while others have it open. What must be known still is.
func TestErase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	l := openWith(t, address(t, path), Options{})
	sibling := openWith(t, address(t, path), Options{})
	n := number(t, canaryNumber)
	in, h := secret(t, l, canaryNumber, "canary-key "+canaryNumber)
	keyless, _ := secret(t, l, canaryNumber, "")
	for i := range 30 { // the file has more in it than what is erased
		reserve(t, l, wish(t, fmt.Sprintf("+12025550%d", 100+i), "", l.Digest("p")))
	}
	if err := l.SaveContact(t.Context(), phone.Contact{Number: n, Name: "canary-contact", Consent: "canary-consent", AddedAt: now()}); err != nil {
		t.Fatal(err)
	}
	if err := l.DoNotCall(t.Context(), phone.Block{Number: n, Note: "canary-note", AddedAt: now()}); err != nil {
		t.Fatal(err)
	}
	other, _ := secret(t, l, otherNumber, "kept")
	change(t, l, `UPDATE events SET body = replace(body, 'canary', 'other') WHERE call_id = ?`, other.Call.ID)
	change(t, l, `UPDATE calls SET spec = replace(spec, 'canary', 'other'), head = replace(head, 'canary', 'other') WHERE id = ?`, other.Call.ID)
	change(t, l, `DELETE FROM inquiries WHERE call_id = ?`, other.Call.ID)
	change(t, l, `UPDATE inbox SET body = '' WHERE ref = ?`, "ref "+l.Digest("kept"))
	change(t, l, `DELETE FROM questions WHERE number = ?`, otherNumber)
	if left := found(t, l, path); len(left) < len(canaries())-2 {
		t.Fatalf("before it: %q", left)
	}

	before, err := l.Call(t.Context(), "local", h.ID)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.EraseNumber(t.Context(), n, now())
	if err != nil || len(e.Calls) != 2 || !e.Contact || e.Blocks != 3 || e.Questions == 0 || e.Heard == 0 || len(e.Elsewhere) != 0 {
		t.Errorf("%+v, %v", e, err)
	}
	if err := l.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := found(t, l, path); len(left) > 0 {
		t.Errorf("left: %q", left)
	}

	for name, of := range map[string]*Ledger{"itself": l, "another process": sibling} {
		got, err := of.Call(t.Context(), "local", h.ID)
		if err != nil {
			t.Fatal(name, err)
		}
		if !got.Order.To.IsZero() || got.Order.Task != "" || len(got.Turns) != 0 || got.ErasedAt.IsZero() {
			t.Errorf("%s: %+v", name, got.Call)
		}
		if got.Status != before.Status || got.Outcome != before.Outcome || *got.Duration != *before.Duration || got.Seq != before.Seq || got.Provider != before.Provider ||
			!got.EndedAt.Equal(before.EndedAt) || !got.StartedAt.Equal(before.StartedAt) || got.Ref != before.Ref || got.Worst != before.Worst || !got.OptedOut.Equal(before.OptedOut) {
			t.Errorf("%s: %+v, was %+v", name, got.Call, before.Call)
		}
		for _, again := range []Intent{in, keyless} {
			id := again.Call.ID
			c := *again.Call
			c.ID = NewCallID()
			again.Call = &c
			if same, replayed, err := of.Reserve(t.Context(), again, yes); err != nil || !replayed || same.ID != id {
				t.Errorf("%s: the same request again: %+v, replayed %v, %v", name, same.Call, replayed, err)
			}
		}
		changed := in
		changed.Params = "other"
		if _, _, err := of.Reserve(t.Context(), changed, yes); err == nil || phone.AsError(err).Reason != "key_conflict" {
			t.Errorf("%s: the key with another request: %v", name, err)
		}
		facts := about(t, of, canaryNumber)
		if facts.DoNotCall == nil || !facts.DoNotCall.Until.IsZero() || len(facts.ToNumber) != 2 || !facts.Known || len(facts.Met) == 0 {
			t.Errorf("%s: %+v", name, facts)
		}
		list, _, err := of.List(t.Context(), "local", Filter{To: n, Limit: 10})
		if err != nil || len(list) != 2 {
			t.Errorf("%s: %d calls in the list, %v", name, len(list), err)
		}
	}
	if left := found(t, l, path); len(left) > 0 {
		t.Errorf("left after the same requests: %q", left)
	}
	blocks, err := l.Blocks(t.Context(), now())
	if err != nil || len(blocks) != 4 {
		t.Errorf("%+v, %v", blocks, err)
	}
	if err := l.MayCall(t.Context(), n); err != nil {
		t.Error(err)
	}
	if facts := about(t, l, canaryNumber); facts.DoNotCall != nil {
		t.Errorf("%+v", facts.DoNotCall)
	}
}

// What goes on, or may, is not erased, and stays as it was.
func TestEraseRefusesWhatIsNotOver(t *testing.T) {
	l := fresh(t)
	live := reserve(t, l, wish(t, canaryNumber, "k", "p"))
	n := number(t, canaryNumber)
	refused := func(err error, started phone.Started) {
		t.Helper()
		if e := phone.AsError(err); err == nil || e.Reason != "call_not_over" || e.CallID != live.ID || e.CallStarted() != started {
			t.Errorf("%+v", err)
		}
		if h, err := l.Call(t.Context(), "local", live.ID); err != nil || h.Order.To != n || h.Order.Task != "x" {
			t.Errorf("%+v, %v", h.Call, err)
		}
	}
	both := func(started phone.Started) {
		t.Helper()
		_, err := l.EraseCall(t.Context(), live.ID, now())
		refused(err, started)
		_, err = l.EraseNumber(t.Context(), n, now())
		refused(err, started)
	}
	both(phone.StartedUnknown)
	if _, err := l.Unknown(t.Context(), live.ID, nil); err != nil {
		t.Fatal(err)
	}
	both(phone.StartedUnknown)
	if _, err := l.Placed(t.Context(), live.ID, "r"); err != nil {
		t.Fatal(err)
	}
	both(phone.StartedYes)
	if _, err := l.EraseCall(t.Context(), "call_none", now()); phone.CodeOf(err) != phone.NotFound {
		t.Error(err)
	}
}

// A record that comes after a call was erased brings nothing back.
func TestALateRecordOfAnErasedCall(t *testing.T) {
	l := fresh(t)
	_, h := secret(t, l, canaryNumber, "k")
	change(t, l, `UPDATE calls SET head = replace(head, 'complete', 'partial') WHERE id = ?`, h.ID)
	asking, err := l.ClaimOne(t.Context(), h.ID, now())
	if err != nil || len(asking) != 1 {
		t.Fatalf("%v, %v", asking, err)
	}
	if late, err := l.Late(t.Context(), h.Order.To, now()); err != nil || len(late) != 1 {
		t.Errorf("%v, %v", late, err)
	}
	if _, err := l.EraseCall(t.Context(), h.ID, now()); err != nil {
		t.Fatal(err)
	}
	after := asking[0].Clone()
	events := []phone.Event{{Seq: after.Seq + 1, At: now(), Body: phone.Fragment{Turn: 90, Text: "canary-words"}}}
	if err := l.Append(t.Context(), after, asking[0].Epoch, events); err == nil {
		t.Error("written")
	}
	if again, err := l.ClaimOne(t.Context(), h.ID, now()); err != nil || len(again) != 0 {
		t.Errorf("claimed again: %v, %v", again, err)
	}
	if late, err := l.Late(t.Context(), number(t, canaryNumber), now()); err != nil || len(late) != 0 {
		t.Errorf("%v, %v", late, err)
	}
}

// Numbers that are known from erased calls are known, and one of them is not met anew.
func TestErasedNumbersCountOnce(t *testing.T) {
	l := fresh(t)
	talk := time.Minute
	ended := phone.Observation{At: now(), Extent: phone.Whole, Line: phone.WrappingUp, Outcome: phone.Completed, Duration: &talk}
	old := over(t, l, wish(t, canaryNumber, "1", "p"), ended)
	change(t, l, `UPDATE calls SET created_at = created_at - ? WHERE id = ?`, (3 * aDay).Microseconds(), old.ID)
	for _, key := range []string{"2", "3"} {
		c := over(t, l, wish(t, otherNumber, key, "p"), ended)
		if key == "2" {
			if _, err := l.EraseCall(t.Context(), c.ID, now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := l.EraseCall(t.Context(), old.ID, now()); err != nil {
		t.Fatal(err)
	}
	over(t, l, wish(t, canaryNumber, "4", "p"), ended)
	facts := about(t, l, canaryNumber)
	if !facts.Known || len(facts.Met) != 1 || len(facts.ToNumber) != 2 || len(facts.Placed) != 3 {
		t.Errorf("%+v", facts)
	}
	if f := about(t, l, otherNumber); !f.Known || len(f.ToNumber) != 2 {
		t.Errorf("%+v", f)
	}
}

// A letter about an erased call that comes again is heard by nobody and soon gone.
func TestALetterAboutAnErasedCall(t *testing.T) {
	l := fresh(t)
	_, h := secret(t, l, canaryNumber, "k")
	if _, err := l.EraseCall(t.Context(), h.ID, now()); err != nil {
		t.Fatal(err)
	}
	letter := Letter{Digest: "again", Account: h.Account, Ref: h.Ref, Observation: phone.Observation{At: now(), Words: []phone.Words{{Text: "canary-letter"}}}}
	if _, err := l.Post(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if followed, over, err := l.Addressees(t.Context(), []string{h.Account}); err != nil || len(followed)+len(over) != 0 {
		t.Errorf("%v, %v, %v", followed, over, err)
	}
	if err := l.ClearInbox(t.Context(), now().Add(11*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if left, err := column[string](t.Context(), l.read, `SELECT body FROM inbox WHERE body <> ''`); err != nil || len(left) != 0 {
		t.Errorf("%q, %v", left, err)
	}
}
