package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/outdial/outdial/phone"
)

const (
	// approvedFor is how long a person's yes lasts, and their no.
	approvedFor = 5 * time.Minute
	// waitsFor is how long a question can be answered.
	waitsFor = time.Hour
)

// What became of a question.
const (
	waiting  = "waiting"
	approved = "approved"
	declined = "declined"
	used     = "used"
)

// mostWaiting is how many questions of one principal wait at most: one that asks and asks must not bury those that matter.
const mostWaiting = 20

// Ask records that a person is to be asked about a call, and gives the question; the same one while it waits for an answer.
// Errors: exhausted, if too many wait.
func (l *Ledger) Ask(ctx context.Context, q phone.Question) (phone.Question, error) {
	s, err := specOf(q.Order)
	if err != nil {
		return q, failed("ask", err)
	}
	since := micros(q.AskedAt.Add(-waitsFor))
	err = l.do(ctx, "ask", func(tx *transaction) error {
		old, err := questions(ctx, tx, `WHERE principal = ? AND number = ? AND state = ? AND spec = ? AND provider = ? AND currency = ? AND worst = ?
			AND heard = ? AND asked_at > ?`, q.Principal, q.Order.To.E164(), waiting, s, q.Provider, q.Worst.Currency(), q.Worst.Micros(), flag(q.Heard), since)
		if err != nil {
			return err
		}
		if len(old) > 0 {
			q = old[0]
			return nil
		}
		all, err := column[string](ctx, tx, `SELECT id FROM questions WHERE principal = ? AND state = ? AND asked_at > ?`, q.Principal, waiting, since)
		if err != nil || len(all) >= mostWaiting {
			return cmp.Or(err, error(phone.Errorf(phone.Exhausted, "%d questions wait for a person already.", mostWaiting)))
		}
		if _, err := tx.Exec(`DELETE FROM questions WHERE asked_at < ?`, micros(q.AskedAt.Add(-aDay))); err != nil {
			return err
		}
		q.ID = "ask_" + newID()
		_, err = tx.Exec(`INSERT INTO questions (id, principal, number, whom, spec, provider, longest, currency, worst, heard, simulated, asked_at, state, until, call_id)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '')`, q.ID, q.Principal, q.Order.To.E164(), q.Whom, s, q.Provider,
			q.Longest.Microseconds(), q.Worst.Currency(), q.Worst.Micros(), flag(q.Heard), flag(q.RingsNo), micros(q.AskedAt), waiting)
		return err
	})
	return q, err
}

// Answer records what a person says to a question that waits: yes is an approval for the next five minutes, for one call.
// Errors: not_found, if it does not wait or waits no longer.
func (l *Ledger) Answer(ctx context.Context, id string, yes bool, now time.Time) error {
	state, before := declined, approved // a no takes back a yes that was not used
	if yes {
		state, before = approved, waiting
	}
	return l.do(ctx, "answer", func(tx *transaction) error {
		r, err := tx.Exec(`UPDATE questions SET state = ?, until = ? WHERE id = ? AND state IN (?, ?) AND asked_at > ?`,
			state, micros(now.Add(approvedFor)), id, waiting, before, micros(now.Add(-waitsFor)))
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return phone.Errorf(phone.NotFound, "This question waits for no answer, or no longer: it is answered once, within an hour.")
	})
}

// Waiting gives the questions that wait for an answer, the newest first.
func (l *Ledger) Waiting(ctx context.Context, now time.Time) ([]phone.Question, error) {
	all, err := questions(ctx, l.read, `WHERE state = ? AND asked_at > ? ORDER BY asked_at DESC, id`, waiting, micros(now.Add(-waitsFor)))
	return all, failed("questions", err)
}

func questions(ctx context.Context, q querier, which string, args ...any) ([]phone.Question, error) {
	rows, err := q.QueryContext(ctx, `SELECT id, principal, number, whom, spec, provider, longest, currency, worst, heard, simulated, asked_at FROM questions `+which, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []phone.Question
	for rows.Next() {
		var one phone.Question
		var number, currency, orderJSON string
		var s spec
		var longest, worst, asked int64
		if err := rows.Scan(&one.ID, &one.Principal, &number, &one.Whom, &orderJSON, &one.Provider, &longest, &currency, &worst, &one.Heard, &one.RingsNo, &asked); err != nil {
			return nil, err
		}
		to, err := phone.RestoreNumber(number)
		if err = errors.Join(err, json.Unmarshal([]byte(orderJSON), &s)); err != nil {
			return nil, err
		}
		one.Order = s.order(to)
		one.Longest, one.Worst, one.AskedAt = time.Duration(longest)*time.Microsecond, phone.Micros(worst, currency), moment(asked)
		all = append(all, one)
	}
	return all, rows.Err()
}

// answered says what a person has said to a call lately. It holds for this order through this provider, at this price or a
// lower one: whatever the agent on the line is told, a person has seen it.
func answered(ctx context.Context, q querier, c *phone.Call) (yes, no bool, err error) {
	_, yes, err = latest(ctx, q, c, approved)
	if err == nil {
		_, no, err = latest(ctx, q, c, declined)
	}
	return yes, no, err
}

func latest(ctx context.Context, q querier, c *phone.Call, state string) (id string, ok bool, err error) {
	s, err := specOf(c.Order)
	if err != nil {
		return "", false, err
	}
	err = q.QueryRowContext(ctx, `SELECT id FROM questions WHERE principal = ? AND number = ? AND state = ? AND spec = ? AND provider = ?
		AND currency = ? AND worst >= ? AND until > ? ORDER BY until LIMIT 1`, c.Principal, c.Order.To.E164(), state, s, c.Provider,
		c.Worst.Currency(), c.Worst.Micros(), micros(c.CreatedAt)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return id, err == nil, err
}

// useApproval uses up the approval for a call that is about to be dialed, if there is one.
func useApproval(tx *transaction, c *phone.Call) error {
	id, ok, err := latest(context.Background(), tx, c, approved)
	if err != nil || !ok {
		return err
	}
	_, err = tx.Exec(`UPDATE questions SET state = ?, call_id = ? WHERE id = ?`, used, c.ID, id)
	return err
}
