package main

import (
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

func TestKeeping(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		transcripts, numbers, calls string
		want                        ledger.Keeping
		says                        string
	}{
		{"30d", "90d", "400d", ledger.Keeping{Transcripts: 30 * day, Numbers: 90 * day, Calls: 400 * day}, ""},
		{"24h", "24h", "31d", ledger.Keeping{Transcripts: day, Numbers: day, Calls: 31 * day}, ""},
		{"36h", "0", "0", ledger.Keeping{Transcripts: 36 * time.Hour}, ""},
		{"0", "0", "0", ledger.Keeping{}, ""},
		{"0", "90d", "400d", ledger.Keeping{}, "keep_numbers: it must not be shorter"},
		{"30d", "0", "400d", ledger.Keeping{}, "keep_calls: it must not be shorter"},
		{"91d", "90d", "400d", ledger.Keeping{}, "keep_numbers: it must not be shorter"},
		{"30d", "401d", "400d", ledger.Keeping{}, "keep_calls: it must not be shorter"},
		{"23h", "90d", "400d", ledger.Keeping{}, "keep_transcripts: it must be at least 24h"},
		{"24h", "24h", "30d", ledger.Keeping{}, "keep_calls: it must be at least 31d"},
		{"30", "90d", "400d", ledger.Keeping{}, `keep_transcripts: "30" is not a time`},
		{"-1d", "90d", "400d", ledger.Keeping{}, "keep_transcripts"},
		{"0d", "90d", "400d", ledger.Keeping{}, "keep_transcripts"},
		{"99999999999d", "90d", "400d", ledger.Keeping{}, "keep_transcripts"},
		{"", "90d", "400d", ledger.Keeping{}, "keep_transcripts"},
		{"1w", "90d", "400d", ledger.Keeping{}, "keep_transcripts"},
	} {
		values := []value{
			{Setting: providers.Setting{Name: "keep_transcripts"}, Value: tt.transcripts, From: "keep_transcripts"},
			{Setting: providers.Setting{Name: "keep_numbers"}, Value: tt.numbers, From: "keep_numbers"},
			{Setting: providers.Setting{Name: "keep_calls"}, Value: tt.calls, From: "keep_calls"},
		}
		got, err := keeping(values)
		if tt.says == "" && (err != nil || got != tt.want) {
			t.Errorf("%q %q %q: %+v, %v", tt.transcripts, tt.numbers, tt.calls, got, err)
		}
		if tt.says != "" && (phone.CodeOf(err) != phone.Invalid || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%q %q %q: %v", tt.transcripts, tt.numbers, tt.calls, err)
		}
	}
}
