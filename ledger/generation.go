package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// A ledger that was restored has forgotten what it recorded since: it would ring again for a request that it has rung for,
// and call who has asked not to be called. So each ledger counts in itself, and where it lies the same count is kept once
// more: a ledger that is behind it, or that lies where it was not, does not dial until the operator has said that it may.

const (
	// generationKey is the count in the ledger: it rises with each open, renewal and end of a process.
	generationKey = "generation"
	// placeKey is, on a server, where the ledger lies: which cluster, and which table of it.
	placeKey = "place"
)

// forgotten is why a ledger does not dial that is not the one that was here, as a person reads it.
const forgotten = "It may have forgotten calls: their idempotency keys, so that the same request rings again; who asked not to be called; and what was erased since. " +
	"See what is under way (outdial status) and whom not to call (outdial dnc) before you switch it on."

// switchOff leaves dialing as it is where it is off.
const switchOff = `INSERT INTO meta (key, value) VALUES ('dialing_off', ?) ON CONFLICT (key) DO NOTHING`

// sideFile keeps a file's count beside it.
func sideFile(path string) string { return path + ".generation" }

// recognize notices, as a file is opened, that it is not the one that was here when it was last used.
func recognize(ctx context.Context, db *sql.DB, path string) error {
	beside, readable, err := readSide(path)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	inside, counted, err := generationIn(ctx, tx)
	if err != nil {
		return err
	}
	why := ""
	switch {
	case !counted && !readable: // it is new, or of a version that did not count
		if err := writeSide(path, 0); err != nil {
			return err
		}
	case !counted && beside == 0: // likewise, and whoever began has died over it
	case !readable:
		why = "This ledger was put here from elsewhere, or the file " + sideFile(path) + " that tells was lost. " + forgotten
	case beside > inside:
		why = "This ledger is older than the one that was here last, as " + sideFile(path) + " tells. " + forgotten
	}
	if why != "" {
		if _, err := tx.ExecContext(ctx, switchOff, why); err != nil {
			return err
		}
	}
	next := max(inside, beside) + 1
	if _, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
		generationKey, strconv.FormatInt(next, 10)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return writeSide(path, next) // behind the commit, never before it: the ledger is not to seem the older one after a crash
}

func generationIn(ctx context.Context, tx *sql.Tx) (n int64, counted bool, err error) {
	var s string
	err = tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, generationKey).Scan(&s)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	n, err = strconv.ParseInt(s, 10, 64)
	return n, true, err
}

// readSide gives the count beside a file; not readable if there is none that can be understood.
func readSide(path string) (n int64, readable bool, err error) {
	raw, err := os.ReadFile(sideFile(path))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	n, perr := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	return n, perr == nil && n >= 0, nil
}

// writeSide writes in place, as many bytes each time: a power failure leaves one count or the other.
func writeSide(path string, n int64) (err error) {
	f, err := os.OpenFile(sideFile(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.WriteAt(fmt.Appendf(nil, "%019d\n", n), 0); err != nil || n > 0 {
		return err
	}
	return f.Sync() // the first time: later ones may come late
}

// count raises the count in a write of this process's, which must not fail because of it.
func (*sqliteFile) count(tx *transaction) {
	_, _ = tx.Exec(`UPDATE meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE key = ?`, generationKey)
}

// counted tells the count beside the file, once it is on disk. Where that fails the next one does it.
func (f *sqliteFile) counted(ctx context.Context) {
	var n int64
	if err := f.read.QueryRowContext(ctx, `SELECT CAST(value AS BIGINT) FROM meta WHERE key = ?`, generationKey).Scan(&n); err == nil {
		_ = writeSide(f.path, n)
	}
}

func (*postgres) count(*transaction) {}

func (*postgres) counted(context.Context) {}

// recognize notices that the ledger was restored from a dump: its tables are others then, and maybe the cluster.
func (p *postgres) recognize(ctx context.Context, tx *sql.Tx) error {
	var table int64
	var may bool
	if err := tx.QueryRowContext(ctx, `SELECT 'meta'::regclass::oid::bigint, has_function_privilege('pg_control_system()', 'EXECUTE')`).Scan(&table, &may); err != nil {
		return err
	}
	cluster := "unknown"
	if may {
		if err := tx.QueryRowContext(ctx, `SELECT system_identifier::text FROM pg_control_system()`).Scan(&cluster); err != nil {
			return err
		}
	}
	here := fmt.Sprintf("%s/%d", cluster, table)
	var there string
	err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = $1`, placeKey).Scan(&there)
	if errors.Is(err, sql.ErrNoRows) {
		there, err = here, nil
	}
	if err != nil {
		return err
	}
	if there != here {
		why := "This ledger was restored from a dump, or brought to another server. " + forgotten
		if _, err := tx.ExecContext(ctx, bound(switchOff, true), why); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, placeKey, here)
	return err
}
