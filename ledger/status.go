package ledger

import (
	"context"
	"time"

	"github.com/outdial/outdial/phone"
)

// Going counts the calls of all principals that are not over: by provider those that go on, and those of which nobody
// knows whether they were placed.
func (l *Ledger) Going(ctx context.Context) (live map[string]int, unconfirmed int, err error) {
	live = map[string]int{}
	rows, err := l.read.QueryContext(ctx, `SELECT provider, status, COUNT(*) FROM calls WHERE status <> 'ended' GROUP BY provider, status`)
	if err != nil {
		return nil, 0, failed("going", err)
	}
	defer rows.Close()
	for rows.Next() {
		var provider, status string
		var n int
		if err := rows.Scan(&provider, &status, &n); err != nil {
			return nil, 0, failed("going", err)
		}
		if phone.Status(status) == phone.Unconfirmed {
			unconfirmed += n
		} else {
			live[provider] += n
		}
	}
	return live, unconfirmed, failed("going", rows.Err())
}

// OpenCalls gives the calls of all principals that are not over, without what was said, the newest first.
func (l *Ledger) OpenCalls(ctx context.Context) ([]*phone.Call, error) {
	all, err := heads(ctx, l.read, `status <> 'ended' ORDER BY created_at DESC, id DESC`)
	return all, failed("open calls", err)
}

// Spending is what counts for the budgets, of one principal in one currency, in a span that ends now.
type Spending struct {
	Principal string      // empty: of all together
	Spent     phone.Money // by calls that are over
	Reserved  phone.Money // for those that are not: their worst case
}

// Used is both together, which is what the guard holds against a budget.
func (s Spending) Used() phone.Money {
	return phone.Micros(s.Spent.Micros()+s.Reserved.Micros(), s.Spent.Currency())
}

// Spending gives by principal and currency, in this order, what the calls that ring somebody count for, as rule 20 of the
// guard does: those that were placed within the span.
func (l *Ledger) Spending(ctx context.Context, within time.Duration, now time.Time) ([]Spending, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT principal, currency, CAST(SUM(CASE WHEN status = 'ended' THEN charge ELSE 0 END) AS BIGINT),
		CAST(SUM(CASE WHEN status = 'ended' THEN 0 ELSE charge END) AS BIGINT) FROM calls
		WHERE simulated = 0 AND currency <> '' AND created_at > ? GROUP BY 1, 2 ORDER BY 1, 2`, micros(now.Add(-within)))
	if err != nil {
		return nil, failed("spending", err)
	}
	defer rows.Close()
	var all []Spending
	for rows.Next() {
		var principal, currency string
		var spent, reserved int64
		if err := rows.Scan(&principal, &currency, &spent, &reserved); err != nil {
			return nil, failed("spending", err)
		}
		all = append(all, Spending{principal, phone.Micros(spent, currency), phone.Micros(reserved, currency)})
	}
	return all, failed("spending", rows.Err())
}

// Process is one that has opened the ledger and not left it in order.
type Process struct {
	ID        string
	ExpiresAt time.Time // of its lease
	Calls     int       // that it follows
}

// Processes gives those besides this one whose lease has not been over for long, the longest lease first.
func (l *Ledger) Processes(ctx context.Context) ([]Process, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT p.id, p.expires_at, (SELECT COUNT(*) FROM calls c WHERE c.owner = p.id AND c.status <> 'ended')
		FROM processes p WHERE p.id <> ? ORDER BY p.expires_at DESC, p.id`, l.process)
	if err != nil {
		return nil, failed("processes", err)
	}
	defer rows.Close()
	var all []Process
	for rows.Next() {
		var one Process
		var expires int64
		if err := rows.Scan(&one.ID, &expires, &one.Calls); err != nil {
			return nil, failed("processes", err)
		}
		one.ExpiresAt = moment(expires)
		all = append(all, one)
	}
	return all, failed("processes", rows.Err())
}

// Troubles are the moments that pauses are judged by, the oldest first.
type Troubles struct {
	Faults   map[string][]time.Time // by provider: its calls that failed, or may have
	Refusals map[string][]time.Time // by principal: requests to call whom outdial must not call
}

// Troubles gives those of the calls that ring somebody, as rule 24 of the guard counts them.
func (l *Ledger) Troubles(ctx context.Context, now time.Time) (Troubles, error) {
	since := micros(now.Add(-aBreath))
	faults, err := l.moments(ctx, `SELECT provider, created_at FROM calls WHERE faulty = 1 AND simulated = 0 AND created_at > ? ORDER BY created_at`, since)
	if err != nil {
		return Troubles{}, failed("troubles", err)
	}
	refusals, err := l.moments(ctx, `SELECT principal, at FROM refusals WHERE simulated = 0 AND at > ? ORDER BY at`, since)
	return Troubles{faults, refusals}, failed("troubles", err)
}

// moments reads moments by a name.
func (l *Ledger) moments(ctx context.Context, query string, args ...any) (map[string][]time.Time, error) {
	rows, err := l.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string][]time.Time{}
	for rows.Next() {
		var name string
		var at int64
		if err := rows.Scan(&name, &at); err != nil {
			return nil, err
		}
		all[name] = append(all[name], moment(at))
	}
	return all, rows.Err()
}

// UnreadLetters counts the webhooks that wait to be read by whoever follows their calls.
func (l *Ledger) UnreadLetters(ctx context.Context) (n int, err error) {
	err = l.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM inbox WHERE unread = 1`).Scan(&n)
	return n, failed("unread", err)
}

// Size is how much room the ledger takes, in bytes.
func (l *Ledger) Size(ctx context.Context) (n int64, err error) {
	query := `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`
	if l.read.numbered {
		query = `SELECT pg_database_size(current_database())`
	}
	err = l.read.QueryRowContext(ctx, query).Scan(&n)
	return n, failed("size", err)
}
