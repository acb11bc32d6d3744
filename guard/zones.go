package guard

import (
	"github.com/nyaruka/phonenumbers/v2"
	"github.com/nyaruka/phonenumbers/v2/timezone"
	"github.com/outdial/outdial/phone"
)

// Zones are the time zones (IANA names) in which a number may be; none if that is not known.
func Zones(n phone.Number) []string {
	parsed, err := phonenumbers.Parse(n.E164(), "")
	if err != nil {
		return nil
	}
	zones, err := timezone.GetTimeZonesForNumber(parsed)
	if err != nil || len(zones) == 1 && zones[0] == timezone.Unknown {
		return nil
	}
	return zones
}
