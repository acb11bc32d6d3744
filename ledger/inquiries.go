package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/outdial/outdial/phone"
)

// CallOf gives the call that a service has under a name, without its conversation. Errors: not_found.
func (l *Ledger) CallOf(ctx context.Context, provider string, ref phone.Ref) (Held, error) {
	h, err := scanCall(l.read.QueryRowContext(ctx, `SELECT `+callColumns+` FROM calls WHERE provider = ? AND ref = ?`, provider, string(ref)))
	if errors.Is(err, sql.ErrNoRows) {
		return Held{}, phone.Errorf(phone.NotFound, "There is no such call.")
	}
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
		_, err := post(tx, Letter{Digest: "asked " + q.ID, Provider: h.Provider, Ref: h.Ref, Observation: phone.Observation{At: at, Asked: &q}})
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
		_, err = post(tx, Letter{Digest: "answered " + id, Provider: h.Provider, Ref: h.Ref, Observation: phone.Observation{
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
