package providers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outdial/outdial/phone"
	"github.com/rs/zerolog"
)

// Provider is a service as the program sees it.
type Provider struct {
	spec    Spec
	driver  Driver
	account string
	pace    Pace
	log     zerolog.Logger

	streamer   Streamer
	hanguper   Hanguper
	balancer   Balancer
	cataloger  Cataloger
	versioner  Versioner
	finder     Finder
	clock      Clock
	receiver   Receiver
	toolkeeper Toolkeeper
	skew       skew
}

// Options of a Provider.
type Options struct {
	Account string // which account it is: a fingerprint of its key, the same in every process
	Pace    Pace   // zero fields: the adapter's
	Log     zerolog.Logger
}

// New puts a Provider over a Driver.
func New(spec Spec, d Driver, o Options) *Provider {
	pace := spec.Pace
	if pacer, ok := d.(Pacer); ok {
		pace = pace.over(pacer.Pace())
	}
	p := &Provider{
		spec: spec, driver: d, account: o.Account, pace: pace.over(o.Pace).orDefaults(),
		log: o.Log.With().Str("provider", spec.Name).Logger(), skew: skew{asks: make(chan struct{}, 1)},
	}
	p.streamer, _ = d.(Streamer)
	p.hanguper, _ = d.(Hanguper)
	p.balancer, _ = d.(Balancer)
	p.cataloger, _ = d.(Cataloger)
	p.versioner, _ = d.(Versioner)
	p.finder, _ = d.(Finder)
	p.clock, _ = d.(Clock)
	p.receiver, _ = d.(Receiver)
	p.toolkeeper, _ = d.(Toolkeeper)
	return p
}

// Spec is what the adapter says of itself.
func (p *Provider) Spec() Spec { return p.spec }

// Name is the provider's name in settings, tools and the ledger.
func (p *Provider) Name() string { return p.spec.Name }

// Account is a fingerprint of the account whose key this process holds.
func (p *Provider) Account() string { return p.account }

// Covers says whether the service calls numbers of a region.
func (s Spec) Covers(region string) bool {
	return len(s.Regions) == 0 || slices.Contains(s.Regions, region)
}

// Capabilities are the names of what this provider can do beside placing a call and looking it up.
func (p *Provider) Capabilities() []string {
	var all []string
	for name, has := range map[string]bool{
		"live_transcript": p.streamer != nil, "cancel": p.hanguper != nil, "balance": p.balancer != nil,
		"max_duration": p.spec.MaxDuration,
		"voices":       p.cataloger != nil || len(p.spec.Voices) > 0,
	} {
		if has {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// LongestTask bounds a task, in characters. A service may take less.
const LongestTask = 20_000

// longestWord bounds a name, a voice and a language, in characters.
const longestWord = 200

// Check refuses an order that the service would not take, before anything is reserved or asked. Errors: invalid.
func (p *Provider) Check(o phone.Order) error {
	if strings.TrimSpace(o.Task) == "" {
		return phone.Errorf(phone.Invalid, "The task is empty: say what the call is for.")
	}
	if n := utf8.RuneCountInString(o.Task); n > LongestTask {
		return phone.Errorf(phone.Invalid, "The task has %d characters; at most %d are taken.", n, LongestTask)
	}
	for what, text := range map[string]string{"agent_name": o.AgentName, "caller_name": o.CallerName, "voice": o.Voice, "language": o.Language} {
		if n := utf8.RuneCountInString(text); n > longestWord {
			return phone.Errorf(phone.Invalid, "%s has %d characters; at most %d are taken.", what, n, longestWord)
		}
	}
	if raw, err := json.Marshal(o.Options); err != nil || len(raw) > LongestTask {
		return phone.Errorf(phone.Invalid, "provider_options are too long, or cannot be read: at most %d characters are taken.", LongestTask)
	}
	if err := p.spec.check(o.Options); err != nil {
		return err
	}
	if len(p.spec.Voices) > 0 && o.Voice != "" && !slices.ContainsFunc(p.spec.Voices, func(v Choice) bool { return v.ID == o.Voice }) {
		var ids []string
		for _, v := range p.spec.Voices {
			ids = append(ids, v.ID)
		}
		return phone.Errorf(phone.Invalid, "%s has no voice %q. It has %s.", p.spec.Title, o.Voice, strings.Join(ids, ", "))
	}
	if c, ok := p.driver.(Checker); ok {
		return c.Check(o)
	}
	return nil
}

// Place asks the service to call, once. Errors: those of Driver.Place; whatever else an adapter returns is uncertain,
// since nobody has said that no phone rings.
func (p *Provider) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	if err := ctx.Err(); err != nil {
		return "", &phone.Error{Code: phone.Unavailable, Op: p.spec.Name, Err: err, Message: "The time for this call was over before it was sent. Nobody was called; ask again."}
	}
	ref, err := caught(func() (phone.Ref, error) { return p.driver.Place(ctx, o) })
	if err == nil && ref == "" {
		err = phone.Errorf(phone.Internal, "no name of the call")
	}
	if err == nil {
		return ref, nil
	}
	e := phone.Error{Err: err} // a bare end of the context too: the service may have read the request before it
	if known := (*phone.Error)(nil); errors.As(err, &known) {
		e = *known
	}
	if e.Op == "" {
		e.Op = p.spec.Name
	}
	switch e.Code {
	case phone.Invalid, phone.Refused, phone.Unauthorized, phone.Exhausted, phone.Unsupported, phone.Unavailable, phone.Uncertain:
		return "", &e
	case phone.NotFound:
		e.Code = phone.Unsupported
		return "", &e
	}
	e.Code, e.Message = phone.Uncertain, p.spec.Title+" was asked to dial, and what came of it is not known: the phone may ring. Do not ask again; ask about this call instead."
	return "", &e
}

// Lookup asks once how a call stands. Errors: not_found, unauthorized, exhausted, unavailable.
func (p *Provider) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	o, err := caught(func() (phone.Observation, error) { return p.driver.Lookup(ctx, ref) })
	o.At = time.Now()
	return o, err
}

// caught makes an error of an adapter's panic: one service's odd answer must not end the calls of all.
func caught[T any](do func() (T, error)) (v T, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = phone.Panicked(fault)
		}
	}()
	return do()
}

// CanHangup says whether the service can end a call.
func (p *Provider) CanHangup() bool { return p.hanguper != nil }

// Hangup ends a call. Errors: unsupported, and those of a request.
func (p *Provider) Hangup(ctx context.Context, ref phone.Ref) error {
	if p.hanguper == nil {
		return &phone.Error{Code: phone.Unsupported, Started: phone.StartedYes, Message: p.spec.Title + " has no way to hang up a call from here. It ends by itself; follow it with stream_transcript."}
	}
	_, err := caught(func() (struct{}, error) { return struct{}{}, p.hanguper.Hangup(ctx, ref) })
	return err
}

// Balance asks what is left. Errors: unsupported, and those of a request.
func (p *Provider) Balance(ctx context.Context) (phone.Balance, error) {
	if p.balancer == nil {
		return phone.Balance{}, phone.Errorf(phone.Unsupported, "%s tells no balance.", p.spec.Title)
	}
	return caught(func() (phone.Balance, error) { return p.balancer.Balance(ctx) })
}

// Catalog is what there is to choose from; what the Spec lists, where the service lists nothing.
func (p *Provider) Catalog(ctx context.Context) (Catalog, error) {
	if p.cataloger == nil {
		return Catalog{Voices: p.spec.Voices}, nil
	}
	return caught(func() (Catalog, error) { return p.cataloger.Catalog(ctx) })
}

// Version gives the version of its protocol that the adapter speaks and the one that the service wants. Errors:
// unsupported, and those of a request.
func (p *Provider) Version(ctx context.Context) (speaks, wants string, err error) {
	if p.versioner == nil {
		return "", "", phone.Errorf(phone.Unsupported, "%s tells no version of its protocol.", p.spec.Title)
	}
	return p.versioner.Version(ctx)
}

// Tells says whether the service sends webhooks. Where none are taken here, another process may.
func (p *Provider) Tells() bool { return p.receiver != nil }

// Receives says whether webhooks of the service are taken.
func (p *Provider) Receives() bool { return p.receiver != nil && p.receiver.Receives() }

// Receive reads a webhook. Errors: unsupported, unauthorized, invalid, unavailable.
func (p *Provider) Receive(header http.Header, body []byte) (Notice, error) {
	if !p.Receives() {
		return Notice{}, phone.Errorf(phone.Unsupported, "No webhooks of %s are taken here.", p.spec.Title)
	}
	n, err := caught(func() (Notice, error) { return p.receiver.Receive(header, body) })
	n.Observation.At = time.Now()
	return n, err
}

// KeepsTools says whether the agent on the line can call tools of the operator's.
func (p *Provider) KeepsTools() bool { return p.toolkeeper != nil }

// Register makes a tool known to the service. Errors: unsupported, and those of a request.
func (p *Provider) Register(ctx context.Context, t CallTool) (id string, err error) {
	if p.toolkeeper == nil {
		return "", p.noTools()
	}
	return caught(func() (string, error) { return p.toolkeeper.Register(ctx, t) })
}

// Registered lists the tools that the service knows. Errors: unsupported, and those of a request.
func (p *Provider) Registered(ctx context.Context) ([]RegisteredTool, error) {
	if p.toolkeeper == nil {
		return nil, p.noTools()
	}
	return caught(func() ([]RegisteredTool, error) { return p.toolkeeper.Registered(ctx) })
}

// Deactivate has a tool called no more. Errors: unsupported, and those of a request.
func (p *Provider) Deactivate(ctx context.Context, id string) error {
	if p.toolkeeper == nil {
		return p.noTools()
	}
	_, err := caught(func() (struct{}, error) { return struct{}{}, p.toolkeeper.Deactivate(ctx, id) })
	return err
}

func (p *Provider) noTools() error {
	return phone.Errorf(phone.Unsupported, "The agents of %s call no tools of the operator's.", p.spec.Title)
}

// CanFind says whether the service lists its calls.
func (p *Provider) CanFind() bool { return p.finder != nil }

// Find gives the calls that an order of which nobody knows may have led to. Errors: unsupported, and those of a request.
func (p *Provider) Find(ctx context.Context, o phone.Order, about time.Time) ([]phone.Listed, error) {
	if p.finder == nil {
		return nil, phone.Errorf(phone.Unsupported, "%s does not list its calls.", p.spec.Title)
	}
	return caught(func() ([]phone.Listed, error) { return p.finder.Find(ctx, o, about) })
}
