package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/server"
	"github.com/outdial/outdial/switchboard"
	"github.com/spf13/cobra"
)

func (p *program) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what is set and where it comes from, and whether the ledger and the providers answer",
		RunE: func(c *cobra.Command, _ []string) error {
			values, log, err := p.configure()
			if err != nil {
				return err
			}
			report := diagnosis{Settings: settingLines(values), Ledger: p.ledgerHealth(c.Context(), values)}
			if warning := p.passing(values); warning != "" {
				report.Warnings = append(report.Warnings, warning)
			}
			report.HTTP = reachable(c.Context(), values)
			o, err := p.boardOptions(values, log)
			if err != nil {
				report.Problems = append(report.Problems, phone.AsError(err).Message)
			}
			for _, one := range o.Providers {
				report.Providers = append(report.Providers, examine(c.Context(), one))
			}
			for _, spec := range o.Missing {
				report.Providers = append(report.Providers, health{Provider: spec.Name, Note: "not configured: " + switchboard.ToConfigure(spec), OK: true})
			}
			if p.json {
				err = p.printJSON(report)
			} else {
				err = report.print(p)
			}
			if err == nil && !report.ok() {
				err = errSilent
			}
			return err
		},
	}
}

// diagnosis is what doctor finds.
type diagnosis struct {
	Settings  []settingLine `json:"settings"`
	Ledger    health        `json:"ledger"`
	HTTP      health        `json:"http"`
	Providers []health      `json:"providers"`
	Problems  []string      `json:"problems,omitempty"`
	Warnings  []string      `json:"warnings,omitempty"` // what works now and will not last
}

// settingLine is one setting; of a secret only whether it is there.
type settingLine struct {
	Name  string `json:"name"`
	Env   string `json:"env"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// health is how one part does.
type health struct {
	Provider   string    `json:"provider,omitempty"`
	Configured bool      `json:"configured"`
	OK         bool      `json:"ok"`
	Protocol   *protocol `json:"protocol,omitempty"`
	Balance    string    `json:"balance,omitempty"`
	Note       string    `json:"note,omitempty"`
}

func (d diagnosis) ok() bool {
	for _, h := range append([]health{d.Ledger, d.HTTP}, d.Providers...) {
		if !h.OK {
			return false
		}
	}
	return len(d.Problems) == 0
}

func settingLines(values []value) []settingLine {
	var all []settingLine
	for _, v := range values {
		line := settingLine{Name: key(v.Owner, v.Name), Env: v.Env, Value: v.Value, From: v.From}
		switch {
		case v.Value == "":
			line.Value, line.From = "-", "not set"
		case v.Secret:
			line.Value = "present"
		case v.Name == database:
			line.Value = ledger.Shown(v.Value)
		default:
			if u, err := url.Parse(v.Value); err == nil && u.User != nil {
				line.Value = u.Redacted() // an address is refused for the password in it, and still printed here
			}
		}
		all = append(all, line)
	}
	return all
}

func (p *program) ledgerHealth(ctx context.Context, values []value) health {
	l, err := p.openLedger(ctx, values)
	if err == nil {
		err = l.Ready(ctx)
		_ = l.Close()
	}
	if err != nil {
		return health{Note: phone.AsError(err).Message, Configured: true}
	}
	return health{OK: true, Configured: true, Note: "opens and can be written"}
}

// reachable says who could use outdial http as it is set up, and whether the issuer of their tokens answers.
func reachable(ctx context.Context, values []value) health {
	bad := func(err error) health { return health{Configured: true, Note: plain(phone.AsError(err).Message)} }
	o, err := protection(values, func(string) {})
	if err != nil {
		return bad(err)
	}
	addr := valueOf(values, "", "addr")
	others, err := server.Reaches(ctx, addr)
	switch {
	case err != nil:
		return bad(phone.Errorf(phone.Invalid, "%v", err))
	case o.Auth == nil && others:
		return bad(phone.Errorf(phone.Invalid, "others could reach %s, so it will not start without OUTDIAL_TOKENS_FILE or OUTDIAL_OAUTH_ISSUER.", addr))
	}
	h := health{Configured: true, OK: true, Note: addr + ", without a token for programs on this machine"}
	if o.Auth != nil {
		var takes []string
		if n := len(o.Auth.Static()); n > 0 || o.Auth.Issuer() == "" {
			takes = append(takes, fmt.Sprintf("%d static tokens", n))
		}
		if issuer := o.Auth.Issuer(); issuer != "" {
			keys, err := o.Auth.Reach(ctx)
			h.OK = err == nil
			takes = append(takes, fmt.Sprintf("tokens of %s (%d keys)", issuer, keys))
			if err != nil {
				takes = append(takes, err.Error())
			}
		}
		h.Note = plain(addr + ", with " + strings.Join(takes, ", "))
	}
	switch {
	case o.PublicURL != "" && o.Auth == nil && strings.HasPrefix(o.PublicURL, "https:"):
		h.Note += "; beyond this machine (" + o.PublicURL + ") only webhooks are taken, as long as the proxy hands on Host or says that it is one: set OUTDIAL_TOKENS_FILE or OUTDIAL_OAUTH_ISSUER"
	case o.PublicURL != "":
		h.Note += "; public as " + o.PublicURL
	case others:
		h.Note += "; plain HTTP that others can reach: put a proxy that speaks TLS in front and name it in OUTDIAL_PUBLIC_URL"
	}
	return h
}

// examine asks a provider for its version and its balance, which shows whether it is reached and takes the key.
func examine(ctx context.Context, one *providers.Provider) health {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	h := health{Provider: one.Name(), Configured: true, OK: true}
	if v, ok := protocolOf(ctx, one); ok {
		h.Protocol, h.OK = &v, v.Matches
	}
	b, err := one.Balance(ctx)
	switch {
	case phone.CodeOf(err) == phone.Unsupported:
	case err != nil:
		h.OK, h.Note = false, phone.AsError(err).Message
	case b.Amount != nil:
		h.Balance = b.Amount.String()
	default:
		h.Balance = b.Usage
	}
	return h
}

func (d diagnosis) print(p *program) error {
	t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, s := range d.Settings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Env, s.Value, s.From)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "\n%s ledger: %s\n", mark(d.Ledger.OK), d.Ledger.Note)
	for _, s := range d.Warnings {
		fmt.Fprintf(p.out, "! container: %s\n", s)
	}
	fmt.Fprintf(p.out, "%s http: %s\n", mark(d.HTTP.OK), d.HTTP.Note)
	for _, h := range d.Providers {
		var said []string
		if h.Protocol != nil {
			said = append(said, strings.TrimPrefix(h.Protocol.String(), h.Provider+": "))
		}
		for _, s := range []string{h.Balance, h.Note} {
			if s != "" {
				said = append(said, plain(s))
			}
		}
		if len(said) == 0 {
			said = append(said, "ready")
		}
		sign := mark(h.OK)
		if !h.Configured {
			sign = "-"
		}
		fmt.Fprintf(p.out, "%s %s: %s\n", sign, h.Provider, strings.Join(said, "; "))
	}
	for _, s := range d.Problems {
		fmt.Fprintf(p.out, "%s %s\n", mark(false), s)
	}
	return nil
}

func mark(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}
