package ledger

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"
)

// database is a pool of connections that speaks one of the two dialects. Queries are written once, with ? where a value
// goes.
type database struct {
	pool     *sql.DB
	numbered bool          // $1, $2 … take the place of ?
	within   time.Duration // how long a query or a transaction may take; zero: as long as it likes
	read     *sql.TxOptions
}

// bounded is a context that ends in time, whoever forgets to end it.
func (d *database) bounded(ctx context.Context) context.Context {
	if d.within == 0 {
		return ctx
	}
	ctx, cancel := context.WithTimeout(ctx, d.within)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// look begins a transaction that reads one state of the ledger.
func (d *database) look(ctx context.Context) (*transaction, error) {
	tx, err := d.pool.BeginTx(d.bounded(ctx), d.read)
	return &transaction{sql: tx, numbered: d.numbered}, err
}

// write begins a transaction that writes. Nobody's leaving ends it.
func (d *database) write() (*transaction, error) {
	ctx, cancel := context.Background(), func() {}
	if d.within > 0 {
		ctx, cancel = context.WithTimeout(ctx, d.within)
	}
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	return &transaction{sql: tx, numbered: d.numbered, ctx: ctx, cancel: cancel}, nil
}

// QueryContext asks for rows.
func (d *database) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.pool.QueryContext(d.bounded(ctx), bound(query, d.numbered), args...)
}

// QueryRowContext asks for one row.
func (d *database) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return d.pool.QueryRowContext(d.bounded(ctx), bound(query, d.numbered), args...)
}

// Close closes the pool.
func (d *database) Close() error { return d.pool.Close() }

// transaction is one transaction in either dialect.
type transaction struct {
	sql      *sql.Tx
	numbered bool
	ctx      context.Context //nolint:containedctx // a write that was begun is carried out or fails with its group, whoever leaves meanwhile
	cancel   func()
	clock    time.Time // the server's as the transaction began; zero where there is none
}

// now is the moment by which leases are told: the server's, which all processes share, else this process's.
func (t *transaction) now(here time.Time) time.Time {
	if t.clock.IsZero() {
		return here
	}
	return t.clock
}

// Exec carries out a statement.
func (t *transaction) Exec(query string, args ...any) (sql.Result, error) {
	return t.sql.ExecContext(t.within(context.Background()), bound(query, t.numbered), args...)
}

// QueryContext asks for rows.
func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.sql.QueryContext(t.within(ctx), bound(query, t.numbered), args...)
}

// QueryRowContext asks for one row.
func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.sql.QueryRowContext(t.within(ctx), bound(query, t.numbered), args...)
}

func (t *transaction) within(ctx context.Context) context.Context {
	if t.ctx != nil {
		return t.ctx
	}
	return ctx
}

// Commit ends the transaction; what it wrote is on disk then. An unclearError says that nobody has told whether it is.
func (t *transaction) Commit() error {
	err := t.sql.Commit()
	if err != nil && t.numbered && !refusedCommit(err) {
		return &unclearError{err}
	}
	return err
}

// Rollback ends the transaction as if it had not been; after Commit it does nothing.
func (t *transaction) Rollback() error {
	if t.cancel != nil {
		defer t.cancel()
	}
	return t.sql.Rollback()
}

// bound numbers the places of values. No query of ours has a ? that is none.
func bound(query string, numbered bool) string {
	if !numbered {
		return query
	}
	parts := strings.Split(query, "?")
	var b strings.Builder
	for i, part := range parts {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}

// engine is what the two dialects do differently beside their SQL.
type engine interface {
	// enter comes first in a transaction that writes, seal last before its commit.
	enter(tx *transaction) error
	seal(tx *transaction) error
	// settle finds out what became of a commit whose answer did not come: nil if it came to pass.
	settle(unclear error, closing <-chan struct{}) error
	// kept comes after each commit that came to pass.
	kept()
	// present refuses a ledger that does not lie any more where it was opened: what is recorded in it is found by nobody.
	present() error
	// tail tells of other processes' commits until the context ends.
	tail(ctx context.Context, tell func())
	// count raises the count by which an older ledger in the place of this one is noticed; counted comes after its commit.
	count(tx *transaction)
	counted(ctx context.Context)
	// backup makes a copy.
	backup(ctx context.Context, path string, now time.Time) (Backup, error)
	// scrub makes what was erased unreadable where the data lies: thoroughly, which may hold up others for a moment, or as
	// far as that holds up nobody. Errors: unavailable, if somebody's reading stands in the way.
	scrub(ctx context.Context, thoroughly bool) error
	// now is the moment by which leases are told, outside a transaction.
	now(ctx context.Context, here time.Time) (time.Time, error)
}
