package schema_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"pgregory.net/rapid"
)

// Whoever asks on with next_seq, and puts each turn that is new to them where it says, has the conversation in its order,
// however late its parts have come.
func TestTurnsAreInTheirPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
		var record []phone.Words
		var reports []phone.Observation
		for i := range rapid.IntRange(1, 8).Draw(t, "turns") {
			record = append(record, phone.Words{Role: phone.Callee, Text: fmt.Sprint("turn ", i), Final: true})
			reports = append(reports, phone.Observation{At: at, Extent: phone.Update, Told: at.Add(time.Duration(i) * time.Second), Words: record[i : i+1]})
		}
		lacks := rapid.IntRange(0, len(record)).Draw(t, "lacks") // of the record
		c := phone.Begin("call_1", "local", "p", "", phone.Order{}, at)
		var read []schema.Turn
		var cursor int64
		look := func() {
			w := schema.FromCallSince(c, cursor)
			for _, turn := range w.Turns {
				i := slices.IndexFunc(read, func(o schema.Turn) bool { return o.Turn == turn.Turn })
				switch {
				case i >= 0 && turn.Withdrawn:
					read = slices.Delete(read, i, i+1)
				case i >= 0:
					read[i] = turn
				case turn.Withdrawn:
				case turn.After == nil:
					read = append(read, turn)
				default:
					read = slices.Insert(read, 1+slices.IndexFunc(read, func(o schema.Turn) bool { return o.Turn == *turn.After }), turn)
				}
			}
			cursor = w.NextSeq
		}
		for _, o := range append(rapid.Permutation(reports).Draw(t, "order"), phone.Observation{
			At: at, Line: phone.WrappingUp, Extent: phone.Whole, Outcome: phone.Completed, Words: slices.Delete(slices.Clone(record), lacks, min(lacks+1, len(record))),
		}) {
			for _, e := range c.Observe(o) {
				c.Apply(e)
			}
			if rapid.Bool().Draw(t, "look") {
				look()
			}
		}
		look()
		var got, want []string
		for _, turn := range read {
			got = append(got, turn.Text)
		}
		for _, turn := range c.Spoken() {
			want = append(want, turn.Text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}
