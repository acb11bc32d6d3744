package ledger

import (
	"context"
	"strconv"
	"time"

	"github.com/outdial/outdial/phone"
)

const (
	// tellWithin is how long a process has to tell that a call has ended, before another one may.
	tellWithin = time.Minute
	// tellFor is how long it is tried.
	tellFor = aDay
)

// Ending is a call of which it is to be told that it has ended.
type Ending struct {
	CallID  string
	Outcome phone.Outcome
	At      time.Time
	Tries   int // this one among them
}

// end notes that it is to be told that a call has ended, once: a record that comes later is no second end.
func end(tx *transaction, c *phone.Call, at time.Time, e phone.Ended) error {
	seen, err := column[int64](context.Background(), tx, `SELECT seq FROM events WHERE call_id = ? AND kind = 'ended' LIMIT 2`, c.ID)
	if err != nil || len(seen) > 1 {
		return err
	}
	_, err = tx.Exec(`INSERT INTO endings (call_id, outcome, at, due, tries) VALUES (?, ?, ?, 1, 0) ON CONFLICT (call_id) DO NOTHING`,
		c.ID, string(e.Outcome), micros(at))
	return err
}

// EndingsFrom is from when on endings are to be told: for a day, though nobody was there to tell them, but none from before
// somebody first wanted to know, which is since.
func (l *Ledger) EndingsFrom(ctx context.Context, since, now time.Time) (from time.Time, err error) {
	err = l.do(ctx, "endings", func(tx *transaction) error {
		if _, err := tx.Exec(`INSERT INTO meta (key, value) VALUES ('endings_from', ?) ON CONFLICT (key) DO NOTHING`, strconv.FormatInt(micros(since), 10)); err != nil {
			return err
		}
		var value string
		if err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'endings_from'`).Scan(&value); err != nil {
			return err
		}
		first, err := strconv.ParseInt(value, 10, 64)
		if from = moment(first); err != nil || from.After(since) { // by a clock that has been set back
			from = since
		}
		if dayAgo := now.Add(-tellFor); from.Before(dayAgo) {
			from = dayAgo
		}
		return nil
	})
	return from, err
}

// Endings takes some of those that are due to be told, for a minute: Told or Untold says what became of each. Those from before a
// time are left alone that nobody has tried to tell: nobody wanted to know.
func (l *Ledger) Endings(ctx context.Context, since, now time.Time, most int) ([]Ending, error) {
	due, err := column[string](ctx, l.read, `SELECT call_id FROM endings WHERE due > 0 AND due <= ? AND (at > ? OR tries > 0) ORDER BY due LIMIT ?`,
		micros(now), micros(since), most)
	if err != nil || len(due) == 0 {
		return nil, failed("endings", err) // the usual case, without a write
	}
	var all []Ending
	err = l.do(ctx, "endings", func(tx *transaction) error {
		all = nil
		for _, id := range due {
			r, err := tx.Exec(`UPDATE endings SET due = ?, tries = tries + 1 WHERE call_id = ? AND due > 0 AND due <= ?`,
				micros(tx.now(now).Add(tellWithin)), id, micros(tx.now(now)))
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil || n == 0 {
				continue
			}
			e := Ending{CallID: id}
			var outcome string
			var at int64
			if err := tx.QueryRowContext(ctx, `SELECT outcome, at, tries FROM endings WHERE call_id = ?`, id).Scan(&outcome, &at, &e.Tries); err != nil {
				return err
			}
			e.Outcome, e.At = phone.Outcome(outcome), moment(at)
			all = append(all, e)
		}
		return nil
	})
	return all, err
}

// Told notes that an ending was told.
func (l *Ledger) Told(ctx context.Context, id string) error {
	return l.do(ctx, "endings", func(tx *transaction) error { return due(tx, id, time.Time{}) })
}

// Untold notes that an ending could not be told, and when it is tried again: less and less often, for a day. It says
// whether it is.
func (l *Ledger) Untold(ctx context.Context, e Ending, now time.Time) (again bool, err error) {
	err = l.do(ctx, "endings", func(tx *transaction) error {
		next := tx.now(now).Add(min(5*time.Second<<min(e.Tries-1, 20), time.Hour))
		if again = !next.After(e.At.Add(tellFor)); !again {
			next = time.Time{}
		}
		return due(tx, e.CallID, next)
	})
	return again, err
}

func due(tx *transaction, id string, at time.Time) error {
	_, err := tx.Exec(`UPDATE endings SET due = ? WHERE call_id = ?`, micros(at), id)
	return err
}

// ClearEndings drops what was told, or is told no more.
func (l *Ledger) ClearEndings(ctx context.Context, now time.Time) error {
	return l.do(ctx, "endings", func(tx *transaction) error {
		_, err := tx.Exec(`DELETE FROM endings WHERE at < ?`, micros(now.Add(-2*tellFor)))
		return err
	})
}
