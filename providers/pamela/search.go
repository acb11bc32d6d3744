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

	listed int // items so far
	seen   map[phone.Ref]bool
	found  []phone.Listed
	shows  bool // the list shows our identifiers: a call without one is not ours
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

// add looks through one more page and says whether the call was found, or the list seen as far back as it can stand. A full page
// is never taken for the last one, whatever total says.
func (s *search) add(p page) (done bool) {
	s.listed += len(p.items)
	fresh := false
	for _, item := range p.items {
		ref := reference(item)
		if s.seen[ref] {
			continue
		}
		fresh, s.seen[ref] = true, true
		s.look(ref, item)
	}
	return len(p.items) == 0 || s.passed(p.items) || slices.ContainsFunc(s.found, sure) ||
		len(p.items) < pageSize && (!fresh || s.listed >= p.total && p.total > 0)
}

// look judges one call of the list: by the identifier that a dial sends, else by its number and its time.
func (s *search) look(ref phone.Ref, item upstream.Object) {
	intent := intentOf(item)
	s.shows = s.shows || intent != ""
	called, another := s.number(item)
	then, never := s.time(item)
	switch {
	case ref != "" && intent != "" && intent == s.order.CallID:
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

// passed says whether a page reaches back beyond the time in which the call was created. That a list begins with the
// newest is not documented, so a page must show it.
func (s *search) passed(items []upstream.Object) bool {
	_, gone := s.time(items[len(items)-1])
	first, last := items[0].Time("created_at"), items[len(items)-1].Time("created_at")
	return gone && last.Before(s.from) && !first.Before(last)
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
