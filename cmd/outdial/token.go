package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/phone"
	"github.com/spf13/cobra"
)

func (p *program) token() *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke the tokens that outdial http takes",
		Long: "The tokens file (OUTDIAL_TOKENS_FILE) has a line for each token: a name, the SHA-256 of the token, and scopes. A server\n" +
			"that runs reads it again when it has changed. Calls belong to the name: a further token of it sees them too.",
		Args: cobra.NoArgs,
	}
	c.AddCommand(p.tokenNew(), p.tokenList(), p.tokenRevoke())
	return c
}

// tokenJSON is a token as --json prints it. The token itself is there once, when it is made.
type tokenJSON struct {
	Name        string   `json:"name"`
	Scopes      []string `json:"scopes"`
	Fingerprint string   `json:"fingerprint"`
	Token       string   `json:"token,omitempty"`
	Line        string   `json:"line,omitempty"`
}

func tokenOf(e auth.Entry) tokenJSON {
	return tokenJSON{Name: e.Name, Scopes: e.Scopes, Fingerprint: e.Print()}
}

// tokensFile is the file that the settings name; empty if there is none.
func (p *program) tokensFile() (string, error) {
	values, _, err := p.configure()
	return valueOf(values, "", "tokens_file"), err
}

func (p *program) tokenNew() *cobra.Command {
	var scopes []string
	var rotate bool
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a token and print it, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := p.tokensFile()
			if err != nil {
				return err
			}
			token, e, err := auth.NewToken(args[0], scopes)
			if err != nil {
				return err
			}
			if path != "" {
				if err := auth.Add(path, e, rotate); err != nil {
					return err
				}
			}
			if p.json {
				made := tokenOf(e)
				made.Token, made.Line = token, e.String()
				return p.printJSON(made)
			}
			fmt.Fprintln(p.out, token)
			told := "It is in " + path + " by its hash alone, and is shown only now."
			if path == "" {
				told = "It is shown only now. This line goes into the tokens file (OUTDIAL_TOKENS_FILE, which is not set):\n" + e.String()
			}
			fmt.Fprintf(p.errs, "outdial: a token for %s, with %s. %s\n", e.Name, strings.Join(e.Scopes, " and "), told)
			return nil
		},
	}
	c.Flags().StringSliceVar(&scopes, "scope", []string{phone.PlaceScope, phone.ReadScope}, "what it may do: "+strings.Join(phone.Scopes(), ", "))
	c.Flags().BoolVar(&rotate, "rotate", false, "a further token for a name that has one; revoke the old one by its fingerprint")
	return c
}

func (p *program) tokenList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tokens by name, scopes and fingerprint",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := p.setTokensFile()
			if err != nil {
				return err
			}
			all, faults, err := auth.List(path)
			if err != nil {
				return err
			}
			if faults > 0 {
				fmt.Fprintf(p.errs, "outdial: %d lines of %s are not understood, and grant nothing\n", faults, path)
			}
			if p.json {
				shown := []tokenJSON{}
				for _, e := range all {
					shown = append(shown, tokenOf(e))
				}
				return p.printJSON(map[string]any{"tokens": shown})
			}
			t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
			for _, e := range all {
				fmt.Fprintf(t, "%s\t%s\t%s\n", e.Name, e.Print(), strings.Join(e.Scopes, " "))
			}
			return t.Flush()
		},
	}
}

func (p *program) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME|FINGERPRINT",
		Short: "Revoke all tokens of a name, or one by its fingerprint",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := p.setTokensFile()
			if err != nil {
				return err
			}
			gone, err := auth.Revoke(path, args[0])
			if err != nil {
				return err
			}
			if p.json {
				shown := []tokenJSON{}
				for _, e := range gone {
					shown = append(shown, tokenOf(e))
				}
				return p.printJSON(map[string]any{"revoked": shown})
			}
			for _, e := range gone {
				fmt.Fprintf(p.out, "revoked %s %s\n", e.Name, e.Print())
			}
			return nil
		},
	}
}

func (p *program) setTokensFile() (string, error) {
	path, err := p.tokensFile()
	if err == nil && path == "" {
		err = phone.Errorf(phone.Invalid, "No tokens file is named: set OUTDIAL_TOKENS_FILE.")
	}
	return path, err
}
