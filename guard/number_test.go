package guard

import (
	"slices"
	"testing"

	"github.com/outdial/outdial/phone"
)

func TestEmergency(t *testing.T) {
	for _, tt := range []struct {
		written, region string
		want            bool
	}{
		{"911", "", true},
		{"911", "US", true},
		{"112", "CN", false},
		{"112", "", true},
		{"110", "CN", true},
		{"110", "", true},
		{"999", "GB", true},
		{"+86110", "", true},
		{"+1911", "", true},
		{"+44999", "", true},
		{"+911", "", true},
		{"1-1-0", "CN", true},
		{"9 1 1", "US", true},
		{"+33112", "", true},
		{"+86110", "US", true},
		{"+353112", "", true},    // a calling code of three digits
		{"+291127799", "", true}, // and an emergency number of six
		{"+8613800138000", "", false},
		{"13800138000", "CN", false},
		{"+12025550143", "", false},
		{"", "", false},
		{"12345", "", false},
		{"２", "", false},
	} {
		if _, got := Emergency(tt.written, tt.region); got != tt.want {
			t.Errorf("%q in %q: %v", tt.written, tt.region, got)
		}
	}
}

func TestNumber(t *testing.T) {
	pamela := Wish{Title: "Pamela", Regions: []string{"US", "CA"}, MayPlace: true}
	simulated := Wish{Title: "The simulator", RingsNo: true, MayPlace: true}
	for _, tt := range []struct {
		to     string
		by     Wish
		policy Policy
		want   []string
	}{
		{"+12025550143", pamela, Policy{}, nil},
		{"+14165550123", pamela, Policy{}, nil},
		{"+14165550123", pamela, Policy{Regions: []string{"US"}}, []string{"region_not_allowed"}},
		{"+18005550123", pamela, Policy{}, nil},
		{"+19005550123", pamela, Policy{}, []string{"number_type"}},
		{"+19005550123", simulated, Policy{}, []string{"number_type"}},
		{"+12129765555", pamela, Policy{}, []string{"number_type"}},
		{"+12125551212", pamela, Policy{}, []string{"number_type"}},
		{"+18765550123", pamela, Policy{}, []string{"region_not_allowed"}},
		{"+8613800138000", pamela, Policy{}, []string{"region_not_allowed"}},
		{"+8613800138000", simulated, Policy{Regions: []string{"US"}}, nil},
		{"+8613800138000", simulated, Policy{Regions: []string{"US"}, Rehearse: true}, []string{"region_not_allowed"}},
		{"+881612345678", simulated, Policy{}, nil},
	} {
		tt.by.To = number(t, tt.to)
		var got []string
		for _, r := range New(tt.policy).Judge(tt.by, phone.Facts{}) {
			if got = append(got, r.Code); r.Message == "" || phone.CodeOf(r.Err()) != phone.Refused {
				t.Errorf("%s: %+v", tt.to, r)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s by %s under %v: %v", tt.to, tt.by.Title, tt.policy.Regions, got)
		}
	}
}

func number(t testing.TB, e164 string) phone.Number {
	t.Helper()
	n, err := phone.ParseNumber(e164, "")
	if err != nil {
		t.Fatalf("%s: %v", e164, err)
	}
	return n
}

func TestZones(t *testing.T) {
	for to, want := range map[string]int{"+8613800138000": 1, "+12025550143": 1, "+18005550123": 42} {
		n, err := phone.ParseNumber(to, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := Zones(n); len(got) < want {
			t.Errorf("%s: %v", to, got)
		}
	}
	if got := Zones(number(t, "+881612345678")); got != nil {
		t.Errorf("a number of no country: %v", got)
	}
}

// What the operator's entry lifts: service lines, and nothing that costs more.
func TestNumberTypes(t *testing.T) {
	for to, tt := range map[string]struct {
		kind            string
		stranger, known bool // called
	}{
		"+447400123456":  {"MOBILE", true, true},
		"+442079760000":  {"FIXED_LINE", true, true}, // 976 is an exchange like others there
		"+61147101234":   {"VOIP", true, true},
		"+864001234567":  {"SHARED_COST", false, true},
		"+4918500123456": {"UAN", false, true},
		"+499001234567":  {"PREMIUM_RATE", false, false},
		"+12129765555":   {"PREMIUM_RATE", false, false},
		"+4916412345":    {"PAGER", false, false},
	} {
		w := Wish{To: number(t, to), MayPlace: true}
		if got := Type(w.To); got != tt.kind {
			t.Errorf("%s is %s", to, got)
		}
		for c, called := range map[*phone.Contact]bool{nil: tt.stranger, {Name: "Ann"}: tt.known} {
			if got := len(New(Policy{}).Judge(w, phone.Facts{Contact: c})) == 0; got != called {
				t.Errorf("%s, contact %v: called %v", to, c != nil, got)
			}
		}
	}
}
