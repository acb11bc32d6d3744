package main

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/spf13/cobra"
)

// blockLine is an entry of the do-not-call list as JSON.
type blockLine struct {
	Number  string `json:"number"`            // E.164; empty where it was erased: it is forbidden all the same
	From    string `json:"from"`              // operator, or call: they asked for it on the line
	CallID  string `json:"call_id,omitempty"` // the call in which they did
	Until   string `json:"until,omitempty"`   // RFC 3339; missing: for good
	Note    string `json:"note,omitempty"`    // the operator's
	AddedAt string `json:"added_at"`          // RFC 3339

	Simulated bool `json:"simulated,omitempty"` // it was asked for in a simulated call, and holds for such calls alone
}

func blockOf(b phone.Block) blockLine {
	line := blockLine{b.Number.E164(), "operator", b.CallID, schema.Time(b.Until), b.Note, schema.Time(b.AddedAt), b.RingsNo}
	if b.CallID != "" {
		line.From = "call"
	}
	return line
}

// toldBlock is an entry in columns: the number, until when, and who wants it so.
func toldBlock(b phone.Block) string {
	until, why := "for good", "by the operator"
	if !b.Until.IsZero() {
		until = "until " + b.Until.Local().Format("2006-01-02 15:04")
	}
	if b.CallID != "" {
		why = "they asked for it in " + b.CallID
	}
	if b.RingsNo {
		why += ", which was simulated: it holds for simulated calls alone"
	}
	if b.Note != "" {
		why += ": " + plain(b.Note)
	}
	return cmp.Or(b.Number.E164(), numberErased) + "\t" + until + "\t" + why
}

func (p *program) dnc() *cobra.Command {
	c := &cobra.Command{
		Use:   "dnc",
		Short: "List the numbers that are not to be called",
		Long: "List the numbers that are not to be called: your own entries, and for 30 days those of whoever asked on the line not to\n" +
			"be called again, with the call in which they did. An entry holds for every process on this ledger, at once.",
		Example: "  outdial dnc\n  outdial dnc add +12025550143 --days 90 --note 'asked by mail'\n  outdial dnc remove +12025550143",
		RunE: p.onLedger(func(ctx context.Context, l *ledger.Ledger, _ []value, _ []string) error {
			all, err := l.Blocks(ctx, time.Now())
			if err != nil {
				return err
			}
			if p.json {
				lines := []blockLine{}
				for _, b := range all {
					lines = append(lines, blockOf(b))
				}
				return p.printJSON(map[string][]blockLine{"do_not_call": lines})
			}
			t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
			for _, b := range all {
				fmt.Fprintln(t, toldBlock(b))
			}
			return t.Flush()
		}),
	}
	c.AddCommand(p.addBlock(), p.removeBlock())
	return c
}

func (p *program) addBlock() *cobra.Command {
	const longest = 3660
	var days int
	var note string
	c := &cobra.Command{
		Use:   "add NUMBER",
		Short: "Put a number on the do-not-call list, for good or for some days",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().IntVar(&days, "days", 0, "for how many days; by default for good")
	c.Flags().StringVar(&note, "note", "", "why, for your records")
	do := p.onLedger(func(ctx context.Context, l *ledger.Ledger, values []value, args []string) error {
		region, err := regionOf(values)
		if err != nil {
			return err
		}
		now, until := time.Now(), time.Time{}
		if days > 0 {
			until = now.AddDate(0, 0, days)
		}
		b, err := operator.Block(ctx, l, args[0], region, note, until, now)
		if err != nil {
			return err
		}
		if p.json {
			return p.printJSON(blockOf(b))
		}
		fmt.Fprintln(p.out, oneRow(toldBlock(b)))
		return nil
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		if c.Flags().Changed("days") && (days < 1 || days > longest) {
			return misused(c, fmt.Errorf("--days must be from 1 to %d; leave it out for good", longest))
		}
		return do(c, args)
	}
	return c
}

func (p *program) removeBlock() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NUMBER",
		Short: "Take a number off the do-not-call list, whoever put it there",
		Args:  cobra.ExactArgs(1),
		RunE: p.onLedger(func(ctx context.Context, l *ledger.Ledger, values []value, args []string) error {
			region, err := regionOf(values)
			if err != nil {
				return err
			}
			n, err := operator.Unblock(ctx, l, args[0], region, time.Now())
			if err != nil {
				return err
			}
			return p.removed(n, "the do-not-call list")
		}),
	}
}
