package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/spf13/cobra"
)

// statusReport is how things stand on the ledger, as outdial status --json prints it: for all principals.
type statusReport struct {
	Dialing     dialingLine   `json:"dialing"`
	Live        []openLine    `json:"live"`        // calls that go on, the newest first
	Unconfirmed []openLine    `json:"unconfirmed"` // of which nobody knows whether they were placed
	AtOnce      int           `json:"calls_at_once"`
	MostAtOnce  int           `json:"calls_at_once_limit"` // 0: none
	Paused      []pauseLine   `json:"paused"`
	Budgets     []budgetLine  `json:"budgets"`
	Processes   []processLine `json:"processes"` // besides this one
	Questions   int           `json:"questions_waiting"`
	Unread      int           `json:"webhooks_unread"`
	Bytes       int64         `json:"ledger_bytes"`
	Problems    []string      `json:"problems,omitempty"` // settings that cannot be read: what depends on them is missing
}

type openLine struct {
	CallID    string `json:"call_id"`
	Principal string `json:"principal"`
	Provider  string `json:"provider"`
	Simulated bool   `json:"simulated"`
	To        string `json:"to"` // E.164
	Status    string `json:"status"`
	Since     string `json:"since"` // RFC 3339: when it was placed
	Seconds   int    `json:"seconds"`
	ToDo      string `json:"to_do,omitempty"`
}

type pauseLine struct {
	Provider  string `json:"provider,omitempty"`
	Principal string `json:"principal,omitempty"`
	Why       string `json:"why"`
	Until     string `json:"until"`
}

type budgetLine struct {
	Period    string `json:"period"`              // day (24 hours) or month (30 days)
	Principal string `json:"principal,omitempty"` // empty: of all together
	Currency  string `json:"currency"`
	Spent     string `json:"spent"`
	Reserved  string `json:"reserved"`        // for calls that are not over, at worst
	Limit     string `json:"limit,omitempty"` // empty: none
}

type processLine struct {
	Process    string `json:"process"`
	Lives      bool   `json:"lives"`
	LeaseUntil string `json:"lease_until"`
	Calls      int    `json:"calls"` // that it follows
}

func (p *program) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say what goes on now, for everybody on this ledger: calls, money, what is paused and what needs a person",
		Long: "Say what goes on now, for everybody on this ledger: live and unconfirmed calls, what is paused and until when, what of\n" +
			"each budget is spent and reserved, which processes live, and what waits for a person. It changes nothing, asks no\n" +
			"provider, and works beside a running server.",
		Example: "  outdial status\n  outdial status --json",
		RunE: p.onLedgerAnyhow(func(ctx context.Context, l *ledger.Ledger, values []value, _ []string) error {
			r, err := p.statusOf(ctx, l, values, time.Now())
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(r)
			}
			return r.print(p)
		}),
	}
}

// statusOf gathers the report. A policy that cannot be read leaves out what it would say.
func (p *program) statusOf(ctx context.Context, l *ledger.Ledger, values []value, now time.Time) (statusReport, error) {
	r := statusReport{Live: []openLine{}, Unconfirmed: []openLine{}, Paused: []pauseLine{}, Budgets: []budgetLine{}, Processes: []processLine{}}
	policy, err := p.policyOf(values)
	if err != nil {
		policy = guard.Policy{}
		r.Problems = append(r.Problems, "limits and pauses are not shown: "+phone.AsError(err).Message)
	}
	s, err := operator.Status(ctx, l, policy, now)
	if err != nil {
		return r, err
	}
	if r.Dialing, err = dialingOf(ctx, l, values); err != nil {
		return r, err
	}
	r.AtOnce, r.MostAtOnce, r.Questions, r.Unread, r.Bytes = s.AtOnce, policy.Concurrent, s.Questions, s.Unread, s.Bytes
	for _, c := range s.Open {
		line := openLine{
			CallID: c.ID, Principal: c.Principal, Provider: c.Provider, Simulated: c.Simulated, To: c.Order.To.E164(), Status: string(c.Status),
			Since: schema.Time(c.CreatedAt), Seconds: max(0, int(now.Sub(c.CreatedAt).Seconds())),
		}
		if c.Status != phone.Unconfirmed {
			r.Live = append(r.Live, line)
			continue
		}
		line.ToDo = "look in the provider's console, or ask whom it called; then: outdial resolve " + c.ID + " --dialed, or --not-dialed"
		r.Unconfirmed = append(r.Unconfirmed, line)
	}
	for _, one := range s.Paused {
		line := pauseLine{Provider: one.Provider, Until: schema.Time(one.Until), Why: fmt.Sprintf("%d calls failed, or may have, in a short time", one.Times)}
		if one.Provider == "" {
			line.Principal, line.Why = one.Principal, fmt.Sprintf("%d requests to call whom outdial must not call, in a short time", one.Times)
		}
		r.Paused = append(r.Paused, line)
	}
	for _, b := range s.Budgets {
		line := budgetLine{Period: b.Period, Principal: b.Principal, Currency: b.Spent.Currency(), Spent: b.Spent.Amount(), Reserved: b.Reserved.Amount()}
		if b.Limit.Micros() > 0 {
			line.Limit = b.Limit.Amount()
		}
		r.Budgets = append(r.Budgets, line)
	}
	for _, one := range s.Processes {
		r.Processes = append(r.Processes, processLine{one.ID, one.ExpiresAt.After(now), schema.Time(one.ExpiresAt), one.Calls})
	}
	return r, nil
}

func (r statusReport) print(p *program) error {
	for _, s := range r.Problems {
		fmt.Fprintf(p.out, "%s %s\n", mark(false), plain(s))
	}
	r.Dialing.print(p)
	fmt.Fprintf(p.out, "%d live calls, %d unconfirmed; %s\n", len(r.Live), len(r.Unconfirmed), r.atOnce())
	t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, c := range r.Live {
		fmt.Fprintf(t, "%s\n", c)
	}
	for _, c := range r.Unconfirmed {
		fmt.Fprintf(t, "%s\n  %s\n", c, c.ToDo)
	}
	for _, one := range r.Paused {
		fmt.Fprintf(t, "%s paused: %s\tuntil %s\t%s\n", mark(false), plain(orElse(one.Provider, "principal "+one.Principal)), one.Until, one.Why)
	}
	for _, b := range r.Budgets {
		of := b.Currency + ", " + b.Period
		if b.Principal != "" {
			of += ", " + plain(b.Principal)
		}
		fmt.Fprintf(t, "%s\tspent %s\treserved %s\tof %s\n", of, b.Spent, b.Reserved, orElse(b.Limit, "no limit"))
	}
	for _, one := range r.Processes {
		lives := "lives, lease until"
		if !one.Lives {
			lives = "gone, lease until"
		}
		fmt.Fprintf(t, "%s\t%s %s\tfollows %d\n", one.Process, lives, one.LeaseUntil, one.Calls)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r.Questions > 0 {
		fmt.Fprintf(p.out, "%d questions wait for a person: outdial approve shows them\n", r.Questions)
	}
	fmt.Fprintf(p.out, "%d webhooks unread; the ledger takes %d KiB\n", r.Unread, r.Bytes>>10)
	return nil
}

func (r statusReport) atOnce() string {
	if r.MostAtOnce == 0 {
		return fmt.Sprintf("%d at once, without a limit", r.AtOnce)
	}
	return fmt.Sprintf("%d of %d at once", r.AtOnce, r.MostAtOnce)
}

// String is a call as one line of a table.
func (l openLine) String() string {
	provider := l.Provider
	if l.Simulated {
		provider += " (simulated)"
	}
	return strings.Join([]string{l.CallID, l.To, provider, plain(l.Principal), l.Status, (time.Duration(l.Seconds) * time.Second).String()}, "\t")
}

func orElse(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
