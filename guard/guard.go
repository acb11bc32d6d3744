package guard

import (
	"fmt"
	"time"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/outdial/outdial/phone"
)

// Guard judges wishes to call by a policy.
type Guard struct {
	Policy
	zones zones
}

// New makes a guard.
func New(p Policy) *Guard { return &Guard{Policy: p} }

// Wish is a call that somebody wants placed, and the way it would go.
type Wish struct {
	To       phone.Number
	Provider string
	Title    string        // the provider's name for people
	Regions  []string      // that it covers, ISO 3166-1 alpha-2; empty: all
	RingsNo  bool          // it rings nobody: only the rules on the number's form and type hold, unless they are rehearsed
	Longest  time.Duration // that the call may last
	Skew     time.Duration // how far this machine's clock is ahead of the provider's; 0 if that is not known
	Bounded  bool          // the provider ends it then
	CanAsk   bool          // the one who asks can put a question to a person
	MayPlace bool          // the one who asks has the scope to place calls

	parsed *phonenumbers.PhoneNumber // To, for the rules
}

// Refusal is one rule that forbids a call.
type Refusal struct {
	Code      string // of the rule, such as "emergency_number"
	Message   string
	AllowedAt time.Time // when it would be allowed; zero where time does not help
	CallID    string    // the earlier call that it is about, where there is one
	Fault     error     // with guard_fault: what went wrong, for the operator's log
}

func refuse(format string, args ...any) *Refusal {
	return &Refusal{Message: fmt.Sprintf(format, args...)}
}

// until adds when it would be allowed.
func (r *Refusal) until(t time.Time) *Refusal {
	r.AllowedAt = t
	return r
}

// about names the earlier call that is in the way, to those who placed it.
func (r *Refusal) about(c *phone.Call, f phone.Facts) *Refusal {
	if c.Principal == f.Principal {
		r.CallID = c.ID
	}
	return r
}

// Err is the refusal as an error.
func (r Refusal) Err() error {
	return &phone.Error{Code: phone.Refused, Reason: r.Code, Message: r.Message, RetryAt: r.AllowedAt, CallID: r.CallID, Err: r.Fault}
}

// Judge gives every rule that forbids a call, in their order; none if it may be placed now. A fault in a rule refuses.
func (g *Guard) Judge(w Wish, f phone.Facts) (all []Refusal) {
	defer func() {
		if fault := recover(); fault != nil {
			all = []Refusal{{Code: "guard_fault", Fault: phone.Panicked(fault), Message: "The guard could not judge this call, so it is refused. Nobody was called; the operator should look at the log."}}
		}
	}()
	w.parsed = parse(w.To)
	for _, rule := range Rules() {
		if rule.judge == nil || w.RingsNo && !g.Rehearse && !rule.form {
			continue
		}
		if r := rule.judge(g, w, f); r != nil {
			r.Code = rule.Code
			all = append(all, *r)
		}
	}
	return all
}

// Confirmable says whether a person's yes is all that is missing.
func Confirmable(all []Refusal) bool {
	for _, r := range all {
		if r.Code != "needs_confirmation" {
			return false
		}
	}
	return len(all) > 0
}
