package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"github.com/outdial/outdial/phone"
	"modernc.org/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// openSQLite opens a file for one writer and several readers. Creating it, switching it to WAL and migrating it happen
// under a lock beside it: SQLite's own busy timeout does not cover the switch to WAL.
func openSQLite(ctx context.Context, path string) (write, read *sql.DB, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, err
	}
	if err := onLocalDisk(filepath.Dir(path)); err != nil {
		return nil, nil, err
	}
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	waiting, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if ok, err := lock.TryLockContext(waiting, 20*time.Millisecond); !ok {
		return nil, nil, fmt.Errorf("waiting for %s.lock: %w", filepath.Base(path), err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()

	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := file.Close(); err != nil {
		return nil, nil, err
	}
	// FULL syncs every commit: with NORMAL a power failure takes back events that a client has already seen.
	write, err = sql.Open("sqlite", dsn(path, "immediate", "synchronous(FULL)", "fullfsync(1)", "foreign_keys(0)", "secure_delete(1)"))
	if err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	if err := prepare(ctx, write); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	if err := recognize(ctx, write, path); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	read, err = sql.Open("sqlite", dsn(path, "deferred", "query_only(1)"))
	if err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(4)
	return write, read, nil
}

func dsn(path, transactions string, pragmas ...string) string {
	q := url.Values{"_txlock": {transactions}, "_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// prepare brings the file to WAL and to the newest schema. Migrations only add.
func prepare(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		if err := db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
			return fmt.Errorf("switching to WAL: %w", err)
		}
		if mode != "wal" {
			return fmt.Errorf("journal mode %s, not WAL", mode)
		}
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(steps)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	var have int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&have); err != nil {
		return err
	}
	if have > len(steps) {
		return newer()
	}
	if have == len(steps) {
		return nil
	}
	for _, s := range steps[have:] {
		statements, err := migrations.ReadFile(s)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(statements)); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('secret', ?) ON CONFLICT (key) DO NOTHING`,
		fmt.Sprintf("%x", newID()+newID())); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `PRAGMA user_version = `+strconv.Itoa(len(steps))); err != nil {
		return err
	}
	return tx.Commit()
}

func newer() error {
	return &phone.Error{
		Code: phone.Refused, Reason: "ledger_newer",
		Message: "A newer outdial has written to this ledger: this version does not dial with it. Update outdial.",
	}
}

// busy says whether another process held the file for longer than the busy timeout.
func busy(err error) bool {
	const sqliteBusy, sqliteLocked = 5, 6
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqliteBusy || e.Code()&0xff == sqliteLocked)
}

// sqliteFile is the first dialect: a file that the processes of one machine share. Its one writer is SQLite's own.
type sqliteFile struct {
	path        string
	opened      fs.FileInfo // which file that was
	read, write *database
	every       time.Duration
}

func (*sqliteFile) enter(*transaction) error { return nil }

func (*sqliteFile) seal(*transaction) error { return nil }

func (*sqliteFile) kept() {}

func (f *sqliteFile) present() error {
	if there, err := os.Stat(f.path); err == nil && os.SameFile(there, f.opened) {
		return nil
	}
	return &phone.Error{
		Code: phone.Refused, Reason: "ledger_moved",
		Message: "The ledger " + f.path + " was moved, removed or replaced while outdial was using it: what it recorded now would be lost. Nobody was called. " +
			"Stop every outdial on it, put the right file there, and start again.",
	}
}

func (*sqliteFile) settle(unclear error, _ <-chan struct{}) error { return unclear }

func (*sqliteFile) now(_ context.Context, here time.Time) (time.Time, error) { return here, nil }

// scrub empties the log, in which what was overwritten stands until then. Pages are zeroed where something is erased
// (secure_delete), but not where SQLite has moved a row: only VACUUM leaves nothing there.
func (f *sqliteFile) scrub(ctx context.Context, thoroughly bool) error {
	pool := f.write.pool
	if thoroughly {
		if _, err := pool.ExecContext(ctx, `VACUUM`); err != nil {
			return err
		}
	} else {
		// While it waits for readers nobody can write, so it does not wait for long.
		var err error
		if pool, err = sql.Open("sqlite", dsn(f.path, "immediate", "busy_timeout(40)", "synchronous(FULL)", "fullfsync(1)")); err != nil {
			return err
		}
		defer pool.Close() //nolint:errcheck // it is this one statement's
	}
	for tries := 0; ; tries++ {
		var held, pages, moved int64
		err := pool.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&held, &pages, &moved) // it waits for readers as long as for writers
		if !thoroughly && busy(err) {
			return nil // the next round does it
		}
		if err != nil || held == 0 || !thoroughly {
			return err
		}
		if tries == 2 {
			return &phone.Error{
				Code: phone.Unavailable, Reason: "ledger_read",
				Message: "It is erased, but another program has the ledger open and reads: until it stops, the file's log (-wal) still holds what was erased. " +
					"Stop it, such as a tool that copies the file, and send this again.",
			}
		}
	}
}

// tail looks out for commits on one connection after the other: one may not be had, or fail.
func (f *sqliteFile) tail(ctx context.Context, tell func()) {
	for ctx.Err() == nil {
		f.watch(ctx, tell)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// watch asks SQLite whether another connection has committed, which costs it some microseconds, until that fails.
func (f *sqliteFile) watch(ctx context.Context, tell func()) {
	conn, err := f.read.pool.Conn(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for last := int64(-1); ; {
		var version int64
		if err := conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version); err != nil {
			return
		}
		if version != last {
			tell() // at the first look too: a commit may have come before it
			last = version
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
