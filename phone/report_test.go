package phone

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// reported cuts a record into reports, told one minute after the other: of what is new, or of all until then.
func reported(t *rapid.T, record []Words, whole bool) []Observation {
	var all []Observation
	for from := 0; from < len(record); {
		to := min(len(record), from+rapid.IntRange(1, 3).Draw(t, "words"))
		o := Observation{At: at(1), Extent: Update, Told: at(len(all)), Words: record[from:to]}
		if whole {
			o.Words = record[:to]
		}
		all, from = append(all, o), to
	}
	return all
}

// unlike numbers the utterances, so that none is like another.
func unlike(record []Words) []Words {
	record = slices.Clone(record)
	for i := range record {
		record[i].Text += " " + strconv.Itoa(i)
	}
	return record
}

// isSubsequence says whether part is what is left of whole when some of it is taken out.
func isSubsequence(part, whole []Words) bool {
	for _, w := range whole {
		if len(part) > 0 && part[0] == w {
			part = part[1:]
		}
	}
	return len(part) == 0
}

// In whatever order and however often reports come, and whoever takes the call over in between: where no utterance is like another the transcript is the record, and
// the record then changes nothing but what the call is.
func TestReportsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := unlike(conversation(t))
		all := reported(t, record, rapid.Bool().Draw(t, "whole"))
		c := newCall()
		var events []Event
		for _, o := range rapid.Permutation(append(slices.Clone(all), all...)).Draw(t, "order") {
			if rapid.IntRange(0, 3).Draw(t, "taken over") == 0 {
				c = newCall()
				for _, e := range events {
					c.Apply(e)
				}
			}
			events = append(events, observing(t, c, o)...)
		}
		if diff := cmp.Diff(record, transcript(c)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Where people say the same again, reports in their order invent nothing, and the record brings what they left open. A
// look-up in between tells the same words a second time.
func TestReportsInventNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := conversation(t)
		whole := rapid.Bool().Draw(t, "whole")
		c := newCall()
		told := 0
		for _, o := range reported(t, record, whole) {
			if whole {
				told = 0
			}
			told += len(o.Words)
			observing(t, c, o)
			if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
				observing(t, c, o)
			}
			if rapid.IntRange(0, 3).Draw(t, "look") == 0 {
				observing(t, c, Observation{At: at(2), Line: InProgress, Extent: SoFar, Words: record[:told]})
			}
			if got := transcript(c); !isSubsequence(got, record[:told]) {
				t.Fatalf("after %v\nof   %v\nheard %v", o.Words, record[:told], got)
			}
		}
		observing(t, c, Observation{At: at(9), Line: WrappingUp, Extent: Whole, Words: record})
		if diff := cmp.Diff(record, transcript(c)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A person who says the same again is heard live, as soon as somebody else has spoken in between.
func TestReportOfTheSameAgain(t *testing.T) {
	c := newCall()
	say := func(minute int, r Role, text string) {
		observing(t, c, Observation{At: at(1), Extent: Update, Told: at(minute), Words: []Words{{r, text, true}}})
	}
	say(1, Agent, "Is it about lunch?")
	say(2, Callee, "No.")
	say(3, Agent, "About dinner?")
	say(4, Callee, "No.")
	say(2, Callee, "No.") // sent again
	want := []Words{{Agent, "Is it about lunch?", true}, {Callee, "No.", true}, {Agent, "About dinner?", true}, {Callee, "No.", true}}
	if diff := cmp.Diff(want, transcript(c)); diff != "" {
		t.Fatal(diff)
	}
}

// A service that tells all words until then, and corrects one of them, doubles none of the others.
func TestReportThatCorrects(t *testing.T) {
	c := newCall()
	hello, jon, john := Words{Agent, "Hello, this is an AI assistant.", true}, Words{Callee, "I am Jon.", true}, Words{Callee, "I am John.", true}
	who := Words{Agent, "Who is there?", true}
	for i, w := range [][]Words{{hello}, {hello, who, jon}, {hello, who, john, {Agent, "Thank you.", true}}} {
		observing(t, c, Observation{At: at(1), Extent: Update, Told: at(i), Words: w})
	}
	said := 0
	for _, w := range transcript(c) {
		if w == hello {
			said++
		}
	}
	if got := transcript(c); said != 1 || len(got) != 4 || got[2] != john || got[3].Text != "Thank you." {
		t.Errorf("%v", got)
	}
}

// What a report tells after a record that is complete changes no word of it; but a wish not to be called again counts, and
// a record without a word is none where words are told.
func TestReportAfterTheRecord(t *testing.T) {
	said := func(r Role, text string) []Words { return []Words{{r, text, true}} }
	for name, tt := range map[string]struct {
		record, late []Words
		turns        int
		optsOut      bool
		is           Record
	}{
		"other words":           {said(Callee, "Hello."), said(Callee, "Who is there?"), 1, false, Complete},
		"a wish":                {said(Callee, "Hello."), said(Callee, "Don't call me again."), 1, true, Complete},
		"the agent's words":     {said(Callee, "Hello."), said(Agent, "Don't call me again."), 1, false, Complete},
		"words, and no record":  {nil, said(Callee, "Hello."), 1, false, Partial},
		"a wish, and no record": {nil, said(Callee, "Don't call me again."), 1, true, Partial},
		"no words":              {nil, nil, 0, false, Complete},
	} {
		c := newCall()
		observing(t, c, Observation{At: at(1), Line: WrappingUp, Extent: Whole, Outcome: Failed, Words: tt.record})
		late := Observation{At: at(2), Extent: Update, Told: at(1), Words: tt.late}
		observing(t, c, late)
		if len(c.Spoken()) != tt.turns || !c.OptedOut.IsZero() != tt.optsOut || c.Record != tt.is || c.Outcome != Failed || c.Status != StatusEnded {
			t.Errorf("%s: %v, opted out %v, the record %s, %s", name, transcript(c), c.OptedOut, c.Record, c.Outcome)
		}
		if again := observing(t, c, late); again != nil {
			t.Errorf("%s again: %v", name, again)
		}
	}
}

// An utterance that a report tells further on is one utterance, also where the report tells nothing else.
func TestReportOfAnUtteranceThatGrows(t *testing.T) {
	c := newCall()
	for i, w := range []Words{{Agent, "Who is there?", true}, {Callee, "I am", false}, {Callee, "I am John.", true}, {Callee, "I am", false}} {
		observing(t, c, Observation{At: at(1), Extent: Update, Told: at(i), Words: []Words{w}})
	}
	if diff := cmp.Diff([]Words{{Agent, "Who is there?", true}, {Callee, "I am John.", true}}, transcript(c)); diff != "" {
		t.Error(diff)
	}
}
