package guard

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/outdial/outdial/phone"
)

// Emergency refuses emergency numbers by the digits alone, before anything else is looked at: written nationally, those of
// region, or of every region where none is set; with a calling code, those of every region that shares it. No such number
// is a valid telephone number, so it would otherwise pass for a slip of the pen.
func Emergency(written, region string) (Refusal, bool) {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, written)
	const longest = 3 + 6 // of a calling code and an emergency number
	if digits == "" || len(digits) > longest {
		return Refusal{}, false
	}
	international := strings.HasPrefix(written, "+")
	if region != "" && !international {
		return emergency(), phonenumbers.IsEmergencyNumber(digits, region)
	}
	for r := range phonenumbers.GetSupportedRegions() {
		if phonenumbers.IsEmergencyNumber(digits, r) {
			return emergency(), true
		}
	}
	for n := 1; international && n <= 3 && n < len(digits); n++ {
		calling, err := strconv.Atoi(digits[:n])
		if err != nil {
			break
		}
		for _, r := range phonenumbers.GetRegionCodesForCountryCode(calling) {
			if phonenumbers.IsEmergencyNumber(digits[n:], r) {
				return emergency(), true
			}
		}
	}
	return Refusal{}, false
}

func emergency() Refusal {
	return Refusal{Code: "emergency_number", Message: "This is an emergency number. outdial never calls one: a person has to dial it."}
}

// region refuses the numbers of regions that the provider does not cover, or that the operator has left out, and those of no
// country, which no list can name.
func (g *Guard) region(w Wish, _ phone.Facts) *Refusal {
	region := w.To.Region()
	switch {
	case len(w.Regions) > 0 && !slices.Contains(w.Regions, region):
		return refuse("%s does not call %s; it calls %s.", w.Title, where(region), strings.Join(w.Regions, ", "))
	case len(g.Regions) > 0 && !slices.Contains(g.Regions, region):
		return refuse("The operator allows no calls to %s.", where(region))
	case region == "" || region == "001":
		return refuse("Numbers of no country, such as those of satellites, are not called.")
	}
	return nil
}

// numberType refuses numbers that cost more than a call should, or reach no person.
func (g *Guard) numberType(w Wish, f phone.Facts) *Refusal {
	t := kind(w.parsed)
	switch {
	case slices.Contains(callable(), t), f.Contact != nil && (t == "UAN" || t == "SHARED_COST"):
		return nil
	case t == "UAN" || t == "SHARED_COST":
		return refuse("Numbers of the type %s, such as service lines, are called only where the operator has entered this one among the contacts.", t)
	}
	return refuse("Numbers of the type %s are not called: they cost more than a call should, or reach no person.", t)
}

func where(region string) string {
	if region == "" || region == "001" {
		return "numbers of no country"
	}
	return region
}

// callable are the types that may always be called.
func callable() []string {
	return []string{"FIXED_LINE", "MOBILE", "FIXED_LINE_OR_MOBILE", "VOIP", "TOLL_FREE"}
}

// Type is the number's type in libphonenumber's words, such as MOBILE or PREMIUM_RATE.
//
// Two kinds of North American numbers look like any other to the library and are charged for: the exchange 976
// (pay-per-call) and 555-1212 (directory assistance). They are PREMIUM_RATE here.
func Type(n phone.Number) string { return kind(parse(n)) }

// parse is a number as the library has it; nil for none that it can read.
func parse(n phone.Number) *phonenumbers.PhoneNumber {
	parsed, err := phonenumbers.Parse(n.E164(), "")
	if err != nil {
		return nil
	}
	return parsed
}

func kind(parsed *phonenumbers.PhoneNumber) string {
	if parsed == nil {
		return "UNKNOWN"
	}
	if local := phonenumbers.GetNationalSignificantNumber(parsed); parsed.GetCountryCode() == 1 && len(local) == 10 && (local[3:6] == "976" || local[3:] == "5551212") {
		return "PREMIUM_RATE"
	}
	switch phonenumbers.GetNumberType(parsed) {
	case phonenumbers.FIXED_LINE:
		return "FIXED_LINE"
	case phonenumbers.MOBILE:
		return "MOBILE"
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return "FIXED_LINE_OR_MOBILE"
	case phonenumbers.TOLL_FREE:
		return "TOLL_FREE"
	case phonenumbers.PREMIUM_RATE:
		return "PREMIUM_RATE"
	case phonenumbers.SHARED_COST:
		return "SHARED_COST"
	case phonenumbers.VOIP:
		return "VOIP"
	case phonenumbers.PERSONAL_NUMBER:
		return "PERSONAL_NUMBER"
	case phonenumbers.PAGER:
		return "PAGER"
	case phonenumbers.UAN:
		return "UAN"
	case phonenumbers.VOICEMAIL:
		return "VOICEMAIL"
	}
	return "UNKNOWN"
}
