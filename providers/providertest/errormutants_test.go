package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// looking is the adapter with another Lookup.
type looking struct {
	*plain
	lookup func(p *plain, ctx context.Context, ref phone.Ref) (phone.Observation, error)
}

func (m looking) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	return m.lookup(m.plain, ctx, ref)
}

func looksSo(lookup func(p *plain, ctx context.Context, ref phone.Ref) (phone.Observation, error)) func(*plain) providers.Driver {
	return func(p *plain) providers.Driver { return looking{p, lookup} }
}

// hanging is the adapter with another Hangup.
type hanging struct {
	*plain
	hangup func(p *plain, ctx context.Context, ref phone.Ref) error
}

func (m hanging) Hangup(ctx context.Context, ref phone.Ref) error { return m.hangup(m.plain, ctx, ref) }

// balancing is the adapter with another Balance.
type balancing struct{ *plain }

func (balancing) Balance(context.Context) (phone.Balance, error) { return phone.Balance{}, nil }

// answering dials and makes an error of the answer in its own way.
func answering(fail func(a *upstream.Answer, o phone.Order) error) func(*plain) providers.Driver {
	return placesSo(func(p *plain, ctx context.Context, o phone.Order) (phone.Ref, error) {
		a, err := p.c.Dial(ctx, "/calls", dialOf(o), nil)
		if err != nil {
			return "", err
		}
		return "", fail(a, o)
	})
}

// classified gives every status the same code.
func classified(code phone.Code) func(*plain) providers.Driver {
	return answering(func(*upstream.Answer, phone.Order) error { return phone.Errorf(code, "It did not work.") })
}

func errorMutants() []mutant {
	type ctx = context.Context
	all := []mutant{
		{"leaks the key in the cause", "a dial answered with 400", answering(func(*upstream.Answer, phone.Order) error {
			return &phone.Error{Code: phone.Invalid, Message: "Bad.", Err: errors.New("sent X-Key: " + plainKey)}
		})},
		{"leaks the number in the cause", "a dial answered with 422", answering(func(_ *upstream.Answer, o phone.Order) error {
			return &phone.Error{Code: phone.Invalid, Message: "Bad.", Err: fmt.Errorf("dialing %s", o.To.E164())}
		})},
		{"leaks the national number in the message", "a dial answered with 422", answering(func(_ *upstream.Answer, o phone.Order) error {
			return phone.Errorf(phone.Invalid, "Bad: %s.", o.To.E164()[2:])
		})},
		{"repeats the service's answer in the message", "a dial answered with 400", answering(func(a *upstream.Answer, _ phone.Order) error {
			return phone.Errorf(phone.Invalid, "Bad: %s.", a.Body[:30])
		})},
		{"returns an error of another type", "a dial answered with 400", answering(func(*upstream.Answer, phone.Order) error { return errors.New("bad") })},
		{"does not say when to ask again", "a dial answered with 429", classified(phone.Exhausted)},

		{"takes a failed look-up for the end", "a look-up that fails says so, and never that the call is over", looksSo(func(p *plain, ctx ctx, ref phone.Ref) (phone.Observation, error) {
			o, err := p.Lookup(ctx, ref)
			if err != nil {
				return phone.Observation{Line: phone.WrappingUp, Extent: phone.Whole, Outcome: phone.Failed}, nil
			}
			return o, nil
		})},
		{"keeps failed look-ups to itself", "a look-up that fails says so, and never that the call is over", looksSo(func(p *plain, ctx ctx, ref phone.Ref) (phone.Observation, error) {
			o, _ := p.Lookup(ctx, ref)
			return o, nil
		})},
		{"takes nonsense for the end", "a look-up answered with nonsense is never the end of the call", looksSo(func(p *plain, ctx ctx, ref phone.Ref) (phone.Observation, error) {
			o, err := p.Lookup(ctx, ref)
			if err == nil && o.Line == "" {
				o.Line = phone.WrappingUp
			}
			return o, err
		})},
		{"takes an empty answer for the record", "a call is followed past look-ups that fail", looksSo(func(p *plain, ctx ctx, ref phone.Ref) (phone.Observation, error) {
			o, err := p.Lookup(ctx, ref)
			if err != nil || o.Line == "" {
				return phone.Observation{Line: phone.WrappingUp, Extent: phone.Whole, Outcome: phone.Completed}, nil
			}
			return o, err
		})},
		{"looks up without the context", "the end of the context stops a look-up", looksSo(func(p *plain, ctx ctx, ref phone.Ref) (phone.Observation, error) {
			slow, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			return p.Lookup(slow, ref)
		})},
		{"waits for a look-up without a limit", "an answer that does not come is unavailable", looksSo(patient)},
		{"knows only its own calls", "a ref of another process works", func(p *plain) providers.Driver { return &remembering{plain: p, own: map[phone.Ref]bool{}} }},
		{"takes the key along a redirect", "a read takes the key to no other host", looksSo(func(p *plain, ctx ctx, ref phone.Ref) (phone.Observation, error) {
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/calls/"+url.PathEscape(string(ref)), nil)
			req.Header.Set("X-Key", plainKey)
			if resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req); err == nil {
				resp.Body.Close()
			}
			return p.Lookup(ctx, ref)
		})},

		{"fails to hang up what is over", "a call is hung up, and again, and once it is over", func(p *plain) providers.Driver {
			return hanging{p, func(p *plain, ctx ctx, ref phone.Ref) error {
				if o, err := p.Lookup(ctx, ref); err != nil || o.Line == phone.WrappingUp {
					return phone.Errorf(phone.NotFound, "It is over.")
				}
				return p.Hangup(ctx, ref)
			}}
		}},
		{"hangs nothing up", "a hang-up that fails says so", func(p *plain) providers.Driver {
			return hanging{p, func(p *plain, ctx ctx, ref phone.Ref) error { return nil }}
		}},
		{"tells no balance", "the balance is told", func(p *plain) providers.Driver { return balancing{p} }},
	}
	for _, tt := range []struct {
		code     phone.Code
		statuses []int
	}{
		{phone.Unavailable, []int{401, 402, 404, 405, 413, 426, 429, 408, 409, 425, 500, 502, 503, 504}},
		{phone.Uncertain, []int{400, 403, 415, 422}},
		{phone.Invalid, []int{401, 402, 403, 426, 429, 408, 409, 425, 500}},
	} {
		for _, s := range tt.statuses {
			all = append(all, mutant{fmt.Sprintf("calls %d %s", s, tt.code), fmt.Sprintf("a dial answered with %d", s), classified(tt.code)})
		}
	}
	return all
}

// patient looks up through a client without any limit of time.
func patient(p *plain, ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	c, err := upstream.New(upstream.Options{Name: "Plain", Base: p.base, Header: http.Header{"X-Key": {plainKey}}, ReadTimeout: 3 * time.Second})
	if err != nil {
		return phone.Observation{}, err
	}
	defer c.Close()
	q := *p
	q.c = c
	return q.Lookup(ctx, ref)
}

// remembering follows the calls that it placed itself.
type remembering struct {
	*plain
	own map[phone.Ref]bool
}

func (m *remembering) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	ref, err := m.plain.Place(ctx, o)
	m.own[ref] = true
	return ref, err
}

func (m *remembering) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	if !m.own[ref] {
		return phone.Observation{}, phone.Errorf(phone.NotFound, "There is no such call.")
	}
	return m.plain.Lookup(ctx, ref)
}
