package guard

import (
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

func TestAnUnconfirmedCallBlocksItsNumber(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration, by string, s phone.Status) *phone.Call {
		return &phone.Call{ID: "call_1", Principal: by, CreatedAt: now.Add(-d), Status: s}
	}
	for name, tt := range map[string]struct {
		calls   []*phone.Call
		exempt  bool
		refused string
		id      string
	}{
		"no call":                   {},
		"one being dialed":          {calls: []*phone.Call{ago(time.Second, "me", phone.Dialing)}, refused: "busy", id: "call_1"},
		"one left in its dial":      {calls: []*phone.Call{ago(5*time.Hour, "she", phone.Dialing)}, refused: "busy"},
		"one that goes on":          {calls: []*phone.Call{ago(time.Minute, "me", phone.InProgress)}},
		"just now":                  {calls: []*phone.Call{ago(0, "me", phone.Unconfirmed)}, refused: "too_soon", id: "call_1"},
		"somebody else's":           {calls: []*phone.Call{ago(time.Minute, "she", phone.Unconfirmed)}, refused: "too_soon"},
		"behind one that is over":   {calls: []*phone.Call{ago(0, "me", phone.StatusEnded), ago(time.Minute, "me", phone.Unconfirmed)}, refused: "too_soon", id: "call_1"},
		"a second before half past": {calls: []*phone.Call{ago(30*time.Minute-time.Second, "me", phone.Unconfirmed)}, refused: "too_soon", id: "call_1"},
		"half an hour":              {calls: []*phone.Call{ago(30*time.Minute, "me", phone.Unconfirmed)}},
		"it rings nobody":           {calls: []*phone.Call{ago(0, "me", phone.Unconfirmed)}, exempt: true},
	} {
		t.Run(name, func(t *testing.T) {
			all := Policy{}.Earlier(phone.Facts{Principal: "me", Now: now, ToNumber: tt.calls}, Route{Exempt: tt.exempt})
			if len(all) > 0 != (tt.refused != "") {
				t.Fatalf("%+v", all)
			}
			if tt.refused == "" {
				return
			}
			e := phone.AsError(all[0].Err())
			if e.Code != phone.Refused || e.Reason != tt.refused || e.CallID != tt.id || e.RetryAt.After(now) != (tt.refused == "too_soon") || tt.id != "" && e.RetrySafe() {
				t.Errorf("%+v", e)
			}
		})
	}
}
