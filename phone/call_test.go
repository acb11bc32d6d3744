package phone

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(s int) time.Time { return time.Date(2026, 11, 21, 9, 0, s, 0, time.UTC) }

// observing gives a call after observations, each applied event by event, and the events.
func observing(t failer, c *Call, all ...Observation) []Event {
	t.Helper()
	var events []Event
	for _, o := range all {
		before := c.Clone()
		news := c.Observe(o)
		if diff := cmp.Diff(visible(before), visible(c), inside()); diff != "" {
			t.Fatalf("Observe changed what a client sees:\n%s", diff)
		}
		for _, e := range news {
			if e.Seq != c.Seq+1 {
				t.Fatalf("event %d after %d: the numbers have a gap", e.Seq, c.Seq)
			}
			c.Apply(e)
		}
		events = append(events, news...)
	}
	return events
}

func visible(c *Call) Call {
	v := *c.Clone()
	v.hearing = hearing{}
	v.Turns = slices.Clone(c.Turns)
	return v
}

func said(c *Call) []string {
	var out []string
	for _, t := range c.Spoken() {
		out = append(out, string(t.Role[:1])+":"+t.Text)
	}
	return out
}

func heard(texts ...string) []Words {
	var out []Words
	for _, s := range texts {
		w := Words{Role: Agent, Text: s[2:], Final: true}
		if s[0] == 'c' {
			w.Role = Callee
		}
		out = append(out, w)
	}
	return out
}

func newCall() *Call { return Begin("call_1", "local", "stepone", "", Order{Task: "x"}, at(0)) }

func next(texts ...string) Observation   { return Observation{At: at(1), Words: heard(texts...)} }
func opened(texts ...string) Observation { o := next(texts...); o.Opened = true; return o }
func whole(texts ...string) Observation {
	return Observation{At: at(9), Line: WrappingUp, Outcome: Completed, Extent: Whole, Words: heard(texts...)}
}

func soFar(texts ...string) Observation {
	return Observation{At: at(2), Line: InProgress, Extent: SoFar, Words: heard(texts...)}
}

func TestTranscript(t *testing.T) {
	closed := Observation{At: at(8), Line: WrappingUp}
	partly := func(s string) Observation {
		return Observation{At: at(3), Words: []Words{{Role: Callee, Text: s}}}
	}
	tests := map[string]struct {
		see  []Observation
		want []string
	}{
		"a stream":                   {[]Observation{opened("a:hi"), next("c:yes"), next("c:yes")}, []string{"a:hi", "c:yes", "c:yes"}},
		"replayed from the start":    {[]Observation{opened("a:hi", "c:yes"), opened("a:hi"), next("c:yes"), next("c:yes")}, []string{"a:hi", "c:yes", "c:yes"}},
		"goes on from now":           {[]Observation{opened("a:hi", "c:yes"), opened("a:fine"), next("c:bye")}, []string{"a:hi", "c:yes", "a:fine", "c:bye"}},
		"from some point":            {[]Observation{opened("a:1", "c:2", "a:3"), opened("c:2"), next("a:3"), next("c:4")}, []string{"a:1", "c:2", "a:3", "c:4"}},
		"looks like a replay, isn't": {[]Observation{opened("a:hi", "c:yes", "a:so"), opened("a:hi"), next("c:no")}, []string{"a:hi", "c:yes", "a:so", "a:hi", "c:no"}},
		"held back until the end":    {[]Observation{opened("a:hi", "c:yes", "a:so"), opened("a:hi"), closed}, []string{"a:hi", "c:yes", "a:so", "a:hi"}},
		"a replay to the end":        {[]Observation{opened("a:hi", "c:yes"), opened("a:hi", "c:yes"), closed}, []string{"a:hi", "c:yes"}},
		"cut in a replay":            {[]Observation{opened("a:1", "c:2", "a:3"), opened("a:1"), opened("a:1", "c:2", "a:3", "c:4")}, []string{"a:1", "c:2", "a:3", "c:4"}},
		"text grows":                 {[]Observation{opened("a:hi"), partly("I"), partly("I am"), partly("I am here")}, []string{"a:hi", "c:I am here"}},
		"snapshots":                  {[]Observation{soFar("a:hi"), soFar("a:hi", "c:yes"), soFar("a:hi", "c:yes")}, []string{"a:hi", "c:yes"}},
		"a snapshot lags behind":     {[]Observation{opened("a:hi", "c:yes", "a:so"), soFar("a:hi", "c:yes")}, []string{"a:hi", "c:yes", "a:so"}},
		"a snapshot fills a hole":    {[]Observation{opened("a:hi"), opened("a:so"), soFar("a:hi", "c:yes", "a:so")}, []string{"a:hi", "c:yes", "a:so"}},
		"snapshot, then the stream":  {[]Observation{opened("a:hi"), soFar("a:hi", "c:yes"), next("c:yes"), next("c:yes")}, []string{"a:hi", "c:yes", "c:yes"}},
		"the record has more":        {[]Observation{opened("a:hi", "c:bye"), whole("a:hi", "c:yes", "a:so", "c:bye")}, []string{"a:hi", "c:yes", "a:so", "c:bye"}},
		"the record has less":        {[]Observation{opened("a:hi", "a:hi", "c:bye"), whole("a:hi", "c:bye")}, []string{"a:hi", "c:bye"}},
		"the record reads otherwise": {[]Observation{opened("a:hi", "c:ate", "a:so"), whole("a:hi", "c:eight", "a:so")}, []string{"a:hi", "c:eight", "a:so"}},
		"an empty record":            {[]Observation{opened("a:hi"), whole()}, []string{"a:hi"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCall()
			observing(t, c, tt.see...)
			if diff := cmp.Diff(tt.want, said(c)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTurnsKeepTheirIdentity(t *testing.T) {
	c := newCall()
	observing(t, c, opened("a:hi", "c:ate"), opened("a:so"), next("c:bye"))
	cursor := c.Seq
	observing(t, c, whole("a:hi", "c:eight", "c:well", "a:so", "c:bye"))
	var got []string
	for _, turn := range c.Since(cursor) {
		got = append(got, turn.Text)
	}
	if diff := cmp.Diff([]string{"eight", "well"}, got); diff != "" {
		t.Errorf("changed after the cursor: %s", diff)
	}
	if c.Turns[1].ID != 2 || c.Turns[1].Seq <= cursor || c.Turns[2].After != 2 {
		t.Errorf("turns %+v", c.Turns)
	}
	if c.Status != StatusEnded || c.Record != Complete || c.Outcome != Completed {
		t.Errorf("%s, record %s, outcome %s", c.Status, c.Record, c.Outcome)
	}
}

func TestWithdrawnIsToldToThoseWhoSawIt(t *testing.T) {
	c := newCall()
	observing(t, c, opened("a:hi", "c:er"))
	cursor := c.Seq
	observing(t, c, whole("a:hi"))
	if got := c.Since(cursor); len(got) != 1 || !got[0].Withdrawn || got[0].ID != 2 {
		t.Errorf("after the cursor: %+v", got)
	}
	if got := c.Since(0); len(got) != 1 || got[0].Text != "hi" {
		t.Errorf("without a cursor: %+v", got)
	}
}

func TestStates(t *testing.T) {
	talk := 42 * time.Second
	c := newCall()
	events := observing(t, c,
		Observation{At: at(1), Line: Queued}, Observation{At: at(2), Line: Ringing}, Observation{At: at(2), Line: Queued},
		opened("a:hi"), Observation{At: at(5), Line: WrappingUp},
		Observation{At: at(6), Line: InProgress}, Observation{At: at(6), Line: WrappingUp, Duration: &talk})
	var states []Status
	for _, e := range events {
		if p, ok := e.Body.(Progress); ok {
			states = append(states, p.State)
		}
	}
	if diff := cmp.Diff([]Status{Queued, Ringing, InProgress, WrappingUp}, states); diff != "" {
		t.Error(diff)
	}
	if c.EndedAt != at(5) || c.StartedAt != at(1) {
		t.Errorf("started %v, ended %v", c.StartedAt, c.EndedAt)
	}
	for _, e := range c.Settle(at(65)) {
		c.Apply(e)
	}
	if c.Status != StatusEnded || c.Record != Partial || c.Outcome != UnknownOutcome || *c.Duration != talk {
		t.Errorf("settled: %s, %s, %s", c.Status, c.Record, c.Outcome)
	}
	if more := c.Settle(at(70)); more != nil {
		t.Errorf("settled twice: %v", more)
	}
	observing(t, c, whole("a:hi", "c:yes"))
	if c.Record != Complete || c.Outcome != Completed || c.EndedAt != at(5) {
		t.Errorf("after the late record: %s, %s, %v", c.Record, c.Outcome, c.EndedAt)
	}
	if more := observing(t, c, whole("a:hi", "c:yes")); more != nil {
		t.Errorf("the record again: %v", more)
	}
}

// Another process that brings the record late has heard nothing: what the call knows of its end stays.
func TestTheLateRecordErasesNothing(t *testing.T) {
	talk, c := 42*time.Second, newCall()
	events := observing(t, c, opened("a:hi"), Observation{At: at(5), Line: WrappingUp, Outcome: Voicemail, Duration: &talk, Summary: "s"})
	events = append(events, c.Settle(at(65))...)
	loaded := newCall()
	for _, e := range events {
		loaded.Apply(e)
	}
	observing(t, loaded, Observation{At: at(99), Line: WrappingUp, Extent: Whole, Words: heard("a:hi", "c:yes")})
	if loaded.Outcome != Voicemail || loaded.Duration == nil || *loaded.Duration != talk || loaded.Summary != "s" || loaded.Record != Complete {
		t.Errorf("%s, %v, %q, %s", loaded.Outcome, loaded.Duration, loaded.Summary, loaded.Record)
	}
}

func TestAnEmptyRecordIsToldOnce(t *testing.T) {
	c := newCall()
	observing(t, c, opened("a:hi"), whole())
	if again := observing(t, c, whole(), whole()); again != nil {
		t.Errorf("told again: %v", again)
	}
}

func TestATurnBeforeAllOthers(t *testing.T) {
	c := newCall()
	observing(t, c, opened("c:yes"), whole("a:hi", "c:yes"))
	if first := c.Turns[0]; first.Text != "hi" || !first.Inserted || first.After != 0 || c.Turns[1].Inserted {
		t.Errorf("%+v", c.Turns)
	}
}

func TestAClockThatIsNotToBeTrusted(t *testing.T) {
	for _, ended := range []time.Time{at(0).Add(-8 * time.Hour), at(9).Add(8 * time.Hour)} {
		c := newCall()
		observing(t, c, Observation{At: at(9), Line: WrappingUp, EndedAt: ended, StartedAt: ended, Extent: Whole, Words: heard("a:hi")})
		if c.EndedAt != at(9) || c.StartedAt != at(9) {
			t.Errorf("a call of %v started %v and ended %v", c.CreatedAt, c.StartedAt, c.EndedAt)
		}
	}
}

func TestTwoConversationsWithLittleInCommon(t *testing.T) {
	var a, b []Words
	for i := range 3000 {
		a = append(a, Words{Role: Agent, Text: fmt.Sprint("a", i), Final: true})
		b = append(b, Words{Role: Callee, Text: fmt.Sprint("b", i), Final: true})
	}
	if m := common(a, b); len(m) != 0 {
		t.Errorf("%d in common", len(m))
	}
}

func TestUnconfirmedIsPlacedAfterAll(t *testing.T) {
	c := newCall()
	c.Apply(Event{Seq: 1, At: at(1), Body: Progress{State: Unconfirmed, Failure: &Failure{Code: Uncertain}}})
	if c.Failure == nil {
		t.Fatal("the failure is lost")
	}
	observing(t, c, Observation{At: at(2), Line: Queued})
	if c.Status != Queued || c.Failure != nil {
		t.Errorf("%s, %v", c.Status, c.Failure)
	}
}

func TestApplyTwice(t *testing.T) {
	c := newCall()
	events := observing(t, c, opened("a:hi", "c:yes"), whole("a:hi", "c:no"))
	want := visible(c)
	for _, e := range events {
		c.Apply(e)
	}
	if diff := cmp.Diff(want, visible(c), inside()); diff != "" {
		t.Error(diff)
	}
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

func inside() cmp.Option {
	return cmp.AllowUnexported(Call{}, hearing{}, stream{}, Number{}, Money{})
}

// What shows that a provider may not work, and what does not.
func TestFaulty(t *testing.T) {
	because := func(code Code) *Failure { return &Failure{Code: code} }
	for name, tt := range map[string]struct {
		call Call
		want bool
	}{
		"nobody knows":            {Call{Status: Unconfirmed, Failure: because(Uncertain)}, true},
		"it is down":              {Call{Status: StatusEnded, Outcome: Failed, Failure: because(Unavailable)}, true},
		"it failed on the line":   {Call{Status: StatusEnded, Outcome: Failed}, true},
		"it does not take that":   {Call{Status: StatusEnded, Outcome: Failed, Failure: because(Invalid)}, false},
		"it does not want that":   {Call{Status: StatusEnded, Outcome: Failed, Failure: because(Refused)}, false},
		"nobody answered":         {Call{Status: StatusEnded, Outcome: NoAnswer}, false},
		"nobody knows its end":    {Call{Status: StatusEnded, Outcome: UnknownOutcome}, false},
		"it goes on":              {Call{Status: InProgress}, false},
		"it is being dialed":      {Call{Status: Dialing}, false},
		"it failed, and wraps up": {Call{Status: WrappingUp, Outcome: Failed}, false},
	} {
		if got := tt.call.Faulty(); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
