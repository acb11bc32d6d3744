package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // the image has no zones of its own

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/all"
	"github.com/outdial/outdial/server"
	"github.com/spf13/cobra"
)

// run is the program: it returns the exit code, 0 for success, 1 for a failure, 2 for a command that cannot be understood,
// 130 for one that was interrupted.
func run(ctx context.Context, args, env []string, in io.Reader, out, errs io.Writer) int {
	return parts{specs: all.Specs()}.run(ctx, args, env, in, out, errs)
}

func (with parts) run(ctx context.Context, args, env []string, in io.Reader, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal ends the program there and then
	p := &program{parts: with, in: in, out: out, errs: errs, settings: settingsFrom(with.specs, env)}
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
	case errors.Is(err, errInterrupted):
		return 130
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		fmt.Fprintln(errs, "outdial: interrupted")
		return 130
	}
	p.failed(err)
	return 1
}

var (
	// errSilent ends the program with a failure that has been told already.
	errSilent = errors.New("told already")
	// errInterrupted ends a program that was interrupted and has said what goes on without it.
	errInterrupted = errors.New("interrupted")
)

// usageError is a command that cannot be understood.
type usageError struct{ error }

// program is what the subcommands share.
type program struct {
	parts
	in        io.Reader
	out, errs io.Writer
	settings  *settings
	json      bool

	metrics *server.Metrics // of a server; nil: nobody counts
	traces  *server.Traces  // nil: none are sent
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "outdial",
		Short: "A telephone for AI agents",
		Long: "outdial is an MCP server whose tools place phone calls, follow them and stream what is said, and the same at the\n" +
			"terminal. Without keys it simulates them: outdial demo shows a call.",
		Version:                    version(),
		SuggestionsMinimumDistance: 2,
		SilenceErrors:              true, SilenceUsage: true,
	}
	root.SetVersionTemplate("outdial {{.Version}}\n")
	root.SetUsageTemplate(usage)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return misused(c, err) })
	p.settings.flags(root)
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print the same JSON as the tools")
	for _, make := range []func() *cobra.Command{
		p.demo, p.stdio, p.http, p.call, p.info, p.stream, p.list, p.cancel, p.resolve, p.batch, p.balance, p.check, p.providers,
		p.approve, p.contacts, p.dnc, p.policy, p.token, p.callToolsCommand, p.doctor, p.status, p.sandbox, p.erase, p.backup, p.version,
	} {
		c := make()
		if c.Args == nil {
			c.Args = cobra.NoArgs
		}
		root.AddCommand(c)
	}
	root.InitDefaultCompletionCmd()
	root.SetHelpCommand(help(root))
	strict(root)
	return root
}

// strict makes what a command does not take a usage error, for it and what is below it.
func strict(c *cobra.Command) {
	if !c.Runnable() {
		c.Args = cobra.ArbitraryArgs // the command that is not there is told by its name
		c.RunE = func(c *cobra.Command, given []string) error {
			if len(given) == 0 {
				return c.Help()
			}
			return &usageError{unknown(c, given[0])}
		}
	}
	takes := c.Args
	c.Args = func(c *cobra.Command, given []string) error {
		if takes == nil {
			return nil
		}
		if err := takes(c, given); err != nil {
			return misused(c, err)
		}
		return nil
	}
	for _, below := range c.Commands() {
		strict(below)
	}
}

func misused(c *cobra.Command, err error) error {
	return &usageError{fmt.Errorf("%w\nUsage: %s", err, c.UseLine())}
}

func unknown(above *cobra.Command, name string) error {
	like := ""
	if near := above.SuggestionsFor(name); len(near) > 0 {
		like = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("there is no command %q%s\nUsage: %[3]s COMMAND; %[3]s --help lists the commands", name, like, above.CommandPath())
}

func help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Say more about a command",
		RunE: func(_ *cobra.Command, names []string) error {
			c, rest, err := root.Find(names)
			if err != nil || len(rest) > 0 {
				return &usageError{unknown(root, strings.Join(names, " "))}
			}
			return c.Help()
		},
	}
}

// usage leaves the settings out of every command's help but the first: each would repeat the same long list.
const usage = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasParent}}

--json prints the same JSON as the tools. Every setting is a flag too: outdial --help lists them.{{else}}

Each setting is also an environment variable, named in brackets, and a line in outdial.toml; outdial doctor shows what is
set and where. Keys are no flags, since every user of the machine can read those.
outdial COMMAND --help says more about a command.{{end}}
`

// failed tells of an error: what happened, whether a phone may have rung, what to do next.
func (p *program) failed(err error) {
	e := phone.AsError(err)
	if p.json {
		p.printLineJSON(errorJSON(e))
	}
	fmt.Fprintf(p.errs, "outdial: %s\n", plain(e.Message))
	if e.Code == phone.Internal && e.Err != nil {
		fmt.Fprintf(p.errs, "  cause: %s\n", plain(e.Err.Error()))
	}
	fmt.Fprintf(p.errs, "  code %s", e.Code)
	if e.Reason != "" {
		fmt.Fprintf(p.errs, " (%s)", e.Reason)
	}
	if e.CallID != "" || e.CallStarted() != phone.StartedNo {
		fmt.Fprintf(p.errs, ", call started: %s", e.CallStarted())
	}
	if e.CallID != "" {
		fmt.Fprintf(p.errs, ", %s", e.CallID)
	}
	if !e.RetryAt.IsZero() {
		fmt.Fprintf(p.errs, ", try again at %s", e.RetryAt.Local().Format("15:04:05"))
	}
	fmt.Fprintln(p.errs)
}
