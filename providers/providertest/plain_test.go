package providertest

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

const (
	plainKey    = "key-5f1c0d9e"
	plainSecret = "sec-77ab03d1"
)

// plain is an adapter of a service that exists in this test alone (plainService): as short as an adapter can be that keeps
// every clause. The mutants are made from it.
type plain struct {
	c    *upstream.Client
	base string
	idle upstream.Idle

	hook, secret string
}

var (
	_ providers.Driver     = (*plain)(nil)
	_ providers.Streamer   = (*plain)(nil)
	_ providers.Hanguper   = (*plain)(nil)
	_ providers.Balancer   = (*plain)(nil)
	_ providers.Receiver   = (*plain)(nil)
	_ providers.Toolkeeper = (*plain)(nil)
)

func plainSpec() providers.Spec {
	return providers.Spec{
		Name: "plain", Title: "Plain", Settings: []providers.Setting{{Name: "api_key", Env: "PLAIN_API_KEY", Help: "The key.", Secret: true, Required: true}},
		Open: func(providers.Config, providers.Connect) (providers.Driver, error) {
			return nil, errors.New("not in this test")
		},
	}
}

func openPlain(w Wire) (*plain, error) {
	c, err := upstream.New(upstream.Options{
		Name: "Plain", Base: w.Base, Header: http.Header{"X-Key": {plainKey}}, DialTimeout: w.Answer, ReadTimeout: w.Answer,
	})
	p := &plain{c: c, base: w.Base, idle: upstream.Idle{First: 10 * time.Second, Later: 10 * time.Second}}
	if p.hook = w.Webhooks; !w.Secretless {
		p.secret = plainSecret
	}
	if w.Idle != 0 {
		p.idle = upstream.Idle{First: w.Idle, Later: w.Idle}
	}
	return p, err
}

func plainHarness(open func(*plain) providers.Driver) Harness {
	return Harness{
		Spec: plainSpec(),
		Open: func(w Wire) (providers.Driver, error) {
			p, err := openPlain(w)
			if err != nil {
				return nil, err
			}
			return open(p), nil
		},
		Stand:   func(s Stage) http.Handler { return newPlainService(s) },
		Number:  "+120255501%s",
		Secrets: []string{plainKey, plainSecret},
		Dial:    "POST /calls",
		Stream:  "POST /calls/{id}/words",
	}
}

func (p *plain) Close() error {
	p.c.Close()
	return nil
}

func dialOf(o phone.Order) map[string]any {
	return map[string]any{"to": o.To.E164(), "brief": providers.Brief(o), "language": o.Lang(), "tag": o.CallID}
}

func (p *plain) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	dial := dialOf(o)
	dial["hook"] = p.hook
	a, err := p.c.Dial(ctx, "/calls", dial, nil)
	if err != nil {
		return "", err
	}
	if err := p.c.Classify(a, true); err != nil {
		return "", err
	}
	answer, err := upstream.Parse(a.Body)
	if id := answer.Text("id"); err == nil && id != "" {
		return phone.Ref(id), nil
	}
	return "", &phone.Error{Code: phone.Uncertain, Message: "Plain was asked to dial and its answer names no call: the phone may ring.", Err: err}
}

func (p *plain) read(ctx context.Context, method, path string) (upstream.Object, error) {
	a, err := p.c.Read(ctx, method, path, nil)
	if err != nil {
		return nil, err
	}
	if err := p.c.Classify(a, false); err != nil || method == http.MethodDelete {
		return nil, err
	}
	answer, err := upstream.Parse(a.Body)
	if err != nil {
		return nil, &phone.Error{Code: phone.Unavailable, Message: "Plain's answer cannot be read. Try again in a moment.", Err: err}
	}
	return answer, nil
}

func (p *plain) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	answer, err := p.read(ctx, http.MethodGet, "/calls/"+url.PathEscape(string(ref)))
	if err != nil {
		return phone.Observation{}, err
	}
	var o phone.Observation
	switch answer.Text("state") {
	case "queued":
		o.Line = phone.Queued
	case "ringing":
		o.Line = phone.Ringing
	case "talking":
		o.Line = phone.InProgress
	case "over":
		o.Line, o.Extent, o.Outcome = phone.WrappingUp, phone.Whole, phone.Outcome(answer.Text("outcome"))
		o.Duration = answer.Seconds("seconds")
	default:
		return o, nil
	}
	if o.Extent != phone.Whole {
		o.Extent = phone.SoFar
	}
	all, _ := answer["words"].([]any)
	for _, w := range all {
		if w, ok := w.(map[string]any); ok {
			o.Words = append(o.Words, phone.Words{Role: plainRole(upstream.Object(w).Text("role")), Text: upstream.Object(w).Text("text"), Final: true})
		}
	}
	return o, nil
}

func plainRole(s string) phone.Role {
	if s == "assistant" {
		return phone.Agent
	}
	return phone.Callee
}

func (p *plain) wordsPath(ref phone.Ref) string {
	return "/calls/" + url.PathEscape(string(ref)) + "/words"
}

func (p *plain) Stream(ctx context.Context, ref phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) {
		opened := true
		for data, err := range p.c.Stream(ctx, p.wordsPath(ref), nil, p.idle) {
			if err != nil {
				yield(phone.Observation{}, p.broken(err))
				return
			}
			o, ok := plainEvent(data)
			if !ok {
				continue
			}
			o.Opened, opened = opened, false
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (p *plain) broken(err error) error {
	var refused *upstream.Refused
	if !errors.As(err, &refused) {
		return err
	}
	if classified := p.c.Classify(&refused.Answer, false); classified != nil {
		return classified
	}
	return phone.Errorf(phone.Unavailable, "Plain gave no stream.")
}

// plainEvent reads one event: a first line with the role, and any number of lines with more of the text.
func plainEvent(data string) (phone.Observation, bool) {
	d := json.NewDecoder(strings.NewReader(data))
	var first, more struct{ Role, Text string }
	if d.Decode(&first) != nil {
		return phone.Observation{}, false
	}
	text := first.Text
	for d.Decode(&more) == nil {
		text += more.Text
	}
	switch first.Role {
	case "system":
		return phone.Observation{Line: phone.WrappingUp}, first.Text == "[DONE]"
	case "user", "assistant":
		return phone.Observation{Words: []phone.Words{{Role: plainRole(first.Role), Text: text, Final: true}}}, true
	}
	return phone.Observation{}, false
}

func (p *plain) Hangup(ctx context.Context, ref phone.Ref) error {
	_, err := p.read(ctx, http.MethodDelete, "/calls/"+url.PathEscape(string(ref)))
	return err
}

func (p *plain) Find(ctx context.Context, o phone.Order, _ time.Time) ([]phone.Listed, error) {
	return p.found(ctx, func(tag string) bool { return tag == o.CallID })
}

func (p *plain) found(ctx context.Context, is func(tag string) bool) ([]phone.Listed, error) {
	answer, err := p.read(ctx, http.MethodGet, "/calls")
	if err != nil {
		return nil, err
	}
	all, ok := answer["calls"].([]any)
	if !ok {
		return nil, phone.Errorf(phone.Unavailable, "Plain's list of calls cannot be read. Try again in a moment.")
	}
	var found []phone.Listed
	for _, c := range all {
		if c, ok := c.(map[string]any); ok && is(upstream.Object(c).Text("tag")) {
			found = append(found, phone.Listed{Ref: phone.Ref(upstream.Object(c).Text("id")), Match: phone.Sure})
		}
	}
	return found, nil
}

func (p *plain) Balance(ctx context.Context) (phone.Balance, error) {
	answer, err := p.read(ctx, http.MethodGet, "/balance")
	return phone.Balance{Usage: answer.Text("usage")}, err
}
