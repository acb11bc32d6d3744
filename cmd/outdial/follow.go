package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/switchboard"
	"github.com/spf13/cobra"
)

func (p *program) stream() *cobra.Command {
	var after int64
	c := &cobra.Command{
		Use:   "stream CALL_ID",
		Short: "Print what is said in a call while it is said; --json prints one event a line",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := p.open(c.Context())
			if err != nil {
				return err
			}
			defer o.close()
			return p.hear(c.Context(), o.board, args[0], after)
		},
	}
	c.Flags().Int64Var(&after, "after", 0, "go on after this seq")
	return c
}

// hear prints a call's events until it is over.
func (p *program) hear(ctx context.Context, board *switchboard.Switchboard, id string, after int64) error {
	l := p.live()
	defer l.end()
	turns := transcript{print: l.print}
	for e, err := range board.Watch(ctx, phone.Local(), id, after) {
		if err != nil {
			return err
		}
		if p.json {
			line, err := json.Marshal(schema.FromEvent(id, e))
			if err != nil {
				return err
			}
			l.print(string(line))
			continue
		}
		switch b := e.Body.(type) {
		case phone.Progress:
			l.now(string(b.State))
		case phone.Fragment:
			turns.hear(b)
		case phone.Withdrawn:
			turns.withdraw(b)
		}
	}
	if p.json {
		return ctx.Err()
	}
	turns.flush()
	call, err := board.Get(context.WithoutCancel(ctx), phone.Local(), id)
	if err != nil {
		return err
	}
	l.print("— " + standing(call))
	if call.Summary != "" {
		l.print("  " + plain(call.Summary))
	}
	return nil
}

// transcript prints turns as lines. A turn that still grows is held back until it is final or the next one begins.
type transcript struct {
	print   func(string)
	growing *phone.Fragment
	shown   map[int]bool
}

func (t *transcript) hear(f phone.Fragment) {
	if t.growing != nil && t.growing.Turn != f.Turn {
		t.flush()
	}
	t.growing = &f
	if f.Final {
		t.flush()
	}
}

func (t *transcript) flush() {
	f := t.growing
	if f == nil {
		return
	}
	t.growing = nil
	if t.shown == nil {
		t.shown = map[int]bool{}
	}
	line := spoken(f.Role, f.Text)
	if t.shown[f.Turn] {
		line += "   (corrected by the record)"
	}
	t.shown[f.Turn] = true
	t.print(line)
}

func (t *transcript) withdraw(w phone.Withdrawn) {
	t.flush()
	if t.shown[w.Turn] {
		t.print("   (one line above was never said, as the record shows)")
	}
}

func (p *program) info() *cobra.Command {
	var tries int
	var delay time.Duration
	c := &cobra.Command{
		Use:   "info CALL_ID",
		Short: "Print a call with what was said; waits for the record of one that is just over",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := p.open(c.Context())
			if err != nil {
				return err
			}
			defer o.close()
			call, err := p.record(c.Context(), o.board, args[0], time.Duration(max(0, tries-1))*delay)
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(schema.FromCallSince(call, 0))
			}
			told(p.out, call)
			for _, t := range call.Spoken() {
				p.printLine(spoken(t.Role, t.Text))
			}
			if call.Summary != "" {
				p.printLine("  " + plain(call.Summary))
			}
			return nil
		},
	}
	c.Flags().IntVar(&tries, "tries", 5, "how often a record that is not there yet is asked for")
	c.Flags().DurationVar(&delay, "delay", 10*time.Second, "the time between two tries")
	return c
}

// record gives a call, waiting for the end of one whose line is about to close or has closed.
func (p *program) record(ctx context.Context, board *switchboard.Switchboard, id string, within time.Duration) (*phone.Call, error) {
	call, err := board.Get(ctx, phone.Local(), id)
	if err != nil || call.Ended() || call.Status == phone.Unconfirmed || within <= 0 {
		return call, err
	}
	l := p.live()
	defer l.end()
	l.now("the record is not there yet")
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for range board.Watch(waiting, phone.Local(), id, call.Seq) {
	}
	return board.Get(ctx, phone.Local(), id)
}
