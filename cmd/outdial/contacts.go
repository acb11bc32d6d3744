package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/spf13/cobra"
)

// onLedger makes a command of what is done on the ledger alone: no provider is asked, and no call is taken up.
func (p *program) onLedger(do func(ctx context.Context, l *ledger.Ledger, values []value, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		values, _, err := p.configure()
		if err != nil {
			return err
		}
		l, err := p.openLedger(c.Context(), values)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		return do(c.Context(), l, values, args)
	}
}

// onLedgerAnyhow is onLedger for what must not fail because some other setting is wrong. It says which ledger that is.
func (p *program) onLedgerAnyhow(do func(ctx context.Context, l *ledger.Ledger, values []value, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		broken := p.settings.load()
		values, rerr := p.settings.resolve()
		if broken = errors.Join(broken, rerr); broken != nil {
			fmt.Fprintf(p.errs, "outdial: %s\n  This is done all the same, on the ledger %s.\n", plain(phone.AsError(broken).Message), ledger.Shown(valueOf(values, "", database)))
		}
		l, err := p.openLedger(c.Context(), values)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		return do(c.Context(), l, values, args)
	}
}

// regionOf is whose national numbers are meant; empty: none. Errors: invalid.
func regionOf(values []value) (string, error) {
	r := strings.ToUpper(valueOf(values, "", "region"))
	if r != "" && !guard.IsRegion(r) {
		return "", wrong(values, "region", "%q is not a region such as CN or US.", r)
	}
	return r, nil
}

// contactLine is a contact as JSON.
type contactLine struct {
	Number  string `json:"number"` // E.164
	Name    string `json:"name"`
	Zone    string `json:"zone,omitempty"`    // IANA name
	Hours   string `json:"hours,omitempty"`   // such as 08:00-22:00
	Consent string `json:"consent,omitempty"` // as the operator has noted it
	AddedAt string `json:"added_at"`          // RFC 3339
}

func contactOf(c phone.Contact) contactLine {
	return contactLine{c.Number.E164(), c.Name, c.Zone, c.Window.String(), c.Consent, schema.Time(c.AddedAt)}
}

func (c contactLine) columns() string {
	consent := ""
	if c.Consent != "" {
		consent = "consent: " + plain(c.Consent)
	}
	return strings.TrimRight(strings.Join([]string{c.Number, plain(c.Name), orDash(c.Zone), orDash(c.Hours), consent}, "\t"), "\t")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (p *program) contacts() *cobra.Command {
	c := &cobra.Command{
		Use:   "contacts",
		Short: "List the contacts: whom outdial may call more freely, and when",
		Long: "List the contacts: number, name, time zone, hours, consent.\n\n" +
			"A contact may be called where only contacts may (OUTDIAL_CALLEES), by its own clock and in its own hours, is no new\n" +
			"number, and nobody is asked because its number was heard on a line. What an entry does not lift: docs/policy.md.",
		Example: "  outdial contacts\n  outdial contacts add +8613800138000 --name 'Li Wei' --zone Asia/Shanghai --hours 08:00-22:00\n" +
			"  outdial contacts remove +8613800138000",
		RunE: p.onLedger(func(ctx context.Context, l *ledger.Ledger, _ []value, _ []string) error {
			all, err := l.Contacts(ctx)
			if err != nil {
				return err
			}
			lines := []contactLine{}
			for _, one := range all {
				lines = append(lines, contactOf(one))
			}
			if p.json {
				return p.printJSON(map[string][]contactLine{"contacts": lines})
			}
			t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
			for _, one := range lines {
				fmt.Fprintln(t, one.columns())
			}
			return t.Flush()
		}),
	}
	c.AddCommand(p.addContact(), p.removeContact())
	return c
}

func (p *program) addContact() *cobra.Command {
	var e operator.Entry
	c := &cobra.Command{
		Use:     "add NUMBER --name NAME",
		Short:   "Enter somebody among the contacts; an entry that the number has is replaced",
		Example: "  outdial contacts add +8613800138000 --name 'Li Wei' --zone Asia/Shanghai --consent 'by mail, 3 May'",
		Args:    cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&e.Name, "name", "", "who it is, as a person is shown who is asked about a call")
	f.StringVar(&e.Zone, "zone", "", "where they are, such as Asia/Shanghai; by default as the number tells")
	f.StringVar(&e.Hours, "hours", "", "when they may be called, such as 08:00-22:00; by default OUTDIAL_CALLING_HOURS")
	f.StringVar(&e.Consent, "consent", "", "how and when they agreed to be called, for your records")
	do := p.onLedger(func(ctx context.Context, l *ledger.Ledger, values []value, args []string) (err error) {
		e.Number = args[0]
		if e.Region, err = regionOf(values); err != nil {
			return err
		}
		added, before, err := operator.AddContact(ctx, l, e, time.Now())
		if err != nil {
			return err
		}
		if p.json {
			return p.printJSON(contactOf(added))
		}
		fmt.Fprintln(p.out, oneRow(contactOf(added).columns()))
		if before != nil {
			fmt.Fprintf(p.out, "It replaces: %s\n", oneRow(contactOf(*before).columns()))
		}
		return nil
	})
	c.RunE = func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(e.Name) == "" {
			return misused(c, errors.New("say with --name who it is"))
		}
		return do(c, args)
	}
	return c
}

func (p *program) removeContact() *cobra.Command {
	return &cobra.Command{
		Use:   "remove NUMBER",
		Short: "Take somebody off the contacts",
		Args:  cobra.ExactArgs(1),
		RunE: p.onLedger(func(ctx context.Context, l *ledger.Ledger, values []value, args []string) error {
			region, err := regionOf(values)
			if err != nil {
				return err
			}
			n, err := operator.RemoveContact(ctx, l, args[0], region)
			if err != nil {
				return err
			}
			return p.removed(n, "the contacts")
		}),
	}
}

// removed tells that a number is no longer on a list.
func (p *program) removed(n phone.Number, list string) error {
	if p.json {
		return p.printJSON(map[string]string{"removed": n.E164()})
	}
	fmt.Fprintf(p.out, "%s is no longer on %s\n", n.E164(), list)
	return nil
}

// oneRow is columns on a line of their own.
func oneRow(columns string) string { return strings.ReplaceAll(columns, "\t", "  ") }
