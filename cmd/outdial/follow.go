package main

import (
	"context"
	"errors"
	"fmt"
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
		RunE: p.opened(func(ctx context.Context, o opened, args []string) error {
			return p.hear(ctx, o.board, args[0], after)
		}),
	}
	c.Flags().Int64Var(&after, "after", 0, "go on after this seq")
	return c
}

// hear prints a call's events until it is over.
func (p *program) hear(ctx context.Context, board *switchboard.Switchboard, id string, after int64) error {
	l := p.live("listening")
	turns := transcript{print: l.print}
	call, err := p.listen(ctx, board, id, after, func(e phone.Event) {
		if p.json {
			p.printLineJSON(schema.FromEvent(id, e))
			return
		}
		switch b := e.Body.(type) {
		case phone.Progress:
			l.now(string(b.State))
		case phone.Fragment:
			turns.hear(b)
		case phone.Withdrawn:
			turns.withdraw(b)
		case phone.OptedOut:
			turns.flush()
			l.print("— they ask not to be called again: outdial calls them no more until " + b.Until.Local().Format("2 January 2006"))
		}
	})
	turns.flush()
	l.end()
	if err != nil || p.json {
		return p.goesOn(call, err)
	}
	p.printLine("— " + standing(call))
	if call.Summary != "" {
		p.printLine("  " + plain(call.Summary))
	}
	return nil
}

// goesOn tells whoever has interrupted the listening that the call does not end with it; err passes through.
func (p *program) goesOn(call *phone.Call, err error) error {
	if errors.Is(err, errInterrupted) {
		fmt.Fprintf(p.errs, "outdial: stopped listening; the call goes on (%s). outdial stream %s hears it, outdial cancel %[2]s ends it.\n",
			call.Status, call.ID)
	}
	return err
}

// listen hands on a call's events until it is over, or until nobody knows whether it was placed at all, and gives the call
// as it then stands; with errInterrupted where it was ended before the call was.
func (p *program) listen(ctx context.Context, board *switchboard.Switchboard, id string, after int64, each func(phone.Event)) (*phone.Call, error) {
	call, err := board.Get(ctx, phone.Local(), id)
	if err != nil {
		return nil, err
	}
	if call.Status != phone.Unconfirmed || after < call.Seq {
		for e, err := range board.Watch(ctx, phone.Local(), id, after) {
			if err != nil {
				return nil, err
			}
			each(e)
			if b, ok := e.Body.(phone.Progress); ok && b.State == phone.Unconfirmed {
				if call, err = board.Get(ctx, phone.Local(), id); err != nil || e.Seq >= call.Seq {
					break // it may stay so for ever
				}
			}
		}
	}
	call, err = board.Get(context.WithoutCancel(ctx), phone.Local(), id)
	if err == nil && ctx.Err() != nil && !call.Ended() {
		err = errInterrupted
	}
	return call, err
}

// transcript prints turns as lines. A turn that still grows is held back until it is final or the next one begins.
type transcript struct {
	print   func(string)
	growing *phone.Fragment
	shown   map[int]string
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
	line := spoken(f.Role, f.Text)
	switch before, again := t.shown[f.Turn]; {
	case before == line:
		return
	case again:
		t.print(line + "   (corrected by the record)")
	default:
		t.print(line)
	}
	if t.shown == nil {
		t.shown = map[int]string{}
	}
	t.shown[f.Turn] = line
}

func (t *transcript) withdraw(w phone.Withdrawn) {
	t.flush()
	if line, was := t.shown[w.Turn]; was {
		t.print("   (never said, as the record shows: " + line + ")")
	}
}

func (p *program) info() *cobra.Command {
	var tries int
	var delay time.Duration
	c := &cobra.Command{
		Use:   "info CALL_ID",
		Short: "Print a call with what was said; waits for the record of one that is just over",
		Args:  cobra.ExactArgs(1),
		RunE: p.opened(func(ctx context.Context, o opened, args []string) error {
			call, err := p.record(ctx, o.board, args[0], time.Duration(max(0, tries-1))*delay)
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
			if call.Recording != "" {
				p.printLine("  recording: " + plain(call.Recording))
			}
			return nil
		}),
	}
	c.Flags().IntVar(&tries, "tries", 5, "how often a record that is not there yet is asked for")
	c.Flags().DurationVar(&delay, "delay", 10*time.Second, "the time between two tries")
	return c
}

// record gives a call, waiting for the record of one whose line has closed. One that goes on is given as it stands.
func (p *program) record(ctx context.Context, board *switchboard.Switchboard, id string, within time.Duration) (*phone.Call, error) {
	call, err := board.Get(ctx, phone.Local(), id)
	if err == nil && within > 0 && p.catchUp(ctx, board, []*phone.Call{call}) {
		call, err = board.Get(context.WithoutCancel(ctx), phone.Local(), id)
	}
	if err != nil || call.Status != phone.WrappingUp || within <= 0 {
		return call, err
	}
	l := p.live("the record is not there yet")
	defer l.end()
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, err := range board.Watch(waiting, phone.Local(), id, call.Seq) {
		if err != nil {
			return nil, err
		}
	}
	return board.Get(context.WithoutCancel(ctx), phone.Local(), id)
}
