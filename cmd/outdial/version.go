package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/spf13/cobra"
)

// release is set when a release is linked; otherwise the module's own version tells.
var release string

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and whether the providers want the protocol that it speaks",
		RunE: func(c *cobra.Command, _ []string) error {
			report := versionReport{Version: version()}
			if !p.json {
				fmt.Fprintf(p.out, "outdial %s\n", report.Version) // first: it is known whatever the settings and the network are like
			}
			values, log, err := p.configure()
			if err != nil {
				return err
			}
			o, err := p.boardOptions(values, log)
			if err != nil {
				return err
			}
			for _, one := range o.Providers {
				if v, ok := protocolOf(c.Context(), one); ok {
					report.Protocols = append(report.Protocols, v)
				}
			}
			if p.json {
				return p.printJSON(report)
			}
			for _, v := range report.Protocols {
				fmt.Fprintln(p.out, v)
			}
			return nil
		},
	}
}

type versionReport struct {
	Version   string     `json:"version"`
	Protocols []protocol `json:"protocols,omitempty"`
}

// protocol is what an adapter speaks beside what its service wants.
type protocol struct {
	Provider string `json:"provider"`
	Speaks   string `json:"speaks,omitempty"`
	Wants    string `json:"wants,omitempty"`
	Matches  bool   `json:"matches"`
	Note     string `json:"note,omitempty"`
}

func (v protocol) String() string {
	switch {
	case v.Note != "":
		return fmt.Sprintf("%s: %s", v.Provider, v.Note)
	case v.Matches:
		return fmt.Sprintf("%s: protocol %s, as the service wants it", v.Provider, v.Speaks)
	}
	return fmt.Sprintf("%s: protocol %s, but the service wants %s: update outdial", v.Provider, v.Speaks, v.Wants)
}

// protocolOf asks a service for its version; false for one that has none.
func protocolOf(ctx context.Context, p *providers.Provider) (protocol, bool) {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	speaks, wants, err := p.Version(ctx)
	if phone.CodeOf(err) == phone.Unsupported {
		return protocol{}, false
	}
	v := protocol{Provider: p.Name(), Speaks: speaks, Wants: wants, Matches: err == nil && speaks == wants}
	if err != nil {
		v.Note = phone.AsError(err).Message
	}
	return v, true
}
