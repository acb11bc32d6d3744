package ledger

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/outdial/outdial/phone"
)

// Whoever starts outdial has nothing but the message: it says why Postgres cannot be had, and repeats nothing that a server
// has worded.
func TestUnreachableSaysWhy(t *testing.T) {
	for want, err := range map[string]error{
		"Postgres cannot be reached: lookup db.example: no such host.":                                    fmt.Errorf("open: %w", &net.DNSError{Err: "no such host", Name: "db.example"}),
		"Postgres cannot be reached: dial tcp: connection refused.":                                       fmt.Errorf("a\nb: %w", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}),
		"Postgres cannot be reached: tls: x509: certificate signed by unknown authority.":                 fmt.Errorf("tls: %w", x509.UnknownAuthorityError{}),
		"Postgres does not let outdial in (SQLSTATE 53300).":                                              &pgconn.PgError{Code: "53300", Message: "canary"},
		"OUTDIAL_DATABASE: there is no such database on that server. Create it, owned by outdial's user.": &pgconn.PgError{Code: "3D000", Message: "canary"},
	} {
		if got := phone.AsError(unreachable(err)); got.Message != want || !errors.Is(got, err) {
			t.Errorf("%v: %q, want %q", err, got.Message, want)
		}
	}
}
