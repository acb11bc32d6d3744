package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/outdial/outdial/phone"
)

// How long things may take on Postgres with a lease of 30 s; with a shorter one, see inLease. A process that is stopped or
// cut off while it holds the one lock is rid of it after idleWithin, well before its lease ends; who waits for the lock waits
// longer than that.
const (
	idleWithin      = 5 * time.Second
	lockWithin      = 10 * time.Second
	statementWithin = 12 * time.Second
	groupWithin     = 15 * time.Second
	settleWithin    = 10 * time.Second
	connectWithin   = 5 * time.Second
	silentFor       = 10 * time.Second // a connection on which the other side says nothing though it should is given up
)

// usualLease is that of a ledger that is not told another one.
const usualLease = 30 * time.Second

// inLease is a limit in proportion to the lease: whoever holds the others up must be through before theirs end. It goes no
// lower than to a tenth, which any server needs.
func inLease(limit, lease time.Duration) time.Duration {
	return max(limit/10, min(limit, time.Duration(float64(limit)*lease.Seconds()/usualLease.Seconds())))
}

// oneWriter is the advisory lock that every transaction that writes takes first, so that there is one writer at a time, as
// on SQLite. It belongs to the database that it is taken in.
const oneWriter = 0x6f75746469616c // "outdial"

// leastVersion of the server, as server_version_num tells it.
const leastVersion = 140000

// greatestSkew is how far this process's clock and the server's may lie apart: limits by the hour and approvals are told
// by the process's.
const greatestSkew = time.Minute

// postgres is the second dialect: a server that several machines share.
type postgres struct {
	config  *pgx.ConnConfig // for the connection that listens
	read    *database
	write   *database
	process string
	last    int64 // commit of this process, or the one that it tries; the writer alone reads and writes both
	sure    int64 // the last of which it is known that it came to pass
	look    time.Duration
	deaf    bool
	patient time.Duration // how long it is asked what became of a commit
}

// serverConfig reads a URL. Nothing of it is in an error: it holds a password.
func serverConfig(url string, lease time.Duration) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, phone.Errorf(phone.Invalid, "OUTDIAL_DATABASE: this is not a Postgres URL that can be read: postgres://user:password@host:5432/database?sslmode=verify-full, "+
			"with what is not a letter or a digit in the password as %%XX, and files that it names in their place.")
	}
	// Of several servers that the URL may name it is the one that writes, for those who read too: a standby tells what was.
	// What the URL says of it would be asked of connections that only read as well.
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = inLease(connectWithin, lease)
	}
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silentFor / 2, Interval: silentFor / 5, Count: 3},
		Control:         giveUpSilent,
	}
	c.DialFunc = dialer.DialContext
	maps.Copy(c.RuntimeParams, map[string]string{
		"application_name":                    "outdial",
		"timezone":                            "UTC",
		"client_encoding":                     "UTF8",
		"default_transaction_isolation":       "read committed",
		"idle_in_transaction_session_timeout": ms(inLease(idleWithin, lease)),
		"lock_timeout":                        ms(inLease(lockWithin, lease)),
		"statement_timeout":                   ms(inLease(statementWithin, lease)),
		"tcp_keepalives_idle":                 "5",
		"tcp_keepalives_interval":             "2",
		"tcp_keepalives_count":                "3",
		"tcp_user_timeout":                    ms(silentFor),
	})
	return c, nil
}

func ms(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// openPostgres connects to a server for one writer and several readers, checks that it keeps what it is told, and brings
// the schema up to date under the lock.
func openPostgres(ctx context.Context, url, process string, o Options) (p *postgres, err error) {
	config, err := serverConfig(url, o.Lease)
	if err != nil {
		return nil, err
	}
	reading := config.Copy()
	reading.RuntimeParams["default_transaction_read_only"] = "on"
	p = &postgres{
		config: reading, process: process, look: o.Look, deaf: o.Deaf, patient: inLease(settleWithin, o.Lease),
		write: &database{pool: pool(config), numbered: true, within: inLease(groupWithin, o.Lease)},
		read: &database{
			pool: pool(reading), numbered: true, within: inLease(statementWithin, o.Lease),
			read: &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
		},
	}
	p.write.pool.SetMaxOpenConns(1)
	p.read.pool.SetMaxOpenConns(4)
	p.read.pool.SetMaxIdleConns(4)
	ctx, cancel := context.WithTimeout(ctx, 2*groupWithin)
	defer cancel()
	err = p.examine(ctx, inLease(idleWithin, o.Lease))
	if err == nil {
		err = p.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.write.Close(), p.read.Close())
	}
	return p, nil
}

// examine refuses a server with which the ledger's promises do not hold.
func (p *postgres) examine(ctx context.Context, idleLimit time.Duration) error {
	var version, server int64
	var idle, durable string
	asked := time.Now()
	if err := p.write.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::bigint, `+serverClock+`,
		(extract(epoch FROM current_setting('idle_in_transaction_session_timeout')::interval) * 1000)::bigint::text, current_setting('synchronous_commit')`).Scan(&version, &server, &idle, &durable); err != nil {
		return unreachable(err)
	}
	took := time.Since(asked)
	refuse := func(reason, message string, args ...any) error {
		return &phone.Error{Code: phone.Refused, Reason: reason, Message: fmt.Sprintf(message, args...)}
	}
	skew := time.UnixMicro(server).Sub(asked.Add(took / 2))
	switch {
	case version < leastVersion:
		return refuse("server_old", "Postgres %d is too old for a ledger: it takes 14 or newer.", version/10000)
	case idle != ms(idleLimit):
		return refuse("server_pooled", "Something between outdial and Postgres drops the settings of a connection: a pooling proxy. Connect to the server itself.")
	case skew.Abs() > greatestSkew+took:
		return refuse("clock_wrong", "The clocks of this machine and of Postgres are %s apart: limits and leases would be told wrong. Set the clocks (NTP) and start again.", skew.Abs().Round(time.Second))
	}
	return durableEnough(durable)
}

// durableEnough refuses what loses a commit that was answered: off and local lose it with the machine or its standby, and
// with remote_write a standby may not have it on disk.
func durableEnough(synchronousCommit string) error {
	if synchronousCommit == "on" || synchronousCommit == "remote_apply" {
		return nil
	}
	return &phone.Error{
		Code: phone.Refused, Reason: "not_durable",
		Message: "Postgres has synchronous_commit = " + synchronousCommit + ": after a failure it may have forgotten a call that was dialed. " +
			"Set it to on for outdial's user (ALTER ROLE … SET synchronous_commit = on) and start again.",
	}
}

const serverClock = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// prepare brings the schema up to date. Text is compared by its bytes, as on SQLite: an index must not depend on the
// server's language, nor on the version of its library.
func (p *postgres) prepare(ctx context.Context) error {
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(steps)
	tx, err := p.write.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	exec := func(statement string) {
		if err == nil {
			if _, err = tx.ExecContext(ctx, statement); err != nil {
				err = fmt.Errorf("%.40q: %w", statement, err)
			}
		}
	}
	exec(`SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = '25s'`)
	exec(fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, int64(oneWriter)))
	exec(`SET LOCAL client_min_messages = warning`)
	exec(bytewise(`CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY);
		CREATE TABLE IF NOT EXISTS writers (process TEXT PRIMARY KEY, last BIGINT NOT NULL);
		CREATE SEQUENCE IF NOT EXISTS commits`))
	if err != nil {
		return err
	}
	var have int
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM schema_version`).Scan(&have); err != nil {
		return err
	}
	if have > len(steps) {
		return newer()
	}
	for i, s := range steps[have:] {
		statements, rerr := migrations.ReadFile(s)
		if err = errors.Join(err, rerr); err != nil {
			return err
		}
		exec(bytewise(string(statements)))
		exec(fmt.Sprintf(`INSERT INTO schema_version (version) VALUES (%d)`, have+i+1))
	}
	exec(fmt.Sprintf(`INSERT INTO meta (key, value) VALUES ('secret', '%x') ON CONFLICT (key) DO NOTHING`, newID()+newID()))
	exec(`DELETE FROM writers WHERE process NOT IN (SELECT id FROM processes)`)
	if err != nil {
		return err
	}
	if err := p.recognize(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// bytewise is SQL of the schema as Postgres is to have it. A provider's name of a call can be of any length, and an ordered
// index takes a few thousand bytes: the answer to a dial must not fail for that.
func bytewise(statements string) string {
	statements = strings.ReplaceAll(statements, "(provider, ref)", "USING hash (ref)")
	statements = strings.ReplaceAll(statements, "(account, ref)", "USING hash (ref)")
	return regexp.MustCompile(`\bTEXT\b`).ReplaceAllString(statements, `TEXT COLLATE "C"`)
}

// enter takes the lock. What the server says of itself comes with it, since all of it can change while a process runs: also
// which server it is, and what that one knows.
func (p *postgres) enter(tx *transaction) error {
	var server int64
	var durable string
	var locked any
	var last sql.NullInt64 // nobody but this process writes it
	if err := tx.QueryRowContext(tx.ctx, `SELECT pg_advisory_xact_lock(?)::text, `+serverClock+`, current_setting('synchronous_commit'),
		(SELECT last FROM writers WHERE process = ?)`, int64(oneWriter), p.process).Scan(&locked, &server, &durable, &last); err != nil {
		return err
	}
	tx.clock = time.UnixMicro(server).UTC()
	if err := durableEnough(durable); err != nil || !last.Valid || last.Int64 >= p.sure {
		return err
	}
	_, err := tx.Exec(switchOff, "While outdial was running, this ledger lost what was recorded last: another server took over that did not have it, or it was restored. "+forgotten)
	return err
}

func (p *postgres) kept() { p.sure = p.last }

func (*postgres) present() error { return nil }

// seal leaves a mark of this commit, which other processes look for, and which shows what became of it if its answer gets
// lost. The notification is a hint.
func (p *postgres) seal(tx *transaction) error {
	return tx.QueryRowContext(tx.ctx, `WITH mark AS (INSERT INTO writers (process, last) VALUES (?, nextval('commits'))
		ON CONFLICT (process) DO UPDATE SET last = excluded.last RETURNING last)
		SELECT last FROM mark, pg_notify('outdial', ?)`, p.process, p.process).Scan(&p.last)
}

// settle asks in a write of its own: with the lock in hand, whoever carried out the lost one has ended, and when this one
// is on disk so is the other.
func (p *postgres) settle(unclear error, closing <-chan struct{}) error {
	until := time.Now().Add(p.patient)
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		there, err := p.committed()
		switch {
		case err == nil && there:
			return nil
		case err == nil:
			return &phone.Error{Code: phone.Unavailable, Op: "ledger: commit", Err: unclear, Message: busyMessage}
		}
		over := time.Now().Add(wait).After(until)
		if !over {
			select {
			case <-time.After(wait):
			case <-closing:
				over = true
			}
		}
		if over {
			return &phone.Error{
				Code: phone.Unavailable, Reason: "commit_unclear", Op: "ledger: commit", Err: errors.Join(unclear, err),
				Message: "The ledger was cut off before it said whether this is recorded. No phone rings because of it; the same request again is safe.",
			}
		}
	}
}

// scrub lets go of the rows that were overwritten; otherwise the server does so by itself. The bytes stand in its files until
// something else is written there.
func (p *postgres) scrub(ctx context.Context, thoroughly bool) (err error) {
	if !thoroughly {
		return nil
	}
	conn, err := p.write.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, statement := range []string{
		`SET statement_timeout = '10min'`,
		`VACUUM calls, events, intents, inquiries, questions, heard, inbox, contacts, do_not_call`,
		`RESET statement_timeout`,
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgres) committed() (there bool, err error) {
	tx, err := p.write.write()
	if err != nil {
		return false, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	if err := p.enter(tx); err != nil {
		return false, err
	}
	r, err := tx.Exec(`UPDATE writers SET last = last WHERE process = ? AND last = ?`, p.process, p.last)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, errors.Join(err, tx.Commit())
}
