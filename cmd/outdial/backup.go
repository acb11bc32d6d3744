package main

import (
	"context"
	"fmt"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/schema"
	"github.com/spf13/cobra"
)

// backupReport is a copy of the ledger, as outdial backup --json prints it.
type backupReport struct {
	File      string `json:"file"`
	At        string `json:"at"` // what was recorded until then is in it, RFC 3339
	Bytes     int64  `json:"bytes"`
	Calls     int    `json:"calls"`
	CallsOpen int    `json:"calls_open"` // those that were not over
}

func (p *program) backup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the ledger to a new file, while it is in use",
		Long: "Copy the ledger to a new file, while it is in use. The copy is read through before it gets its name, and others cannot\n" +
			"read it. A ledger on Postgres is copied with pg_dump.\n\n" +
			"Whoever opens the copy as a ledger finds dialing switched off: it has forgotten which requests have rung since, and who\n" +
			"asked not to be called. docs/operating.md says how to restore it.",
		Example: "  outdial backup /var/backups/outdial-2026-05-03.db",
		Args:    cobra.ExactArgs(1),
		RunE: p.onLedger(func(ctx context.Context, l *ledger.Ledger, _ []value, args []string) error {
			b, err := operator.Backup(ctx, l, args[0], time.Now())
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(backupReport{b.Path, schema.Time(b.At), b.Bytes, b.Calls, b.Open})
			}
			fmt.Fprintf(p.out, "%s: %d calls, %d bytes, read through and sound. ", plain(b.Path), b.Calls, b.Bytes)
			if b.Open > 0 {
				fmt.Fprintf(p.out, "%d calls are under way; a restored ledger takes them up as after a crash. ", b.Open)
			}
			fmt.Fprintln(p.out, "Dialing is off in it until outdial policy --dialing on.")
			return nil
		}),
	}
}
