package ledger

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

func number(t *testing.T, e164 string) phone.Number {
	t.Helper()
	n, err := phone.ParseNumber(e164, "")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestContacts(t *testing.T) {
	l := fresh(t)
	n := number(t, "+8613800138000")
	w, err := phone.ParseWindow("08:00-22:00")
	if err != nil {
		t.Fatal(err)
	}
	c := phone.Contact{Number: n, Name: "Ann", Zone: "Asia/Shanghai", Window: w, Consent: "by letter", AddedAt: now()}
	if err := l.SaveContact(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if f := about(t, l, "+8613800138000"); f.Contact == nil || *f.Contact != c {
		t.Errorf("%+v", f.Contact)
	}
	if f := about(t, l, "+8613800138001"); f.Contact != nil {
		t.Errorf("%+v", f.Contact)
	}
	c.Name, c.Window = "Bo", phone.Window{}
	if err := l.SaveContact(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if all, err := l.Contacts(t.Context()); err != nil || len(all) != 1 || all[0] != c {
		t.Errorf("%+v, %v", all, err)
	}
	if err := l.DropContact(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if err := l.DropContact(t.Context(), n); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("%v", err)
	}
	if f := about(t, l, "+8613800138000"); f.Contact != nil {
		t.Errorf("%+v", f.Contact)
	}
}

func TestDoNotCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	l := open(t, path)
	n := number(t, "+8613800138000")
	called := reserve(t, l, wish(t, n.E164(), "", "p"))
	until := now().Add(30 * 24 * time.Hour)
	events := []phone.Event{{Seq: 1, At: now(), Body: phone.OptedOut{Until: until}}}
	after := called.Clone()
	after.Apply(events[0])
	if err := l.Append(t.Context(), after, called.Epoch, events); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path) // it outlives the process
	f := about(t, l, n.E164())
	if f.DoNotCall == nil || f.DoNotCall.CallID != called.ID || !f.DoNotCall.Until.Equal(until) {
		t.Fatalf("%+v", f.DoNotCall)
	}
	if h, err := l.Call(t.Context(), "local", called.ID); err != nil || !h.OptedOut.Equal(until) {
		t.Errorf("the call says %v, %v", h.OptedOut, err)
	}
	simulated := wish(t, n.E164(), "", "p").Call
	simulated.Simulated = true
	if f, err := l.Facts(t.Context(), simulated); err != nil || f.DoNotCall != nil {
		t.Errorf("a rehearsal: %+v, %v", f.DoNotCall, err)
	}
	later := wish(t, n.E164(), "", "p").at(until).Call
	if f, err := l.Facts(t.Context(), later); err != nil || f.DoNotCall != nil {
		t.Errorf("when it is over: %+v, %v", f.DoNotCall, err)
	}
	if err := l.DoNotCall(t.Context(), phone.Block{Number: n, Note: "asked by letter", AddedAt: now()}); err != nil {
		t.Fatal(err)
	}
	if f, err := l.Facts(t.Context(), later); err != nil || f.DoNotCall == nil || !f.DoNotCall.Until.IsZero() || f.DoNotCall.Note == "" {
		t.Errorf("the operator's: %+v, %v", f.DoNotCall, err)
	}
	if f, err := l.Facts(t.Context(), simulated); err != nil || f.DoNotCall == nil {
		t.Errorf("the operator's, in a rehearsal: %+v, %v", f.DoNotCall, err)
	}
	if all, err := l.Blocks(t.Context(), now()); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := l.MayCall(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if f := about(t, l, n.E164()); f.DoNotCall != nil {
		t.Errorf("%+v", f.DoNotCall)
	}
	if err := l.MayCall(t.Context(), n); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("%v", err)
	}
}

func TestHeard(t *testing.T) {
	l := fresh(t)
	at := now().Add(-23 * time.Hour)
	h := reserve(t, l, wish(t, "+12125550143", "", "p").at(at))
	h, err := l.Placed(t.Context(), h.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	said := func(text string) phone.Words { return phone.Words{Role: phone.Callee, Text: text, Final: true} }
	if err := observe(t, l, &h, phone.Observation{Line: phone.InProgress, Extent: phone.SoFar, Words: []phone.Words{
		said("Please call 1 (202) 555-0100 instead."), said("Or 555 01 77, extension 12."), said("From abroad it is 0086 138 0013 8000."),
		said("You have reached 212 555 0143."), said("Or 555 0166, 24 hours a day. In Beijing 6552 9988, 9 to 5."),
		{Role: phone.Agent, Text: "I note: +44 20 7946 0000.", Final: true},
	}}); err != nil {
		t.Fatal(err)
	}
	if err := observe(t, l, &h, phone.Observation{Line: phone.WrappingUp, Extent: phone.Whole, Outcome: phone.Completed, Summary: "They gave 416-555-0123.", Words: []phone.Words{
		said("Please call 1 (202) 555-0100 instead."),
	}}); err != nil {
		t.Fatal(err)
	}
	for number, want := range map[string]bool{
		"+12025550100": true, "+12025550101": false,
		"+13055550177":  true, // whose last seven digits were said
		"+13055550166":  true, // likewise, with other digits behind them
		"+861065529988": true, "+12025550124": false,
		"+8613800138000": true, "+442079460000": true, "+14165550123": true,
		"+12125550143": false, // the line's own
	} {
		if got := about(t, l, number).Heard; got != want {
			t.Errorf("%s: %v", number, got)
		}
	}
	other := wish(t, "+12025550100", "", "p").Call
	other.Simulated = true
	if f, err := l.Facts(t.Context(), other); err != nil || f.Heard {
		t.Errorf("a rehearsal has heard it: %v, %v", f.Heard, err)
	}
	later := wish(t, "+12025550100", "", "p").at(now().Add(24*time.Hour + time.Minute)).Call
	if f, err := l.Facts(t.Context(), later); err != nil || f.Heard {
		t.Errorf("a day later: %v, %v", f.Heard, err)
	}
}
