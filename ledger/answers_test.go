package ledger

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

func failure() *phone.Failure { return &phone.Failure{Code: phone.Unavailable, Reason: "not_placed"} }

func replayed(t *testing.T, l *Ledger, in Intent) bool {
	t.Helper()
	_, replayed, err := l.Reserve(t.Context(), in, yes)
	if err != nil {
		t.Fatal(err)
	}
	return replayed
}

// What may be recorded of a dial after what, and what stands then.
func TestAnswersToADial(t *testing.T) {
	type step = func(l *Ledger, id string) (Held, error)
	placed := func(ref phone.Ref) step {
		return func(l *Ledger, id string) (Held, error) { return l.Placed(context.Background(), id, ref) }
	}
	rejected := func(l *Ledger, id string) (Held, error) { return l.Rejected(context.Background(), id, failure()) }
	unknown := func(l *Ledger, id string) (Held, error) {
		return l.Unknown(context.Background(), id, &phone.Failure{Code: phone.Uncertain})
	}
	adopt := func(found ...phone.Listed) step {
		return func(l *Ledger, id string) (Held, error) {
			h, _, err := l.Adopt(context.Background(), id, found)
			return h, err
		}
	}
	never := func(l *Ledger, id string) (Held, error) { return l.NeverPlaced(context.Background(), id, failure()) }
	sure := func(r phone.Ref) phone.Listed { return phone.Listed{Ref: r, Match: phone.Sure} }
	likely := func(r phone.Ref) phone.Listed { return phone.Listed{Ref: r, Match: phone.Likely} }
	possible := func(r phone.Ref) phone.Listed { return phone.Listed{Ref: r} }
	for name, tt := range map[string]struct {
		steps   []step
		dial    Dial
		ref     phone.Ref
		status  phone.Status
		outcome phone.Outcome
		events  int64
		free    bool // another call may be placed for the same intent
	}{
		"placed":                                {[]step{placed("r")}, Placed, "r", phone.Queued, "", 1, false},
		"placed twice":                          {[]step{placed("r"), placed("s")}, Placed, "r", phone.Queued, "", 1, false},
		"rejected":                              {[]step{rejected}, Rejected, "", phone.StatusEnded, phone.Failed, 1, true},
		"placed, then nobody knows":             {[]step{placed("r"), unknown}, Placed, "r", phone.Queued, "", 1, false},
		"placed, then rejected":                 {[]step{placed("r"), rejected}, Placed, "r", phone.Queued, "", 1, false},
		"unknown":                               {[]step{unknown}, Unknown, "", phone.Unconfirmed, "", 1, false},
		"unknown twice":                         {[]step{unknown, unknown}, Unknown, "", phone.Unconfirmed, "", 1, false},
		"unknown, then the answer":              {[]step{unknown, placed("r")}, Placed, "r", phone.Queued, "", 2, false},
		"unknown, then a refusal":               {[]step{unknown, rejected}, Rejected, "", phone.StatusEnded, phone.Failed, 2, true},
		"found":                                 {[]step{unknown, adopt(sure("r"))}, Placed, "r", phone.Queued, "", 2, false},
		"found twice over":                      {[]step{unknown, adopt(sure("r"), sure("r"))}, Placed, "r", phone.Queued, "", 2, false},
		"likely":                                {[]step{unknown, adopt(likely("r"))}, Placed, "r", phone.Queued, "", 2, false},
		"likely, beside one that is sure":       {[]step{unknown, adopt(likely("r"), sure("s"), possible("t"))}, Placed, "s", phone.Queued, "", 2, false},
		"likely, beside one that is possible":   {[]step{unknown, adopt(likely("r"), possible("s"))}, Unknown, "", phone.Unconfirmed, "", 1, false},
		"only possible":                         {[]step{unknown, adopt(possible("r"))}, Unknown, "", phone.Unconfirmed, "", 1, false},
		"only one without a name":               {[]step{unknown, adopt(possible(""))}, Unknown, "", phone.Unconfirmed, "", 1, false},
		"never placed":                          {[]step{unknown, never}, Rejected, "", phone.StatusEnded, phone.Failed, 2, true},
		"never placed, while it is dialed":      {[]step{never}, Sending, "", phone.Dialing, "", 0, false},
		"never placed, and yet the answer":      {[]step{unknown, placed("r"), never}, Placed, "r", phone.Queued, "", 2, false},
		"not found":                             {[]step{unknown, adopt()}, Unknown, "", phone.Unconfirmed, "", 1, false},
		"several found":                         {[]step{unknown, adopt(sure("r"), sure("s"))}, Unknown, "", phone.Unconfirmed, "", 1, false},
		"found before its dial is over":         {[]step{adopt(sure("r"))}, Sending, "", phone.Dialing, "", 0, false},
		"found, and the answer says another":    {[]step{unknown, adopt(sure("r")), placed("s")}, Placed, "r", phone.Queued, "", 2, false},
		"given up, then the answer":             {[]step{unknown, rejected, placed("r")}, Placed, "r", phone.StatusEnded, phone.UnknownOutcome, 3, false},
		"given up, then nobody knows":           {[]step{unknown, rejected, unknown}, Rejected, "", phone.StatusEnded, phone.Failed, 2, true},
		"given up, then found on the list":      {[]step{unknown, rejected, adopt(sure("r"))}, Rejected, "", phone.StatusEnded, phone.Failed, 2, true},
		"the answer, then found under its name": {[]step{placed("r"), adopt(sure("r"))}, Placed, "r", phone.Queued, "", 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := fresh(t)
			h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
			var last Held
			for _, do := range tt.steps {
				var err error
				if last, err = do(l, h.ID); err != nil {
					t.Fatal(err)
				}
			}
			got, err := l.Call(t.Context(), "local", h.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got.Dial != tt.dial || got.Ref != tt.ref || got.Status != tt.status || got.Outcome != tt.outcome || got.Seq != tt.events {
				t.Errorf("%s, ref %q, %s, outcome %q, %d events", got.Dial, got.Ref, got.Status, got.Outcome, got.Seq)
			}
			if last.Dial != got.Dial || last.Ref != got.Ref || last.Seq != got.Seq {
				t.Errorf("it gives %s, %q, %d events", last.Dial, last.Ref, last.Seq)
			}
			if free := !replayed(t, l, wish(t, "+8613800138000", "", "p")); free != tt.free {
				t.Errorf("the intent is free: %v", free)
			}
		})
	}
}

func TestACallOfAnotherIsNotAdopted(t *testing.T) {
	l := fresh(t)
	first := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	if _, err := l.Placed(t.Context(), first.ID, "r1"); err != nil {
		t.Fatal(err)
	}
	h := reserve(t, l, wish(t, "+8613800138001", "", "p"))
	if _, err := l.Unknown(t.Context(), h.ID, failure()); err != nil {
		t.Fatal(err)
	}
	r1, r2 := phone.Listed{Ref: "r1", Match: phone.Sure}, phone.Listed{Ref: "r2", Match: phone.Sure}
	if got, left, err := l.Adopt(t.Context(), h.ID, []phone.Listed{r1}); err != nil || left != 0 || got.Dial != Unknown {
		t.Errorf("%+v, %v, %v", got, left, err)
	}
	if got, left, err := l.Adopt(t.Context(), h.ID, []phone.Listed{r1, r2}); err != nil || left != 1 || got.Ref != "r2" {
		t.Errorf("%+v, %v, %v", got, left, err)
	}
}

// Of two dials to one number that could both have led to a call, neither gets it for a likeness; and none is hung up for one.
func TestALikenessIsNotEnoughForTwo(t *testing.T) {
	l := fresh(t)
	var ids []string
	for range 2 {
		h := reserve(t, l, wish(t, "+8613800138000", fmt.Sprint("key ", len(ids)), "p"))
		if _, err := l.Unknown(t.Context(), h.ID, failure()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.WantHangup(t.Context(), h.ID); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, h.ID)
	}
	alike := []phone.Listed{{Ref: "r", Match: phone.Likely}}
	for _, id := range ids {
		if got, n, err := l.Adopt(t.Context(), id, alike); err != nil || n != 2 || got.Dial != Unknown {
			t.Errorf("%+v, %d, %v", got, n, err)
		}
	}
	if _, err := l.Resolve(t.Context(), ids[0], false, "", failure()); err != nil {
		t.Fatal(err)
	}
	if got, n, err := l.Adopt(t.Context(), ids[1], alike); err != nil || n != 1 || got.Ref != "r" || got.HangupWanted {
		t.Errorf("%+v, %d, %v", got, n, err)
	}
	if got, err := l.Call(t.Context(), "local", ids[1]); err != nil || got.HangupWanted {
		t.Errorf("it is hung up for a likeness: %+v, %v", got, err)
	}
}

func TestResolve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	l, operator := open(t, path), open(t, path)
	for i, tt := range []struct {
		dialed  bool
		ref     phone.Ref
		dial    Dial
		status  phone.Status
		outcome phone.Outcome
		free    bool
	}{
		{false, "", Rejected, phone.StatusEnded, phone.Failed, true},
		{true, "", Unknown, phone.StatusEnded, phone.UnknownOutcome, false},
		{true, "r", Placed, phone.Queued, "", false},
	} {
		to := "+861380013800" + string(rune('0'+i))
		h := reserve(t, l, wish(t, to, "", "p"))
		if _, err := operator.Resolve(t.Context(), h.ID, tt.dialed, tt.ref, failure()); phone.AsError(err) == nil || phone.AsError(err).Reason != "not_unconfirmed" {
			t.Errorf("a dial under way can be resolved: %v", err)
		}
		if _, err := l.Unknown(t.Context(), h.ID, failure()); err != nil {
			t.Fatal(err)
		}
		got, err := operator.Resolve(t.Context(), h.ID, tt.dialed, tt.ref, failure())
		if err != nil || got.Dial != tt.dial || got.Ref != tt.ref || got.Status != tt.status || got.Outcome != tt.outcome {
			t.Errorf("%+v: %+v, %v", tt, got, err)
		}
		if _, err := operator.Resolve(t.Context(), h.ID, !tt.dialed, "", failure()); phone.AsError(err) == nil || phone.AsError(err).Reason != "not_unconfirmed" {
			t.Errorf("it can be resolved twice: %v", err)
		}
		if free := !replayed(t, l, wish(t, to, "", "p")); free != tt.free {
			t.Errorf("%+v: the intent is free: %v", tt, free)
		}
	}
	other := reserve(t, l, wish(t, "+8613800138009", "", "p"))
	if _, err := l.Unknown(t.Context(), other.ID, failure()); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.Resolve(t.Context(), other.ID, true, "r", failure()); phone.AsError(err) == nil || phone.AsError(err).Reason != "ref_taken" {
		t.Errorf("two calls share a name at the provider: %v", err)
	}
	if _, err := operator.Resolve(t.Context(), "call_x", true, "", nil); phone.CodeOf(err) != phone.NotFound {
		t.Error(err)
	}
}

// A dial whose process has died without a word can be resolved before another one notices.
func TestResolveAnInterruptedDial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	dead, err := Open(t.Context(), address(t, path), Options{Lease: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.Close() })
	h := reserve(t, dead, wish(t, "+8613800138000", "", "p"))
	time.Sleep(2 * time.Millisecond) // the lease is over then
	if got, err := open(t, path).Resolve(t.Context(), h.ID, false, "", failure()); err != nil || got.Dial != Rejected {
		t.Errorf("%+v, %v", got, err)
	}
}

// Uncertain dials are for those who can look for them.
func TestClaimOfUncertainDials(t *testing.T) {
	l := fresh(t)
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	if _, err := l.Unknown(t.Context(), h.ID, failure()); err != nil {
		t.Fatal(err)
	}
	if held, err := l.Claim(t.Context(), Accounts{Ask: []string{"acc"}, Search: []string{"other"}}, idle, now()); err != nil || len(held) != 0 {
		t.Errorf("%+v, %v", held, err)
	}
	held, err := l.Claim(t.Context(), Accounts{Search: []string{"acc"}}, idle, now())
	if err != nil || len(held) != 1 || held[0].Dial != Unknown || !l.Follows(held[0]) {
		t.Fatalf("%+v, %v", held, err)
	}
	if _, err := l.Resolve(t.Context(), h.ID, true, "", nil); err != nil {
		t.Fatal(err)
	}
	if held, err := l.Claim(t.Context(), Accounts{Search: []string{"acc"}}, idle, in(t, l, time.Hour)); err != nil || len(held) != 0 {
		t.Errorf("a resolved call is claimed: %+v, %v", held, err)
	}
}

// A lease that was written before the clock was set back ends in hours. Its process is dead all the same.
func TestAClockThatWasSetBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	dead, l := open(t, path), open(t, path)
	h := reserve(t, dead, wish(t, "+8613800138000", "", "p"))
	change(t, dead, `UPDATE processes SET expires_at = expires_at + ?`, (8 * time.Hour).Microseconds())
	if held, err := l.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, now()); err != nil || len(held) != 1 || held[0].ID != h.ID {
		t.Errorf("%+v, %v", held, err)
	}
}

// A call that cannot be read keeps no other from being taken up.
func TestOneCallThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outdial.db")
	dead, l := open(t, path), open(t, path)
	broken := reserve(t, dead, wish(t, "+8613800138000", "", "p"))
	h := reserve(t, dead, wish(t, "+8613800138001", "", "p"))
	change(t, dead, `INSERT INTO events (call_id, seq, at, kind, body) VALUES (?, 1, 0, 'from the future', '{}')`, broken.ID)
	if err := dead.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	held, err := l.Claim(t.Context(), Accounts{Ask: []string{"acc"}}, idle, now())
	if err == nil || !strings.Contains(phone.AsError(err).Err.Error(), broken.ID) || len(held) != 1 || held[0].ID != h.ID || !l.Follows(held[0]) {
		t.Errorf("%+v, %v", held, err)
	}
}
