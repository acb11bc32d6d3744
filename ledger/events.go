package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/outdial/outdial/phone"
)

// ErrLost says that another process follows the call by now: whoever gets it stops following.
var ErrLost = &phone.Error{Code: phone.Unavailable, Reason: "lost", Message: "Another process follows this call."}

// Append records events of a call that this process follows under an epoch. after is the call with the events applied.
// The events must go on where the call stands. letters are those of the inbox that the events came with: they are read
// then. Errors: ErrLost if it follows the call no more.
func (l *Ledger) Append(ctx context.Context, after *phone.Call, epoch int64, events []phone.Event, letters ...string) error {
	if len(events) == 0 && len(letters) == 0 {
		return nil
	}
	owner, before := l.process, after.Seq
	if after.Ended() {
		owner = ""
	}
	if len(events) > 0 {
		before = events[0].Seq - 1
	}
	return l.do(ctx, "append", func(tx *transaction) error {
		head, err := json.Marshal(headOf(after))
		if err != nil {
			return err
		}
		r, err := tx.Exec(`UPDATE calls SET status = ?, seq = ?, ended_at = ?, head = ?, owner = ?, charge = ?, faulty = ?
			WHERE id = ? AND owner = ? AND epoch = ? AND seq = ?`,
			string(after.Status), after.Seq, micros(after.EndedAt), string(head), owner, after.Charge().Micros(), flag(after.Faulty()),
			after.ID, l.process, epoch, before)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			if err == nil {
				err = ErrLost
			}
			return err
		}
		if err := markRead(tx, letters); err != nil {
			return err
		}
		return l.insertEvents(tx, after, events)
	})
}

// insertEvents records events of a call together with what follows from them: whom not to call, which numbers were heard,
// and that it is to be told that the call has ended.
func (l *Ledger) insertEvents(tx *transaction, c *phone.Call, events []phone.Event) error {
	for _, e := range events {
		kind, body, err := encode(e.Body)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO events (call_id, seq, at, kind, body) VALUES (?, ?, ?, ?, ?)`,
			c.ID, e.Seq, micros(e.At), kind, body); err != nil {
			return err
		}
		if err := l.heed(tx, c, e); err != nil {
			return err
		}
		if b, ended := e.Body.(phone.Ended); ended {
			if err := end(tx, c, e.At, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// Events gives the events of a call after a number, in their order.
func (l *Ledger) Events(ctx context.Context, id string, after int64) ([]phone.Event, error) {
	events, err := eventsOf(ctx, l.read, id, after)
	return events, failed("events", err)
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func eventsOf(ctx context.Context, q querier, id string, after int64) ([]phone.Event, error) {
	rows, err := q.QueryContext(ctx, `SELECT seq, at, kind, body FROM events WHERE call_id = ? AND seq > ? ORDER BY seq`, id, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []phone.Event
	for rows.Next() {
		var e phone.Event
		var at int64
		var kind, body string
		if err := rows.Scan(&e.Seq, &at, &kind, &body); err != nil {
			return nil, err
		}
		e.At = moment(at)
		if e.Body, err = decode(kind, []byte(body)); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

func encode(b phone.Body) (kind, body string, err error) {
	switch b.(type) {
	case phone.Progress:
		kind = "progress"
	case phone.Fragment:
		kind = "fragment"
	case phone.Withdrawn:
		kind = "withdrawn"
	case phone.OptedOut:
		kind = "opted_out"
	case phone.Asked:
		kind = "asked"
	case phone.Answered:
		kind = "answered"
	case phone.Ended:
		kind = "ended"
	case phone.Erased:
		kind = erasedKind
	default:
		return "", "", fmt.Errorf("an event of an unknown kind: %T", b)
	}
	raw, err := json.Marshal(b)
	return kind, string(raw), err
}

func decode(kind string, raw []byte) (phone.Body, error) {
	switch kind {
	case "progress":
		return as[phone.Progress](raw)
	case "fragment":
		return as[phone.Fragment](raw)
	case "withdrawn":
		return as[phone.Withdrawn](raw)
	case "opted_out":
		return as[phone.OptedOut](raw)
	case "asked":
		return as[phone.Asked](raw)
	case "answered":
		return as[phone.Answered](raw)
	case "ended":
		return as[phone.Ended](raw)
	case erasedKind:
		return phone.Erased{}, nil
	}
	return nil, fmt.Errorf("an event of an unknown kind: %s", kind)
}

func as[B phone.Body](raw []byte) (phone.Body, error) {
	var b B
	err := json.Unmarshal(raw, &b)
	return b, err
}
