package phone

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// conversation draws a record in which utterances repeat themselves often, as "yes" does on the telephone.
func conversation(t *rapid.T) []Words {
	one := rapid.Custom(func(t *rapid.T) Words {
		return Words{
			Role:  rapid.SampledFrom([]Role{Agent, Callee}).Draw(t, "role"),
			Text:  rapid.SampledFrom([]string{"yes", "no", "hello", "[DONE]", "好的", "one moment"}).Draw(t, "text"),
			Final: true,
		}
	})
	return rapid.SliceOfN(one, 1, 24).Draw(t, "record")
}

// followed plays a record to a call through a connection that is cut again and again, and reopens as the service does it:
// from the start, from now, or some way back. Snapshots come in between.
func followed(t *rapid.T, c *Call, record []Words, reopen string) {
	heard, place := 0, 0 // how far any connection came, and this one
	for cut := true; heard < len(record); {
		if cut {
			switch reopen {
			case "start":
				place = 0
			case "overlap":
				place = max(0, heard-rapid.IntRange(0, 3).Draw(t, "back"))
			case "now": // what was spoken while the line was cut is never heard
				place = min(len(record), heard+rapid.IntRange(0, 2).Draw(t, "missed"))
			}
		}
		o := Observation{At: at(1), Opened: cut}
		to := min(len(record), place+rapid.IntRange(0, 4).Draw(t, "words"))
		for ; place < to; place++ {
			o.Words = record[place : place+1]
			observing(t, c, o)
			o.Opened = false
		}
		if o.Opened {
			o.Words = nil
			observing(t, c, o)
		}
		heard = max(heard, place)
		cut = rapid.IntRange(0, 2).Draw(t, "cut") == 0
		if rapid.IntRange(0, 4).Draw(t, "poll") == 0 {
			observing(t, c, Observation{At: at(2), Line: InProgress, Extent: SoFar, Words: record[:rapid.IntRange(0, heard).Draw(t, "lag")]})
		}
	}
}

func transcript(c *Call) []Words {
	var out []Words
	for _, turn := range c.Spoken() {
		out = append(out, words(turn))
	}
	return out
}

// Whatever was cut, repeated and overlapped: with the record the transcript is the record.
func TestTranscriptMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := conversation(t)
		c := newCall()
		followed(t, c, record, rapid.SampledFrom([]string{"start", "now", "overlap"}).Draw(t, "reopen"))
		end := Observation{At: at(9), Line: WrappingUp, Extent: Whole, Words: record}
		observing(t, c, end)
		if diff := cmp.Diff(record, transcript(c)); diff != "" {
			t.Fatal(diff)
		}
		if again := observing(t, c, end); again != nil {
			t.Fatalf("the record again: %v", again)
		}
	})
}

// A service that plays from the start loses and doubles nothing even without a record.
func TestReplayNeedsNoRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := conversation(t)
		c := newCall()
		followed(t, c, record, "start")
		observing(t, c, Observation{At: at(8), Opened: true, Words: record}, Observation{At: at(9), Line: WrappingUp})
		if diff := cmp.Diff(record, transcript(c)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A reader who asks on with the cursor, whenever, ends with the same turns as one who asks once.
func TestCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := conversation(t)
		c := newCall()
		have := map[int]Turn{}
		cursor := int64(0)
		read := func() {
			for _, turn := range c.Since(cursor) {
				have[turn.ID] = turn
				if turn.Withdrawn {
					delete(have, turn.ID)
				}
			}
			cursor = c.Seq
		}
		for i := range 4 {
			followed(t, c, record[:len(record)*(i+1)/4], rapid.SampledFrom([]string{"start", "now", "overlap"}).Draw(t, "reopen"))
			if rapid.Bool().Draw(t, "read") {
				read()
			}
		}
		observing(t, c, Observation{At: at(9), Line: WrappingUp, Extent: Whole, Words: record})
		read()
		var got []Turn
		for _, turn := range c.Spoken() {
			if h, ok := have[turn.ID]; ok {
				got = append(got, h)
			}
		}
		if diff := cmp.Diff(c.Spoken(), got); diff != "" || len(have) != len(got) {
			t.Fatalf("%d held, %s", len(have), diff)
		}
	})
}

// The fold of the events alone, as another process reads them, is the same call.
func TestReplayOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		record := conversation(t)
		c, d := newCall(), newCall()
		var events []Event
		for _, o := range []Observation{
			{At: at(1), Line: Ringing},
			{At: at(2), Opened: true, Words: record[:len(record)/2]},
			{At: at(3), Extent: SoFar, Words: record[len(record)/3:]},
			{At: at(9), Line: WrappingUp, Extent: Whole, Words: record},
		} {
			events = append(events, observing(t, c, o)...)
		}
		for _, e := range slices.Concat(events, events) {
			d.Apply(e)
		}
		if diff := cmp.Diff(visible(c), visible(d), inside()); diff != "" {
			t.Fatal(diff)
		}
	})
}
