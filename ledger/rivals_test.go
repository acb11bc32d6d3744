package ledger

import (
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// unknown is a call of whose dial nobody knows.
func unknown(t *testing.T, l *Ledger, in Intent) Held {
	t.Helper()
	h := reserve(t, l, in)
	h, err := l.Unknown(t.Context(), h.ID, failure())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A refusal that comes twice, such as from two processes, is one end.
func TestARefusalTwiceIsOneEnd(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	for range 2 {
		got, err := l.Rejected(t.Context(), h.ID, failure())
		if err != nil || got.Seq != 1 {
			t.Errorf("%d events, %v", got.Seq, err)
		}
	}
}

// What a person has said of a call is not undone by the list.
func TestWhatAPersonHasSettledIsNotAdopted(t *testing.T) {
	l := fresh(t)
	h := unknown(t, l, wish(t, "+8613800138000", "", "p"))
	if _, err := l.Resolve(t.Context(), h.ID, true, "", nil); err != nil {
		t.Fatal(err)
	}
	got, _, err := l.Adopt(t.Context(), h.ID, []phone.Listed{{Ref: "r", Match: phone.Sure}})
	if err != nil || got.Dial != Unknown || got.Ref != "" || got.Seq != h.Seq+1 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Another dial to the number that goes on, or that is minutes old, could have led to the call on the list as well.
func TestRivalsOfALikeness(t *testing.T) {
	for name, rival := range map[string]func(l *Ledger, in Intent){
		"one under way": func(l *Ledger, in Intent) { reserve(t, l, in) },
		"an uncertain one, minutes before": func(l *Ledger, in Intent) {
			in.Call.CreatedAt = in.Call.CreatedAt.Add(-9 * time.Minute)
			unknown(t, l, in)
		},
		"an uncertain one, minutes after": func(l *Ledger, in Intent) {
			in.Call.CreatedAt = in.Call.CreatedAt.Add(9 * time.Minute)
			unknown(t, l, in)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := fresh(t)
			h := unknown(t, l, wish(t, "+8613800138000", "a", "p"))
			rival(l, wish(t, "+8613800138000", "b", "p"))
			if got, n, err := l.Adopt(t.Context(), h.ID, []phone.Listed{{Ref: "r", Match: phone.Likely}}); err != nil || n != 2 || got.Dial != Unknown {
				t.Errorf("%+v, %d, %v", got, n, err)
			}
		})
	}
}

// Two services may give two calls the same name.
func TestANameIsOneServicesOwn(t *testing.T) {
	l := fresh(t)
	first := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	if _, err := l.Placed(t.Context(), first.ID, "1"); err != nil {
		t.Fatal(err)
	}
	in := wish(t, "+8613800138001", "", "p")
	in.Call.Provider = "pamela"
	h := unknown(t, l, in)
	if got, n, err := l.Adopt(t.Context(), h.ID, []phone.Listed{{Ref: "1", Match: phone.Sure}}); err != nil || n != 1 || got.Ref != "1" {
		t.Errorf("%+v, %d, %v", got, n, err)
	}
}
