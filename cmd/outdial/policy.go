package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/operator"
	"github.com/spf13/cobra"
)

// policyReport is the policy in force, as outdial policy --json prints it.
type policyReport struct {
	Dialing   dialingLine   `json:"dialing"`
	Rules     []ruleLine    `json:"rules"`       // in the order in which they are judged
	Settings  []settingLine `json:"settings"`    // the guard's that belong to no rule
	Contacts  int           `json:"contacts"`    // how many there are
	DoNotCall int           `json:"do_not_call"` // how many entries hold now
}

// dialingLine is the kill switch: the setting is this process's, the ledger's holds for all.
type dialingLine struct {
	Allowed bool   `json:"allowed"` // both are on
	Setting string `json:"setting"` // on or off
	Ledger  string `json:"ledger"`  // on or off
	WhyOff  string `json:"why_off,omitempty"`
}

// ruleLine is one rule with what the operator has set of it.
type ruleLine struct {
	Number   int           `json:"number"`
	Code     string        `json:"code"`
	Refuses  string        `json:"refuses"`
	Lifted   string        `json:"lifted"` // what lets a call through all the same
	Settings []settingLine `json:"settings"`
}

func (p *program) policy() *cobra.Command {
	var dialing, why string
	c := &cobra.Command{
		Use:   "policy",
		Short: "Print the rules in force and where each value comes from, or switch dialing off and on",
		Long: "Print the rules in force, in the order in which they are judged, and where each value comes from.\n\n" +
			"--dialing off stops every process on this ledger from ringing anybody, at once; calls that go on are not ended.\n" +
			"docs/policy.md says more about each rule.",
		Example: "  outdial policy\n  outdial policy --dialing off --why 'the agent runs wild'\n  outdial policy --dialing on",
	}
	c.Flags().StringVar(&dialing, "dialing", "", "off: no process on this ledger rings anybody any more; on: they do again")
	c.Flags().StringVar(&why, "why", "", "with --dialing off: the reason, which outdial policy then shows")
	show := p.onLedger(func(ctx context.Context, l *ledger.Ledger, values []value, _ []string) error {
		return p.showPolicy(ctx, l, values)
	})
	throw := p.onLedgerAnyhow(func(ctx context.Context, l *ledger.Ledger, values []value, _ []string) error {
		before, err := l.WhyOff(ctx)
		if err != nil {
			return err
		}
		if err := operator.SwitchDialing(ctx, l, dialing == "on", why); err != nil {
			return err
		}
		return p.switched(ctx, l, values, before)
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		given := c.Flags().Changed("dialing")
		switch {
		case given && dialing != "on" && dialing != "off":
			return misused(c, errors.New("--dialing must be on or off"))
		case why != "" && dialing != "off":
			return misused(c, errors.New("--why goes with --dialing off"))
		case given:
			return throw(c, args)
		}
		return show(c, args)
	}
	return c
}

// switched tells what the switch now does. A policy that cannot be read must not hinder that.
func (p *program) switched(ctx context.Context, l *ledger.Ledger, values []value, before string) error {
	d, err := dialingOf(ctx, l, values)
	if err != nil {
		return err
	}
	switch {
	case p.json:
		return p.printJSON(map[string]dialingLine{"dialing": d})
	case d.Ledger == "off":
		fmt.Fprintf(p.out, "Dialing is off: no process on this ledger rings anybody any more (dialing_disabled).\n"+
			"Calls that go on are not ended: outdial status shows them, outdial cancel CALL_ID hangs up where the provider can.\n"+
			"outdial policy --dialing on switches it on again.\n")
	case !d.Allowed:
		fmt.Fprintf(p.out, "Dialing is on in this ledger, and still off wherever %s is %s, as here.\n", setting(values, "", "dialing").From, d.Setting)
	default:
		fmt.Fprintln(p.out, "Dialing is on.")
	}
	if d.Ledger == "on" && before != "" {
		fmt.Fprintf(p.out, "It was off: %s\n", plain(before))
	}
	return nil
}

func dialingOf(ctx context.Context, l *ledger.Ledger, values []value) (dialingLine, error) {
	why, err := l.WhyOff(ctx)
	d := dialingLine{Setting: valueOf(values, "", "dialing"), Ledger: "on", WhyOff: why}
	if why != "" {
		d.Ledger = "off"
	}
	d.Allowed = d.Setting == "on" && d.Ledger == "on"
	return d, err
}

// showPolicy prints the policy. Errors: invalid, where a setting cannot be read: then there is none.
func (p *program) showPolicy(ctx context.Context, l *ledger.Ledger, values []value) error {
	if _, err := p.policyOf(values); err != nil {
		return err
	}
	d, err := dialingOf(ctx, l, values)
	if err != nil {
		return err
	}
	contacts, err := l.Contacts(ctx)
	if err != nil {
		return err
	}
	blocks, err := l.Blocks(ctx, time.Now())
	if err != nil {
		return err
	}
	r := policyReport{Dialing: d, Settings: []settingLine{}, Contacts: len(contacts), DoNotCall: len(blocks)}
	var named []string
	for _, rule := range guard.Rules() {
		named = append(named, rule.Settings...)
		r.Rules = append(r.Rules, ruleLine{rule.Number, rule.Code, rule.Refuses, rule.Lifted, linesOf(values, rule.Settings)})
	}
	for _, s := range guard.Settings() {
		if !slices.Contains(named, s.Name) {
			r.Settings = append(r.Settings, linesOf(values, []string{s.Name})...)
		}
	}
	if p.json {
		return p.printJSON(r)
	}
	return r.print(p)
}

// linesOf are the guard's settings of these names.
func linesOf(values []value, names []string) []settingLine {
	lines := []settingLine{}
	for _, name := range names {
		lines = append(lines, settingLines([]value{setting(values, "", name)})...)
	}
	return lines
}

func (d dialingLine) print(p *program) {
	switch {
	case d.Ledger == "off":
		fmt.Fprintf(p.out, "%s dialing is off in this ledger: %s (outdial policy --dialing on)\n", mark(false), plain(d.WhyOff))
	case !d.Allowed:
		fmt.Fprintf(p.out, "%s dialing is off here, and on in this ledger\n", mark(false))
	default:
		fmt.Fprintf(p.out, "%s dialing is on\n", mark(true))
	}
}

func (r policyReport) print(p *program) error {
	r.Dialing.print(p)
	fmt.Fprintf(p.out, "%d contacts, %d entries on the do-not-call list\n\nA call is refused, in this order, by\n", r.Contacts, r.DoNotCall)
	t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, rule := range r.Rules {
		fmt.Fprintf(t, "%d\t%s\t%s\n", rule.Number, rule.Code, inShort(rule.Refuses))
	}
	fmt.Fprintf(t, "\t\t\n")
	for _, rule := range r.Rules {
		for _, s := range rule.Settings {
			fmt.Fprintf(t, "%d\t%s\t%s  (%s)\n", rule.Number, s.Env, s.Value, s.From)
		}
	}
	for _, s := range r.Settings {
		fmt.Fprintf(t, "-\t%s\t%s  (%s)\n", s.Env, s.Value, s.From)
	}
	return t.Flush()
}

// inShort is what a rule refuses without the details: up to the first colon, semicolon or full stop outside brackets.
func inShort(s string) string {
	depth := 0
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ':', ';', '.':
			if depth == 0 && strings.HasPrefix(s[i+1:], " ") {
				return s[:i]
			}
		}
	}
	return s
}
