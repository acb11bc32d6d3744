package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/outdial/outdial/phone"
)

// Backup is a copy of a ledger that was made and read through.
type Backup struct {
	Path  string
	At    time.Time // what was recorded until then is in it
	Bytes int64
	Calls int
	Open  int // calls that were not over
}

// Backup copies the ledger to a new file while others write to it. Whoever opens the copy as a ledger finds dialing switched
// off. The copy is readable by this user alone. Errors: refused with reason file_exists; unsupported on Postgres, which has
// tools of its own; unavailable, if the file cannot be had.
func (l *Ledger) Backup(ctx context.Context, path string, now time.Time) (Backup, error) {
	b, err := l.engine.backup(ctx, path, now)
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		return b, &phone.Error{Code: phone.Unavailable, Op: "ledger: backup", Err: err, Message: fmt.Sprintf("The copy cannot be written: %v. There is none now.", file)}
	}
	return b, failed("backup", err)
}

func (*postgres) backup(context.Context, string, time.Time) (Backup, error) {
	return Backup{}, phone.Errorf(phone.Unsupported, "This ledger is on Postgres: pg_dump makes a copy of it (docs/operating.md says how, and what to do after a restore). There is no copy now.")
}

func (f *sqliteFile) backup(ctx context.Context, path string, now time.Time) (b Backup, err error) {
	partial := path + ".partial"
	for _, name := range []string{path, partial} { // the first keeps the name until the copy is whole
		if err := newFile(name); err != nil {
			return b, err
		}
		defer func() {
			if err != nil {
				_ = os.Remove(name)
			}
		}()
	}
	if err := copyFile(ctx, f.path, partial); err != nil {
		return b, err
	}
	b = Backup{Path: path, At: now.UTC()}
	if err := b.mark(ctx, partial); err != nil {
		return b, err
	}
	if b.Bytes, err = synced(partial); err != nil {
		return b, err
	}
	if err := os.Rename(partial, path); err != nil {
		return b, err
	}
	_, _ = synced(filepath.Dir(path)) // as far as a folder can be: the file is
	return b, nil
}

// newFile makes an empty file that this user alone can read.
func newFile(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &phone.Error{Code: phone.Refused, Reason: "file_exists", Message: path + " is there already, and stays as it is. Name another file, or move that one away."}
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// copyFile copies a ledger as it stands in one moment into an empty file.
func copyFile(ctx context.Context, from, to string) error {
	db, err := sql.Open("sqlite", dsn(from, "deferred"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, to)
	return errors.Join(err, db.Close())
}

// mark switches dialing off in the copy, and reads all of it.
func (b *Backup) mark(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "immediate", "synchronous(FULL)", "fullfsync(1)", "secure_delete(1)"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var sound string
	if err := db.QueryRowContext(ctx, `SELECT count(*), COALESCE(sum(status <> 'ended'), 0) FROM calls`).Scan(&b.Calls, &b.Open); err != nil {
		return err
	}
	why := fmt.Sprintf("This ledger is a copy made at %s; %d calls were under way then. %s", b.At.Format(time.RFC3339), b.Open, forgotten)
	if _, err := db.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES ('dialing_off', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value || ' It was off then: ' || value`, why); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&sound); err != nil {
		return err
	}
	if sound != "ok" {
		return &phone.Error{Code: phone.Internal, Op: "ledger: backup", Message: "The copy is not sound, so it was removed: the ledger's file may be damaged. Keep what copies you have.", Err: errors.New(sound)}
	}
	return nil
}

func synced(path string) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), f.Sync()
}
