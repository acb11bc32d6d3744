package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
	"github.com/spf13/cobra"
)

// wish are the flags that say how a call is to be made.
type wish struct {
	language, voice, agent, caller string
	options, key, repeatOf         string
	longest                        time.Duration
}

func (w *wish) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.language, "language", "", "language of the call, such as zh or en-US")
	f.StringVar(&w.voice, "voice", "", "a voice of the provider's")
	f.StringVar(&w.agent, "agent-name", "", "how the agent on the line calls itself")
	f.StringVar(&w.caller, "caller-name", "", "on whose behalf it calls")
	f.DurationVar(&w.longest, "max-duration", 0, "the call's greatest length")
	f.StringVar(&w.options, "options", "", "the provider's own options, a JSON object")
	f.StringVar(&w.key, "idempotency-key", "", "names this wish: the same key is the same call")
	f.StringVar(&w.repeatOf, "repeat-of", "", "the id of an earlier call that is repeated on purpose")
}

func (w *wish) request(to, task string) (switchboard.Request, error) {
	q := switchboard.Request{To: to, Task: task, Key: w.key, RepeatOf: w.repeatOf, Order: phone.Order{
		Language: w.language, Voice: w.voice, AgentName: w.agent, CallerName: w.caller, MaxDuration: w.longest,
	}}
	switch {
	case w.longest < 0 || w.longest > time.Hour:
		return q, &usageError{fmt.Errorf("--max-duration must be from 1s to 1h")}
	case len(w.key) > 200:
		return q, &usageError{fmt.Errorf("--idempotency-key must have 200 characters at most")}
	}
	if w.options != "" {
		if err := json.Unmarshal([]byte(w.options), &q.Order.Options); err != nil {
			return q, &usageError{fmt.Errorf("--options is not a JSON object: %w", err)}
		}
	}
	return q, nil
}

func (p *program) call() *cobra.Command {
	var w wish
	var wait, dry bool
	c := &cobra.Command{
		Use:   "call NUMBER[,NUMBER…] TASK",
		Short: "Place a call, or one to each of several numbers",
		Example: "  outdial call +12025550100 'Ask for the opening hours' --wait\n" +
			"  outdial call 13800138000,13900139000 '通知：明天上午九点开会'",
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			q, err := w.request(args[0], args[1])
			if err != nil {
				return err
			}
			q.Provider = p.chosen()
			o, err := p.open(c.Context())
			if err != nil {
				return err
			}
			defer o.close(aDial, aFarewell)
			numbers := strings.Split(args[0], ",")
			for i, n := range numbers {
				numbers[i] = strings.TrimSpace(n)
			}
			switch {
			case dry:
				return p.dryRun(c.Context(), o.board, q, numbers)
			case len(numbers) > 1:
				var b switchboard.Batch
				for _, n := range numbers {
					b.Recipients = append(b.Recipients, switchboard.Recipient{To: n})
				}
				b.Request = q
				return p.place(c.Context(), o.board, b, wait)
			}
			return p.placeOne(c.Context(), o.board, q, wait)
		},
	}
	w.flags(c)
	c.Flags().BoolVar(&wait, "wait", false, "print what is said until the call is over")
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would refuse the call, and call nobody")
	return c
}

func (p *program) placeOne(ctx context.Context, board *switchboard.Switchboard, q switchboard.Request, wait bool) error {
	l := p.live("dialing")
	placed, err := board.Place(ctx, phone.Local(), q)
	l.end()
	if err != nil {
		return err
	}
	if !p.json {
		if placed.Replayed {
			fmt.Fprintln(p.out, "The same request has placed this call already; nobody was called again.")
		}
		told(p.out, placed.Call)
	}
	if ctx.Err() != nil && placed.Call.Status == phone.Dialing {
		fmt.Fprintf(p.errs, "outdial: the provider has not answered yet. Waiting for it, so that the call is on record; outdial info %s tells what came of it.\n", placed.Call.ID)
		return errInterrupted
	}
	call := placed.Call
	switch {
	case wait && p.json:
		if call, err = p.await(ctx, board, call.ID); err != nil {
			return err
		}
	case wait:
		return p.hear(ctx, board, call.ID, 0)
	}
	if p.json {
		w := schema.FromCallSince(call, 0)
		w.Replayed = placed.Replayed
		return p.printJSON(w)
	}
	return nil
}

// await gives a call as it ends, and prints nothing.
func (p *program) await(ctx context.Context, board *switchboard.Switchboard, id string) (*phone.Call, error) {
	call, err := p.listen(ctx, board, id, 0, func(phone.Event) {})
	return call, p.goesOn(call, err)
}

func (p *program) place(ctx context.Context, board *switchboard.Switchboard, b switchboard.Batch, wait bool) error {
	l := p.live(fmt.Sprintf("calling %d", len(b.Recipients)))
	id, items, err := board.PlaceBatch(ctx, phone.Local(), b)
	l.end()
	if err != nil {
		return err
	}
	if !p.json {
		p.tellBatch(tools.BatchOf(id, items, b.Request.Task), items)
	}
	for n, i := range items {
		switch {
		case !wait || i.Err != nil:
		case p.json:
			if items[n].Placement.Call, err = p.await(ctx, board, i.Placement.Call.ID); err != nil {
				return err
			}
		default:
			fmt.Fprintf(p.out, "\n%s\n", i.Recipient.To)
			if err := p.hear(ctx, board, i.Placement.Call.ID, 0); err != nil {
				return err
			}
		}
	}
	w := tools.BatchOf(id, items, b.Request.Task)
	if p.json {
		if err := p.printJSON(w); err != nil {
			return err
		}
	}
	if w.Refused+w.Failed > 0 {
		return errSilent
	}
	return nil
}

func (p *program) tellBatch(w schema.Batch, items []switchboard.BatchItem) {
	for _, i := range items {
		switch {
		case i.Err != nil && i.Err.CallStarted() == phone.StartedUnknown:
			fmt.Fprintf(p.out, "%s  %s: perhaps called: %s (%s)\n", i.Err.CallID, plain(i.Recipient.To), plain(i.Err.Message), i.Err.Code)
		case i.Err != nil:
			fmt.Fprintf(p.out, "%s: not called: %s (%s)\n", plain(i.Recipient.To), plain(i.Err.Message), i.Err.Code)
		default:
			if i.Placement.Replayed {
				fmt.Fprint(p.out, "not called again: ")
			}
			told(p.out, i.Placement.Call)
		}
	}
	fmt.Fprintf(p.out, "%s: %d placed, %d refused, %d failed\n", w.BatchID, w.Placed, w.Refused, w.Failed)
}

// dryRun judges a request to each of the numbers. One that would be refused is a failure.
func (p *program) dryRun(ctx context.Context, board *switchboard.Switchboard, q switchboard.Request, numbers []string) error {
	all := schema.Calls{}
	var refused error
	for _, q.To = range numbers {
		checked, err := board.DryRun(ctx, phone.Local(), q)
		if err != nil {
			return err
		}
		n := tools.CheckedOf(checked)
		if !n.Allowed {
			refused = errSilent
		}
		all.Calls = append(all.Calls, schema.Call{
			Status: "dry_run", To: cmp.Or(n.E164, q.To), Task: q.Task, Provider: n.Provider, Simulated: checked.Simulated,
			Turns: []schema.Turn{}, Check: &n,
		})
		if !p.json {
			if len(numbers) > 1 && !n.Valid {
				fmt.Fprintf(p.out, "%s  ", q.To)
			}
			p.numberLines(n)
		}
	}
	switch {
	case !p.json:
		fmt.Fprintln(p.out, "Nobody was called: this was a dry run.")
	case len(numbers) == 1:
		return errors.Join(p.printJSON(all.Calls[0]), refused)
	default:
		return errors.Join(p.printJSON(all), refused)
	}
	return refused
}

func (p *program) batch() *cobra.Command {
	var w wish
	var wait bool
	c := &cobra.Command{
		Use:   "batch FILE",
		Short: "Call the recipients in a JSON file, as create_batch takes it; - is standard input",
		Example: "  outdial batch people.json\n" +
			`  echo '{"task":"Remind {{name}} of tomorrow, nine o\'clock","recipients":[{"to":"+12025550100","variables":{"name":"Ada"}}]}' | outdial batch -`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := p.readBatch(args[0], &w)
			if err != nil {
				return err
			}
			o, err := p.open(c.Context())
			if err != nil {
				return err
			}
			defer o.close(aDial, aFarewell)
			return p.place(c.Context(), o.board, b, wait)
		},
	}
	w.flags(c)
	c.Flags().BoolVar(&wait, "wait", false, "print what is said in each call until it is over")
	return c
}

// readBatch reads create_batch's arguments from a file; flags fill in what it leaves out.
func (p *program) readBatch(path string, w *wish) (switchboard.Batch, error) {
	in := p.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return switchboard.Batch{}, phone.Errorf(phone.Invalid, "%v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	var args schema.CreateBatch
	if err := d.Decode(&args); err != nil {
		return switchboard.Batch{}, phone.Errorf(phone.Invalid, "%s is not a batch as create_batch takes it: %v", path, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return switchboard.Batch{}, phone.Errorf(phone.Invalid, "%s holds more than one JSON object. Nobody was called.", path)
	}
	q, err := w.request("", args.Task)
	if err != nil {
		return switchboard.Batch{}, err
	}
	fill := func(flag *string, file string) {
		if *flag == "" {
			*flag = file
		}
	}
	q.Provider = p.chosen()
	fill(&q.Provider, args.Provider)
	fill(&q.Key, args.IdempotencyKey)
	fill(&q.RepeatOf, args.RepeatOf)
	fill(&q.Order.Language, args.Language)
	fill(&q.Order.Voice, args.Voice)
	fill(&q.Order.AgentName, args.AgentName)
	fill(&q.Order.CallerName, args.CallerName)
	if q.Order.MaxDuration == 0 {
		q.Order.MaxDuration = time.Duration(args.MaxDuration) * time.Second
	}
	if q.Order.Options == nil {
		q.Order.Options = args.Options
	}
	b := switchboard.Batch{Request: q}
	for _, r := range args.Recipients {
		b.Recipients = append(b.Recipients, switchboard.Recipient{To: r.To, Variables: r.Variables})
	}
	return b, nil
}
