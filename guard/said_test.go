package guard

import (
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// What a refusal says, and what it keeps to itself.
func TestWhatIsSaid(t *testing.T) {
	declined := func(by string) func(*Wish, *phone.Facts) {
		return func(_ *Wish, f *phone.Facts) {
			f.ToNumber = []*phone.Call{{Principal: by, Status: phone.StatusEnded, Outcome: phone.Declined, EndedAt: noon().Add(-time.Hour)}}
		}
	}
	for name, tt := range map[string]struct {
		change      func(*Wish, *phone.Facts)
		says, keeps string
	}{
		"declined":                  {declined("me"), "was declined", ""},
		"declined to somebody else": {declined("she"), "a short while ago", "declined"},
		"too dear, of any length":   {func(w *Wish, _ *phone.Facts) { w.Longest = time.Hour }, "The operator can raise it", "max_duration_seconds"},
		"too dear, could be short":  {func(w *Wish, _ *phone.Facts) { w.Longest, w.Bounded = time.Hour, true }, "max_duration_seconds", ""},
		"a person is asked":         {func(w *Wish, _ *phone.Facts) { w.CanAsk = true }, "a person is asked", "said no"},
		"a person has said no":      {func(w *Wish, f *phone.Facts) { w.CanAsk, f.Declined = true, true }, "said no", ""},
		"asked for on the line":     {func(_ *Wish, f *phone.Facts) { f.DoNotCall = &phone.Block{CallID: "c", Note: "n"} }, "asked not to be called again", ""},
		"the operator's entry":      {func(_ *Wish, f *phone.Facts) { f.DoNotCall = &phone.Block{Note: "her lawyer wrote"} }, "do-not-call list", "lawyer"},
	} {
		w, f := wanted(t), facts()
		tt.change(&w, &f)
		all := New(byDefault(t)).Judge(w, f)
		if len(all) != 1 || !strings.Contains(all[0].Message, tt.says) || tt.keeps != "" && strings.Contains(all[0].Message, tt.keeps) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}
