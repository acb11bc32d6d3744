package switchboard

import (
	"strings"
	"testing"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

func TestRouting(t *testing.T) {
	cn := providers.New(spec("china", "CN"), newService(), providers.Options{Account: "a"})
	simulated := spec("simulator")
	simulated.Simulated, simulated.Settings = true, nil
	sim := providers.New(simulated, newService(), providers.Options{Account: "s"})
	missing := func(o *Options) { o.Missing = []providers.Spec{spec("america", "US", "CA")} }
	keyless := newBoard(t, file(t), missing, sim)
	keyed := newBoard(t, file(t), missing, cn, sim)
	for _, tt := range []struct {
		b                 board
		to, name          string
		provider, problem string
	}{
		{keyless, "+8613800138000", "", "simulator", ""},
		{keyless, "+442079460000", "", "simulator", ""},
		{keyed, "+8613800138000", "", "china", ""},
		{keyed, "+8613800138000", "simulator", "simulator", ""},
		{keyed, "+12025550143", "", "", "AMERICA would: the operator sets AMERICA_KEY, with a key from https://keys.example."},
		{keyed, "+442079460000", "", "", "No provider calls GB."},
		{keyed, "+12025550143", "america", "", "AMERICA is not configured: the operator sets AMERICA_KEY"},
		{keyed, "+12025550143", "nobody", "", `There is no provider "nobody". There are: china, simulator, america.`},
	} {
		n, err := phone.ParseNumber(tt.to, "")
		if err != nil {
			t.Fatal(err)
		}
		p, err := tt.b.route(n, tt.name)
		switch {
		case tt.provider != "" && (err != nil || p.Name() != tt.provider):
			t.Errorf("%s by %q: %v", tt.to, tt.name, err)
		case tt.problem != "" && (err == nil || !strings.Contains(phone.AsError(err).Message, tt.problem)):
			t.Errorf("%s by %q: %v", tt.to, tt.name, err)
		}
	}
	if _, err := keyed.Place(t.Context(), me(), Request{To: "+12025550143", Task: "x", Provider: "china"}); phone.AsError(err).Reason != "region_not_allowed" {
		t.Errorf("a provider that does not cover the number: %v", err)
	}
}

// What check_number says and what create_call does are one judgement.
func TestCheckAgreesWithPlace(t *testing.T) {
	s := newService()
	limited := func(o *Options) { o.Policy = guard.Policy{Regions: []string{"US"}}; o.Region = "US" }
	b := newBoard(t, file(t), limited, providers.New(spec("test", "US", "CA"), s, providers.Options{Account: "a"}))
	for to, code := range map[string]string{
		"911": "emergency_number", "+1911": "emergency_number", "+86110": "emergency_number", "112": "emergency_number",
		"+12": "bad_number", "+12025550143,+12025550144": "bad_number", "+11115550143": "invalid_number",
		"+19005550123": "number_type", "+8613800138000": "region_not_allowed", "+14165550123": "region_not_allowed", "+18765550123": "region_not_allowed",
		"+12025550143": "", "2025550144": "",
	} {
		c, err := b.Check(t.Context(), me(), Request{To: to})
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, r := range c.Refusals {
			codes = append(codes, r.Code)
		}
		_, err = b.Place(t.Context(), me(), ask(to, "x"))
		switch {
		case code == "" && (err != nil || len(codes) > 0):
			t.Errorf("%s: %v, %v", to, codes, err)
		case code != "" && (len(codes) == 0 || codes[0] != code || phone.AsError(err).Reason != code || phone.AsError(err).CallStarted() != phone.StartedNo):
			t.Errorf("%s: %v, %v; want %s", to, codes, err, code)
		}
	}
	if s.count() != 2 {
		t.Errorf("%d dials", s.count())
	}
}

// A number without its country is not guessed where it could be somebody else's.
func TestNationalNumbers(t *testing.T) {
	home := spec("china", "CN")
	home.Home = "CN"
	cn := providers.New(home, newService(), providers.Options{Account: "a"})
	us := providers.New(spec("america", "US", "CA"), newService(), providers.Options{Account: "b"})
	missing := func(o *Options) { o.Missing = []providers.Spec{spec("america", "US", "CA")} }
	alone := newBoard(t, file(t), missing, cn)
	both := newBoard(t, file(t), nil, cn, us)
	america := newBoard(t, file(t), nil, us)
	region := newBoard(t, file(t), func(o *Options) { o.Region = "US" }, us)
	for _, tt := range []struct {
		b        board
		to, want string
	}{
		{alone, "13800138000", "+8613800138000"},
		{alone, "13105551234", ""}, // also a number of the United States, with its trunk prefix
		{both, "13800138000", ""},
		{america, "2025550143", ""},
		{region, "2025550143", "+12025550143"},
		{region, "12025550143", "+12025550143"},
		{region, "112025550143", ""},
		{region, "01112025550143", ""},
	} {
		n, err := tt.b.number(tt.to, "")
		if n.E164() != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %s, %v", tt.to, n.E164(), err)
		}
	}
}

func TestBadRequests(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), nil, with(s))
	number := "+8613800138000"
	for name, r := range map[string]Request{
		"no task":          {To: number, Task: "  "},
		"a huge task":      {To: number, Task: strings.Repeat("x", 20_001)},
		"an unknown thing": {To: number, Task: "x", Order: phone.Order{Options: map[string]any{"frm": "y"}}},
		"repeat of none":   {To: number, Task: "x", RepeatOf: "call_nobody"},
	} {
		if _, err := b.Place(t.Context(), me(), r); phone.CodeOf(err) != phone.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if calls, _, err := b.List(t.Context(), me(), ledger.Filter{Limit: 1}); err != nil || len(calls) > 0 {
			t.Errorf("%s: %d calls, %v", name, len(calls), err)
		}
	}
	if s.count() != 0 {
		t.Errorf("%d dials", s.count())
	}
	for e, err := range b.Watch(t.Context(), me(), "call_nobody", 0) {
		if phone.CodeOf(err) != phone.NotFound {
			t.Errorf("%v, %v", e, err)
		}
	}
	stranger := phone.Caller{Principal: "somebody else", Scopes: phone.Local().Scopes}
	got, err := b.Place(t.Context(), me(), ask(number, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Hangup(t.Context(), stranger, got.Call.ID); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("somebody else's call: %v", err)
	}
}

func TestBatch(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), nil, with(s))
	batch := Batch{
		Request: Request{Task: "Hello {{name}}, at {{ time }}."},
		Recipients: []Recipient{
			{To: "+8613800138000", Variables: map[string]string{"name": "Li", "time": "9"}},
			{To: "911", Variables: map[string]string{"name": "Li", "time": "9"}},
			{To: "+8613800138001", Variables: map[string]string{"name": "Wu"}},
		},
	}
	id, items, err := b.PlaceBatch(t.Context(), me(), batch)
	if err != nil || len(items) != 3 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	if items[0].Err != nil || items[0].Placement.Call.Order.Task != "Hello Li, at 9." {
		t.Errorf("%+v", items[0])
	}
	if items[1].Err == nil || items[1].Err.Reason != "emergency_number" || items[2].Err == nil || !strings.Contains(items[2].Err.Message, "time") {
		t.Errorf("%+v, %+v", items[1].Err, items[2].Err)
	}
	batch.Recipients[2].Variables["time"] = "10"
	again, items, err := b.PlaceBatch(t.Context(), me(), batch)
	if err != nil || again != id || !items[0].Placement.Replayed || items[2].Err != nil || items[2].Placement.Replayed {
		t.Errorf("sent again: %s, %+v, %v", again, items, err)
	}
	if s.count() != 2 {
		t.Errorf("%d dials", s.count())
	}
	batch.Recipients[0].To = "13800138000" // the same person, written otherwise
	b.Region = "CN"
	if other, items, err := b.PlaceBatch(t.Context(), me(), batch); err != nil || other != id || !items[0].Placement.Replayed || s.count() != 2 {
		t.Errorf("in another spelling: %s, %+v, %v", other, items[0], err)
	}
	batch.Recipients = append(batch.Recipients, Recipient{To: "+8613800138000", Variables: batch.Recipients[0].Variables})
	if _, _, err := b.PlaceBatch(t.Context(), me(), batch); phone.CodeOf(err) != phone.Invalid {
		t.Errorf("the same number twice: %v", err)
	}
	if _, _, err := b.PlaceBatch(t.Context(), me(), Batch{}); phone.CodeOf(err) != phone.Invalid {
		t.Errorf("nobody: %v", err)
	}
}
