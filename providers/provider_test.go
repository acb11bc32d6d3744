package providers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

func number(t *testing.T, e164 string) phone.Number {
	t.Helper()
	n, err := phone.ParseNumber(e164, "")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// placer is a driver whose dial ends as a test wants it.
type placer struct {
	polled
	ref   phone.Ref
	err   error
	check error
}

func (p *placer) Place(context.Context, phone.Order) (phone.Ref, error) { return p.ref, p.err }
func (p *placer) Check(phone.Order) error                               { return p.check }

func TestCheck(t *testing.T) {
	spec := providers.Spec{
		Name: "fake", Title: "Fake", Voices: []providers.Choice{{ID: "warm"}, {ID: "bright"}},
		Options: []providers.Option{
			{Name: "speed", Kind: providers.Integer, Min: 1, Max: 3}, {Name: "any", Kind: providers.Integer}, {Name: "country", Kind: providers.Text}, {Name: "metadata", Kind: providers.Map},
		},
	}
	with := func(options map[string]any) phone.Order { return phone.Order{Task: "x", Options: options} }
	tests := []struct {
		order phone.Order
		says  string // a part of the message; empty: it is taken
	}{
		{phone.Order{Task: "x"}, ""},
		{phone.Order{}, "task is empty"},
		{phone.Order{Task: " \n"}, "task is empty"},
		{phone.Order{Task: "x", Voice: "warm"}, ""},
		{phone.Order{Task: "x", Voice: "cold"}, "It has warm, bright."},
		{with(map[string]any{"speed": 2.0, "any": -7.0, "country": "US", "metadata": map[string]any{}}), ""},
		{with(map[string]any{"Speed": 2.0}), "It has speed, any, country, metadata."},
		{with(map[string]any{"speed": 4.0}), "speed must be from 1 to 3"},
		{with(map[string]any{"speed": 0.0}), "speed must be from 1 to 3"},
		{with(map[string]any{"speed": 1.5}), "speed must be a whole number"},
		{with(map[string]any{"speed": "2"}), "speed must be a whole number"},
		{with(map[string]any{"speed": nil}), "speed must be a whole number"},
		{with(map[string]any{"country": 1.0}), "country must be a string"},
		{with(map[string]any{"metadata": []any{}}), "metadata must be an object"},
	}
	p := providers.New(spec, &placer{}, providers.Options{})
	for _, tt := range tests {
		err := p.Check(tt.order)
		if tt.says == "" && err != nil || tt.says != "" && (phone.CodeOf(err) != phone.Invalid || !strings.Contains(phone.AsError(err).Message, tt.says)) {
			t.Errorf("%+v: %v, want %q", tt.order, err, tt.says)
		}
	}
	if err := providers.New(providers.Spec{}, &placer{}, providers.Options{}).Check(with(map[string]any{"x": 1.0})); !strings.Contains(fmt.Sprint(err), "It has none.") {
		t.Errorf("an option of a service without any: %v", err)
	}
	if err := providers.New(spec, &placer{check: errBroken}, providers.Options{}).Check(phone.Order{Task: "x"}); !errors.Is(err, errBroken) {
		t.Errorf("what the adapter refuses is taken: %v", err)
	}
}

// Whatever an adapter says of a dial, what comes out never lets a second dial seem safe where the first may have rung.
func TestPlaceErrors(t *testing.T) {
	kept := []phone.Code{phone.Invalid, phone.Refused, phone.Unauthorized, phone.Exhausted, phone.Unsupported, phone.Unavailable, phone.Uncertain}
	type want struct {
		err  error
		code phone.Code
	}
	tests := []want{
		{phone.Errorf(phone.NotFound, "No."), phone.Unsupported},
		{phone.Errorf(phone.Internal, "No."), phone.Uncertain},
		{phone.Errorf("made up", "No."), phone.Uncertain},
		{&phone.Error{}, phone.Uncertain},
		{errRaw, phone.Uncertain},
		{context.DeadlineExceeded, phone.Uncertain},
		{fmt.Errorf("reading: %w", context.Canceled), phone.Uncertain},
		{fmt.Errorf("wrapped: %w", phone.Errorf(phone.Invalid, "No.")), phone.Invalid},
	}
	for _, code := range kept {
		tests = append(tests, want{phone.Errorf(code, "No."), code})
	}
	for _, tt := range tests {
		ref, err := providers.New(providers.Spec{Name: "fake", Title: "Fake"}, &placer{ref: "half", err: tt.err}, providers.Options{}).Place(t.Context(), phone.Order{})
		var e *phone.Error
		if !errors.As(err, &e) || e.Code != tt.code || e.Op != "fake" || e.Message == "" || ref != "" {
			t.Errorf("%v: %q, %v, want %s", tt.err, ref, err, tt.code)
			continue
		}
		if tt.code == phone.Uncertain && e.RetrySafe() {
			t.Errorf("%v: asking again is said to be safe", tt.err)
		}
	}
	if ref, err := providers.New(providers.Spec{}, &placer{ref: "c1"}, providers.Options{}).Place(t.Context(), phone.Order{}); ref != "c1" || err != nil {
		t.Errorf("%q, %v", ref, err)
	}
	if _, err := providers.New(providers.Spec{}, &placer{}, providers.Options{}).Place(t.Context(), phone.Order{}); phone.CodeOf(err) != phone.Uncertain {
		t.Errorf("a call without a name: %v", err)
	}
}

func TestPlaceLeavesTheErrorAlone(t *testing.T) {
	given := phone.Errorf(phone.NotFound, "No.")
	_, _ = providers.New(providers.Spec{Name: "fake"}, &placer{err: given}, providers.Options{}).Place(t.Context(), phone.Order{})
	if given.Code != phone.NotFound || given.Op != "" {
		t.Errorf("%+v", given)
	}
}

func TestCapabilities(t *testing.T) {
	all := map[string]providers.Driver{"": &placer{}, "live_transcript": &streamed{}}
	for want, d := range all {
		if got := strings.Join(providers.New(providers.Spec{}, d, providers.Options{}).Capabilities(), " "); got != want {
			t.Errorf("%T: %q, want %q", d, got, want)
		}
	}
	spec := providers.Spec{Name: "fake", Title: "Fake", Voices: []providers.Choice{{ID: "warm"}}}
	p := providers.New(spec, &placer{}, providers.Options{Account: "a1"})
	if got := p.Capabilities(); !slices.Equal(got, []string{"voices"}) || p.Name() != "fake" || p.Account() != "a1" || p.Spec().Title != "Fake" {
		t.Errorf("%v", got)
	}
	if c, err := p.Catalog(t.Context()); err != nil || !slices.Equal(c.Voices, spec.Voices) {
		t.Errorf("%+v, %v", c, err)
	}
	_, balance := p.Balance(t.Context())
	_, _, version := p.Version(t.Context())
	_, found := p.Find(t.Context(), phone.Order{}, time.Now())
	for what, err := range map[string]error{"Hangup": p.Hangup(t.Context(), "c1"), "Balance": balance, "Version": version, "Find": found} {
		if phone.CodeOf(err) != phone.Unsupported {
			t.Errorf("%s: %v", what, err)
		}
	}
	if e := phone.AsError(p.Hangup(t.Context(), "c1")); e.CallStarted() != phone.StartedYes || e.RetrySafe() {
		t.Errorf("a call that cannot be hung up goes on, and the error says %s", e.CallStarted())
	}
}

func TestCovers(t *testing.T) {
	if s := (providers.Spec{}); !s.Covers("CN") || !s.Covers("US") {
		t.Error("a service of all regions does not cover one")
	}
	if s := (providers.Spec{Regions: []string{"CN"}}); !s.Covers("CN") || s.Covers("US") || s.Covers("") {
		t.Error("a service of one region")
	}
}

func TestSeconds(t *testing.T) {
	for in, want := range map[string]time.Duration{"": 0, "10": 10 * time.Second, "1.5": 1500 * time.Millisecond, "10s": 10 * time.Second, "2m": 2 * time.Minute, "0": 0} {
		if d, err := (providers.Config{"x": in}).Seconds("x"); err != nil || d != want {
			t.Errorf("%q: %v, %v", in, d, err)
		}
	}
	for _, in := range []string{"-1s", "-1", "ten", "1e3", ".", "10 s", "99999999999999"} {
		if d, err := (providers.Config{"x": in}).Seconds("x"); phone.CodeOf(err) != phone.Invalid {
			t.Errorf("%q is taken for %v (%v)", in, d, err)
		}
	}
}

// paced is an adapter whose settings say how often it is asked.
type paced struct {
	polled
	pace providers.Pace
}

func (p *paced) Pace() providers.Pace { return p.pace }

// What the program sets goes before what the adapter's settings say, and those before its spec.
func TestPaceOrder(t *testing.T) {
	for _, tt := range []struct {
		spec, driver, options, want time.Duration
	}{
		{0, 0, 0, 50 * time.Minute},
		{time.Minute, 0, 0, time.Minute},
		{time.Minute, 2 * time.Minute, 0, 2 * time.Minute},
		{time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute},
	} {
		bubble(func(t *testing.T) {
			d := &paced{polled: polled{began: time.Now(), lookup: after(time.Hour, time.Hour)}, pace: providers.Pace{Longest: tt.driver}}
			spec := providers.Spec{Pace: providers.Pace{Longest: tt.spec}}
			for range providers.New(spec, d, providers.Options{Pace: providers.Pace{Longest: tt.options}}).Observations(t.Context(), "c1", providers.How{}) {
				continue
			}
			if took := time.Since(d.began); took != tt.want {
				t.Errorf("given up after %v, want %v", took, tt.want)
			}
		})(t)
	}
}
