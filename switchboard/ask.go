package switchboard

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// askWithin bounds a question to a provider that somebody waits for.
const askWithin = 8 * time.Second

// Balance is what one provider tells of its account.
type Balance struct {
	Provider  string
	Supported bool // it knows a balance
	Balance   phone.Balance
	At        time.Time
	Err       *phone.Error // it could not be asked
}

// Balances asks the named provider, or all that are configured. Errors: invalid (the name).
func (s *Switchboard) Balances(ctx context.Context, name string) ([]Balance, error) {
	ask := s.Providers
	if name != "" {
		p, err := s.named(name)
		if err != nil {
			return nil, err
		}
		ask = []*providers.Provider{p}
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return atOnce(ask, func(p *providers.Provider) Balance {
		b, err := p.Balance(ctx)
		answer := Balance{Provider: p.Name(), Supported: b.Amount != nil, Balance: b, At: time.Now().UTC()}
		if err != nil && phone.CodeOf(err) != phone.Unsupported {
			answer.Err = phone.AsError(err)
		}
		return answer
	}), nil
}

// Checked is what is known of a number before it is called.
type Checked struct {
	Number    phone.Number // zero if what was written is none
	Type      string
	Zones     []string  // IANA names; several where the number does not tell which
	Local     time.Time // there, in the first zone; zero if no zone is known
	Provider  string
	Simulated bool        // nobody's phone would ring
	PerMin    phone.Money // zero if no price is known
	Worst     phone.Money // of the whole call; likewise
	Refusals  []guard.Refusal
}

// Check tells what a request to call would meet, and calls nobody. Of the request all but the number may be missing.
// Errors: refused (forbidden), invalid (the provider), and those of the ledger.
func (s *Switchboard) Check(ctx context.Context, who phone.Caller, r Request) (Checked, error) {
	if err := who.Forbidden(phone.ReadScope); err != nil {
		return Checked{}, err
	}
	if r.Provider != "" {
		if _, err := s.named(r.Provider); err != nil {
			return Checked{}, err
		}
	}
	n, err := s.number(r.To, r.Provider)
	if err != nil {
		return Checked{Refusals: []guard.Refusal{refusal(err)}}, nil
	}
	c := Checked{Number: n, Type: guard.Type(n), Zones: guard.Zones(n)}
	c.Local = there(c.Zones)
	p, err := s.route(n, r.Provider)
	if err != nil {
		c.Refusals = append(c.Refusals, refusal(err))
		return c, nil
	}
	if err := p.Check(phone.Order{To: n, Task: "x"}); err != nil {
		c.Refusals = append(c.Refusals, refusal(err))
	}
	s.catchUp(ctx, p, n)
	w := s.wish(ctx, who, p, r, n)
	o := s.lasting(r.Order, w)
	o.To, o.Task = n, strings.TrimSpace(r.Task)
	call := s.newCall("", who, p, o, w.Longest)
	facts, err := s.Ledger.Facts(ctx, call)
	if err != nil {
		return Checked{}, err
	}
	c.Provider, c.Simulated, c.PerMin, c.Worst = p.Name(), p.Spec().Simulated, call.PerMinute, call.Worst
	if z := facts.Contact; z != nil && z.Zone != "" {
		c.Zones, c.Local = []string{z.Zone}, there([]string{z.Zone})
	}
	refusals := s.guard.Judge(w, facts)
	for _, r := range refusals {
		if r.Fault != nil {
			s.Fault("judge", r.Fault)
		}
	}
	c.Refusals = append(c.Refusals, refusals...)
	return c, nil
}

// there is the time in the first of zones; zero if none is known.
func there(zones []string) time.Time {
	if len(zones) == 0 {
		return time.Time{}
	}
	zone, err := time.LoadLocation(zones[0])
	if err != nil {
		return time.Time{}
	}
	return time.Now().In(zone)
}

// DryRun judges a request whole and places nothing. Errors: invalid, of what is not about the number, and those of the ledger.
func (s *Switchboard) DryRun(ctx context.Context, who phone.Caller, r Request) (Checked, error) {
	c, err := s.Check(ctx, who, r)
	if err != nil || len(c.Refusals) > 0 {
		return c, err
	}
	p, err := s.plan(ctx, who, r)
	if err == nil {
		_, err = s.intent(ctx, who, p)
	}
	return c, err
}

func refusal(err error) guard.Refusal {
	e := phone.AsError(err)
	code := e.Reason
	if code == "" {
		code = string(e.Code)
	}
	return guard.Refusal{Code: code, Message: e.Message, AllowedAt: e.RetryAt}
}

// Choice is one thing to choose at a provider, such as a voice.
type Choice = providers.Choice

// Service is one provider and what it offers.
type Service struct {
	Spec       providers.Spec
	Configured bool
	Abilities  []string
	Catalog    providers.Catalog
	CatalogErr error
}

// Services lists the providers, those that are not configured too. What they offer to choose from is asked of those that
// are, all at once and for a short while.
func (s *Switchboard) Services(ctx context.Context) []Service {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	all := atOnce(s.Providers, func(p *providers.Provider) Service {
		v := Service{Spec: p.Spec(), Configured: true, Abilities: p.Capabilities()}
		v.Catalog, v.CatalogErr = p.Catalog(ctx)
		return v
	})
	for _, spec := range s.Missing {
		all = append(all, Service{Spec: spec, Catalog: providers.Catalog{Voices: spec.Voices}})
	}
	slices.SortStableFunc(all, func(a, b Service) int { return order(a) - order(b) })
	return all
}

// order puts services that ring somebody first.
func order(v Service) int {
	if v.Spec.Simulated {
		return 1
	}
	return 0
}

// atOnce asks all of them side by side; the answers keep their order.
func atOnce[A, B any](of []A, ask func(A) B) []B {
	answers := make([]B, len(of))
	var all sync.WaitGroup
	for i, a := range of {
		all.Go(func() { answers[i] = ask(a) })
	}
	all.Wait()
	return answers
}
