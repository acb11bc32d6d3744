package ledger

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"
)

// Keeping is how long what is kept of a call that is over, counted from when it was asked for. Zero is for good. What goes
// first must be kept for the shortest time: Transcripts, Numbers, Calls.
type Keeping struct {
	Transcripts time.Duration // task, names, options, what was said, summary; after it keys are known by their HMAC alone
	Numbers     time.Duration // after it the number is known by its HMAC alone
	Calls       time.Duration // that there was a call, what it cost and whose it was; its key stands for it so long
}

// Kept is what one round erased.
type Kept struct{ Transcripts, Numbers, Calls int }

// keepEvery is how often what is kept too long is erased, by one process of all that look every five minutes: so nothing is
// kept for more than an hour too long, though one should die over it.
const keepEvery = 25 * time.Minute

// Keep erases what is kept too long, in writes that hold up nobody for long, if it is time for that. Calls that go on, and
// those of which nobody knows whether they do, are left alone.
func (l *Ledger) Keep(ctx context.Context, k Keeping, now time.Time) (Kept, error) {
	var done Kept
	due, err := l.keeper(ctx, now)
	if err != nil || !due {
		return done, failed("keep", err)
	}
	err = l.dropOld(ctx, k, now)
	for _, step := range []struct {
		kept   time.Duration
		level  int // that those calls have
		count  *int
		change func(tx *transaction, id string) error
	}{
		{k.Transcripts, 0, &done.Transcripts, l.eraser(ctx, wordsErased, now)},
		{k.Numbers, wordsErased, &done.Numbers, l.eraser(ctx, numberErased, now)},
		{k.Calls, numberErased, &done.Calls, dropCall},
	} {
		if err == nil && step.kept > 0 {
			*step.count, err = l.sweep(ctx, step.level, now.Add(-step.kept), step.change)
		}
	}
	if done != (Kept{}) {
		err = errors.Join(err, l.engine.scrub(ctx, false))
	}
	return done, failed("keep", err)
}

// keeper says whether it is this process's turn, and nobody else's for a while then. A moment that is to come was written by
// a clock that has been set back since.
func (l *Ledger) keeper(ctx context.Context, now time.Time) (due bool, err error) {
	look := func(q querier) (bool, error) {
		var at string
		err := q.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'kept_at'`).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			return true, nil
		}
		n, perr := strconv.ParseInt(at, 10, 64)
		since := now.Sub(moment(n))
		return perr != nil || since < 0 || since >= keepEvery, err
	}
	if due, err = look(l.read); err != nil || !due {
		return false, err
	}
	err = l.do(ctx, "keep", func(tx *transaction) (err error) {
		if due, err = look(tx); err != nil || !due {
			return err
		}
		_, err = tx.Exec(`INSERT INTO meta (key, value) VALUES ('kept_at', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, strconv.FormatInt(micros(now), 10))
		return err
	})
	return due && err == nil, err
}

// dropOld drops what has served its time: what was heard, asked or refused more than a day ago, and entries of the
// do-not-call list that forbid nothing any more.
func (l *Ledger) dropOld(ctx context.Context, k Keeping, now time.Time) error {
	dayAgo := micros(now.Add(-aDay))
	return l.do(ctx, "keep", func(tx *transaction) error {
		for _, statement := range []string{
			`DELETE FROM heard WHERE at < ?`, `DELETE FROM questions WHERE asked_at < ?`, `DELETE FROM refusals WHERE at < ?`,
		} {
			if _, err := tx.Exec(statement, dayAgo); err != nil {
				return err
			}
		}
		if k.Numbers == 0 {
			return nil
		}
		_, err := tx.Exec(`DELETE FROM do_not_call WHERE until > 0 AND until < ?`, micros(now.Add(-k.Numbers)))
		return err
	})
}

// sweep changes the calls that are over, of which so much was erased, and that are older than a moment, some at a time.
func (l *Ledger) sweep(ctx context.Context, level int, before time.Time, change func(*transaction, string) error) (swept int, err error) {
	const which = ` FROM calls WHERE erased = ? AND created_at < ? AND status = 'ended'`
	for {
		ids, err := column[string](ctx, l.read, `SELECT id`+which+` ORDER BY created_at LIMIT 500`, level, micros(before))
		if err != nil || len(ids) == 0 {
			return swept, err
		}
		for len(ids) > 0 {
			n := 0
			err := l.do(ctx, "keep", func(tx *transaction) error {
				n = 0
				for began := time.Now(); n < len(ids) && (n == 0 || time.Since(began) < aBatch); n++ {
					still, err := column[string](ctx, tx, `SELECT id`+which+` AND id = ?`, level, micros(before), ids[n])
					if err != nil {
						return err
					}
					if len(still) == 0 { // somebody was quicker
						continue
					}
					if err := change(tx, ids[n]); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return swept, err
			}
			ids, swept = ids[n:], swept+n
			select {
			case <-time.After(aBatch): // as long again is everybody else's
			case <-ctx.Done():
				return swept, ctx.Err()
			}
		}
	}
}

func (l *Ledger) eraser(ctx context.Context, level int, now time.Time) func(*transaction, string) error {
	return func(tx *transaction, id string) error {
		h, err := heldOf(ctx, tx, id)
		if err != nil {
			return err
		}
		return l.erase(ctx, tx, h, level, now, &Erasure{byAge: true})
	}
}

// dropCall forgets that there was a call. Its number, if it is not to be called, stays on that list.
func dropCall(tx *transaction, id string) error {
	for _, from := range []string{"events", "intents", "names", "inquiries", "endings", "heard", "questions"} {
		if _, err := tx.Exec(`DELETE FROM `+from+` WHERE call_id = ?`, id); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`DELETE FROM calls WHERE id = ?`, id)
	return err
}
