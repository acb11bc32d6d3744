package ledger

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/outdial/outdial/phone"
)

// How far back facts reach.
const (
	aDay    = 24 * time.Hour
	aMonth  = 30 * aDay
	aBreath = 20 * time.Minute // twice the longest span in which faults are counted
)

// Facts gives what a rule may judge a call by that nobody has placed, as it stands: for questions.
func (l *Ledger) Facts(ctx context.Context, c *phone.Call) (phone.Facts, error) {
	tx, err := l.read.look(ctx)
	if err != nil {
		return phone.Facts{}, failed("facts", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	f, err := l.factsAbout(ctx, tx, c)
	return f, failed("facts", err)
}

// factsAbout are the facts for a new call.
func (l *Ledger) factsAbout(ctx context.Context, q querier, c *phone.Call) (f phone.Facts, err error) {
	f = phone.Facts{Principal: c.Principal, Now: c.CreatedAt}
	now, number, simulated := f.Now, c.Order.To.E164(), flag(c.Simulated)
	both := l.forms(c.Order.To)
	dayAgo := micros(now.Add(-aDay))
	moments := func(to *[]time.Time, query string, args ...any) {
		if err != nil {
			return
		}
		var all []int64
		all, err = column[int64](ctx, q, query, args...)
		for _, at := range all {
			*to = append(*to, moment(at))
		}
	}
	calls := func(to *[]*phone.Call, where string, args ...any) {
		if err == nil {
			*to, err = heads(ctx, q, where, args...)
		}
	}
	// The + keeps SQLite from an index that would have it read every call there is.
	calls(&f.ToNumber, `number IN (?, ?) AND +simulated = ? AND (created_at > ? OR ended_at > ?) ORDER BY created_at DESC, id DESC`,
		append(slices.Clip(both), simulated, dayAgo, dayAgo)...)
	calls(&f.Open, `status <> 'ended' AND +simulated = ? ORDER BY created_at DESC, id DESC`, simulated)
	moments(&f.Placed, `SELECT created_at FROM calls WHERE principal = ? AND created_at > ? AND simulated = ? AND dial <> 'rejected'
		ORDER BY created_at DESC`, c.Principal, dayAgo, simulated)
	moments(&f.Faults, `SELECT created_at FROM calls WHERE provider = ? AND faulty = 1 AND created_at > ? AND simulated = ?
		ORDER BY created_at`, c.Provider, micros(now.Add(-aBreath)), simulated)
	moments(&f.Refused, `SELECT at FROM refusals WHERE principal = ? AND simulated = ? AND at > ? ORDER BY at`, c.Principal, simulated, micros(now.Add(-aBreath)))
	if err != nil {
		return f, err
	}
	if f.Met, err = l.met(ctx, q, c, dayAgo); err != nil {
		return f, err
	}
	err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM calls WHERE principal = ? AND number IN (?, ?) AND simulated = ? AND dial <> 'rejected')`,
		append(append([]any{c.Principal}, both...), simulated)...).Scan(&f.Known)
	if err != nil {
		return f, err
	}
	if f.Off, err = whyOff(ctx, q); err != nil {
		return f, err
	}
	if f.Contact, err = contact(ctx, q, number); err != nil {
		return f, err
	}
	if f.DoNotCall, err = l.blocked(ctx, q, c.Order.To, simulated, now); err != nil {
		return f, err
	}
	if f.Heard, err = l.heard(ctx, q, c); err != nil {
		return f, err
	}
	if f.Approved, f.Declined, err = answered(ctx, q, c); err != nil {
		return f, err
	}
	f.Spent, err = spent(ctx, q, c, `simulated = ? AND currency = ? AND created_at > ?`,
		simulated, c.Worst.Currency(), micros(now.Add(-aMonth)))
	if err == nil {
		f.Own, err = spent(ctx, q, c, `principal = ? AND created_at > ? AND +simulated = ? AND currency = ?`,
			c.Principal, dayAgo, simulated, c.Worst.Currency())
	}
	return f, err
}

// heads gives calls without their conversations.
func heads(ctx context.Context, q querier, where string, args ...any) ([]*phone.Call, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+callColumns+` FROM calls WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []*phone.Call
	for rows.Next() {
		h, err := scanCall(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, h.Call)
	}
	return all, rows.Err()
}

// Late gives the calls to a number of the last day whose record had not come when they were given up for over, without what
// was said.
func (l *Ledger) Late(ctx context.Context, to phone.Number, now time.Time) ([]*phone.Call, error) {
	all, err := heads(ctx, l.read, `number IN (?, ?) AND status = 'ended' AND erased = 0 AND dial = ? AND created_at > ? ORDER BY created_at DESC LIMIT 5`,
		append(l.forms(to), string(Placed), micros(now.Add(-aDay)))...)
	return slices.DeleteFunc(all, func(c *phone.Call) bool { return c.Record != phone.Partial }), failed("late", err)
}

// spent is what counts for budgets, by the hour: whatever the number of calls, it is read in few rows.
func spent(ctx context.Context, q querier, c *phone.Call, where string, args ...any) ([]phone.Charge, error) {
	currency := c.Worst.Currency()
	if currency == "" {
		return nil, nil
	}
	rows, err := q.QueryContext(ctx, `SELECT MAX(created_at), CAST(SUM(charge) AS BIGINT) FROM calls
		WHERE `+where+` GROUP BY created_at / 3600000000 ORDER BY 1 DESC`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []phone.Charge
	for rows.Next() {
		var at, sum int64
		if err := rows.Scan(&at, &sum); err != nil {
			return nil, err
		}
		all = append(all, phone.Charge{At: moment(at), Money: phone.Micros(sum, currency)})
	}
	return all, rows.Err()
}

// Refused notes that a principal was refused what it should not have asked, in a rehearsal or not.
func (l *Ledger) Refused(ctx context.Context, principal string, simulated bool, at time.Time) error {
	return l.do(ctx, "refused", func(tx *transaction) error {
		if _, err := tx.Exec(`DELETE FROM refusals WHERE at < ?`, micros(at.Add(-aDay))); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO refusals (principal, simulated, at) VALUES (?, ?, ?)`, principal, flag(simulated), micros(at))
		return err
	})
}

// SwitchDialing switches dialing off, for all processes on this ledger and from this moment on, or, without a reason, on
// again.
func (l *Ledger) SwitchDialing(ctx context.Context, whyOff string) error {
	return l.do(ctx, "dialing", func(tx *transaction) error {
		if whyOff == "" {
			_, err := tx.Exec(`DELETE FROM meta WHERE key = 'dialing_off'`)
			return err
		}
		_, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ('dialing_off', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, whyOff)
		return err
	})
}

// WhyOff says why dialing is switched off; empty if it is on.
func (l *Ledger) WhyOff(ctx context.Context) (string, error) {
	why, err := whyOff(ctx, l.read)
	return why, failed("dialing", err)
}

func whyOff(ctx context.Context, q querier) (why string, err error) {
	err = q.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'dialing_off'`).Scan(&why)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return why, err
}
