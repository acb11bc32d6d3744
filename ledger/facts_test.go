package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// at is a wish as of another moment.
func (in Intent) at(t time.Time) Intent {
	in.Call.CreatedAt = t
	return in
}

func (in Intent) by(principal string) Intent {
	in.Call.Principal = principal
	return in
}

func (in Intent) costing(perMinute, worst int64) Intent {
	in.Call.PerMinute, in.Call.Worst = phone.Micros(perMinute, "USD"), phone.Micros(worst, "USD")
	return in
}

// about are the facts for a call to a number.
func about(t *testing.T, l *Ledger, number string) phone.Facts {
	t.Helper()
	f, err := l.Facts(t.Context(), wish(t, number, "", "").costing(1, 1).Call)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// over ends a call with what its provider tells.
func over(t *testing.T, l *Ledger, in Intent, o phone.Observation) *phone.Call {
	t.Helper()
	h := reserve(t, l, in)
	h, err := l.Placed(t.Context(), h.ID, phone.Ref("r"+h.ID))
	if err != nil {
		t.Fatal(err)
	}
	o.Line, o.Extent = phone.WrappingUp, phone.Whole
	if err := observe(t, l, &h, o); err != nil {
		t.Fatal(err)
	}
	return h.Call
}

func TestFacts(t *testing.T) {
	l := fresh(t)
	const a, b, c = "+8613800138000", "+8613800138001", "+8613800138002"
	begun := now()
	ago := func(d time.Duration) time.Time { return begun.Add(-d) }
	completed := phone.Observation{Outcome: phone.Completed}

	if f := about(t, l, a); f.Known || f.Contact != nil || f.DoNotCall != nil || f.Heard || f.Approved || f.Off != "" ||
		len(f.ToNumber)+len(f.Open)+len(f.Placed)+len(f.Met)+len(f.Faults)+len(f.Refused)+len(f.Spent) > 0 {
		t.Fatalf("facts of an empty ledger: %+v", f)
	}
	over(t, l, wish(t, a, "1", "p").at(ago(25*time.Hour)), completed)
	over(t, l, wish(t, a, "2", "p").at(ago(2*time.Hour)), completed)
	over(t, l, wish(t, b, "3", "p").at(ago(time.Hour)).by("she"), completed)
	over(t, l, wish(t, b, "4", "p").at(ago(5*time.Minute)), phone.Observation{Outcome: phone.Failed})
	going := reserve(t, l, wish(t, c, "5", "p").at(ago(time.Minute)))
	gone := reserve(t, l, wish(t, c, "6", "p").at(ago(30*time.Second)))
	if _, err := l.Rejected(t.Context(), gone.ID, &phone.Failure{Code: phone.Unavailable}); err != nil {
		t.Fatal(err)
	}
	slip := reserve(t, l, wish(t, c, "7", "p").at(ago(20*time.Second)))
	if _, err := l.Rejected(t.Context(), slip.ID, &phone.Failure{Code: phone.Invalid}); err != nil {
		t.Fatal(err)
	}
	simulated := wish(t, a, "8", "p")
	simulated.Call.Simulated = true
	reserve(t, l, simulated)

	f := about(t, l, a)
	if !f.Known || len(f.ToNumber) != 2 || len(f.Open) != 1 || f.Open[0].ID != going.ID {
		t.Errorf("known %v, %d to the number, open %+v", f.Known, len(f.ToNumber), f.Open)
	}
	if len(f.Placed) != 3 || !f.Placed[0].Equal(going.CreatedAt) {
		t.Errorf("placed: %v", f.Placed)
	}
	if len(f.Met) != 2 || !f.Met[0].Equal(going.CreatedAt) || !f.Met[1].Equal(ago(5*time.Minute)) {
		t.Errorf("new numbers: %v", f.Met)
	}
	if len(f.Faults) != 2 || !f.Faults[0].Equal(ago(5*time.Minute)) {
		t.Errorf("faults: %v", f.Faults)
	}
	if f := about(t, l, b); len(f.ToNumber) != 2 || f.ToNumber[0].Principal != "local" || f.ToNumber[1].Principal != "she" {
		t.Errorf("to the other number: %+v", f.ToNumber)
	}
	asShe, err := l.Facts(t.Context(), wish(t, a, "", "").by("she").Call)
	if err != nil || asShe.Known || len(asShe.Placed) != 1 || len(asShe.Open) != 1 || len(asShe.ToNumber) != 2 {
		t.Errorf("somebody else's: %+v, %v", asShe, err)
	}
	if err := l.SaveContact(t.Context(), phone.Contact{Number: going.Order.To, Name: "Ann", AddedAt: begun}); err != nil {
		t.Fatal(err)
	}
	if f := about(t, l, a); len(f.Met) != 1 {
		t.Errorf("a contact counts as a new number: %v", f.Met)
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	l := fresh(t)
	begun := now()
	for _, d := range []time.Duration{21 * time.Minute, 19 * time.Minute, 4 * time.Minute, time.Minute} {
		if err := l.Refused(t.Context(), "local", false, begun.Add(-d)); err != nil {
			t.Fatal(err)
		}
	}
	for who, simulated := range map[string]bool{"she": false, "local": true} {
		if err := l.Refused(t.Context(), who, simulated, begun); err != nil {
			t.Fatal(err)
		}
	}
	if f := about(t, l, "+8613800138000"); len(f.Refused) != 3 || !slices.IsSortedFunc(f.Refused, time.Time.Compare) {
		t.Errorf("%v", f.Refused)
	}
}

// Dialing is switched off for every process on the ledger at once.
func TestSwitchDialing(t *testing.T) {
	l := fresh(t)
	for _, why := range []string{"somebody complained", "again", ""} {
		if err := l.SwitchDialing(t.Context(), why); err != nil {
			t.Fatal(err)
		}
		if got, err := l.WhyOff(t.Context()); err != nil || got != why || about(t, l, "+8613800138000").Off != why {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// What a call counts for: its worst case until it is known better.
func TestCharges(t *testing.T) {
	minute := func(s int) *time.Duration { d := time.Duration(s) * time.Second; return &d }
	cost := func(n int64, currency string) *phone.Cost { return &phone.Cost{Money: phone.Micros(n, currency)} }
	for name, tt := range map[string]struct {
		end  phone.Observation
		want int64
	}{
		"its cost":                          {phone.Observation{Outcome: phone.Completed, Duration: minute(61), Cost: cost(150, "USD")}, 150},
		"its cost, above the worst case":    {phone.Observation{Outcome: phone.Completed, Cost: cost(5000, "USD")}, 5000},
		"a cost that is our reckoning":      {phone.Observation{Outcome: phone.Completed, Duration: minute(61), Cost: &phone.Cost{Money: phone.Micros(1, "USD"), Estimated: true}}, 200},
		"a cost below nothing":              {phone.Observation{Outcome: phone.Completed, Cost: cost(-50, "USD")}, 0},
		"talked, then cancelled":            {phone.Observation{Outcome: phone.Cancelled, StartedAt: time.Now()}, 1000},
		"a cost in another currency":        {phone.Observation{Outcome: phone.Completed, Duration: minute(61), Cost: cost(150, "CNY")}, 200},
		"by its minutes":                    {phone.Observation{Outcome: phone.Completed, Duration: minute(120)}, 200},
		"a minute at least":                 {phone.Observation{Outcome: phone.NoAnswer, Duration: minute(0)}, 100},
		"a minute where nothing is told":    {phone.Observation{Outcome: phone.NoAnswer}, 100},
		"they talked, who knows how long":   {phone.Observation{Outcome: phone.Completed}, 1000},
		"nobody knows what became of it":    {phone.Observation{Outcome: phone.UnknownOutcome}, 1000},
		"nobody knows, but how long it was": {phone.Observation{Outcome: phone.UnknownOutcome, Duration: minute(30)}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			l := fresh(t)
			in := wish(t, "+8613800138000", "", "p").costing(100, 1000)
			if spentNow(t, l) != 0 {
				t.Fatal("an empty ledger has spent something")
			}
			h := reserve(t, l, in)
			if got := spentNow(t, l); got != 1000 {
				t.Errorf("while it is dialed: %d", got)
			}
			h, err := l.Placed(t.Context(), h.ID, "r")
			if err != nil || spentNow(t, l) != 1000 {
				t.Fatalf("%v; while it goes on: %d", err, spentNow(t, l))
			}
			tt.end.Line, tt.end.Extent = phone.WrappingUp, phone.Whole
			if err := observe(t, l, &h, tt.end); err != nil {
				t.Fatal(err)
			}
			if got := spentNow(t, l); got != tt.want {
				t.Errorf("%d", got)
			}
			if back, err := l.Call(t.Context(), "local", h.ID); err != nil || back.Worst != in.Call.Worst || back.PerMinute != in.Call.PerMinute {
				t.Errorf("%+v, %v", back.Call, err)
			}
		})
	}
	l := fresh(t)
	unknown := reserve(t, l, wish(t, "+8613800138000", "", "p").costing(100, 1000))
	if _, err := l.Unknown(t.Context(), unknown.ID, &phone.Failure{Code: phone.Uncertain}); err != nil || spentNow(t, l) != 1000 {
		t.Errorf("an uncertain dial keeps %d, %v", spentNow(t, l), err)
	}
	if _, err := l.Resolve(t.Context(), unknown.ID, true, "", nil); err != nil || spentNow(t, l) != 1000 {
		t.Errorf("one that was dialed keeps %d, %v", spentNow(t, l), err)
	}
	never := reserve(t, l, wish(t, "+8613800138001", "", "p").costing(100, 1000))
	if _, err := l.Rejected(t.Context(), never.ID, &phone.Failure{Code: phone.Unavailable}); err != nil || spentNow(t, l) != 1000 {
		t.Errorf("one that was not adds up to %d, %v", spentNow(t, l), err)
	}
}

// spentNow is all that counts for the month.
func spentNow(t *testing.T, l *Ledger) (sum int64) {
	t.Helper()
	for _, c := range about(t, l, "+8613800138009").Spent {
		sum += c.Money.Micros()
	}
	return sum
}

// Charges are told by the hour, each as of its last call, and each currency by itself.
// What a principal has spent itself is of its own calls of a day, in the same currency.
func TestSpentByThePrincipal(t *testing.T) {
	l := fresh(t)
	for i, tt := range []struct {
		who string
		ago time.Duration
	}{{"local", time.Hour}, {"token:ann", time.Hour}, {"local", 25 * time.Hour}, {"local", 3 * time.Hour}} {
		in := wish(t, "+8613800138000", string(rune('a'+i)), "p").at(now().Add(-tt.ago)).costing(1, 10)
		in.Call.Principal = tt.who
		over(t, l, in, phone.Observation{Outcome: phone.UnknownOutcome})
	}
	own := int64(0)
	for _, c := range about(t, l, "+8613800138000").Own {
		own += c.Money.Micros()
	}
	if own != 20 {
		t.Errorf("the principal's own come to %d", own)
	}
}

func TestSpentByTheHour(t *testing.T) {
	l := fresh(t)
	hour := now().Truncate(time.Hour)
	for i, d := range []time.Duration{31 * 24 * time.Hour, 29 * 24 * time.Hour, 3*time.Hour - time.Minute, 3*time.Hour - 2*time.Minute, 2 * time.Hour} {
		over(t, l, wish(t, "+8613800138000", string(rune('a'+i)), "p").at(hour.Add(-d)).costing(1, 10), phone.Observation{Outcome: phone.UnknownOutcome})
	}
	other := wish(t, "+8613800138000", "z", "p").at(hour.Add(-time.Hour))
	other.Call.Worst = phone.Micros(7, "CNY")
	reserve(t, l, other)
	got := about(t, l, "+8613800138000").Spent
	if len(got) != 3 || got[0].Money != phone.Micros(10, "USD") || got[1].Money != phone.Micros(20, "USD") || got[2].Money != phone.Micros(10, "USD") || !got[1].At.Equal(hour.Add(-3*time.Hour+2*time.Minute)) {
		t.Errorf("%v", got)
	}
}

// A number is new to whoever has not rung it before: what others did, what was rehearsed and what was never dialed make it
// no older.
func TestNewNumbers(t *testing.T) {
	l := fresh(t)
	begun := now()
	const theirs, slipped, rehearsed, old, never, played = "+8613800138000", "+8613800138001", "+8613800138002", "+8613800138003", "+8613800138004", "+8613800138005"
	place := func(number string, before time.Duration, change func(*phone.Call)) Held {
		t.Helper()
		in := wish(t, number, number+before.String(), "p").at(begun.Add(-before))
		if change != nil {
			change(in.Call)
		}
		return reserve(t, l, in)
	}
	slip := func(h Held) {
		t.Helper()
		if _, err := l.Rejected(t.Context(), h.ID, &phone.Failure{Code: phone.Unavailable}); err != nil {
			t.Fatal(err)
		}
	}
	simulated := func(c *phone.Call) { c.Simulated = true }
	place(theirs, 25*time.Hour, func(c *phone.Call) { c.Principal = "she" })
	slip(place(slipped, 25*time.Hour, nil))
	place(rehearsed, 25*time.Hour, simulated)
	place(old, 25*time.Hour, nil)
	for i, number := range []string{theirs, slipped, rehearsed, old} {
		place(number, time.Duration(i+1)*time.Hour, nil)
	}
	place(theirs, 30*time.Minute, nil) // it is new as of the first call
	slip(place(never, time.Minute, nil))
	place(played, time.Minute, simulated)

	f := about(t, l, theirs)
	var hours []time.Duration
	for _, at := range f.Met {
		hours = append(hours, begun.Sub(at))
	}
	if want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}; !slices.Equal(hours, want) {
		t.Errorf("new numbers: %v", hours)
	}
	for number, want := range map[string]bool{theirs: true, old: true, never: false, played: false} {
		if got := about(t, l, number).Known; got != want {
			t.Errorf("%s is known: %v", number, got)
		}
	}
}

// What happened in rehearsals counts for rehearsals.
func TestRehearsalsCountForThemselves(t *testing.T) {
	l := fresh(t)
	in := wish(t, "+8613800138000", "", "p").costing(100, 1000)
	in.Call.Simulated = true
	over(t, l, in, phone.Observation{Outcome: phone.Failed})
	going := wish(t, "+8613800138001", "", "p").costing(100, 1000)
	going.Call.Simulated = true
	reserve(t, l, going)
	rehearsed, err := l.Facts(t.Context(), in.Call)
	if err != nil {
		t.Fatal(err)
	}
	counts := func(f phone.Facts) []int {
		return []int{len(f.ToNumber), len(f.Open), len(f.Placed), len(f.Met), len(f.Faults), len(f.Spent)}
	}
	if got := counts(rehearsed); !rehearsed.Known || !slices.Equal(got, []int{1, 1, 2, 2, 1, 1}) {
		t.Errorf("a rehearsal: known %v, %v", rehearsed.Known, got)
	}
	if real := about(t, l, "+8613800138000"); real.Known || !slices.Equal(counts(real), make([]int, 6)) {
		t.Errorf("a real call: known %v, %v", real.Known, counts(real))
	}
}

// Records that may yet come are those of the last day's calls to the number that were given up without one.
func TestLate(t *testing.T) {
	l := fresh(t)
	const to = "+8613800138000"
	lost := func(number, key string, before time.Duration) string {
		t.Helper()
		h := reserve(t, l, wish(t, number, key, "p").at(now().Add(-before)))
		h, err := l.Placed(t.Context(), h.ID, phone.Ref(h.ID))
		if err != nil {
			t.Fatal(err)
		}
		after, events := h.Clone(), h.Settle(now())
		for _, e := range events {
			after.Apply(e)
		}
		if err := l.Append(t.Context(), after, h.Epoch, events); err != nil {
			t.Fatal(err)
		}
		return h.ID
	}
	lost(to, "1", 25*time.Hour)
	want := []string{lost(to, "3", time.Hour), lost(to, "2", 23*time.Hour)}
	lost("+8613800138001", "4", time.Hour)
	over(t, l, wish(t, to, "5", "p"), phone.Observation{Outcome: phone.Completed, Summary: "x"})
	reserve(t, l, wish(t, to, "6", "p"))
	all, err := l.Late(t.Context(), number(t, to), now())
	var got []string
	for _, h := range all {
		got = append(got, h.ID)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, not %v; %v", got, want, err)
	}
}
