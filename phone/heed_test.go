package phone

import (
	"slices"
	"testing"
	"time"
)

// Who asks not to be called again is heeded once, as soon as they have said it, and nobody else is taken for them.
func TestHeed(t *testing.T) {
	const no = "Please don't call me again."
	says := func(r Role, text string, final bool) Words { return Words{Role: r, Text: text, Final: final} }
	talk := func(all ...Words) Observation { return Observation{Line: InProgress, Extent: SoFar, Words: all} }
	closed := func(all ...Words) Observation {
		return Observation{Line: WrappingUp, Outcome: Completed, Extent: SoFar, Words: all}
	}
	record := func(all ...Words) Observation {
		return Observation{Line: WrappingUp, Outcome: Completed, Extent: Whole, Words: all}
	}
	hello := says(Callee, "Hello?", true)
	for name, tt := range map[string]struct {
		seen []Observation
		at   []int // the observations that tell of it
	}{
		"said":                    {[]Observation{talk(hello), talk(hello, says(Callee, no, true)), talk(hello, says(Callee, no, true), hello)}, []int{1}},
		"said twice":              {[]Observation{talk(says(Callee, no, true)), talk(says(Callee, no, true), says(Callee, no, true))}, []int{0}},
		"said by the agent":       {[]Observation{talk(says(Agent, no, true)), record(says(Agent, no, true))}, nil},
		"still being said":        {[]Observation{talk(says(Callee, "Don't call me", false)), talk(says(Callee, "Don't call me before nine.", true)), record(says(Callee, "Don't call me before nine.", true))}, nil},
		"said, and then final":    {[]Observation{talk(says(Callee, no, false)), talk(says(Callee, no, true))}, []int{1}},
		"said, and hung up":       {[]Observation{talk(says(Callee, no, false)), closed(says(Callee, no, false))}, []int{1}},
		"only in the record":      {[]Observation{talk(hello), record(hello, says(Callee, no, true))}, []int{1}},
		"in a record that is not": {[]Observation{talk(says(Callee, "Yes.", true)), record(says(Callee, "Yes.", true)), record(says(Callee, no, true))}, []int{2}},
		"never said after all":    {[]Observation{talk(hello, says(Callee, no, false)), record(hello)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
			c := Begin("call_1", "me", "p", "a", Order{}, begun)
			var got []int
			for i, o := range tt.seen {
				o.At = begun.Add(time.Duration(i+1) * time.Minute)
				for _, e := range c.Observe(o) {
					if c.Apply(e); e.Body == (OptedOut{Until: o.At.Add(30 * 24 * time.Hour)}) {
						got = append(got, i)
					}
				}
			}
			if !slices.Equal(got, tt.at) || c.OptedOut.IsZero() != (len(tt.at) == 0) {
				t.Errorf("heeded in %v, until %v", got, c.OptedOut)
			}
		})
	}
}

// What was being said when a call is given up was said.
func TestHeedWhenItIsGivenUp(t *testing.T) {
	begun := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	c := Begin("call_1", "me", "p", "a", Order{}, begun)
	for _, e := range c.Observe(Observation{At: begun, Line: InProgress, Extent: SoFar, Words: []Words{{Role: Callee, Text: "Never call me again"}}}) {
		c.Apply(e)
	}
	if !c.OptedOut.IsZero() {
		t.Fatal("they may go on")
	}
	for _, e := range c.Settle(begun.Add(time.Hour)) {
		c.Apply(e)
	}
	if want := begun.Add(time.Hour + 30*24*time.Hour); !c.OptedOut.Equal(want) || !c.Ended() {
		t.Errorf("%s, until %v", c.Status, c.OptedOut)
	}
}
