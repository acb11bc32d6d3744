package phone

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Window is a span of the day, by the clock on the wall: from From, until just before To. One whose To comes first crosses
// midnight. The zero Window is none.
type Window struct{ From, To time.Duration } // since midnight; To is 24 hours at most

// ParseWindow reads "09:00-20:00". 24:00 is the day's end. Errors: invalid.
func ParseWindow(s string) (Window, error) {
	from, to, _ := strings.Cut(s, "-")
	f, ferr := clock(from)
	t, terr := clock(to)
	if ferr != nil || terr != nil || f == 24*time.Hour || f == t {
		return Window{}, Errorf(Invalid, "%q is not a span of the day such as 09:00-20:00; 00:00-24:00 is all of it.", s)
	}
	return Window{f, t}, nil
}

// clock reads a time of the day.
func clock(s string) (time.Duration, error) {
	if s == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", s)
	if err == nil && len(s) != len("15:04") {
		err = strconv.ErrSyntax
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, err
}

// IsZero says whether it is none.
func (w Window) IsZero() bool { return w == Window{} }

// Holds says whether the clock on the wall, where t is, stands within the window.
func (w Window) Holds(t time.Time) bool {
	h, m, s := t.Clock()
	at := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
	if w.From < w.To {
		return w.From <= at && at < w.To
	}
	return w.From <= at || at < w.To
}

// String is "09:00-20:00"; empty for none.
func (w Window) String() string {
	if w.IsZero() {
		return ""
	}
	reads := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60) }
	return reads(w.From) + "-" + reads(w.To)
}
