package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/outdial/outdial/phone"
)

// unclearError is that of a commit of which nobody has told whether it came to pass.
type unclearError struct{ err error }

func (e *unclearError) Error() string { return "the commit's answer did not come: " + e.err.Error() }
func (e *unclearError) Unwrap() error { return e.err }

// refusedCommit says whether an error shows that a commit did not come to pass. A session that the server ends may have
// committed before, and pgx calls it safe to retry where a connection ended after the commit was sent.
func refusedCommit(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.SeverityUnlocalized == "ERROR"
	}
	return errors.Is(err, pgx.ErrTxCommitRollback)
}

// cutOff says whether Postgres could not be reached, or has given up what it was asked for the time being.
func cutOff(err error) bool {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		switch e.Code {
		case "55P03", // the lock was not to be had
			"57014",          // it took too long
			"25P03", "25P04", // the transaction stood idle
			"25006": // a standby
			return true
		}
		class := e.Code[:min(2, len(e.Code))]
		return strings.Contains("08 40 53", class) || strings.HasPrefix(e.Code, "57P")
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err)
}

// unreachable says why a server could not be opened: whoever starts outdial reads that and no log. What a server says of
// itself is not repeated.
func unreachable(err error) error {
	e := &phone.Error{Code: phone.Unavailable, Op: "ledger: open", Err: err}
	pg := (*pgconn.PgError)(nil)
	if !errors.As(err, &pg) {
		why := err
		if connect := (*pgconn.ConnectError)(nil); errors.As(err, &connect) {
			why = connect.Unwrap() // without user and database, which stand before it
		}
		if dial := (*net.OpError)(nil); errors.As(err, &dial) {
			why = dial
		}
		if name := (*net.DNSError)(nil); errors.As(err, &name) {
			why = name
		}
		e.Message = fmt.Sprintf("Postgres cannot be reached: %s.", strings.Join(strings.Fields(why.Error()), " "))
		return e
	}
	e.Message = fmt.Sprintf("Postgres does not let outdial in (SQLSTATE %s).", pg.Code)
	switch pg.Code {
	case "28000", "28P01":
		e.Code, e.Message = phone.Unauthorized, "Postgres does not let outdial in: look at the user and the password in OUTDIAL_DATABASE, and at the server's pg_hba.conf."
	case "3D000":
		e.Code, e.Message = phone.Invalid, "OUTDIAL_DATABASE: there is no such database on that server. Create it, owned by outdial's user."
	case "08P01":
		e.Code, e.Reason = phone.Refused, "server_pooled"
		e.Message = "What answers for Postgres does not take the settings of a connection, as a pooling proxy does not. Connect to the server itself."
	case "42501":
		e.Code, e.Message = phone.Refused, "outdial's user may not create tables in that database: let it own the database or its schema."
	}
	return e
}
