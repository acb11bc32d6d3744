package guard

import (
	"slices"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/nyaruka/phonenumbers/v2/timezone"
	"github.com/outdial/outdial/phone"
)

// Zones are the time zones (IANA names) in which a number may be; none if that is not known.
func Zones(n phone.Number) []string { return zonesOf(parse(n)) }

func zonesOf(parsed *phonenumbers.PhoneNumber) []string {
	if parsed == nil {
		return nil
	}
	zones, err := timezone.GetTimeZonesForNumber(parsed)
	if err != nil || len(zones) == 1 && zones[0] == timezone.Unknown {
		return nil
	}
	return zones
}

// zones keeps the tables of zones, each of which takes long to read.
type zones struct{ byName sync.Map }

// load gives the zones of these names; false if there are none, or one is not known here.
func (z *zones) load(names []string) ([]*time.Location, bool) {
	var all []*time.Location
	for _, name := range names {
		known, ok := z.byName.Load(name)
		if !ok {
			zone, err := time.LoadLocation(name)
			if err != nil || name == "" || name == "Local" {
				return nil, false
			}
			known, _ = z.byName.LoadOrStore(name, zone)
		}
		zone, ok := known.(*time.Location)
		if !ok {
			return nil, false
		}
		all = append(all, zone)
	}
	return all, len(all) > 0
}

// allowed says whether it is within the window in all zones.
func allowed(w phone.Window, zones []*time.Location, t time.Time) bool {
	return !slices.ContainsFunc(zones, func(z *time.Location) bool { return !w.Holds(t.In(z)) })
}

// next is the first moment after t at which it is within the window in all zones; zero if there is none within two days.
// A window opens by the clock on the wall, or because that clock is put forward or back.
func next(w phone.Window, zones []*time.Location, t time.Time) time.Time {
	var opens []time.Time
	for _, z := range zones {
		local := t.In(z)
		opens = append(opens, opening(w, local, 0)...)
		for _, change := range changes(local) {
			// An hour that comes twice opens the window twice, and of the two moments time.Date gives either.
			twice := back(change)
			opens = append(opens, change)
			opens = append(opens, opening(w, local, twice)...)
			opens = append(opens, opening(w, local, -twice)...)
		}
	}
	slices.SortFunc(opens, time.Time.Compare)
	for _, at := range opens {
		if at.After(t) && allowed(w, zones, at) {
			return at.UTC()
		}
	}
	return time.Time{}
}

// opening are the moments at which a window opens from the day of a local time on, so much later.
func opening(w phone.Window, local time.Time, later time.Duration) []time.Time {
	y, m, d := local.Date()
	var all []time.Time
	for day := range 3 {
		all = append(all, time.Date(y, m, d+day, 0, int(w.From/time.Minute), 0, 0, local.Location()).Add(later))
	}
	return all
}

// changes are the moments near a local time at which the clock there is put forward or back.
func changes(local time.Time) []time.Time {
	last, coming := local.ZoneBounds()
	return slices.DeleteFunc([]time.Time{last, coming}, func(t time.Time) bool { return t.IsZero() || t.Sub(local).Abs() > 48*time.Hour })
}

// back is how far the clock on the wall is put back at a change.
func back(change time.Time) time.Duration {
	_, before := change.Add(-time.Second).Zone()
	_, after := change.Zone()
	return time.Duration(before-after) * time.Second
}
