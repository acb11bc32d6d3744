package guard

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/outdial/outdial/phone"
)

// Policy is what the operator has decided. A limit of 0, an empty list and a budget without a currency are none.
type Policy struct {
	Off          bool     // nobody is called
	Regions      []string // ISO 3166-1 alpha-2 codes that may be called at all; empty: every region that a provider covers
	ContactsOnly bool     // nobody but the operator's contacts is called
	Hours        phone.Window

	Gap        time.Duration // between two calls to one number
	PerNumber  int           // calls to one number in 24 hours
	PerHour    int           // calls of one principal
	PerDay     int           // calls of one principal in 24 hours
	NewPerDay  int           // numbers new to a principal in 24 hours
	Concurrent int           // calls at once

	Longest    time.Duration // of one call
	Rates      map[string]phone.Money
	BudgetCall Budget
	BudgetDay  Budget // 24 hours

	BudgetPrincipal Budget // likewise, of one principal
	BudgetMonth     Budget // 30 days

	Confirm       Confirm
	PauseFailures int
	PauseRefusals int

	Rehearse bool // calls that ring nobody keep all rules
}

// Budget is what may be spent in each currency; what it does not name may not be spent at all. An empty one is no limit, and
// so is an amount of 0.
type Budget map[string]phone.Money

// Confirm says before which calls a person is asked.
type Confirm string

// The choices.
const (
	Never        Confirm = "never"
	FirstContact Confirm = "first_contact"
	Always       Confirm = "always"
)

// Setting is one thing that the operator decides.
type Setting struct {
	Name, Default, Help string

	set func(p *Policy, value string) error
}

// Env is the setting's environment variable.
func (s Setting) Env() string { return "OUTDIAL_" + strings.ToUpper(s.Name) }

// Settings are all of them.
func Settings() []Setting {
	number := func(of func(*Policy) *int) func(*Policy, string) error {
		return func(p *Policy, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return phone.Errorf(phone.Invalid, "%q is not a whole number such as 3; 0 is no limit.", v)
			}
			*of(p) = n
			return nil
		}
	}
	span := func(of func(*Policy) *time.Duration, longest time.Duration) func(*Policy, string) error {
		return func(p *Policy, v string) error {
			d, err := time.ParseDuration(v)
			if err != nil || d < 0 || d > longest || d%time.Second != 0 {
				return phone.Errorf(phone.Invalid, "%q is not a span of whole seconds such as 10m, up to %s; 0 is none.", v, longest)
			}
			*of(p) = d
			return nil
		}
	}
	budget := func(of func(*Policy) *Budget) func(*Policy, string) error {
		return func(p *Policy, v string) (err error) {
			*of(p), err = parseBudget(v)
			return err
		}
	}
	choice := func(choose map[string]func(*Policy)) func(*Policy, string) error {
		return func(p *Policy, v string) error {
			c, ok := choose[v]
			if !ok {
				names := slices.Sorted(maps.Keys(choose))
				return phone.Errorf(phone.Invalid, "it must be %s or %s.", strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
			}
			c(p)
			return nil
		}
	}
	return []Setting{
		{"dialing", "on", "on, or off: nobody is called", choice(map[string]func(*Policy){
			"on": func(p *Policy) { p.Off = false }, "off": func(p *Policy) { p.Off = true },
		})},
		{"regions", "", "the only regions that may be called, such as CN,US,CA; by default all that the provider covers", setRegions},
		{"callees", "open", "open: whoever the rules allow; contacts_only: nobody but the operator's contacts", choice(map[string]func(*Policy){
			"open": func(p *Policy) { p.ContactsOnly = false }, "contacts_only": func(p *Policy) { p.ContactsOnly = true },
		})},
		{"calling_hours", "09:00-20:00", "when people may be called, by the clock where they are; it may cross midnight, and 00:00-24:00 is always", func(p *Policy, v string) (err error) {
			p.Hours, err = phone.ParseWindow(v)
			return err
		}},
		{"number_gap", "10m", "how long a number is left alone after a call to it", span(func(p *Policy) *time.Duration { return &p.Gap }, aDay)},
		{"calls_per_number", "3", "calls to one number in 24 hours, whoever places them", number(func(p *Policy) *int { return &p.PerNumber })},
		{"calls_per_hour", "10", "calls of one principal in an hour", number(func(p *Policy) *int { return &p.PerHour })},
		{"calls_per_day", "30", "calls of one principal in 24 hours", number(func(p *Policy) *int { return &p.PerDay })},
		{"new_numbers_per_day", "10", "numbers in 24 hours that a principal has not called before", number(func(p *Policy) *int { return &p.NewPerDay })},
		{"concurrent_calls", "2", "calls that go on at once; 0 lifts the limit of one for each number too", number(func(p *Policy) *int { return &p.Concurrent })},
		{"max_duration", "10m", "how long a call may last", span(func(p *Policy) *time.Duration { return &p.Longest }, longestOfAll)},
		{"rates", "pamela=USD 0.10, stepone=CNY 1.00", "what a started minute costs at each provider; StepOne publishes no price, so that one is an assumption to correct", func(p *Policy, v string) (err error) {
			p.Rates, err = parseRates(v)
			return err
		}},
		{"budget_call", "USD 1, CNY 10", "what one call may cost at worst", budget(func(p *Policy) *Budget { return &p.BudgetCall })},
		{"budget_day", "USD 5, CNY 50", "what calls may cost in 24 hours", budget(func(p *Policy) *Budget { return &p.BudgetDay })},
		{"budget_principal", "0", "what calls of one principal may cost in 24 hours; 0: no more than all calls together", budget(func(p *Policy) *Budget { return &p.BudgetPrincipal })},
		{"budget_month", "USD 50, CNY 500", "what calls may cost in 30 days", budget(func(p *Policy) *Budget { return &p.BudgetMonth })},
		{"confirm", "first_contact", "before which calls a person is asked: never, first_contact (where the client can ask), always", choice(map[string]func(*Policy){
			"never": func(p *Policy) { p.Confirm = Never }, "first_contact": func(p *Policy) { p.Confirm = FirstContact }, "always": func(p *Policy) { p.Confirm = Always },
		})},
		{"pause_after_failures", "5", "calls through one provider that fail or become uncertain within 10 minutes, after which it is left alone for 10", number(func(p *Policy) *int { return &p.PauseFailures })},
		{"pause_after_refusals", "3", "requests of one principal to call whom outdial must not call within 5 minutes, after which it is refused for 15", number(func(p *Policy) *int { return &p.PauseRefusals })},
		{"simulator_guard", "form", "form: the simulator keeps only the rules on a number's form and type; full: all of them", choice(map[string]func(*Policy){
			"form": func(p *Policy) { p.Rehearse = false }, "full": func(p *Policy) { p.Rehearse = true },
		})},
	}
}

// ReadPolicy makes a policy of the settings' values. An empty value is the default. Errors: invalid, about the setting that is
// named.
func ReadPolicy(value func(name string) string) (p Policy, setting string, err error) {
	for _, s := range Settings() {
		v := strings.TrimSpace(value(s.Name))
		if v == "" {
			v = s.Default
		}
		if v == "" {
			continue
		}
		if err := s.set(&p, v); err != nil {
			return Policy{}, s.Name, err
		}
	}
	return p, "", nil
}

func setRegions(p *Policy, v string) error {
	p.Regions = strings.FieldsFunc(strings.ToUpper(v), func(r rune) bool { return r == ',' || r == ' ' })
	if len(p.Regions) == 0 {
		return phone.Errorf(phone.Invalid, "it names no region; leave it out to allow all that the provider covers, or set OUTDIAL_DIALING to off to call nobody.")
	}
	for _, r := range p.Regions {
		if !IsRegion(r) {
			return phone.Errorf(phone.Invalid, "%q is not a region such as CN or US.", r)
		}
	}
	return nil
}

// parseBudget reads "USD 1, CNY 10"; "0" is no limit.
func parseBudget(v string) (Budget, error) {
	if v == "0" {
		return nil, nil
	}
	b := Budget{}
	for one := range strings.SplitSeq(v, ",") {
		m, err := parsePrice(one)
		if err != nil {
			return nil, err
		}
		if _, twice := b[m.Currency()]; twice {
			return nil, phone.Errorf(phone.Invalid, "%s stands there twice.", m.Currency())
		}
		b[m.Currency()] = m
	}
	return b, nil
}

// parseRates reads "pamela=USD 0.10, stepone=CNY 1.00".
func parseRates(v string) (map[string]phone.Money, error) {
	rates := map[string]phone.Money{}
	for one := range strings.SplitSeq(v, ",") {
		name, price, ok := strings.Cut(one, "=")
		name = strings.TrimSpace(name)
		m, err := parsePrice(price)
		if !ok || name == "" || err != nil {
			return nil, phone.Errorf(phone.Invalid, "%q is not the rate of a provider such as pamela=USD 0.10.", strings.TrimSpace(one))
		}
		if _, twice := rates[name]; twice {
			return nil, phone.Errorf(phone.Invalid, "%s stands there twice.", name)
		}
		rates[name] = m
	}
	return rates, nil
}

// dearest is more than anybody means, in millionths; what is finer than one of them is none.
const dearest = 1_000_000 * 1_000_000

func parsePrice(s string) (phone.Money, error) {
	currency, amount, _ := strings.Cut(strings.TrimSpace(s), " ")
	m, err := phone.ParseMoney(strings.TrimSpace(amount), strings.ToUpper(currency))
	if err != nil || m.Micros() < 0 || m.Micros() > dearest || m.Micros() == 0 && strings.ContainsAny(amount, "123456789") {
		return phone.Money{}, phone.Errorf(phone.Invalid, "%q is not an amount such as USD 1.", strings.TrimSpace(s))
	}
	return m, nil
}

// IsRegion says whether a region (ISO 3166-1 alpha-2) has telephone numbers.
func IsRegion(code string) bool { return phonenumbers.GetSupportedRegions()[code] }
