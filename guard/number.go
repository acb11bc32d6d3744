package guard

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/outdial/outdial/phone"
)

// Policy is what the operator has decided.
type Policy struct {
	Regions []string // ISO 3166-1 alpha-2 codes that may be called at all; empty: every region that a provider covers
}

// Route is how a number would be called.
type Route struct {
	Provider string
	Regions  []string // that the provider covers; empty: all
	Exempt   bool     // it rings nobody: only the rules on the number's form and type hold
}

// Refusal is one rule that forbids a call.
type Refusal struct {
	Code      string // of the rule, such as "emergency_number"
	Message   string
	AllowedAt time.Time // when it would be allowed; zero where time does not help
	CallID    string    // the earlier call that it is about, where there is one
}

// Err is the refusal as an error.
func (r Refusal) Err() error {
	code := phone.Refused
	if r.Code == "bad_number" || r.Code == "invalid_number" {
		code = phone.Invalid
	}
	return &phone.Error{Code: code, Reason: r.Code, Message: r.Message, RetryAt: r.AllowedAt, CallID: r.CallID}
}

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

// Number gives every rule that forbids a number on a route, in the order of the rules; none if it may be called.
func (p Policy) Number(n phone.Number, by Route) []Refusal {
	var all []Refusal
	region := n.Region()
	if !by.Exempt {
		switch {
		case len(by.Regions) > 0 && !slices.Contains(by.Regions, region):
			all = append(all, Refusal{Code: "region_not_allowed", Message: fmt.Sprintf("%s does not call %s; it calls %s.", by.Provider, where(region), strings.Join(by.Regions, ", "))})
		case len(p.Regions) > 0 && !slices.Contains(p.Regions, region):
			all = append(all, Refusal{Code: "region_not_allowed", Message: fmt.Sprintf("The operator allows no calls to %s (OUTDIAL_REGIONS).", where(region))})
		}
	}
	if t := Type(n); !slices.Contains(callable(), t) {
		all = append(all, Refusal{Code: "number_type", Message: fmt.Sprintf("Numbers of the type %s are not called: they cost more than a call should, or reach no person.", t)})
	}
	return all
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
func Type(n phone.Number) string {
	if local, ok := strings.CutPrefix(n.E164(), "+1"); ok && len(local) == 10 && (local[3:6] == "976" || local[3:] == "5551212") {
		return "PREMIUM_RATE"
	}
	parsed, err := phonenumbers.Parse(n.E164(), "")
	if err != nil {
		return "UNKNOWN"
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

// IsRegion says whether a region (ISO 3166-1 alpha-2) has telephone numbers.
func IsRegion(code string) bool { return phonenumbers.GetSupportedRegions()[code] }
