package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/outdial/outdial/phone"
)

// CallOf gives the call that a service has under a name in an account, without its conversation. Errors: not_found, also if
// more than one call has it: then nobody knows which is meant.
func (l *Ledger) CallOf(ctx context.Context, account string, ref phone.Ref) (Held, error) {
	all, err := column[string](ctx, l.read, `SELECT id FROM calls WHERE account = ? AND ref = ?`, account, string(ref))
	if err != nil {
		return Held{}, failed("call of", err)
	}
	if len(all) != 1 {
		return Held{}, phone.Errorf(phone.NotFound, "There is no such call.")
	}
	h, err := scanCall(l.read.QueryRowContext(ctx, `SELECT `+callColumns+` FROM calls WHERE id = ?`, all[0]))
	return h, failed("call of", err)
}

// Inquire records a question of the agent on the line; the same one again is the same question. It becomes an event of the
// call.
func (l *Ledger) Inquire(ctx context.Context, h Held, q phone.Asked, at time.Time) (phone.Inquiry, error) {
	var i phone.Inquiry
	err := l.do(ctx, "inquire", func(tx *transaction) error {
		if _, err := tx.Exec(`INSERT INTO inquiries (id, call_id, tool, arguments, asked_at, deadline, source, answer, answered_at)
			VALUES (?, ?, ?, ?, ?, ?, '', '', 0) ON CONFLICT (id) DO NOTHING`, q.ID, h.ID, q.Tool, q.Arguments, micros(at), micros(q.Deadline)); err != nil {
			return err
		}
		_, err := post(tx, Letter{Digest: "asked " + q.ID, Account: h.Account, Ref: h.Ref, Observation: phone.Observation{At: at, Asked: &q}})
		if err != nil {
			return err
		}
		_, i, err = inquiry(ctx, tx, q.ID)
		return err
	})
	return i, err
}

// Answered records the answer to a question, unless it has one, and gives the answer that stands. It becomes an event of the
// call.
func (l *Ledger) Answered(ctx context.Context, id string, by phone.AnsweredBy, answer string, at time.Time) (phone.Inquiry, error) {
	var i phone.Inquiry
	err := l.do(ctx, "answered", func(tx *transaction) error {
		call, asked, err := inquiry(ctx, tx, id)
		if i = asked; err != nil || i.By != "" {
			return err
		}
		i.By, i.Answer = by, answer
		if _, err := tx.Exec(`UPDATE inquiries SET source = ?, answer = ?, answered_at = ? WHERE id = ?`, string(by), answer, micros(at), id); err != nil {
			return err
		}
		h, err := scanCall(tx.QueryRowContext(ctx, `SELECT `+callColumns+` FROM calls WHERE id = ?`, call))
		if err != nil {
			return err
		}
		if !at.After(i.At) {
			at = i.At.Add(time.Microsecond) // letters are read in the order of their times
		}
		_, err = post(tx, Letter{Digest: "answered " + id, Account: h.Account, Ref: h.Ref, Observation: phone.Observation{
			At: at, Answered: &phone.Answered{ID: id, By: by, Answer: answer},
		}})
		return err
	})
	return i, err
}

// Inquiry gives a question and the call that it was asked in. Errors: not_found.
func (l *Ledger) Inquiry(ctx context.Context, id string) (callID string, i phone.Inquiry, err error) {
	callID, i, err = inquiry(ctx, l.read, id)
	return callID, i, failed("inquiry", err)
}

func inquiry(ctx context.Context, q querier, id string) (callID string, i phone.Inquiry, err error) {
	var asked, deadline int64
	var source string
	err = q.QueryRowContext(ctx, `SELECT call_id, tool, arguments, asked_at, deadline, source, answer FROM inquiries WHERE id = ?`, id).
		Scan(&callID, &i.Tool, &i.Arguments, &asked, &deadline, &source, &i.Answer)
	if errors.Is(err, sql.ErrNoRows) {
		return "", i, phone.Errorf(phone.NotFound, "There is no such question.")
	}
	i.ID, i.At, i.Deadline, i.By = id, moment(asked), moment(deadline), phone.AnsweredBy(source)
	return callID, i, err
}

// neverAnswered is how long after a question its answer is given up for one that nobody knows of: longer than any service
// waits.
const neverAnswered = 6 * time.Minute

// Forsaken gives the questions that have no answer and whose process did not live to give one.
func (l *Ledger) Forsaken(ctx context.Context, now time.Time) ([]string, error) {
	ids, err := column[string](ctx, l.read, `SELECT id FROM inquiries WHERE source = '' AND asked_at < ? LIMIT 100`, micros(now.Add(-neverAnswered)))
	return ids, failed("forsaken", err)
}

// CallTool is a tool that was registered with a service.
type CallTool struct {
	ID, Name string
	Digest   string // of what was declared of it
}

// SaveCallTool notes that a tool was registered with an account.
func (l *Ledger) SaveCallTool(ctx context.Context, account string, t CallTool) error {
	return l.do(ctx, "call tools", func(tx *transaction) error {
		_, err := tx.Exec(`INSERT INTO call_tools (account, id, name, digest) VALUES (?, ?, ?, ?)
			ON CONFLICT (account, id) DO UPDATE SET name = excluded.name, digest = excluded.digest`, account, t.ID, t.Name, t.Digest)
		return err
	})
}

// DropCallTool notes that a tool is registered no more.
func (l *Ledger) DropCallTool(ctx context.Context, account, id string) error {
	return l.do(ctx, "call tools", func(tx *transaction) error {
		_, err := tx.Exec(`DELETE FROM call_tools WHERE account = ? AND id = ?`, account, id)
		return err
	})
}

// CallTools gives the tools that outdial has registered with an account.
func (l *Ledger) CallTools(ctx context.Context, account string) ([]CallTool, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT id, name, digest FROM call_tools WHERE account = ? ORDER BY name, id`, account)
	if err != nil {
		return nil, failed("call tools", err)
	}
	defer rows.Close()
	var all []CallTool
	for rows.Next() {
		var t CallTool
		if err := rows.Scan(&t.ID, &t.Name, &t.Digest); err != nil {
			return nil, failed("call tools", err)
		}
		all = append(all, t)
	}
	return all, failed("call tools", rows.Err())
}
