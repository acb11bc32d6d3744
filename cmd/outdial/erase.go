package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/phone"
	"github.com/spf13/cobra"
)

// erasedReport is what was erased and what was kept, as outdial erase --json prints it.
type erasedReport struct {
	Erased    []erasedCall `json:"erased"`
	Contact   bool         `json:"contact"`             // there was a contact of the number
	Questions int          `json:"questions"`           // to a person
	Heard     int          `json:"heard"`               // digits heard on the line: those numbers are held back no more
	DoNotCall int          `json:"do_not_call"`         // entries that go on to forbid the number, which they do not show any more
	Elsewhere []string     `json:"elsewhere,omitempty"` // calls in whose task or words the number still stands
}

type erasedCall struct {
	CallID      string `json:"call_id"`
	Provider    string `json:"provider"`
	ProviderRef string `json:"provider_ref,omitempty"` // the provider's name of the call: it keeps a record of its own
	Simulated   bool   `json:"simulated"`
}

func (p *program) erase() *cobra.Command {
	var callID, number string
	var yes bool
	c := &cobra.Command{
		Use:   "erase --call CALL_ID|--number NUMBER",
		Short: "Erase what is known of a call, or of a number, for good",
		Long: "Erase what is known of a call, or of all calls to a number and its contact, for good: the number, the task, names, options,\n" +
			"what was said, summary, recording, questions and their answers.\n\n" +
			"What stays is that there was a call: when, through whom, on whose account, how it ended and what it cost. The same\n" +
			"request still leads to it and rings nobody again, limits count it, and who is not to be called is not called. What the\n" +
			"provider keeps, and copies of the ledger, it cannot reach (docs/operating.md).",
		Example: "  outdial erase --call call_…\n  outdial erase --number +12025550143",
	}
	f := c.Flags()
	f.StringVar(&callID, "call", "", "the call")
	f.StringVar(&number, "number", "", "the number, in E.164 form or as national digits of OUTDIAL_REGION")
	f.BoolVar(&yes, "yes", false, "do not ask at the terminal")
	do := p.onLedger(func(ctx context.Context, l *ledger.Ledger, values []value, _ []string) error {
		region, err := regionOf(values)
		if err != nil {
			return err
		}
		if !yes {
			if err := p.sure(ctx, callID, number); err != nil {
				return err
			}
		}
		var e ledger.Erasure
		if callID != "" {
			e, err = operator.EraseCall(ctx, l, callID, time.Now())
		} else {
			e, err = operator.EraseNumber(ctx, l, number, region, time.Now())
		}
		if err != nil && len(e.Calls) == 0 && !e.Contact {
			return err
		}
		return errors.Join(p.erased(e), err)
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case (callID == "") == (number == ""):
			return misused(c, errors.New("say either --call or --number"))
		case p.json && !yes:
			return misused(c, errors.New("with --json nobody can be asked: add --yes"))
		}
		return do(c, args)
	}
	return c
}

// sure asks a person at the terminal. Errors: refused, if they are not.
func (p *program) sure(ctx context.Context, callID, number string) error {
	t, err := p.atTerminal("nothing was erased. --yes erases without asking.")
	if err != nil {
		return err
	}
	defer t.Close()
	what := "what is known of " + callID
	if number != "" {
		what = "what is known of all calls to " + number + ", and its contact"
	}
	i := &interview{tty: t, in: bufio.NewReader(t)}
	answer, err := i.ask(ctx, "This erases "+plain(what)+", for good. Type erase to go on:")
	if err != nil {
		return err
	}
	if !strings.EqualFold(answer, "erase") {
		return &phone.Error{Code: phone.Refused, Reason: "not_confirmed", Message: "Nothing was erased."}
	}
	return nil
}

// erased tells what was erased, and what was kept and why.
func (p *program) erased(e ledger.Erasure) error {
	if p.json {
		r := erasedReport{Erased: []erasedCall{}, Contact: e.Contact, Questions: e.Questions, Heard: e.Heard, DoNotCall: e.Blocks, Elsewhere: e.Elsewhere}
		for _, c := range e.Calls {
			r.Erased = append(r.Erased, erasedCall{c.CallID, c.Provider, string(c.Ref), c.Simulated})
		}
		return p.printJSON(r)
	}
	if len(e.Calls) == 0 {
		fmt.Fprintln(p.out, "No call was erased: there is none to this number that was not.")
	}
	for _, c := range e.Calls {
		fmt.Fprintf(p.out, "%s erased", c.CallID)
		if c.Ref != "" && !c.Simulated {
			fmt.Fprintf(p.out, "; %s keeps a record of its own, as %s: have it erased there", c.Provider, plain(string(c.Ref)))
		}
		fmt.Fprintln(p.out)
	}
	line := func(said bool, format string, args ...any) {
		if said {
			fmt.Fprintf(p.out, format+"\n", args...)
		}
	}
	line(e.Contact, "The contact was erased.")
	line(e.Questions > 0, "%d questions to a person about it were erased: an approval that was not used is gone.", e.Questions)
	line(e.Heard > 0, "What was heard on the line was erased: a number that was spoken there is held back no more.")
	line(e.Blocks > 0, "Kept: %d do-not-call entries. They go on to forbid the number, which they do not show any more.", e.Blocks)
	line(len(e.Calls) > 0, "Kept: that there was a call, when, how it ended and what it cost. The same request still leads to it and rings nobody.")
	line(len(e.Elsewhere) > 0, "The number also stands in the task or the words of %s: outdial erase --call erases those.", strings.Join(e.Elsewhere, ", "))
	fmt.Fprintln(p.out, "Copies of the ledger that were made before still hold it.")
	return nil
}
