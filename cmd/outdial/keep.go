package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/providers"
)

// keepSettings say how long what is kept of calls that are over.
func keepSettings() []providers.Setting {
	return []providers.Setting{
		{Name: "keep_transcripts", Env: "OUTDIAL_KEEP_TRANSCRIPTS", Default: "30d", Help: "how long the task, the words and the summary of a call are kept: days (30d) or hours (36h), at least 24h; 0: for good"},
		{Name: "keep_numbers", Env: "OUTDIAL_KEEP_NUMBERS", Default: "90d", Help: "how long its number can be read; after it limits still count it. Not less than OUTDIAL_KEEP_TRANSCRIPTS"},
		{Name: "keep_calls", Env: "OUTDIAL_KEEP_CALLS", Default: "400d", Help: "how long it stays known that there was a call, and its idempotency key stands for it; at least 31d"},
	}
}

// keeping reads them. Errors: invalid, naming the setting as it was set.
func keeping(values []value) (ledger.Keeping, error) {
	var k ledger.Keeping
	for _, one := range []struct {
		name  string
		least time.Duration
		to    *time.Duration
	}{
		{"keep_transcripts", 24 * time.Hour, &k.Transcripts}, // a record may come so late, and somebody may ask in it not to be called
		{"keep_numbers", 24 * time.Hour, &k.Numbers},
		{"keep_calls", 31 * 24 * time.Hour, &k.Calls}, // budgets count for 30 days
	} {
		v := setting(values, "", one.name)
		if v.From == "" { // there are no settings, as in a demo
			continue
		}
		written := v.Value
		d, ok := daysOrHours(written)
		switch {
		case !ok:
			return k, wrong(values, one.name, "%q is not a time such as 30d or 36h; 0 is for good.", written)
		case d != 0 && d < one.least:
			return k, wrong(values, one.name, "it must be at least %s; 0 is for good.", shownTime(one.least))
		}
		*one.to = d
	}
	if longer(k.Transcripts, k.Numbers) {
		return k, wrong(values, "keep_numbers", "it must not be shorter than OUTDIAL_KEEP_TRANSCRIPTS: numbers stand in transcripts.")
	}
	if longer(k.Numbers, k.Calls) {
		return k, wrong(values, "keep_calls", "it must not be shorter than OUTDIAL_KEEP_NUMBERS.")
	}
	return k, nil
}

// longer compares times of which 0 is for good.
func longer(a, b time.Duration) bool { return b != 0 && (a == 0 || a > b) }

// daysOrHours reads "30d", "36h" or "0".
func daysOrHours(s string) (time.Duration, bool) {
	if s == "0" {
		return 0, true
	}
	const longest = 36500 // days
	unit, most := time.Hour, 24*longest
	digits, days := strings.CutSuffix(s, "d")
	if days {
		unit, most = 24*time.Hour, longest
	} else if digits, days = strings.CutSuffix(s, "h"); !days {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return time.Duration(n) * unit, err == nil && n > 0 && n <= uint64(most)
}

func shownTime(d time.Duration) string {
	if d <= 48*time.Hour {
		return strconv.Itoa(int(d.Hours())) + "h"
	}
	return strconv.Itoa(int(d.Hours())/24) + "d"
}
