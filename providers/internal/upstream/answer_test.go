package upstream

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/phone"
)

// The ambiguity table: what each status says of a dial, and of a request that may be sent again.
func TestClassify(t *testing.T) {
	c := client(t, Options{Base: "https://api.example.com"})
	for status, want := range map[int][2]phone.Code{ // dial, read
		200: {"", ""}, 201: {"", ""}, 204: {"", ""},
		400: {phone.Invalid, phone.Invalid}, 413: {phone.Invalid, phone.Invalid}, 415: {phone.Invalid, phone.Invalid}, 422: {phone.Invalid, phone.Invalid},
		401: {phone.Unauthorized, phone.Unauthorized}, 403: {phone.Unauthorized, phone.Unauthorized},
		402: {phone.Exhausted, phone.Exhausted}, 429: {phone.Exhausted, phone.Exhausted},
		404: {phone.NotFound, phone.NotFound}, 405: {phone.Unsupported, phone.Unsupported}, 426: {phone.Unsupported, phone.Unsupported},
		301: {phone.Uncertain, phone.Unavailable}, 307: {phone.Uncertain, phone.Unavailable},
		408: {phone.Uncertain, phone.Unavailable}, 409: {phone.Uncertain, phone.Unavailable}, 418: {phone.Uncertain, phone.Unavailable}, 425: {phone.Uncertain, phone.Unavailable},
		500: {phone.Uncertain, phone.Unavailable}, 502: {phone.Uncertain, phone.Unavailable}, 503: {phone.Uncertain, phone.Unavailable}, 504: {phone.Uncertain, phone.Unavailable},
	} {
		for i, dial := range []bool{true, false} {
			a := &Answer{Status: status, Header: http.Header{}, Body: []byte("words of the service")}
			err := c.Classify(a, dial)
			if phone.CodeOf(err) != want[i] {
				t.Errorf("%d, dial %v: %v, want %q", status, dial, err, want[i])
			}
			if err != nil && (strings.Contains(err.Error(), "words of") || phone.AsError(err).Message == "") {
				t.Errorf("%d: %v", status, err)
			}
		}
	}
}

func TestRetryAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for _, tt := range []struct {
			header, seconds string
			want            time.Duration
		}{
			{"", "", 30 * time.Second},
			{"7", "", 7 * time.Second},
			{" 7 ", "", 7 * time.Second},
			{"7", "9", 9 * time.Second},
			{"", "1.9", time.Second}, // whole seconds are told
			{"0", "", 0},
			{"-5", "", 30 * time.Second},
			{"soon", "", 30 * time.Second},
			{"NaN", "Inf", 24 * time.Hour},
			{"1e99", "", 24 * time.Hour},
			{now.Add(time.Minute).UTC().Format(http.TimeFormat), "", time.Minute},
			{now.Add(-time.Minute).UTC().Format(http.TimeFormat), "", 0},
			{now.Add(100 * time.Hour).UTC().Format(http.TimeFormat), "", 24 * time.Hour},
		} {
			a := &Answer{Header: http.Header{"Retry-After": {tt.header}}}
			if got := RetryAt(a, tt.seconds, 30*time.Second); got.Sub(now) != tt.want || got.Location() != time.UTC {
				t.Errorf("%q, %q: %v, want %v", tt.header, tt.seconds, got.Sub(now), tt.want)
			}
		}
	})
}

func TestObject(t *testing.T) {
	o, err := Parse([]byte(`{"id":12345678901234567890,"s":"x","e":"","b":true,"n":null,"o":{"in":"y"},"l":[1],"d":1.5,"t":"90","nan":"NaN","neg":-1,"huge":1e300,
		"at":"2026-11-21T09:00:00.5+08:00","naive":"2026-11-21T09:00:00","spaced":"2026-11-21 09:00:00.25","bad":"yesterday","utf":"` + "\xff" + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ got, want string }{
		{o.Text("id"), "12345678901234567890"},
		{o.Text("missing", "e", "n", "o", "l", "b", "s"), "x"},
		{o.Text("missing"), ""},
		{o.Text("utf"), "\uFFFD"},
		{o.Object("o").Text("in"), "y"},
		{o.Object("s").Text("in"), ""},
		{o.Time("at").Format(time.RFC3339Nano), "2026-11-21T01:00:00.5Z"},
		{o.Time("naive").Format(time.RFC3339Nano), "2026-11-21T09:00:00Z"},
		{o.Time("spaced").Format(time.RFC3339Nano), "2026-11-21T09:00:00.25Z"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	if v, known := o.Bool("b"); !v || !known {
		t.Error("a truth value is not seen")
	}
	if _, known := o.Bool("s"); known || !o.Time("bad").IsZero() || !o.Time("id").IsZero() {
		t.Error("what is none is taken for a truth value or a time")
	}
	for name, want := range map[string]time.Duration{"d": 1500 * time.Millisecond, "t": 90 * time.Second} {
		if d := o.Seconds("missing", name); d == nil || *d != want {
			t.Errorf("%s: %v", name, d)
		}
	}
	for _, name := range []string{"nan", "neg", "huge", "s", "o", "missing"} {
		if d := o.Seconds(name); d != nil {
			t.Errorf("%s is taken for %v", name, *d)
		}
	}
}

func TestParse(t *testing.T) {
	for _, raw := range []string{"", "[]", "null", "7", `"x"`, "{", "<html>", "\xff", `{"a":}`} {
		if o, err := Parse([]byte(raw)); err == nil || o != nil {
			t.Errorf("%q is taken for %v", raw, o)
		}
	}
}

func TestExcerpt(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                  `"plain"`,
		" two\n\tlines\r\n":      `"two lines"`,
		"bad \xff byte":          `"bad ` + "\uFFFD" + ` byte"`,
		"esc \x1b[31m \u202e":    `"esc \x1b[31m \u202e"`,
		strings.Repeat("好", 300): `"` + strings.Repeat("好", 200) + `…"`,
	} {
		if got := Excerpt(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"id":1}`, `{"a":{"b":[]}}`, "", "null", "\xff", `{"at":"2026-11-21"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		o, err := Parse([]byte(raw))
		if (err == nil) != (o != nil) {
			t.Fatalf("%v, %v", o, err)
		}
		for name := range o {
			if d := o.Seconds(name); d != nil && (*d < 0 || *d > 1e7*time.Second) {
				t.Errorf("%v", *d)
			}
			o.Text(name)
			o.Time(name)
			o.Object(name)
		}
	})
}
