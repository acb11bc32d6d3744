package ledger

import (
	"fmt"
	"path/filepath"
	"strings"
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
	c = phone.Contact{Number: n, Name: "Bo", Zone: "Asia/Urumqi", Consent: "on the phone", AddedAt: now().Add(time.Minute)}
	if err := l.SaveContact(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if all, err := l.Contacts(t.Context()); err != nil || len(all) != 1 || all[0] != c {
		t.Errorf("%+v, %v", all, err)
	}
	for name, e164 := range map[string]string{"Ann": "+8613800138002", "Zoe": "+8613700138000"} {
		if err := l.SaveContact(t.Context(), phone.Contact{Number: number(t, e164), Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := l.Contacts(t.Context()); err != nil || len(all) != 3 || all[0].Name != "Ann" || all[1] != c || all[2].Name != "Zoe" {
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
	if f, err := l.Facts(t.Context(), simulated); err != nil || f.DoNotCall == nil || f.DoNotCall.RingsNo {
		t.Errorf("the operator's, in a rehearsal: %+v, %v", f.DoNotCall, err)
	}
	if all, err := l.Blocks(t.Context(), now()); err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if all, err := l.Blocks(t.Context(), until.Add(time.Second)); err != nil || len(all) != 1 || all[0].CallID != "" {
		t.Errorf("one that is over: %+v, %v", all, err)
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

// Of several entries the one that forbids a number for longest counts.
func TestTheLongestEntryCounts(t *testing.T) {
	l := fresh(t)
	n := number(t, "+8613800138000")
	day := now().Add(24 * time.Hour)
	for i, tt := range []struct {
		call        string
		until, want time.Time
	}{
		{"call_2", day, day},
		{"call_1", day.Add(time.Hour), day.Add(time.Hour)},
		{"call_3", day.Add(-time.Hour), day.Add(time.Hour)},
		{"", day.Add(-time.Hour), day.Add(time.Hour)},
		{"", day.Add(2 * time.Hour), day.Add(2 * time.Hour)}, // in place of the one before
		{"call_4", time.Time{}, time.Time{}},
		{"call_0", day.Add(3 * time.Hour), time.Time{}},
	} {
		if err := l.do(t.Context(), "dnc", func(tx *transaction) error {
			return l.insertBlock(tx, phone.Block{Number: n, CallID: tt.call, Until: tt.until, AddedAt: now()}, 0)
		}); err != nil {
			t.Fatal(err)
		}
		if b := about(t, l, n.E164()).DoNotCall; b == nil || !b.Until.Equal(tt.want) {
			t.Errorf("%d: %+v, not until %v", i, b, tt.want)
		}
	}
}

// tells records what is said in a call, in that order.
func tells(t *testing.T, l *Ledger, h Held, at time.Time, said ...phone.Body) {
	t.Helper()
	var events []phone.Event
	after := h.Clone()
	for _, b := range said {
		e := phone.Event{Seq: after.Seq + 1, At: at, Body: b}
		if f, ok := b.(phone.Fragment); ok {
			n := len(after.Turns)
			f.Turn, f.After, f.Final = n+1, n, true
			e.Body = f
		}
		after.Apply(e)
		events = append(events, e)
	}
	if err := l.Append(t.Context(), after, h.Epoch, events); err != nil {
		t.Fatal(err)
	}
}

// A number that is dictated in parts is put together from what one side says, and from what stands.
func TestHeardInParts(t *testing.T) {
	callee := func(text string) phone.Body { return phone.Fragment{Role: phone.Callee, Text: text} }
	agent := func(text string) phone.Body { return phone.Fragment{Role: phone.Agent, Text: text} }
	for name, said := range map[string][]phone.Body{
		"in six parts":              {callee("1"), callee("38"), callee("00"), callee("13"), callee("00"), callee("07")},
		"with figures between them": {callee("138"), agent("that is 3 figures"), callee("0013"), agent("that makes 7"), callee("0007")},
		"with a slip of the tongue": {callee("138 0013"), callee("44"), phone.Withdrawn{Turn: 2}, callee("0007")},
		"with a speech between":     {callee("138 0013"), callee(strings.Repeat("No. 1. ", 200)), callee("0007")},
	} {
		t.Run(name, func(t *testing.T) {
			l := fresh(t)
			tells(t, l, reserve(t, l, wish(t, "+8613800138000", "", "p")), now(), said...)
			if !about(t, l, "+8613800130007").Heard || about(t, l, "+8613800130008").Heard {
				t.Error("not heard, or another number too")
			}
		})
	}
}

// Whoever says too much for it to be kept says every number.
func TestHeardEverything(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%07d, or so. ", 5550000+i)
		}
		return b.String()
	}
	for name, tt := range map[string]struct {
		text string
		want bool
	}{
		"many numbers":     {many(250), false},
		"too many numbers": {many(350), true},
		"a long number":    {strings.Repeat("7", 1000), false},
		"too long a one":   {strings.Repeat("7", 1001), true},
	} {
		t.Run(name, func(t *testing.T) {
			l := fresh(t)
			h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
			tells(t, l, h, now(), phone.Fragment{Role: phone.Callee, Text: tt.text})
			if got := about(t, l, "+8613912345678").Heard; got != tt.want {
				t.Errorf("heard: %v", got)
			}
		})
	}
}

// A number is heard until a day after it was said last, in whichever call.
func TestHeardAgain(t *testing.T) {
	l := fresh(t)
	for i, tt := range []struct {
		text   string
		before time.Duration
	}{{"138 0013 0007, or 138 0013 0008", 23 * time.Hour}, {"138 0013 0007", 2 * time.Hour}} {
		in := wish(t, fmt.Sprintf("+861380013800%d", i), "", "p").at(now().Add(-tt.before))
		tells(t, l, reserve(t, l, in), in.Call.CreatedAt, phone.Fragment{Role: phone.Callee, Text: tt.text})
	}
	for number, hours := range map[string]map[int]bool{
		"+8613800130007": {0: true, 2: true, 21: true, 23: false},
		"+8613800130008": {0: true, 2: false},
	} {
		for later, want := range hours {
			c := wish(t, number, "", "p").at(now().Add(time.Duration(later) * time.Hour)).Call
			if f, err := l.Facts(t.Context(), c); err != nil || f.Heard != want {
				t.Errorf("%s, %d hours later: heard %v, %v", number, later, f.Heard, err)
			}
		}
	}
}

// That a number was called before, or says itself on its own line, takes nothing back of what was said on another line.
func TestHeardThoughKnown(t *testing.T) {
	l := fresh(t)
	const known = "+8613800130007"
	said := phone.Fragment{Role: phone.Callee, Text: "138 0013 0007"}
	h := reserve(t, l, wish(t, known, "", "p"))
	tells(t, l, h, now(), said)
	if about(t, l, known).Heard {
		t.Error("heard on its own line")
	}
	tells(t, l, reserve(t, l, wish(t, "+8613800138000", "", "p")), now(), said)
	if f := about(t, l, known); !f.Heard || !f.Known {
		t.Errorf("known %v, heard on another line %v", f.Known, f.Heard)
	}
}
