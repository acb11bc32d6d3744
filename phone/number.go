package phone

import (
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
)

// Number is one valid telephone number. Only ParseNumber makes one, so whoever holds one need not check it again.
// It prints masked, in every verb and in JSON; E164 reveals it.
type Number struct{ e164, region, national string }

// ParseNumber reads an E.164 number ("+8613800138000"), or the digits of a national one where region (ISO 3166-1
// alpha-2) says whose. Nothing else is taken: no separators, letters, extensions, lists, "tel:" or digits of other
// scripts, because each of them is a way to smuggle in a number that nobody meant.
//
// Errors: invalid with reason bad_number (the form) or invalid_number (no such number exists).
func ParseNumber(s, region string) (n Number, err error) {
	defer func() {
		if p := recover(); p != nil { // the library has panicked on odd input before
			n, err = Number{}, badNumber("cannot be read as a telephone number")
		}
	}()
	switch {
	case isE164(s):
		region = ""
	case isDigits(s, 4, 15) && region != "":
	case isDigits(s, 4, 15):
		return Number{}, badNumber("is a national number, and no default region is set: write it with + and the country code, or set OUTDIAL_REGION")
	default:
		if plain := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "", ".", "").Replace(s); isE164(plain) {
			return Number{}, badNumber("must be written in E.164 form, without spaces or signs: " + plain)
		}
		return Number{}, badNumber("is not one telephone number in E.164 form, such as +12025550143")
	}
	p, perr := phonenumbers.Parse(s, region)
	if perr != nil {
		return Number{}, badNumber("cannot be read as a telephone number")
	}
	if !phonenumbers.IsValidNumber(p) {
		return Number{}, &Error{Code: Invalid, Reason: "invalid_number", Message: "No such telephone number exists: check the digits."}
	}
	e164 := phonenumbers.Format(p, phonenumbers.E164)
	if !isE164(e164) { // some plans have longer and shorter ones, which RestoreNumber would not take back
		return Number{}, badNumber("does not have 7 to 15 digits with its country code, as an E.164 number has")
	}
	if region == "" && e164 != s || region != "" && !ownDigits(s, p, region) {
		return Number{}, badNumber("has digits that do not belong to it: in E.164 form it would be " + e164)
	}
	return Number{e164: e164, region: phonenumbers.GetRegionCodeForNumber(p), national: phonenumbers.GetNationalSignificantNumber(p)}, nil
}

// ownDigits says whether a national number was written with its own digits and at most the trunk prefix: the library
// drops carrier codes and the like, and whoever wrote them meant something else.
func ownDigits(s string, p *phonenumbers.PhoneNumber, region string) bool {
	before, ok := strings.CutSuffix(s, phonenumbers.GetNationalSignificantNumber(p))
	return ok && (before == "" || before == phonenumbers.GetNddPrefixForRegion(region, true))
}

// RestoreNumber gives back a number that was valid when it was recorded, though newer tables may say otherwise. It is for
// what comes out of the ledger, and for nothing else. Errors: internal, if it never was one.
func RestoreNumber(e164 string) (Number, error) {
	if !isE164(e164) {
		return Number{}, Errorf(Internal, "The ledger holds a number that is none.")
	}
	if n, err := ParseNumber(e164, ""); err == nil {
		return n, nil
	}
	return Number{e164: e164, national: e164[1:]}, nil
}

// isE164 tells ITU-T E.164's form: +, no leading zero, at most 15 digits.
func isE164(s string) bool {
	return len(s) > 1 && s[0] == '+' && s[1] != '0' && isDigits(s[1:], 7, 15)
}

// isDigits takes ASCII digits alone: those of other scripts are refused.
func isDigits(s string, shortest, longest int) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) >= shortest && len(s) <= longest
}

func badNumber(why string) error {
	return &Error{Code: Invalid, Reason: "bad_number", Message: "The number " + why + "."}
}

// E164 is the whole number, such as "+8613800138000"; empty for the zero Number.
func (n Number) E164() string { return n.e164 }

// National are the number's digits without the calling code.
func (n Number) National() string { return n.national }

// Region is the country that the number belongs to, as ISO 3166-1 alpha-2: "CN", "US". Numbers of one calling code can
// belong to different regions: +1 is the United States, Canada and two dozen more.
func (n Number) Region() string { return n.region }

// IsZero says whether this is no number at all.
func (n Number) IsZero() bool { return n.e164 == "" }

// String is the number masked for logs and messages: the country calling code and the last two digits, "+86…00".
func (n Number) String() string {
	if len(n.e164) < 6 {
		return "no number"
	}
	return strings.TrimSuffix(n.e164, n.national) + "…" + n.e164[len(n.e164)-2:]
}

// Tagged is the number masked, and six hexadecimal digits of its keyed digest, by which it can be followed through a log:
// "+86…00#a1b2c3". Without the key nobody can find out which number it was by trying them all.
func (n Number) Tagged(digest func(parts ...string) string) string {
	return n.String() + "#" + digest("number in a log", n.e164)[:6]
}

// Format prints the number masked, whatever the verb, so that %+v and %#v reveal nothing either.
func (n Number) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(n.String())) }

// MarshalText masks too: a number leaves the program only where E164 is written out.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.String()), nil }
