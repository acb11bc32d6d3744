package main

import (
	"errors"
	"fmt"

	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/spf13/cobra"
)

func (p *program) resolve() *cobra.Command {
	var found operator.Finding
	var ref string
	var not bool
	c := &cobra.Command{
		Use:   "resolve CALL_ID --dialed|--not-dialed",
		Short: "Say what became of an unconfirmed call, as the provider's console or the person called tells it",
		Long: "Say what became of an unconfirmed call, as the provider's console or the person called tells it.\n\n" +
			"Its number is blocked for 30 minutes, and the same request is answered with this call, until somebody says.\n" +
			"--not-dialed frees both at once. After --dialed the call counts as over; with --ref, the provider's own name\n" +
			"of it, outdial follows it to its end and fetches the transcript.",
		Example: "  outdial status\n  outdial resolve call_… --not-dialed",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			found.Ref = phone.Ref(ref)
			switch {
			case found.Dialed == not:
				return misused(c, errors.New("say either --dialed or --not-dialed"))
			case not && ref != "":
				return misused(c, errors.New("a call that was not dialed has no --ref"))
			}
			values, _, err := p.configure()
			if err != nil {
				return err
			}
			l, err := p.openLedger(c.Context(), values)
			if err != nil {
				return err
			}
			call, err := operator.Resolve(c.Context(), l, args[0], found)
			if err = errors.Join(err, l.Close()); err != nil {
				return err
			}
			if p.json {
				return p.printJSON(schema.FromCallSince(call, 0))
			}
			told(p.out, call)
			if found.Ref != "" && call.Principal == phone.Local().Principal {
				fmt.Fprintf(p.out, "outdial stream %s follows it\n", call.ID)
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&found.Dialed, "dialed", false, "the call was placed")
	f.BoolVar(&not, "not-dialed", false, "the call was never placed")
	f.StringVar(&ref, "ref", "", "with --dialed: the provider's name of the call, from its console")
	return c
}
