package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the image has no zones of its own

	"github.com/outdial/outdial/phone"
	"github.com/spf13/cobra"
)

// run is the program: it returns the exit code, 0 for success, 1 for a failure, 2 for a command that cannot be understood.
func run(ctx context.Context, args, env []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p := &program{in: in, out: out, errs: errs, settings: settingsFrom(env)}
	root := p.command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(errs, "outdial: %v\n", err)
		return 2
	case errors.Is(err, errSilent):
		return 1
	}
	p.failed(err)
	return 1
}

// errSilent ends the program with a failure that has been told already.
var errSilent = errors.New("told already")

// usageError is a command that cannot be understood.
type usageError struct{ error }

// program is what the subcommands share.
type program struct {
	in        io.Reader
	out, errs io.Writer
	settings  *settings
	json      bool
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "outdial",
		Short:         "A telephone for AI agents",
		Long:          "outdial is an MCP server whose tools place phone calls, follow them and stream what is said. Without keys it simulates them.",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	p.settings.flags(root.PersistentFlags())
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print the same JSON as the tools")
	for _, make := range []func() *cobra.Command{
		p.demo, p.stdio, p.http, p.call, p.info, p.stream, p.list, p.cancel, p.batch, p.balance, p.check, p.providers,
		p.doctor, p.sandbox, p.version,
	} {
		c := make()
		args := c.Args
		c.Args = func(c *cobra.Command, given []string) error {
			if args == nil {
				args = cobra.NoArgs
			}
			if err := args(c, given); err != nil {
				return &usageError{fmt.Errorf("%w; usage: %s", err, c.UseLine())}
			}
			return nil
		}
		root.AddCommand(c)
	}
	root.Args = func(_ *cobra.Command, given []string) error {
		if len(given) > 0 {
			return &usageError{fmt.Errorf("there is no command %q; outdial --help lists them", given[0])}
		}
		return nil
	}
	root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return root
}

// failed tells of an error: what happened, whether a phone may have rung, what to do next.
func (p *program) failed(err error) {
	e := phone.AsError(err)
	if p.json {
		_ = p.printJSON(errorJSON(e))
	}
	fmt.Fprintf(p.errs, "outdial: %s\n", e.Message)
	if e.Code == phone.Internal && e.Err != nil {
		fmt.Fprintf(p.errs, "  cause: %v\n", e.Err)
	}
	fmt.Fprintf(p.errs, "  code %s", e.Code)
	if e.Reason != "" {
		fmt.Fprintf(p.errs, " (%s)", e.Reason)
	}
	fmt.Fprintf(p.errs, ", call started: %s", e.CallStarted())
	if e.CallID != "" {
		fmt.Fprintf(p.errs, ", %s", e.CallID)
	}
	if !e.RetryAt.IsZero() {
		fmt.Fprintf(p.errs, ", try again at %s", e.RetryAt.Local().Format("15:04:05"))
	}
	fmt.Fprintln(p.errs)
}
