package guard

import (
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// What a setting may be, and what is refused instead of being guessed.
func TestReadPolicy(t *testing.T) {
	for name, values := range map[string]map[string]bool{
		"dialing":          {"on": true, "off": true, "OFF": false, "no": false},
		"regions":          {"cn, us": true, "CN": true, " ,": false, "CHINA": false, "001": false},
		"number_gap":       {"0": true, "24h": true, "1500ms": false, "-1m": false, "10": false},
		"calls_per_number": {"0": true, "12": true, "-1": false, "many": false},
		"max_duration":     {"1h": true, "1h1s": false},
		"rates":            {"a=USD 0.10, b=CNY 1": true, "a=USD 1, a=USD 2": false, "USD 1": false, "=USD 1": false, "a=": false},
		"budget_day":       {"0": true, "USD 0, CNY 1": true, "USD 1, USD 2": false, "USD -1": false, "USD 1000000": true, "USD 1000001": false, "USD 0.0000001": false, "1": false},
		"confirm":          {"never": true, "first_contact": true, "always": true, "sometimes": false},
	} {
		for value, good := range values {
			_, setting, err := ReadPolicy(func(n string) string { return map[string]string{name: value}[n] })
			if (err == nil) != good || !good && (setting != name || phone.CodeOf(err) != phone.Invalid) {
				t.Errorf("%s=%q: %s, %v", name, value, setting, err)
			}
		}
	}
}

// A call lasts as long as was asked for, else as the operator allows, else an hour.
func TestLength(t *testing.T) {
	for _, tt := range []struct{ asked, allowed, want time.Duration }{
		{time.Minute, 10 * time.Minute, time.Minute},
		{0, 10 * time.Minute, 10 * time.Minute},
		{time.Minute, 0, time.Minute},
		{0, 0, time.Hour},
	} {
		if got := New(Policy{Longest: tt.allowed}).Length(phone.Order{MaxDuration: tt.asked}); got != tt.want {
			t.Errorf("%v asked for, %v allowed: %v", tt.asked, tt.allowed, got)
		}
	}
}
