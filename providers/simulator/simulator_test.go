package simulator_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/providertest"
	"github.com/outdial/outdial/providers/script"
	"github.com/outdial/outdial/providers/simulator"
)

func TestContract(t *testing.T) {
	providertest.Run(t, providertest.Harness{
		Spec:   simulator.Spec(),
		Open:   func(w providertest.Wire) (providers.Driver, error) { return simulator.New(w.Speed), nil },
		Number: "+120255501%s",
	})
}

func order(t *testing.T, digits, lang string) phone.Order {
	t.Helper()
	to, err := phone.ParseNumber("+120255501"+digits, "")
	if err != nil {
		t.Fatal(err)
	}
	return phone.Order{CallID: "call_1", To: to, Task: "Ask for a table for two", Language: lang, CallerName: "Lin"}
}

func place(t *testing.T, d providers.Driver, o phone.Order) phone.Ref {
	t.Helper()
	ref, err := d.Place(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// At the speed of life, each scenario is what its script says, to the moment.
func TestScenarios(t *testing.T) {
	for _, lang := range []string{"en", "zh"} {
		for n := range 12 {
			digits := fmt.Sprintf("%02d", n)
			if digits == "08" || digits == "09" {
				continue
			}
			t.Run(digits+" "+lang, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { scenario(t, digits, lang) })
			})
		}
	}
}

func scenario(t *testing.T, digits, lang string) {
	d, o := simulator.New(0), order(t, digits, lang)
	want := script.For(o.To.E164(), lang, o.Task, o.CallerName)
	began := time.Now()
	ref := place(t, d, o)
	p := providers.New(simulator.Spec(), d, providers.Options{})
	call := phone.Begin("call_1", "local", "simulator", "", o, began)
	states := []phone.Status{}
	for seen := range p.Observations(t.Context(), ref, providers.How{}) {
		for _, e := range call.Observe(seen) {
			call.Apply(e)
		}
		if !slices.Contains(states, call.Status) {
			states = append(states, call.Status)
		}
	}
	var said []script.Line
	for i, turn := range call.Spoken() {
		said = append(said, script.Line{After: want.Lines[i].After, Role: turn.Role, Text: turn.Text})
	}
	if diff := cmp.Diff(want.Lines, said); diff != "" {
		t.Error(diff)
	}
	if call.Outcome != want.Outcome || call.Summary != want.Summary || call.Record != phone.Complete || call.Cost != nil {
		t.Errorf("%s, %q, record %s, cost %v", call.Outcome, call.Summary, call.Record, call.Cost)
	}
	if took := time.Since(began); took != want.Length() || !call.EndedAt.Equal(began.Add(want.Length())) {
		t.Errorf("over after %v (ended at %v), the script lasts %v", took, call.EndedAt.Sub(began), want.Length())
	}
	order := []phone.Status{phone.Queued, phone.Ringing, phone.InProgress, phone.WrappingUp, phone.StatusEnded}
	talked := want.Length() - want.Ring
	if len(want.Lines) == 0 {
		order, talked = slices.Delete(order, 2, 3), 0
	} else if !call.StartedAt.Equal(began.Add(want.Ring)) {
		t.Errorf("answered after %v, want %v", call.StartedAt.Sub(began), want.Ring)
	}
	if !slices.Equal(states, order) || *call.Duration != talked {
		t.Errorf("%v, %v of talk, want %v", states, *call.Duration, talked)
	}
}

func TestDialsThatFail(t *testing.T) {
	d := simulator.New(1)
	for digits, want := range map[string]phone.Code{"08": phone.Unavailable, "09": phone.Uncertain} {
		ref, err := d.Place(t.Context(), order(t, digits, "en"))
		if phone.CodeOf(err) != want || ref != "" {
			t.Errorf("%s: %q, %v", digits, ref, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Place(ended, order(t, "00", "en")); phone.CodeOf(err) != phone.Unavailable {
		t.Errorf("after the context: %v", err)
	}
}

// Another process, or this one after a restart, goes on where the call is.
func TestAnyProcessFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := place(t, simulator.New(1), order(t, "00", "en"))
		time.Sleep(4 * time.Second)
		d := simulator.New(1)
		o, err := d.Lookup(t.Context(), ref)
		if err != nil || o.Line != phone.InProgress || o.Extent != phone.SoFar || len(o.Words) != 2 || !strings.Contains(o.Words[0].Text, "Lin") {
			t.Errorf("%+v, %v", o, err)
		}
		heard := 0
		for o, err := range d.Stream(t.Context(), ref) {
			if err != nil {
				t.Error(err)
			}
			heard += len(o.Words)
		}
		if heard != 6 {
			t.Errorf("a stream from the middle tells %d lines", heard)
		}
		time.Sleep(24 * time.Hour)
		if o, err := simulator.New(1).Lookup(t.Context(), ref); err != nil || o.Extent != phone.Whole || o.Outcome != phone.Completed {
			t.Errorf("a day later: %+v, %v", o, err)
		}
	})
}

func TestHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := simulator.New(1)
		ref, began := place(t, d, order(t, "07", "en")), time.Now()
		time.AfterFunc(20*time.Second, func() {
			if err := d.Hangup(t.Context(), ref); err != nil {
				t.Error(err)
			}
		})
		var last phone.Observation
		heard := 0
		for o, err := range d.Stream(t.Context(), ref) {
			if err != nil {
				t.Error(err)
			}
			last, heard = o, heard+len(o.Words)
		}
		if took := time.Since(began); took != 20*time.Second || last.Line != phone.WrappingUp || last.Outcome != phone.Cancelled || heard != 2 {
			t.Errorf("after %v, %d lines: %+v", took, heard, last)
		}
		time.Sleep(time.Minute)
		if err := d.Hangup(t.Context(), ref); err != nil {
			t.Error(err)
		}
		o, err := d.Lookup(t.Context(), ref)
		if err != nil || o.Outcome != phone.Cancelled || len(o.Words) != 2 || *o.Duration != 18*time.Second || !o.EndedAt.Equal(began.Add(20*time.Second)) {
			t.Errorf("a minute later: %+v, %v", o, err)
		}
		again := 0
		for o := range d.Stream(t.Context(), ref) {
			again, last = again+len(o.Words), o
		}
		if again != 2 || last.Outcome != phone.Cancelled || time.Since(began) != 80*time.Second {
			t.Errorf("a stream of a call that was hung up: %d lines, %+v", again, last)
		}
	})
}

// A call that is over was not cancelled, whoever hangs up then; nor is another call.
func TestHangupTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := simulator.New(1)
		ref := place(t, d, order(t, "00", "en"))
		time.Sleep(time.Minute)
		other := place(t, d, order(t, "00", "en"))
		if err := d.Hangup(t.Context(), ref); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		for _, r := range []phone.Ref{ref, other} {
			if o, err := d.Lookup(t.Context(), r); err != nil || o.Outcome != phone.Completed {
				t.Errorf("%+v, %v", o, err)
			}
		}
	})
}

func TestMaxDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, o := simulator.New(1), order(t, "07", "en")
		o.MaxDuration = time.Minute
		ref := place(t, d, o)
		time.Sleep(63 * time.Second)
		if o, err := d.Lookup(t.Context(), ref); err != nil || o.Outcome != phone.Completed || *o.Duration > time.Minute+time.Second {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

func TestLanguageOfTheNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, o := simulator.New(1), order(t, "00", "")
		to, err := phone.ParseNumber("+8613800138000", "")
		if err != nil {
			t.Fatal(err)
		}
		english := place(t, d, o)
		o.To = to
		chinese := place(t, d, o)
		time.Sleep(time.Minute)
		for ref, want := range map[phone.Ref]string{english: "AI assistant", chinese: "AI助手"} {
			if o, err := d.Lookup(t.Context(), ref); err != nil || !strings.Contains(o.Words[0].Text, want) {
				t.Errorf("%+v, %v", o, err)
			}
		}
	})
}

func TestSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, began := simulator.New(30), time.Now()
		ref := place(t, d, order(t, "07", "en"))
		for range d.Stream(t.Context(), ref) {
			continue
		}
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("five minutes at thirty times the speed take %v", took)
		}
		if o, err := d.Lookup(t.Context(), ref); err != nil || o.Line != phone.WrappingUp {
			t.Errorf("a look-up right after the stream's end: %+v, %v", o, err)
		}
	})
}

func TestRef(t *testing.T) {
	d, o := simulator.New(1), order(t, "00", "zh")
	o.Task = strings.Repeat("很长的任务", 1000)
	var a, b phone.Ref
	synctest.Test(t, func(t *testing.T) { a, b = place(t, d, o), place(t, d, o) }) // at the same moment
	if a == b {
		t.Error("two calls have one ref")
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(string(a), "sim1."))
	if err != nil || strings.Contains(string(raw), "2025550100") || len(a) > 1200 {
		t.Errorf("%d bytes: %s, %v", len(a), raw, err)
	}
	forge := func(s string) phone.Ref { return phone.Ref("sim1." + base64.RawURLEncoding.EncodeToString([]byte(s))) }
	for _, ref := range []phone.Ref{
		"", "x", "sim1.", "sim1.!!", "sim2." + phone.Ref(strings.TrimPrefix(string(a), "sim1.")), a[:len(a)/2], forge("{}"), forge("null"), forge("[]"),
		forge(`{"d":"100","s":1}`), forge(`{"d":"00","s":-1}`), forge(`{"d":"00","s":1,"m":-1}`), forge(`{"d":"00","s":1,"m":9223372036854775807}`),
	} {
		_, err := d.Lookup(t.Context(), ref)
		if phone.CodeOf(err) != phone.NotFound {
			t.Errorf("Lookup of %q: %v", ref, err)
		}
		if err := d.Hangup(t.Context(), ref); phone.CodeOf(err) != phone.NotFound {
			t.Errorf("Hangup of %q: %v", ref, err)
		}
		for o, err := range d.Stream(t.Context(), ref) {
			if phone.CodeOf(err) != phone.NotFound {
				t.Errorf("Stream of %q: %+v, %v", ref, o, err)
			}
		}
	}
}

func TestSpec(t *testing.T) {
	spec := simulator.Spec()
	d, err := spec.Open(providers.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := providers.New(spec, d, providers.Options{})
	if !spec.Simulated || !spec.Covers("CN") || !spec.Covers("US") || !slices.Equal(p.Capabilities(), []string{"cancel", "live_transcript", "voices"}) {
		t.Errorf("%+v, %v", spec, p.Capabilities())
	}
	o := order(t, "00", "en")
	if o.Voice = "warm"; p.Check(o) != nil {
		t.Error("its own voice is refused")
	}
	if o.Voice = "none"; phone.CodeOf(p.Check(o)) != phone.Invalid {
		t.Error("a voice that it does not have is taken")
	}
}

func FuzzRef(f *testing.F) {
	f.Add("sim1.e30")
	f.Add("sim1." + base64.RawURLEncoding.EncodeToString([]byte(`{"d":"07","l":"zh","t":"x","s":1700000000000000000,"m":3,"n":1}`)))
	f.Fuzz(func(t *testing.T, ref string) {
		d := simulator.New(1)
		if _, err := d.Lookup(context.Background(), phone.Ref(ref)); err != nil && phone.CodeOf(err) != phone.NotFound {
			t.Error(err)
		}
	})
}
