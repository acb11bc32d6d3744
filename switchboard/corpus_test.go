package switchboard

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// callee is a switchboard with one provider that counts. The zero Policy has no limits and pauses nobody, so that each case
// is judged by its number alone.
type callee struct {
	*Switchboard
	service *service
	covers  []string // regions; empty: all
	asked   *int     // how many judgements there were
	cases   *int     // how many numbers there were to be refused
}

// one says of how many cases one is played: of one, but for the race detector, with which SQLite in Go is thirty times slower.
func one() int {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 30
	}
	return 1
}

// newCallee makes one without the rounds of Run: what it dials is not looked after.
func newCallee(t testing.TB, p guard.Policy, place func(phone.Order) (phone.Ref, error), covers ...string) callee {
	t.Helper()
	ctx := context.Background()
	l, err := ledger.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"), ledger.Options{Look: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s := newService()
	s.place = place
	b := New(Options{Ledger: l, Policy: p, Providers: []*providers.Provider{
		providers.New(spec("test", covers...), s, providers.Options{Account: "acc"}),
	}})
	close(b.caughtUp) // nothing runs beside the test, and nothing is stale
	t.Cleanup(func() {
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return callee{b, s, covers, new(int), new(int)}
}

// judged is what a number meets, asked about and called: the code of the first refusal of each, and who was dialed.
func (b callee) judged(t *testing.T, to, provider string) (checked Checked, check, place string, dialed []phone.Number) {
	t.Helper()
	*b.asked++
	who := phone.Caller{Principal: strconv.Itoa(*b.asked), Scopes: phone.Local().Scopes} // another one each time, or each would read the refusals of all before
	checked, err := b.Check(t.Context(), who, Request{To: to, Provider: provider})
	if err != nil {
		t.Fatalf("%.80q: %v", to, err)
	}
	if len(checked.Refusals) > 0 {
		check = checked.Refusals[0].Code
	}
	before := b.service.count()
	_, err = b.Place(t.Context(), who, Request{To: to, Task: "x", Provider: provider})
	b.service.mu.Lock()
	defer b.service.mu.Unlock()
	for _, o := range b.service.dials[before:] {
		dialed = append(dialed, o.To)
	}
	if e := phone.AsError(err); err != nil && len(dialed) == 0 {
		if place = e.Reason; e.CallStarted() != phone.StartedNo || e.CallID != "" || place == "" {
			t.Errorf("%.80q: %+v", to, e)
		}
	}
	return checked, check, place, dialed
}

// refused plays one number to one board, where it must meet code: by check_number and by create_call, by the provider's name
// or without, in turns.
func (b callee) refused(t *testing.T, to, code string) {
	t.Helper()
	if *b.cases++; *b.cases%one() != 0 {
		return
	}
	provider := []string{"", "test"}[*b.asked%2]
	_, check, place, dialed := b.judged(t, to, provider)
	if check != code || place != code || len(dialed) > 0 {
		t.Errorf("%.80q through %v by %q with the region %q: checked %q, placed %q, %d dials; want %s", to, b.covers, provider, b.Region, check, place, len(dialed), code)
	}
}

// code is what the table says of a number that exists, by the library's own word on its region and type.
func (b callee) code(n *phonenumbers.PhoneNumber) string {
	region, typ := phonenumbers.GetRegionCodeForNumber(n), phonenumbers.GetNumberType(n)
	if len(phonenumbers.Format(n, phonenumbers.E164)) < len("+1234567") {
		return "bad_number" // a few service lines are shorter than what is taken for a number
	}
	for _, list := range [][]string{b.covers, b.Policy.Regions} {
		if len(list) > 0 && !slices.Contains(list, region) {
			return "region_not_allowed"
		}
	}
	switch {
	case region == "001":
		return "region_not_allowed" // numbers of no country, whatever is covered
	case slices.Contains([]phonenumbers.PhoneNumberType{
		phonenumbers.FIXED_LINE, phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE, phonenumbers.VOIP, phonenumbers.TOLL_FREE,
	}, typ):
		return ""
	}
	return "number_type"
}

// plays plays a number as the library has it, where the table refuses it.
func (b callee) plays(t *testing.T, n *phonenumbers.PhoneNumber) string {
	t.Helper()
	code := b.code(n)
	if code != "" {
		b.refused(t, phonenumbers.Format(n, phonenumbers.E164), code)
	}
	return code
}

// regions are those of the library's tables.
func regions() []string { return slices.Sorted(maps.Keys(phonenumbers.GetSupportedRegions())) }

// emergencies are the emergency numbers of each region, found by writing down every number of the length that its short
// numbers have and holding it against the table.
func emergencies(t *testing.T) map[string][]string {
	t.Helper()
	tables, err := phonenumbers.ShortNumberMetadataCollection()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, m := range tables.GetMetadata() {
		e := m.GetEmergency()
		if e.GetNationalNumberPattern() == "" {
			continue
		}
		number := regexp.MustCompile("^(?:" + e.GetNationalNumberPattern() + ")$")
		lengths := e.GetPossibleLength()
		if len(lengths) == 0 {
			lengths = m.GetGeneralDesc().GetPossibleLength()
		}
		for _, length := range lengths {
			if length < 2 || length > 6 || length > 4 && one() > 1 {
				continue
			}
			for n := range []int{2: 100, 1_000, 10_000, 100_000, 1_000_000}[length] {
				if digits := fmt.Sprintf("%0*d", length, n); number.MatchString(digits) {
					all[m.GetId()] = append(all[m.GetId()], digits)
				}
			}
		}
	}
	return all
}

// examples are the numbers that the library gives for a type, one for each region that has such numbers.
func examples(types ...phonenumbers.PhoneNumberType) []*phonenumbers.PhoneNumber {
	var all []*phonenumbers.PhoneNumber
	for _, r := range regions() {
		for _, typ := range types {
			n := phonenumbers.GetExampleNumberForTypeInRegion(r, typ)
			if n != nil && phonenumbers.IsValidNumber(n) && phonenumbers.GetNumberType(n) == typ {
				all = append(all, n)
			}
		}
	}
	return all
}

// No number of the corpus is ever dialed, and what check_number says of each is what create_call does.
func TestGuardCorpus(t *testing.T) {
	everywhere := newCallee(t, guard.Policy{}, nil)
	china := newCallee(t, guard.Policy{}, nil, "CN")
	america := newCallee(t, guard.Policy{}, nil, "US", "CA")
	narrowed := newCallee(t, guard.Policy{Regions: []string{"US", "CA"}}, nil)
	all := []callee{everywhere, china, america, narrowed}
	dials := func() (n int) {
		for _, b := range all {
			n += b.service.count()
		}
		return n
	}
	played := func() (n int) {
		for _, b := range all {
			n += *b.asked
		}
		return n
	}
	in := func(b callee, region string, play func()) {
		b.Region = region
		defer func() { b.Region = "" }()
		play()
	}

	t.Run("emergency numbers", func(t *testing.T) {
		pairs := 0
		numbers := emergencies(t)
		for _, region := range slices.Sorted(maps.Keys(numbers)) {
			calling := "+" + strconv.Itoa(phonenumbers.GetCountryCodeForRegion(region))
			for _, d := range numbers[region] {
				spaced, dashed := strings.Join(strings.Split(d, ""), " "), strings.Join(strings.Split(d, ""), "-")
				national := []string{d, spaced, dashed}
				international := []string{calling + d, calling + " " + spaced, calling + "-" + dashed}
				dressed := []string{"(" + d + ")", "tel:" + d, "*" + d + "#", d + "\n", calling + d + ";", "+(" + calling[1:] + ")" + d}
				national, international = append(national, dressed[pairs%4]), append(international, dressed[4+pairs%2])
				b := all[pairs%len(all)] // through whom does not matter
				in(b, region, func() {
					for _, to := range append(slices.Clone(national), international[pairs%len(international)]) {
						b.refused(t, to, "emergency_number")
					}
				})
				for _, to := range append(national, international...) {
					b.refused(t, to, "emergency_number")
				}
				pairs++
			}
		}
		if pairs < 400 {
			t.Errorf("only %d pairs of a region and an emergency number", pairs)
		}
		t.Logf("%d pairs of a region and an emergency number, played %d times: %d dials", pairs, played(), dials())
	})

	t.Run("numbers that cost more than a call should", func(t *testing.T) {
		premium := examples(phonenumbers.PREMIUM_RATE)
		for _, n := range premium {
			for _, b := range all {
				if code := b.plays(t, n); code == "" {
					t.Errorf("%v is to be called", n)
				}
			}
		}
		if len(premium) < 150 {
			t.Errorf("only %d premium numbers", len(premium))
		}
		others := examples(phonenumbers.PAGER, phonenumbers.VOICEMAIL, phonenumbers.PERSONAL_NUMBER, phonenumbers.UAN, phonenumbers.SHARED_COST)
		for _, n := range others {
			for _, b := range all {
				b.plays(t, n)
			}
		}
		for _, to := range []string{"+12129765555", "+12125551212", "+14165551212", "+19005550123"} { // of which the library knows the last alone
			everywhere.refused(t, to, "number_type")
			america.refused(t, to, "number_type")
			china.refused(t, to, "region_not_allowed")
		}
		t.Logf("%d premium numbers, %d of other types that are not called: %d dials", len(premium), len(others), dials())
	})

	t.Run("numbers of no country", func(t *testing.T) {
		n := 0
		for calling := range phonenumbers.GetSupportedGlobalNetworkCallingCodes() {
			n++
			for _, b := range all {
				if code := b.plays(t, phonenumbers.GetExampleNumberForNonGeoEntity(calling)); code != "region_not_allowed" {
					t.Errorf("+%d is to be refused as %q", calling, code)
				}
			}
		}
		for _, to := range []string{"+881612345678", "+870301234567", "+8823421234", "+883510012345", "+979123456789", "+80012345678"} {
			for _, b := range all {
				b.refused(t, to, "region_not_allowed")
			}
		}
		if n < 9 {
			t.Errorf("only %d calling codes of no country", n)
		}
		t.Logf("%d calling codes of no country: %d dials", n, dials())
	})

	t.Run("regions that look domestic", func(t *testing.T) {
		codes := []int{
			809, 829, 849, 876, 658, 473, 284, 649, 767, 664, 268, 242, 246, 345, 441, 721, 758, 784, 868, 869, 264, // the Caribbean and Bermuda
			787, 939, 340, 670, 671, 684,
		}
		var locals []string
		for _, r := range phonenumbers.GetRegionCodesForCountryCode(1) {
			national := phonenumbers.GetNationalSignificantNumber(phonenumbers.GetExampleNumberForTypeInRegion(r, phonenumbers.FIXED_LINE))
			locals = append(locals, national[3:])
		}
		for _, area := range codes {
			to := ""
			for _, local := range locals {
				n, err := phonenumbers.Parse(fmt.Sprint("+1", area, local), "")
				if r := phonenumbers.GetRegionCodeForNumber(n); err == nil && phonenumbers.IsValidNumber(n) && r != "US" && r != "CA" {
					to = fmt.Sprint("+1", area, local)
					break
				}
			}
			if to == "" {
				t.Errorf("no number with the area code %d", area)
				continue
			}
			for _, b := range []callee{america, china, narrowed} {
				b.refused(t, to, "region_not_allowed")
			}
			in(america, "US", func() { // as somebody in the United States would write them
				america.refused(t, to[2:], "region_not_allowed")
				america.refused(t, to[1:], "region_not_allowed")
			})
		}
		t.Logf("%d area codes behind +1: %d dials", len(codes), dials())
	})

	t.Run("regions outside the list", func(t *testing.T) {
		outside, numbers := map[string]int{}, 0
		for _, r := range regions() {
			for _, typ := range []phonenumbers.PhoneNumberType{phonenumbers.FIXED_LINE, phonenumbers.MOBILE} {
				n := phonenumbers.GetExampleNumberForTypeInRegion(r, typ)
				if n == nil || !phonenumbers.IsValidNumber(n) {
					continue
				}
				numbers++
				for _, b := range []callee{china, america, narrowed} {
					if b.plays(t, n) == "region_not_allowed" {
						outside[r]++
					}
				}
			}
		}
		if len(outside) < 240 {
			t.Errorf("only %d regions", len(outside))
		}
		t.Logf("%d numbers of %d regions: %d dials", numbers, len(outside), dials())
	})

	t.Run("what is not one number", func(t *testing.T) {
		n := 0
		for to, code := range smuggled() {
			for _, b := range all {
				n++
				b.refused(t, to, code)
			}
		}
		for to, code := range map[string]string{
			"911": "emergency_number", "9-1-1": "emergency_number", "112": "emergency_number", "+86110": "emergency_number",
			"1-900-HOTSEXX": "bad_number", "202-555-0143": "bad_number", "(202) 555-0143": "bad_number", "2025550143x1": "bad_number",
			"0118613800138000": "bad_number", "112025550143": "bad_number", "01112025550143": "bad_number", "2025550143,2025550144": "bad_number",
			"*672025550143": "bad_number", "1112025550143": "bad_number", "5550143": "invalid_number", "0000000000": "invalid_number",
			"9005550123": "number_type", "2129765555": "number_type", "8765550123": "region_not_allowed",
		} {
			n++
			in(america, "US", func() { america.refused(t, to, code) })
		}
		for region, to := range map[string]string{"DE": "24349111247567", "IR": "9601"} { // of their plans, but not of E.164
			n++
			in(everywhere, region, func() { everywhere.refused(t, to, "bad_number") })
		}
		t.Logf("%d of them: %d dials", n, dials())
	})

	t.Logf("%d judgements by check_number and create_call: %d dials", played(), dials())
	if n := dials(); n != 0 {
		t.Fatalf("%d dials", n)
	}

	// The judgement is not simply no: each of the boards calls whom it may, and service lines that the operator knows.
	t.Run("contacts", func(t *testing.T) {
		lines, called := map[phone.Number]*phonenumbers.PhoneNumber{}, 0
		fixed, err := phonenumbers.Parse("+864001234567", "")
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range append(examples(phonenumbers.UAN, phonenumbers.SHARED_COST), fixed) {
			to, err := phone.ParseNumber(phonenumbers.Format(n, phonenumbers.E164), "")
			switch _, twice := lines[to]; {
			case err != nil || twice || i%one() != 0: // too short to be taken at all; some regions share a number
				continue
			default:
				lines[to] = n
			}
			for _, b := range all {
				code := b.plays(t, n)
				if err := b.Ledger.SaveContact(t.Context(), phone.Contact{Number: to, Name: "a line", AddedAt: time.Now()}); err != nil {
					t.Fatal(err)
				}
				if code != "number_type" {
					b.plays(t, n)
					continue
				}
				checked, check, place, dialed := b.judged(t, to.E164(), "")
				if called++; check != "" || place != "" || !slices.Equal(dialed, []phone.Number{to}) || checked.Number != to {
					t.Errorf("%s of the contacts: checked %q, placed %q, dialed %v", to.E164(), check, place, dialed)
				}
			}
		}
		// What is never called is not called as a contact either.
		for i, n := range examples(phonenumbers.PREMIUM_RATE, phonenumbers.PAGER, phonenumbers.VOICEMAIL, phonenumbers.PERSONAL_NUMBER) {
			to, err := phone.ParseNumber(phonenumbers.Format(n, phonenumbers.E164), "")
			if err != nil || i%one() != 0 {
				continue
			}
			if err := everywhere.Ledger.SaveContact(t.Context(), phone.Contact{Number: to, Name: "a line", AddedAt: time.Now()}); err != nil {
				t.Fatal(err)
			}
			everywhere.refused(t, to.E164(), "number_type")
		}
		if n := dials(); n != called || n < len(lines) {
			t.Errorf("%d dials to contacts, of which %d may be called", n, called)
		}
		t.Logf("%d service lines, called once each as contacts where the provider covers them: %d dials", len(lines), dials())
	})
}

// smuggled is what somebody might write to have another number dialed than is read, or more than one, and what the table
// says of it where no region is set.
func smuggled() map[string]string {
	const a = "+12025550143"
	all := map[string]string{
		"": "bad_number", " ": "bad_number", "+": "bad_number", "+0": "bad_number", "++12025550143": "bad_number", "+ 12025550143": "bad_number",
		"+012025550143": "bad_number", "+12": "bad_number", "2025550143": "bad_number", "12025550143": "bad_number", "-12025550143": "bad_number",
		"+1202555014": "invalid_number", "+120255501430": "invalid_number", "+11115550143": "invalid_number", "+10005550143": "invalid_number",
		"+4402079460000": "bad_number", "+123456789012345678": "bad_number", "+99912345678": "bad_number", "+8610": "bad_number",
		"+1911": "emergency_number", "+44999": "emergency_number", "+86110": "emergency_number", "+33112": "emergency_number", "112": "emergency_number",
		"+1-900-468-7399": "bad_number", "1-900-HOTSEXX": "bad_number", "+1-900-HOTSEXX": "bad_number", "+1900HOTSEXX": "bad_number",
		"+１２０２５５５０１４３": "bad_number", "＋12025550143": "bad_number", "+١٢٠٢٥٥٥٠١٤٣": "bad_number", "+१२०२५५५०१४३": "bad_number",
		"+1202555014３": "bad_number", "９１１": "bad_number", "٩١١": "bad_number", "+๑๒๐๒๕๕๕๐๑๔๓": "bad_number", "+1𝟐𝟎𝟐𝟓𝟓𝟓𝟎𝟏𝟒𝟑": "bad_number",
		"*67": "bad_number", "*31#": "bad_number", "*#06#": "bad_number", "##002#": "emergency_number", "*672025550143": "bad_number", "#31#" + a: "bad_number",
		"**21*" + a + "#": "bad_number", "*21*12025550143#": "bad_number", "*67" + a: "bad_number", a + "#": "bad_number",
		"tel:" + a: "bad_number", "tel:2025550143;phone-context=+1": "bad_number", a + ";phone-context=+44": "bad_number", "sip:" + a + "@example.com": "bad_number",
		"callto:" + a: "bad_number", "tel:911": "emergency_number", "tel:911;phone-context=+1": "bad_number",
		"00442079460000": "bad_number", "0018765550123": "bad_number", "01118765550123": "bad_number", "011442079460000": "bad_number", "+0018765550123": "bad_number",
		"+01118765550123": "bad_number", "\x00" + a: "bad_number", a + "\x00": "bad_number", "+1202555\x000143": "bad_number", "\xff" + a: "bad_number",
		"+1\u200b2025550143": "bad_number", "\u202e" + a: "bad_number", "\u2066" + a + "\u2069": "bad_number", "+1\u00a02025550143": "bad_number", "+1‑202‑555‑0143": "bad_number",
		"+" + strings.Repeat("1", 1<<20): "bad_number", strings.Repeat("9", 1<<20): "bad_number", strings.Repeat(a, 10_000): "bad_number", a + strings.Repeat(" ", 1<<20): "bad_number",
		"null": "bad_number", "1e10": "emergency_number", "0x12025550143": "bad_number", `["` + a + `"]`: "bad_number", "anonymous": "bad_number",
	}
	for _, between := range []string{",", ", ", ";", "\n", "\r\n", " ", "\t", "/", "|", "&", "and", "\x00", "+", ""} {
		all[a+between+"+12025550144"] = "bad_number"
	}
	for _, extension := range []string{"x123", "X123", " ext 5", ";ext=5", "#5", "p5", "w5", ",5", ",,5", "~5", " доб. 5", "ext5", ";isub=5", "ｘ5"} {
		all[a+extension] = "bad_number"
	}
	return all
}

// FuzzNumberGuard holds what check_number says of any string against what create_call does with it.
func FuzzNumberGuard(f *testing.F) {
	for to := range smuggled() {
		if len(to) < 100 {
			f.Add(to, uint8(0), uint8(0))
			f.Add(to, uint8(1), uint8(1))
		}
	}
	for i, to := range []string{"+12025550143", "2025550143", "+8613800138000", "13800138000", "+4479111234567", "911", "+1911", "9005550123", "4001234567"} {
		f.Add(to, uint8(i), uint8(i))
	}
	f.Add("24349111247567", uint8(4), uint8(0)) // with its country code it has a digit too many
	// A dial that the service turns down leaves nothing that would stand for the next one to the same number.
	down := func(phone.Order) (phone.Ref, error) { return "", phone.Errorf(phone.Refused, "not now") }
	boards := []callee{
		newCallee(f, guard.Policy{}, down), newCallee(f, guard.Policy{}, down, "CN"), newCallee(f, guard.Policy{}, down, "US", "CA"),
		newCallee(f, guard.Policy{Regions: []string{"GB", "DE", "CN"}}, down),
	}
	homes := []string{"", "US", "CN", "GB", "DE", "AU", "RU", "DO"}
	f.Fuzz(func(t *testing.T, to string, home, through uint8) {
		b := boards[int(through)%len(boards)]
		b.Region = homes[int(home)%len(homes)]
		for _, provider := range []string{"", "test"} {
			checked, check, place, dialed := b.judged(t, to, provider)
			switch {
			case check != "" || len(dialed) == 0:
				if check == "" || check != place || len(dialed) > 0 {
					t.Errorf("%q: checked %q, placed %q, %d dials", to, check, place, len(dialed))
				}
				continue
			case len(dialed) != 1 || dialed[0] != checked.Number:
				t.Errorf("%q: %d dials, not one to the number that check_number names", to, len(dialed))
				continue
			}
			// What is dialed is what was written, and what the library knows as somebody's telephone.
			written := to == dialed[0].E164() || b.Region != "" && strings.HasSuffix(to, dialed[0].National()) && len(to) <= len(dialed[0].National())+1
			n, err := phonenumbers.Parse(dialed[0].E164(), "")
			if err != nil || !phonenumbers.IsValidNumber(n) || b.code(n) != "" || !written {
				t.Errorf("%q was taken for %s, which is to be refused as %q", to, dialed[0].E164(), b.code(n))
			}
		}
	})
}
