package guard

import (
	"archive/zip"
	"go/build"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/outdial/outdial/phone"
)

// zoneNames are all time zones that Go knows.
func zoneNames(t *testing.T) []string {
	t.Helper()
	r, err := zip.OpenReader(filepath.Join(build.Default.GOROOT, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for _, f := range r.File {
		if !strings.HasSuffix(f.Name, "/") {
			all = append(all, f.Name)
		}
	}
	if len(all) < 500 {
		t.Fatalf("only %d zones", len(all))
	}
	return all
}

func window(t testing.TB, s string) phone.Window {
	t.Helper()
	w, err := phone.ParseWindow(s)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// within is the window's meaning said in another way: by how the clock there reads.
func within(from, to string, t time.Time, z *time.Location) bool {
	reads := t.In(z).Format("15:04:05")
	if from < to {
		return from <= reads && reads < to
	}
	return from <= reads || reads < to
}

// In every zone, on every day of a year, a second before, at and after each boundary, nobody is called outside the hours,
// and what is refused is allowed when the refusal says, and not a second before.
func TestQuietHours(t *testing.T) {
	p := byDefault(t)
	g, w := New(p), wanted(t)
	zones := zoneNames(t)
	tried, refused := 0, 0
	for _, name := range zones {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		f := facts()
		f.Contact = &phone.Contact{Zone: name}
		judge := func(at time.Time) {
			f.Now = at
			tried++
			r := g.quiet(w, f)
			if (r == nil) != within("09:00:00", "20:00:00", at, z) {
				t.Fatalf("%s at %s: %+v", name, at.In(z), r)
			}
			if r == nil {
				return
			}
			refused++
			again := r.AllowedAt
			if !within("09:00:00", "20:00:00", again, z) || within("09:00:00", "20:00:00", again.Add(-time.Second), z) || again.Sub(at) > 15*time.Hour {
				t.Fatalf("%s at %s: allowed at %s", name, at.In(z), again.In(z))
			}
		}
		for day := range 366 / everyDay {
			for _, hour := range []int{9, 20} {
				at := time.Date(2028, 1, 1+day*everyDay, hour, 0, 0, 0, z)
				judge(at.Add(-time.Second))
				judge(at)
				judge(at.Add(time.Second))
			}
		}
	}
	t.Logf("%d zones, %d moments, %d refused", len(zones), tried, refused)
}

// Windows that open or close while the clock is put forward or back, and those that cross midnight: every minute of the days
// around.
func TestHoursWhileTheClockChanges(t *testing.T) {
	for _, span := range []string{"01:30-02:30", "02:15-03:00", "22:00-06:00", "23:30-00:30", "20:00-24:00", "00:00-02:00", "00:15-23:45"} {
		w := window(t, span)
		from, to, _ := strings.Cut(span, "-")
		for _, name := range []string{"America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "Asia/Shanghai", "America/Havana"} {
			z, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			year := time.Date(2028, 1, 1, 0, 0, 0, 0, z)
			days := []time.Time{year}
			for at := year; ; {
				_, change := at.ZoneBounds()
				if change.IsZero() || change.Year() > 2028 {
					break
				}
				days, at = append(days, change), change
			}
			for _, day := range days {
				opens := time.Time{}
				for minute := 36 * 60; minute >= -24*60; minute-- { // backwards, so that the next moment is known
					at := day.Add(time.Duration(minute) * time.Minute)
					in := within(from+":00", to+":00", at, z)
					if in != allowed(w, []*time.Location{z}, at) {
						t.Fatalf("%s in %s at %s", span, name, at.In(z))
					}
					if !in && !opens.IsZero() {
						if got := next(w, []*time.Location{z}, at); !got.Equal(opens) {
							t.Fatalf("%s in %s at %s: opens at %s, not %s", span, name, at.In(z), opens.In(z), got.In(z))
						}
					}
					if in {
						opens = at
					}
				}
			}
		}
	}
}

// A number that may be in several zones is called when all of them allow it; a toll-free one at any hour.
func TestSeveralZones(t *testing.T) {
	p := byDefault(t)
	g := New(p)
	several, exempt := 0, 0
	for region := range phonenumbers.GetSupportedRegions() {
		for _, kind := range []phonenumbers.PhoneNumberType{phonenumbers.MOBILE, phonenumbers.TOLL_FREE, phonenumbers.FIXED_LINE} {
			example := phonenumbers.GetExampleNumberForTypeInRegion(region, kind)
			if example == nil {
				continue
			}
			n, err := phone.ParseNumber(phonenumbers.Format(example, phonenumbers.E164), "")
			if err != nil {
				continue
			}
			names := Zones(n)
			if len(names) > 1 {
				several++
			}
			w, f := wanted(t), facts()
			w.To, w.Regions = n, nil
			for quarter := range 96 / everyDay {
				f.Now = noon().Add(time.Duration(quarter*everyDay) * 15 * time.Minute)
				got := slices.Contains(codes(g.Judge(w, f)), "quiet_hours")
				want := len(names) == 0
				for _, name := range names {
					z, err := time.LoadLocation(name)
					if err != nil {
						t.Fatal(err)
					}
					want = want || !within("09:00:00", "20:00:00", f.Now, z)
				}
				if Type(n) == "TOLL_FREE" {
					want = false
					exempt++
				}
				if got != want {
					t.Fatalf("%s (%v) at %s: refused %v", n.E164(), names, f.Now, got)
				}
			}
		}
	}
	if several < 40 || exempt == 0 {
		t.Errorf("%d numbers of several zones, %d exempt", several, exempt)
	}
}

// Where it is not known what time it is nobody is called, and nobody says when they would be.
func TestUnknownZone(t *testing.T) {
	p := byDefault(t)
	w, f := wanted(t), facts()
	w.To, w.Regions = number(t, "+881612345678"), nil
	if r := New(p).Judge(w, f); !slices.Equal(codes(r), []string{"region_not_allowed", "quiet_hours"}) || !r[1].AllowedAt.IsZero() {
		t.Errorf("a number of no zone: %+v", r)
	}
	for _, zone := range []string{"Mars/Olympus", "Local", "../etc/passwd"} {
		w, f := wanted(t), facts()
		f.Contact = &phone.Contact{Zone: zone}
		if r := New(p).Judge(w, f); !slices.Equal(codes(r), []string{"quiet_hours"}) {
			t.Errorf("%s: %+v", zone, r)
		}
	}
}

// A contact's own zone and hours go before, also those of a toll-free number.
func TestHoursOfAContact(t *testing.T) {
	p := byDefault(t)
	for name, tt := range map[string]struct {
		contact phone.Contact
		to      string
		refused bool
	}{
		"elsewhere":          {phone.Contact{Zone: "Asia/Shanghai"}, "+12125550143", true}, // 02:00
		"at home":            {phone.Contact{Zone: "America/New_York"}, "+12125550143", false},
		"not at noon":        {phone.Contact{Window: window(t, "14:00-16:00")}, "+12125550143", true}, // 13:00
		"late there":         {phone.Contact{Zone: "Asia/Shanghai", Window: window(t, "22:00-03:00")}, "+12125550143", false},
		"toll-free":          {phone.Contact{}, "+18005550143", false},
		"nearly all day":     {phone.Contact{Zone: "Asia/Dhaka", Window: window(t, "00:30-24:00")}, "+12125550143", true}, // 00:00
		"all day":            {phone.Contact{Zone: "Asia/Dhaka", Window: window(t, "00:00-24:00")}, "+12125550143", false},
		"toll-free, at home": {phone.Contact{Zone: "Asia/Shanghai"}, "+18005550143", true},
	} {
		w, f := wanted(t), facts()
		w.To, f.Contact = number(t, tt.to), &tt.contact
		if got := len(New(p).Judge(w, f)) > 0; got != tt.refused {
			t.Errorf("%s: refused %v", name, got)
		}
	}
}
