package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/notify"
	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/switchboard"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

// callTool is a [[call_tools]] of outdial.toml.
type callTool struct {
	Name        string         `toml:"name"`
	Description string         `toml:"description"`
	Input       map[string]any `toml:"input_schema"`
	Timeout     string         `toml:"timeout"`
	Answer      any            `toml:"answer"`
	Endpoint    string         `toml:"endpoint"`
	AskCaller   bool           `toml:"ask_caller"`
	Fallback    string         `toml:"fallback"`
}

// callToolsKey is where outdial.toml declares the tools that agents on the line can call.
const callToolsKey = "call_tools"

// callTools reads the tools that are declared. Errors: invalid, naming the tool.
func (p *program) callTools(values []value) ([]switchboard.CallTool, error) {
	declared, ok := p.settings.toml[callToolsKey]
	if !ok {
		return nil, nil
	}
	raw, err := toml.Marshal(map[string]any{callToolsKey: declared})
	var in struct {
		Tools []callTool `toml:"call_tools"`
	}
	if err == nil {
		err = toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(&in)
	}
	if strict := (*toml.StrictMissingError)(nil); errors.As(err, &strict) {
		return nil, phone.Errorf(phone.Invalid, "%s: [[call_tools]] has no %s. It has name, description, input_schema, timeout, answer, endpoint, ask_caller, fallback.",
			p.settings.at, strict.Errors[0].Key()[len(strict.Errors[0].Key())-1])
	}
	if err != nil {
		return nil, phone.Errorf(phone.Invalid, "%s: [[call_tools]]: %v", p.settings.at, err)
	}
	var all []switchboard.CallTool
	for _, one := range in.Tools {
		t, err := one.tool(values)
		if err == nil && slices.ContainsFunc(all, func(o switchboard.CallTool) bool { return o.Name == t.Name }) {
			err = errors.New("it is declared twice")
		}
		if err != nil {
			return nil, phone.Errorf(phone.Invalid, "%s: call tool %q: %s", p.settings.at, one.Name, phone.AsError(phone.Errorf(phone.Invalid, "%v", err)).Message)
		}
		all = append(all, t)
	}
	return all, nil
}

func (c callTool) tool(values []value) (switchboard.CallTool, error) {
	t := switchboard.CallTool{
		CallTool:  providers.CallTool{Name: c.Name, Description: strings.TrimSpace(c.Description), Input: c.Input, Timeout: 30 * time.Second},
		AskCaller: c.AskCaller, Fallback: c.Fallback,
	}
	sources := 0
	for _, has := range []bool{c.Answer != nil, c.Endpoint != "", c.AskCaller} {
		if has {
			sources++
		}
	}
	var err error
	switch {
	case !regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,63}$`).MatchString(c.Name):
		return t, errors.New("its name must be a letter and up to 63 letters, digits and underscores")
	case t.Description == "":
		return t, errors.New("it has no description: that is what tells the agent on the line when to call it")
	case sources != 1:
		return t, errors.New("it needs one of answer, endpoint and ask_caller, and only one: that is where its answer comes from")
	case c.Timeout != "":
		if t.Timeout, err = time.ParseDuration(c.Timeout); err != nil || t.Timeout < 2*time.Second || t.Timeout > 5*time.Minute || t.Timeout%time.Second != 0 {
			return t, errors.New("its timeout must be whole seconds, from 2s to 5m")
		}
	}
	if t.Input == nil {
		t.Input = map[string]any{"type": "object", "properties": map[string]any{}}
	}
	if kind, _ := t.Input["type"].(string); kind != "object" {
		return t, errors.New(`its input_schema must be a JSON Schema with type = "object"`)
	}
	if t.Fallback == "" {
		t.Fallback = "There is no answer to this at the moment. Say so politely, and go on without it."
	}
	if c.Answer != nil {
		t.Answer, err = json.Marshal(c.Answer)
	}
	if c.Endpoint != "" {
		if t.Endpoint, err = notify.Parse(c.Endpoint, valueOf(values, "", "hook_secret"), secretVariables(values)...); err != nil {
			return t, fmt.Errorf("endpoint: %s (OUTDIAL_HOOK_SECRET)", phone.AsError(err).Message)
		}
	}
	return t, err
}

func (p *program) callToolsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "call-tools",
		Short: "The tools of yours that the agent on the line can call while it talks",
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "Compare the tools declared in outdial.toml with those that the service knows",
		RunE: p.onToolkeepers(func(ctx context.Context, l *ledger.Ledger, of *providers.Provider, declared []providers.CallTool) error {
			all, err := operator.CallTools(ctx, l, of, declared)
			if err != nil {
				return err
			}
			return p.printTools(of, all)
		}),
	}
	replace := false
	sync := &cobra.Command{
		Use:   "sync",
		Short: "Register the tools declared in outdial.toml, and deactivate those that are declared no more",
		RunE: p.onToolkeepers(func(ctx context.Context, l *ledger.Ledger, of *providers.Provider, declared []providers.CallTool) error {
			var all []operator.Tool
			err := operator.SyncCallTools(ctx, l, of, declared, replace, func(was operator.Tool, now operator.ToolState) {
				if !p.json {
					switch {
					case was.State == now:
					case now == operator.ToolRegistered:
						fmt.Fprintf(p.out, "registered %s with %s\n", was.Name, of.Name())
					default:
						fmt.Fprintf(p.out, "deactivated %s at %s\n", plain(was.Name), of.Name())
					}
				}
			})
			if err != nil {
				return err
			}
			if all, err = operator.CallTools(ctx, l, of, declared); err != nil {
				return err
			}
			return p.printTools(of, all)
		}),
	}
	sync.Flags().BoolVar(&replace, "replace", false, "take the place of tools of the same names that outdial has not registered")
	c.AddCommand(list, sync)
	return c
}

// onToolkeepers makes a command of what is done for each service whose agents can call tools.
func (p *program) onToolkeepers(do func(ctx context.Context, l *ledger.Ledger, of *providers.Provider, declared []providers.CallTool) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) (err error) {
		values, log, err := p.configure()
		if err != nil {
			return err
		}
		o, err := p.boardOptions(values, log)
		if err != nil {
			return err
		}
		keepers := slices.DeleteFunc(o.Providers, func(of *providers.Provider) bool { return !of.KeepsTools() })
		if len(keepers) == 0 {
			return phone.Errorf(phone.Unsupported, "None of the configured providers has agents that call tools. Pamela's do: the operator sets PAMELA_API_KEY.")
		}
		if valueOf(values, "", "public_url") == "" {
			log.Warn().Msg("without OUTDIAL_PUBLIC_URL no service can call the tools")
		}
		l, err := p.openLedger(c.Context(), values)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		var declared []providers.CallTool
		for _, t := range o.CallTools {
			declared = append(declared, t.CallTool)
		}
		for _, of := range keepers {
			if err := do(c.Context(), l, of, declared); err != nil {
				return err
			}
		}
		return nil
	}
}

// toolLine is a tool as JSON.
type toolLine struct {
	Provider string `json:"provider"`
	Name     string `json:"name"`
	ID       string `json:"id,omitempty"`
	State    string `json:"state"`
}

func (p *program) printTools(of *providers.Provider, all []operator.Tool) error {
	lines := []toolLine{}
	for _, t := range all {
		lines = append(lines, toolLine{of.Name(), t.Name, t.ID, string(t.State)})
	}
	if p.json {
		return p.printJSON(map[string]any{"tools": lines})
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Provider, plain(l.Name), l.State, plain(orDash(l.ID)))
	}
	if len(lines) == 0 {
		fmt.Fprintf(w, "%s\tno tools, neither declared nor registered\n", of.Name())
	}
	return w.Flush()
}
