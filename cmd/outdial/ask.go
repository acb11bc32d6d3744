package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
	"github.com/spf13/cobra"
)

func (p *program) printLine(s string) { fmt.Fprintln(p.out, s) }

func (p *program) list() *cobra.Command {
	var status, to, cursor string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List calls, the newest first",
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 1 || limit > 200 {
				return &usageError{fmt.Errorf("--limit must be from 1 to 200")}
			}
			if status != "" && !phone.Status(status).Valid() {
				return &usageError{fmt.Errorf("--status: there is no state %q", status)}
			}
			o, err := p.open(c.Context())
			if err != nil {
				return err
			}
			defer o.close(aDial, aFarewell)
			f := ledger.Filter{Status: phone.Status(status), Provider: p.chosen(), Limit: limit, Cursor: cursor}
			if to != "" {
				if f.To, err = o.board.Number(to); err != nil {
					return err
				}
			}
			calls, next, err := o.board.List(c.Context(), phone.Local(), f)
			if err != nil {
				return err
			}
			if p.catchUp(c.Context(), o.board, calls) {
				if calls, next, err = o.board.List(c.Context(), phone.Local(), f); err != nil {
					return err
				}
			}
			if p.json {
				w := schema.Calls{Calls: []schema.Call{}, NextCursor: next}
				for _, one := range calls {
					w.Calls = append(w.Calls, schema.FromCall(one))
				}
				return p.printJSON(w)
			}
			for _, one := range calls {
				fmt.Fprintf(p.out, "%s  ", one.CreatedAt.Local().Format("2006-01-02 15:04:05"))
				toldAs(p.out, one, " (simulated)")
			}
			if next != "" {
				fmt.Fprintf(p.out, "more: --cursor %s\n", next)
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&status, "status", "", "only calls in this state")
	f.StringVar(&to, "to", "", "only calls to this number")
	f.IntVar(&limit, "limit", 50, "how many at most, 1 to 200")
	f.StringVar(&cursor, "cursor", "", "go on where the page before ended")
	return c
}

// catchUp gives calls that nobody has followed since the last outdial ended a moment to be followed up: what their
// providers know would otherwise be missing. It says whether there were any.
func (p *program) catchUp(ctx context.Context, board *switchboard.Switchboard, calls []*phone.Call) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var all sync.WaitGroup
	live := false
	for _, one := range calls {
		if one.Ended() || one.Status == phone.Unconfirmed {
			continue
		}
		live = true
		all.Go(func() {
			for _, err := range board.Watch(ctx, phone.Local(), one.ID, one.Seq) {
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return live
}

func (p *program) cancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel CALL_ID",
		Short: "Hang a call up, or take it out of the provider's queue, whoever placed it",
		Args:  cobra.ExactArgs(1),
		RunE: p.opened(func(ctx context.Context, o opened, args []string) error {
			who, err := onWhoseAccount(ctx, o.ledger, args[0])
			if err != nil {
				return err
			}
			call, err := o.board.Hangup(ctx, who, args[0])
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(schema.FromCallSince(call, 0))
			}
			told(p.out, call)
			return nil
		}),
	}
}

// onWhoseAccount a call goes on: whoever sits at the machine may end anybody's, as outdial status shows them. One that is over,
// or that is not there, is looked for among the local caller's.
func onWhoseAccount(ctx context.Context, l *ledger.Ledger, id string) (phone.Caller, error) {
	who := phone.Local()
	open, err := l.OpenCalls(ctx)
	for _, c := range open {
		if c.ID == id {
			who.Principal = c.Principal
		}
	}
	return who, err
}

func (p *program) balance() *cobra.Command {
	return &cobra.Command{
		Use:   "balance",
		Short: "Print what is left on the providers' accounts",
		RunE: p.opened(func(ctx context.Context, o opened, _ []string) error {
			all, err := o.board.Balances(ctx, p.chosen())
			if err != nil {
				return err
			}
			w := tools.BalancesOf(all)
			if slices.ContainsFunc(all, func(b switchboard.Balance) bool { return b.Err != nil }) {
				err = errSilent // said beside the provider
			}
			if p.json {
				return errors.Join(p.printJSON(w), err)
			}
			for _, b := range w.Balances {
				said := strings.TrimSpace(b.Currency + " " + b.Amount)
				for _, s := range []string{b.Usage, b.Note} {
					if said == "" {
						said = s
					}
				}
				fmt.Fprintf(p.out, "%s: %s\n", b.Provider, plain(said))
			}
			return err
		}),
	}
}

func (p *program) check() *cobra.Command {
	return &cobra.Command{
		Use:   "check NUMBER",
		Short: "Say what is known of a number and whether it may be called; calls nobody",
		Args:  cobra.ExactArgs(1),
		RunE: p.opened(func(ctx context.Context, o opened, args []string) error {
			checked, err := o.board.Check(ctx, phone.Local(), switchboard.Request{To: args[0], Provider: p.chosen()})
			if err != nil {
				return err
			}
			return p.tellNumber(tools.CheckedOf(checked))
		}),
	}
}

// tellNumber prints what is known of a number; one that may not be called is a failure.
func (p *program) tellNumber(n schema.Number) error {
	if p.json {
		if err := p.printJSON(n); err != nil {
			return err
		}
	} else {
		p.numberLines(n)
	}
	if !n.Allowed {
		return errSilent
	}
	return nil
}

func (p *program) numberLines(n schema.Number) {
	if n.Valid {
		fmt.Fprintf(p.out, "%s  %s, %s", n.E164, n.Region, strings.ToLower(n.Type))
		if n.LocalTime != "" {
			fmt.Fprintf(p.out, ", %s there (%s)", n.LocalTime[11:16], strings.Join(n.TimeZones, ", "))
		}
		fmt.Fprintln(p.out)
	}
	if n.Allowed {
		fmt.Fprintf(p.out, "may be called, by %s", n.Provider)
		if e := n.EstimatedPerMinute; e != nil {
			fmt.Fprintf(p.out, " at about %s %s a minute", e.Currency, e.Amount)
			if w := n.WorstCaseCost; w != nil {
				fmt.Fprintf(p.out, ", %s %s at worst", w.Currency, w.Amount)
			}
		}
		fmt.Fprintln(p.out)
	}
	for _, r := range n.Refusals {
		when := ""
		if at, err := time.Parse(time.RFC3339, r.AllowedAt); err == nil {
			when = ", until " + at.Local().Format("2 Jan 15:04")
		}
		fmt.Fprintf(p.out, "may not be called: %s (%s)%s\n", plain(r.Message), r.Code, when)
	}
}

func (p *program) providers() *cobra.Command {
	return &cobra.Command{
		Use:   "providers",
		Short: "List the telephone services: where each calls and what it can do",
		RunE: p.opened(func(ctx context.Context, o opened, _ []string) error {
			w := tools.ServicesOf(o.board.Services(ctx))
			if p.json {
				return p.printJSON(w)
			}
			t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
			for _, v := range w.Providers {
				state := "configured"
				if !v.Configured {
					state = v.Note
				}
				where := strings.Join(v.Regions, ",")
				if where == "" {
					where = "everywhere"
				}
				if v.Simulated {
					where += ", simulated"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", v.Name, where, strings.Join(v.Capabilities, " "), state)
			}
			return t.Flush()
		}),
	}
}
