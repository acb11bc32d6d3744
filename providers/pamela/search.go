package pamela

import (
	"net/http"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// search is one search through the list of calls. What the list tells of a call is not documented but for its id, so a call
// that can be neither recognized nor ruled out keeps the search from showing anything.
type search struct {
	order    phone.Order
	from, to time.Time

	listed         int // items so far
	seen           map[phone.Ref]bool
	ours, probable []phone.Ref
	unclear        int // items of which the list tells too little
}

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

// add looks through one more page and says whether the list has been seen as far back as the call can stand. A full page
// is never taken for the last one, whatever total says.
func (s *search) add(p page) (done bool) {
	s.listed += len(p.items)
	fresh := false
	for _, item := range p.items {
		ref := reference(item)
		if ref != "" && s.seen[ref] {
			continue
		}
		fresh, s.seen[ref] = true, true
		s.look(ref, item)
	}
	return len(p.items) == 0 || s.passed(p.items) ||
		len(p.items) < pageSize && (!fresh || s.listed >= p.total && p.total > 0)
}

// look judges one call of the list. Where the list shows what a call carries, ours carries its identifier; where it does
// not, the number and the time must do.
func (s *search) look(ref phone.Ref, item upstream.Object) {
	created := item.Time("created_at")
	to, err := phone.ParseNumber(unformatted(item.Text("to", "to_number", "phone_number")), s.order.To.Region())
	switch {
	case ref != "" && intentOf(item) == s.order.CallID && s.order.CallID != "":
		s.ours = append(s.ours, ref)
	case item["metadata"] != nil:
	case err == nil && to != s.order.To:
	case !created.IsZero() && (created.Before(s.from) || created.After(s.to)):
	case ref != "" && err == nil && !created.IsZero():
		s.probable = append(s.probable, ref)
	default:
		s.unclear++
	}
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
	first, last := items[0].Time("created_at"), items[len(items)-1].Time("created_at")
	return !last.IsZero() && last.Before(s.from) && !first.Before(last)
}

// found are the calls that carry our identifier, else those that may be the order's.
func (s *search) found() []phone.Ref {
	if len(s.ours) > 0 {
		return s.ours
	}
	return s.probable
}

// intentOf is our identifier among a listed call's metadata.
func intentOf(item upstream.Object) string {
	if packed, ok := item["metadata"].(string); ok {
		o, _ := upstream.Parse([]byte(packed))
		return o.Text(intentKey)
	}
	return item.Object("metadata").Text(intentKey)
}
