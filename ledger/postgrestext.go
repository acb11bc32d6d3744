package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// quotedText stands before a text that is kept quoted. Postgres keeps neither U+0000 nor what is no UTF-8, SQLite keeps any
// text: what a caller, a provider or a person called it must fail no write, and come back as it was.
const quotedText = "\x01"

func keepable(s string) string {
	if !strings.HasPrefix(s, quotedText) && !strings.Contains(s, "\x00") && utf8.ValidString(s) {
		return s
	}
	return quotedText + strconv.Quote(s)
}

func kept(s string) (string, error) {
	quoted, ok := strings.CutPrefix(s, quotedText)
	if !ok {
		return s, nil
	}
	return strconv.Unquote(quoted)
}

// pool opens connections to a server that keep any text.
func pool(c *pgx.ConnConfig) *sql.DB { return sql.OpenDB(textConnector{stdlib.GetConnector(*c)}) }

// textConnector makes connections that turn every text on its way: no query has to think of it.
type textConnector struct{ driver.Connector }

func (c textConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	own, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, fmt.Errorf("a connection of another kind: %T", conn)
	}
	return textConn{own}, nil
}

type textConn struct{ *stdlib.Conn }

func (c textConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.ExecContext(ctx, query, keepables(args))
}

func (c textConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, query, keepables(args))
	if err != nil {
		return nil, err
	}
	return textRows{rows}, nil
}

func keepables(args []driver.NamedValue) []driver.NamedValue {
	all := make([]driver.NamedValue, len(args))
	for i, a := range args {
		if s, ok := a.Value.(string); ok {
			a.Value = keepable(s)
		}
		all[i] = a
	}
	return all
}

type textRows struct{ driver.Rows }

func (r textRows) Next(row []driver.Value) error {
	if err := r.Rows.Next(row); err != nil {
		return err
	}
	for i, v := range row {
		s, ok := v.(string)
		if !ok {
			continue
		}
		text, err := kept(s)
		if err != nil {
			return fmt.Errorf("a text that cannot be read: %w", err)
		}
		row[i] = text
	}
	return nil
}
