package server

import (
	"fmt"
	"testing"
	"time"
)

// Wrong tokens are counted by where they come from, and all together; what is kept of that is bounded, and forgotten in a
// minute.
func TestAttemptsAreCounted(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	floods := func(a *attempts, n int, from func(i int) string) (times int) {
		for i := range n {
			wait, flood := a.failed(from(i), now, func(int, string) {})
			if flood {
				times++
			}
			if wait <= 0 || wait > attemptsWindow {
				t.Errorf("it is to wait for %v", wait)
			}
		}
		return times
	}
	for _, tt := range []struct {
		name    string
		n, told int // how many wrong tokens, and how many of them are told to wait
		from    func(i int) string
	}{
		{"from one address", 100, 80, func(i int) string { return fmt.Sprintf("192.0.2.1:%d", i+1) }},
		{"from its IPv6 form too", 100, 80, func(i int) string { return []string{"192.0.2.1:1", "[::ffff:192.0.2.1]:2"}[i%2] }},
		{"from one network", 100, 80, func(i int) string { return fmt.Sprintf("[2001:db8::%x]:1", i+1) }},
		{"from many", 1100, 100, func(i int) string { return fmt.Sprintf("[2001:db8:0:%x::1]:1", i) }},
	} {
		a := &attempts{}
		if got := floods(a, tt.n, tt.from); got != tt.told {
			t.Errorf("%s: %d of %d are told to wait, want %d", tt.name, got, tt.n, tt.told)
		}
		now = now.Add(attemptsWindow)
		if got := floods(a, 1, tt.from); got != 0 {
			t.Errorf("%s: a minute later it is still told to wait", tt.name)
		}
	}
	a := &attempts{}
	floods(a, 3*attemptsSources, func(i int) string { return fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff) })
	if len(a.by) > attemptsSources {
		t.Errorf("%d addresses are kept", len(a.by))
	}
}
