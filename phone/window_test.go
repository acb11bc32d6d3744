package phone

import (
	"testing"
	"time"
)

func TestParseWindow(t *testing.T) {
	for _, s := range []string{"09:00-20:00", "22:00-06:00", "00:00-24:00", "20:00-24:00", "23:59-00:00"} {
		w, err := ParseWindow(s)
		if err != nil || w.String() != s || w.IsZero() {
			t.Errorf("%s: %v, %v", s, w, err)
		}
	}
	for _, s := range []string{
		"", "9:00-20:00", "09:00", "09:00-20", "09:00-20:60", "24:00-09:00", "09:00-24:01", "09:00-09:00", "-1:00-20:00", "09:00-20:00 ",
		"09:00–20:00", "09.00-20.00", "0900-2000", "always", "+9:00-20:00", "09:00-+2:00",
	} {
		if w, err := ParseWindow(s); CodeOf(err) != Invalid {
			t.Errorf("%q: %v, %v", s, w, err)
		}
	}
}

func TestWindowHolds(t *testing.T) {
	at := func(clock string) time.Time {
		t.Helper()
		v, err := time.Parse("15:04:05.999", clock)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for span, moments := range map[string]map[string]bool{
		"09:00-20:00": {"08:59:59.9": false, "09:00:00": true, "19:59:59.9": true, "20:00:00": false, "00:00:00": false},
		"22:00-06:00": {"21:59:59": false, "22:00:00": true, "00:00:00": true, "05:59:59": true, "06:00:00": false},
		"00:00-24:00": {"00:00:00": true, "23:59:59.9": true},
	} {
		w, err := ParseWindow(span)
		if err != nil {
			t.Fatal(err)
		}
		for clock, want := range moments {
			if w.Holds(at(clock)) != want {
				t.Errorf("%s in %s: %v", clock, span, !want)
			}
		}
	}
}
