package switchboard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/follow"
	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/notify"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/rs/zerolog"
)

// Options of a Switchboard.
type Options struct {
	Ledger    *ledger.Ledger
	Providers []*providers.Provider // those that are configured, and the simulator
	Missing   []providers.Spec      // those that are not: for errors that say what to set
	Default   string                // the provider where none is named; empty: by the number's region
	Region    string                // of national numbers, ISO 3166-1 alpha-2; empty: none
	Policy    guard.Policy
	CallTools []CallTool     // that agents on the line can call
	OnEnd     *notify.Target // told when a call has ended; nil: nobody is
	Meter     Meter          // counts what happens; nil: nobody does
	Keep      ledger.Keeping // how long what is kept of calls that are over
	Log       zerolog.Logger
}

// Switchboard places, follows and answers for calls.
type Switchboard struct {
	Options
	guard *guard.Guard
	desk  *follow.Desk

	late     chan struct{} // who adds to a call that is over holds it
	caughtUp chan struct{} // closed once the calls that nobody followed at the start have been looked up

	life    context.Context // of what goes on without anybody asking: dials, following
	end     context.CancelFunc
	dials   sync.WaitGroup
	follows sync.WaitGroup

	mu      sync.Mutex
	working map[string]int           // the calls that something here dials or follows
	hold    map[*hold]bool           // what follows a call, or searches for it
	boxes   map[string]chan struct{} // tells the follower of a call that letters about it have come
	closing bool
}

// New makes a switchboard. Close ends it.
func New(o Options) *Switchboard {
	if o.Meter == nil {
		o.Meter = unmetered{}
	}
	s := &Switchboard{Options: o, guard: guard.New(o.Policy), desk: follow.NewDesk(), working: map[string]int{}, hold: map[*hold]bool{}, boxes: map[string]chan struct{}{}, late: make(chan struct{}, 1), caughtUp: make(chan struct{})}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Ending has no dial begun from now on: who asks for one is told that nobody was called. Those under way go on, and so does
// all that is followed, until Close.
func (s *Switchboard) Ending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
}

// Close waits for the dials under way, as long as the context allows, and stops following; what was followed is given up
// for others, or for the next start.
func (s *Switchboard) Close(ctx context.Context) error {
	s.Ending()
	dialed := make(chan struct{})
	go func() { s.dials.Wait(); close(dialed) }()
	var err error
	select {
	case <-dialed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.end()
	s.follows.Wait()
	if s.OnEnd != nil {
		s.OnEnd.Close()
	}
	for _, t := range s.CallTools {
		if t.Endpoint != nil {
			t.Endpoint.Close()
		}
	}
	return errors.Join(err, s.Ledger.Leave(context.WithoutCancel(ctx)))
}

// work says that something here is at work on a call until done is called. A round of Run takes up what nothing works on.
func (s *Switchboard) work(id string) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.working[id]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.working[id]--; s.working[id] == 0 {
			delete(s.working, id)
		}
	})
}

// hold is what this process does about a call that it has claimed: it ends when another process has claimed it since.
type hold struct {
	call  string
	epoch int64
	end   context.CancelFunc
}

// held is the context of what is done about a call under an epoch.
func (s *Switchboard) held(h ledger.Held) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(s.life)
	own := &hold{h.ID, h.Epoch, cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold[own] = true
	return ctx, func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.hold, own)
	}
}

// letGo ends what is done here about calls that another process has claimed. Whoever follows such a call learns of it at the
// next word; but there may be none for long, and meanwhile those who watch here are shown nothing, and nobody here would
// take the call up again.
func (s *Switchboard) letGo(ctx context.Context) {
	epochs := map[string]int64{}
	s.mu.Lock()
	for own := range s.hold {
		epochs[own.call] = max(epochs[own.call], own.epoch)
	}
	s.mu.Unlock()
	lost, err := s.Ledger.Lost(ctx, epochs)
	if err != nil && ctx.Err() == nil {
		s.Log.Error().Err(err).Msg("whether calls that are followed here have been taken by another process is not known")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for own := range s.hold {
		if now, ok := lost[own.call]; ok && own.epoch < now {
			s.Log.Warn().Err(ledger.ErrLost).Str("call", own.call).Msg("stopped following")
			own.end()
		}
	}
}

// begin starts something of the switchboard's own, unless Close has begun to wait.
func (s *Switchboard) begin(of *sync.WaitGroup, do func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		of.Go(do)
	}
	return !s.closing
}

func (s *Switchboard) worksOn(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing || s.working[id] > 0
}

// Fault logs a fault of this program that a caller is told no more of.
func (s *Switchboard) Fault(op string, err error) {
	s.Log.Error().Err(err).Str("in", op).Msg("a fault")
}

// named gives a configured provider by its name. Errors: invalid, saying what would configure it.
func (s *Switchboard) named(name string) (*providers.Provider, error) {
	for _, p := range s.Providers {
		if p.Name() == name {
			return p, nil
		}
	}
	for _, spec := range s.Missing {
		if spec.Name == name {
			return nil, &phone.Error{Code: phone.Invalid, Reason: "not_configured", Message: spec.Title + " is not configured: " + ToConfigure(spec)}
		}
	}
	return nil, phone.Errorf(phone.Invalid, "There is no provider %q. There are: %s.", name, strings.Join(s.names(), ", "))
}

// ToConfigure says what would configure a provider, as the end of a sentence.
func ToConfigure(spec providers.Spec) string {
	for _, set := range spec.Settings {
		if set.Required {
			return "the operator sets " + set.Env + ", with a key from " + spec.KeyFrom + "."
		}
	}
	return "its settings are missing."
}

func (s *Switchboard) names() []string {
	var all []string
	for _, p := range s.Providers {
		all = append(all, p.Name())
	}
	for _, spec := range s.Missing {
		all = append(all, spec.Name)
	}
	return all
}

// real are the configured providers that ring somebody.
func (s *Switchboard) real() []*providers.Provider {
	return slices.DeleteFunc(slices.Clone(s.Providers), func(p *providers.Provider) bool { return p.Spec().Simulated })
}

// route finds the provider for a number: the one named, else the default, else the configured one that covers the number's
// region. Without any key that is the simulator; with one the simulator is used only when named.
func (s *Switchboard) route(n phone.Number, name string) (*providers.Provider, error) {
	if name == "" {
		name = s.Default
	}
	if name != "" {
		return s.named(name)
	}
	configured := s.real()
	if len(configured) == 0 {
		return s.Providers[0], nil
	}
	for _, p := range configured {
		if p.Spec().Covers(n.Region()) {
			return p, nil
		}
	}
	e := &phone.Error{Code: phone.Refused, Reason: "region_not_allowed"}
	for _, spec := range s.Missing {
		if spec.Covers(n.Region()) {
			e.Message = "No configured provider calls " + orNowhere(n.Region()) + "; " + spec.Title + " would: " + ToConfigure(spec)
			return nil, e
		}
	}
	e.Message = "No provider calls " + orNowhere(n.Region()) + "."
	return nil, e
}

func orNowhere(region string) string {
	if region == "" || region == "001" {
		return "numbers of no country"
	}
	return region
}

// home is the region of the provider that alone can be meant, if it has one.
func (s *Switchboard) home(name string) string {
	if name == "" {
		name = s.Default
	}
	if name != "" {
		if p, err := s.named(name); err == nil {
			return p.Spec().Home
		}
		return ""
	}
	if configured := s.real(); len(configured) == 1 {
		return configured[0].Spec().Home
	}
	return ""
}

// number reads a number as written. Emergency numbers are refused first, by their digits. A national number whose region
// nobody has set is taken only if no other provider's region has such a number too. Errors: refused, invalid.
func (s *Switchboard) number(written, provider string) (phone.Number, error) {
	if r, refused := guard.Emergency(written, s.Region); refused {
		return phone.Number{}, r.Err()
	}
	if s.Region != "" || strings.HasPrefix(written, "+") {
		return phone.ParseNumber(written, s.Region)
	}
	home := s.home(provider)
	n, err := phone.ParseNumber(written, home)
	if err != nil {
		return n, err
	}
	for _, other := range s.regions() {
		if m, err := phone.ParseNumber(written, other); err == nil && m != n {
			return phone.Number{}, &phone.Error{
				Code: phone.Invalid, Reason: "bad_number",
				Message: fmt.Sprintf("The number could be one of %s or of %s: write it with + and the country code, or set OUTDIAL_REGION.", home, other),
			}
		}
	}
	return n, nil
}

// regions are those of all providers, also of those that are not configured.
func (s *Switchboard) regions() []string {
	var all []string
	for _, p := range s.Providers {
		all = append(all, p.Spec().Regions...)
	}
	for _, spec := range s.Missing {
		all = append(all, spec.Regions...)
	}
	return all
}

// Get gives a call as it stands. Where only a partial record is there, the provider is asked once more.
// Errors: refused (forbidden), not_found.
func (s *Switchboard) Get(ctx context.Context, who phone.Caller, id string) (*phone.Call, error) {
	if err := who.Forbidden(phone.ReadScope); err != nil {
		return nil, err
	}
	h, err := s.Ledger.Call(ctx, who.Principal, id)
	if err != nil {
		return nil, err
	}
	if h.Ended() && h.Record == phone.Partial && h.Dial == ledger.Placed && h.ErasedAt.IsZero() {
		return s.lateRecord(ctx, h.Call), nil
	}
	return h.Call, nil
}

// lateRecord asks for a record that had not come in time, once for each time that somebody looks.
func (s *Switchboard) lateRecord(ctx context.Context, c *phone.Call) *phone.Call {
	p, ok := s.holding(c)
	if !ok {
		return c
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var told *phone.Observation
	if o, err := p.Lookup(ctx, c.Ref); err == nil && o.Extent == phone.Whole {
		told = &o
	}
	if told == nil && !p.Tells() {
		return c
	}
	if after, err := s.hearLate(ctx, c.ID, told); err == nil && after != nil {
		return after
	}
	return c
}

// holding gives the provider of a call if this process holds the account that placed it.
func (s *Switchboard) holding(c *phone.Call) (*providers.Provider, bool) {
	p, err := s.named(c.Provider)
	return p, err == nil && p.Account() == c.Account
}

// Filter narrows a list of calls.
type Filter = ledger.Filter

// List gives a page of the caller's calls without their conversations, the newest first. Errors: refused
// (forbidden), invalid.
func (s *Switchboard) List(ctx context.Context, who phone.Caller, f Filter) ([]*phone.Call, string, error) {
	if err := who.Forbidden(phone.ReadScope); err != nil {
		return nil, "", err
	}
	return s.Ledger.List(ctx, who.Principal, f)
}

// Number reads a number as the switchboard would to call it. Errors: refused, invalid.
func (s *Switchboard) Number(written string) (phone.Number, error) { return s.number(written, "") }
