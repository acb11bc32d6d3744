package phone

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseNumber(t *testing.T) {
	tests := []struct{ in, region, want, reason string }{
		{"+8613800138000", "", "+8613800138000", ""},
		{"13800138000", "CN", "+8613800138000", ""},
		{"+12025550143", "CN", "+12025550143", ""},
		{"2025550143", "US", "+12025550143", ""},
		{"13800138000", "", "", "bad_number"},
		{"+1 202 555 0143", "", "", "bad_number"},
		{"+12025550143 ", "", "", "bad_number"},
		{"+12025550143,+12025550144", "", "", "bad_number"},
		{"+12025550143x12", "", "", "bad_number"},
		{"+12025550143;ext=1", "", "", "bad_number"},
		{"tel:+12025550143", "", "", "bad_number"},
		{"1-900-HOTSEXX", "US", "", "bad_number"},
		{"+８６１３８００１３８０００", "", "", "bad_number"},
		{"+12025550143\n", "", "", "bad_number"},
		{"*21*13800138000#", "CN", "", "bad_number"},
		{"+86013800138000", "", "", "bad_number"},
		{"0012025550143", "", "", "bad_number"},
		{"+12345", "", "", "bad_number"},
		{"+8612345678901", "", "", "invalid_number"},
		{"+1555", "", "", "bad_number"},
		{"", "US", "", "bad_number"},
		{"+11115550143", "", "", "invalid_number"},
		{"+99912345678", "", "", "bad_number"},
	}
	for _, tt := range tests {
		n, err := ParseNumber(tt.in, tt.region)
		var e *Error
		errors.As(err, &e)
		switch {
		case tt.reason == "" && (err != nil || n.E164() != tt.want):
			t.Errorf("%q: %v, %v", tt.in, n.E164(), err)
		case tt.reason != "" && (e == nil || e.Code != Invalid || e.Reason != tt.reason || !n.IsZero()):
			t.Errorf("%q: %v, %v, want %s", tt.in, n.E164(), err, tt.reason)
		}
	}
}

func TestNumberPrintsMasked(t *testing.T) {
	n, err := ParseNumber("+8613800138000", "")
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := json.Marshal(struct{ N Number }{n})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		n.String(), string(inJSON), fmt.Sprintf("%v %+v %#v %s %q %x %d", n, n, n, n, n, n, n),
		fmt.Sprintf("%+v", Order{To: n}), fmt.Sprintf("%#v", &Call{Order: Order{To: n}}),
	} {
		if strings.Contains(s, "138001") || !strings.Contains(s, "+86…00") {
			t.Errorf("not masked: %s", s)
		}
	}
	if n.Region() != "CN" {
		t.Errorf("region %s", n.Region())
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"+8613800138000", "13800138000", "+1", "", "+12025550143x1", "911"} {
		f.Add(s, "CN")
	}
	f.Fuzz(func(t *testing.T, s, region string) {
		n, err := ParseNumber(s, region)
		if err != nil {
			if CodeOf(err) != Invalid || !n.IsZero() {
				t.Errorf("%q: %v, %v", s, n.E164(), err)
			}
			return
		}
		again, err := ParseNumber(n.E164(), "")
		if err != nil || again != n {
			t.Errorf("%q gives %s, which gives %s, %v", s, n.E164(), again.E164(), err)
		}
	})
}

func TestMoney(t *testing.T) {
	for in, want := range map[string]string{
		"0.6": "0.60", "0.60": "0.60", "8.8": "8.80", "10": "10.00", "-0.05": "-0.05", "0.125": "0.125", "1e-1": "0.10", "0.0000014": "0.000001",
	} {
		m, err := ParseMoney(in, "CNY")
		if err != nil || m.Amount() != want {
			t.Errorf("%s: %s, %v", in, m.Amount(), err)
		}
		var again Money
		if err := again.UnmarshalText([]byte(m.String())); err != nil || again != m {
			t.Errorf("%s does not come back: %s, %v", m, again, err)
		}
	}
	for _, in := range []string{"", "x", "0x10", "1_000", "Inf", "NaN", "1e300", "--1", "1,5"} {
		if m, err := ParseMoney(in, "CNY"); err == nil {
			t.Errorf("%q is taken for %s", in, m)
		}
	}
	if _, err := ParseMoney("1", "yuan"); err == nil {
		t.Error("a currency of any form is taken")
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		err     *Error
		started Started
		retry   bool
	}{
		{&Error{Code: Unavailable}, StartedNo, true},
		{&Error{Code: Uncertain}, StartedUnknown, false},
		{&Error{Code: Uncertain, RetryAt: at(1)}, StartedUnknown, false},
		{&Error{Code: Exhausted}, StartedNo, false},
		{&Error{Code: Exhausted, RetryAt: at(1)}, StartedNo, true},
		{&Error{Code: Unsupported, Started: StartedYes}, StartedYes, false},
		{&Error{Code: Unauthorized}, StartedNo, false},
	} {
		if tt.err.CallStarted() != tt.started || tt.err.RetrySafe() != tt.retry {
			t.Errorf("%v: started %s, retry %v", tt.err, tt.err.CallStarted(), tt.err.RetrySafe())
		}
	}
	hidden := AsError(fmt.Errorf("dial tcp: %w", errors.New("key sk_secret")))
	if hidden.Code != Internal || strings.Contains(hidden.Message, "sk_secret") {
		t.Errorf("an unknown error's text reaches the model: %q", hidden.Message)
	}
	about := About(hidden, "call_1")
	if about.CallID != "call_1" || hidden.CallID != "" {
		t.Error("About changes the error that it is given")
	}
}
