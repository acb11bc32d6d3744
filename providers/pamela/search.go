package pamela

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// search is one search through the list of calls. What the list tells of a call beside its id is not documented, so a call
// is ruled out only by what cannot be otherwise.
type search struct {
	order    phone.Order
	from, to time.Time // in which the call was created, by the service's clock and ours

	listed    int // items so far
	different int // those of them that came for the first time
	seen      map[phone.Ref]bool
	found     []phone.Listed
	shows     bool // the list shows our identifiers: a call without one is not ours
}

// How far a time may be off.
const (
	apart = 10 * time.Minute // the clocks of one service's machines
	zones = 26 * time.Hour   // a time that does not say of which zone it is
)

func newSearch(o phone.Order, about time.Time) *search {
	return &search{order: o, from: about.Add(-before), to: about.Add(after), seen: map[phone.Ref]bool{}}
}

// clocks widens the time in which the call was created by as much as the service's clock differs from ours.
func (s *search) clocks(answer http.Header, now time.Time) {
	theirs, err := http.ParseTime(answer.Get("Date"))
	if err != nil {
		return
	}
	if skew := theirs.Sub(now); skew < 0 {
		s.from = s.from.Add(skew)
	} else {
		s.to = s.to.Add(skew)
	}
}

// add looks through one more page and says whether the call was found, or the list seen whole or as far back as it can
// stand. Neither that the list begins with the newest is documented, nor that it is read on as it was asked, so a page must
// show it.
func (s *search) add(p page) (done bool) {
	fresh := s.listed == 0 || slices.ContainsFunc(p.items, func(item upstream.Object) bool {
		ref := reference(item)
		return ref != "" && !s.seen[ref]
	})
	if s.listed += len(p.items); !fresh {
		return len(p.items) == 0 // the same page again shows nothing of the rest
	}
	for _, item := range p.items {
		ref := reference(item)
		if ref != "" && s.seen[ref] {
			continue
		}
		s.seen[ref] = true
		s.different++
		s.look(ref, item)
	}
	// A full page is never taken for the last one, whatever total says.
	all := len(p.items) < pageSize && (p.total > 0 && s.different >= p.total || p.total == 0 && len(p.items) < leastPage)
	return len(p.items) == 0 || all || s.passed(p.items) || slices.ContainsFunc(s.found, sure)
}

// look judges one call of the list: by the identifier that a dial sends, else by its number and its time.
func (s *search) look(ref phone.Ref, item upstream.Object) {
	intent := intentOf(item)
	s.shows = s.shows || intent != ""
	called, another := s.number(item)
	then, never := s.time(item)
	switch {
	case intent != "" && intent == s.order.CallID: // it is there, even if its name cannot be read
		s.found = append(s.found, phone.Listed{Ref: ref, Match: phone.Sure})
	case intent != "" || another || never:
	case ref != "" && called && then:
		s.found = append(s.found, phone.Listed{Ref: ref, Match: phone.Likely})
	default:
		s.found = append(s.found, phone.Listed{Ref: ref, Match: phone.Possible})
	}
}

// number says whether a call is surely to the order's number, or surely to another one.
func (s *search) number(item upstream.Object) (called, another bool) {
	for _, name := range []string{"to", "to_number", "phone_number"} {
		n, err := phone.ParseNumber(unformatted(item.Text(name)), s.order.To.Region())
		if err != nil {
			continue
		}
		called = called || n == s.order.To
		another = another || n != s.order.To && name != "phone_number" // which may be the one that calls
	}
	return called, another && !called
}

// time says whether a call was created when the order was dialed, or surely at another time.
func (s *search) time(item upstream.Object) (then, never bool) {
	created, off := item.Time("created_at"), apart
	if created.IsZero() {
		return false, false
	}
	if _, err := time.Parse(time.RFC3339Nano, item.Text("created_at")); err != nil {
		off = zones
	}
	return !created.Before(s.from) && !created.After(s.to), created.Before(s.from.Add(-off)) || created.After(s.to.Add(off))
}

// unformatted takes out of a number what only makes it easier to read.
func unformatted(number string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()", r) {
			return -1
		}
		return r
	}, number)
}

// passed says whether a page, from the newest call to the oldest, reaches back beyond the time in which the call was created.
func (s *search) passed(items []upstream.Object) bool {
	for i := range items {
		at := items[i].Time("created_at")
		if at.IsZero() || i > 0 && at.After(items[i-1].Time("created_at")) {
			return false
		}
	}
	last := items[len(items)-1]
	_, gone := s.time(last)
	return gone && last.Time("created_at").Before(s.from)
}

func sure(c phone.Listed) bool { return c.Match == phone.Sure }

// result leaves out what only seemed to fit.
func (s *search) result() []phone.Listed {
	if s.shows || slices.ContainsFunc(s.found, sure) {
		return slices.DeleteFunc(s.found, func(c phone.Listed) bool { return !sure(c) })
	}
	return s.found
}

// intentOf is our identifier among a listed call's metadata.
func intentOf(item upstream.Object) string {
	if packed, ok := item["metadata"].(string); ok {
		o, _ := upstream.Parse([]byte(packed))
		return o.Text(intentKey)
	}
	return item.Object("metadata").Text(intentKey)
}
