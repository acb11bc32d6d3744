package ledger

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// database is a pool of connections that speaks one of the two dialects. Queries are written once, with ? where a value
// goes.
type database struct {
	pool     *sql.DB
	numbered bool // $1, $2 … take the place of ?
}

// begin begins a transaction.
func (d *database) begin(ctx context.Context, o *sql.TxOptions) (*transaction, error) {
	tx, err := d.pool.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return &transaction{tx, d.numbered}, nil
}

// QueryContext asks for rows.
func (d *database) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.pool.QueryContext(ctx, bound(query, d.numbered), args...)
}

// QueryRowContext asks for one row.
func (d *database) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return d.pool.QueryRowContext(ctx, bound(query, d.numbered), args...)
}

// Close closes the pool.
func (d *database) Close() error { return d.pool.Close() }

// transaction is one transaction in either dialect.
type transaction struct {
	sql      *sql.Tx
	numbered bool
}

// Exec carries out a statement. It takes no context: a write that was begun is carried out, or fails with its group.
func (t *transaction) Exec(query string, args ...any) (sql.Result, error) {
	return t.sql.Exec(bound(query, t.numbered), args...)
}

// QueryContext asks for rows.
func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.sql.QueryContext(ctx, bound(query, t.numbered), args...)
}

// QueryRowContext asks for one row.
func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.sql.QueryRowContext(ctx, bound(query, t.numbered), args...)
}

// Commit ends the transaction; what it wrote is on disk then.
func (t *transaction) Commit() error { return t.sql.Commit() }

// Rollback ends the transaction as if it had not been; after Commit it does nothing.
func (t *transaction) Rollback() error { return t.sql.Rollback() }

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
