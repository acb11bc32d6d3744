package operator

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

func TestResolve(t *testing.T) {
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	unconfirmed := func(to string) string {
		t.Helper()
		n, err := phone.ParseNumber(to, "")
		if err != nil {
			t.Fatal(err)
		}
		c := phone.Begin(ledger.NewCallID(), "somebody", "stepone", "acc", phone.Order{To: n, Task: "x"}, time.Now())
		if _, _, err := l.Reserve(t.Context(), ledger.Intent{Call: c, Params: "p"}, func(phone.Facts) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Unknown(t.Context(), c.ID, &phone.Failure{Code: phone.Uncertain}); err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	for name, tt := range map[string]struct {
		to      string
		found   Finding
		code    phone.Code
		status  phone.Status
		outcome phone.Outcome
		failure phone.Code
	}{
		"not dialed":                {"+8613800138000", Finding{}, "", phone.StatusEnded, phone.Failed, phone.Unavailable},
		"dialed":                    {"+8613800138001", Finding{Dialed: true}, "", phone.StatusEnded, phone.UnknownOutcome, ""},
		"dialed, and known there":   {"+8613800138002", Finding{Dialed: true, Ref: "r"}, "", phone.Queued, "", ""},
		"not dialed, yet with name": {"+8613800138003", Finding{Ref: "r"}, phone.Invalid, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			id := unconfirmed(tt.to)
			c, err := Resolve(t.Context(), l, id, tt.found)
			if phone.CodeOf(err) != tt.code {
				t.Fatalf("%v", err)
			}
			if tt.code != "" {
				return
			}
			if c.Status != tt.status || c.Outcome != tt.outcome || c.Ref != tt.found.Ref || (c.Failure != nil) != (tt.failure != "") {
				t.Errorf("%+v", c)
			}
			if !c.EndedAt.IsZero() && tt.found.Dialed {
				t.Error("it says when a call ended of which nobody knows")
			}
			if tt.status != phone.StatusEnded {
				return
			}
			if _, err := Resolve(t.Context(), l, id, tt.found); phone.AsError(err) == nil || phone.AsError(err).Reason != "not_unconfirmed" {
				t.Errorf("twice: %v", err)
			}
		})
	}
	if _, err := Resolve(t.Context(), l, "call_x", Finding{}); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("%v", err)
	}
}
