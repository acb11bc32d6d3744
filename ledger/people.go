package ledger

import (
	"context"
	"time"

	"github.com/outdial/outdial/phone"
)

// SaveContact adds a contact, or replaces the one of the same number.
func (l *Ledger) SaveContact(ctx context.Context, c phone.Contact) error {
	return l.do(ctx, "contacts", func(tx *transaction) error {
		_, err := tx.Exec(`INSERT INTO contacts (number, name, zone, hours, consent, added_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (number) DO UPDATE SET name = excluded.name, zone = excluded.zone, hours = excluded.hours, consent = excluded.consent,
				added_at = excluded.added_at`,
			c.Number.E164(), c.Name, c.Zone, c.Window.String(), c.Consent, micros(c.AddedAt))
		return err
	})
}

// DropContact removes a contact. Errors: not_found.
func (l *Ledger) DropContact(ctx context.Context, n phone.Number) error {
	return l.drop(ctx, "contacts", `DELETE FROM contacts WHERE number = ?`, n.E164())
}

func (l *Ledger) drop(ctx context.Context, op, statement string, args ...any) error {
	return l.do(ctx, op, func(tx *transaction) error {
		r, err := tx.Exec(statement, args...)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return phone.Errorf(phone.NotFound, "This number is not on the list.")
	})
}

const contactColumns = `number, name, zone, hours, consent, added_at`

// Contacts gives all contacts by name.
func (l *Ledger) Contacts(ctx context.Context) ([]phone.Contact, error) {
	all, err := contacts(ctx, l.read, `ORDER BY name, number`)
	return all, failed("contacts", err)
}

func contact(ctx context.Context, q querier, number string) (*phone.Contact, error) {
	all, err := contacts(ctx, q, `WHERE number = ?`, number)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func contacts(ctx context.Context, q querier, which string, args ...any) ([]phone.Contact, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+contactColumns+` FROM contacts `+which, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []phone.Contact
	for rows.Next() {
		var c phone.Contact
		var number, hours string
		var added int64
		if err := rows.Scan(&number, &c.Name, &c.Zone, &hours, &c.Consent, &added); err != nil {
			return nil, err
		}
		if c.Number, err = phone.RestoreNumber(number); err != nil {
			return nil, err
		}
		if hours != "" {
			if c.Window, err = phone.ParseWindow(hours); err != nil {
				return nil, err
			}
		}
		c.AddedAt = moment(added)
		all = append(all, c)
	}
	return all, rows.Err()
}

// DoNotCall adds an entry of the operator's to the do-not-call list, or replaces it. It holds for rehearsals too.
func (l *Ledger) DoNotCall(ctx context.Context, b phone.Block) error {
	return l.do(ctx, "dnc", func(tx *transaction) error {
		for simulated := range 2 {
			if err := l.insertBlock(tx, b, simulated); err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Ledger) insertBlock(tx *transaction, b phone.Block, simulated int) error {
	// The newest entry counts, also where the number of the one before was erased.
	if _, err := tx.Exec(`DELETE FROM do_not_call WHERE number = ? AND simulated = ? AND call_id = ?`, l.sealed(b.Number), simulated, b.CallID); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO do_not_call (number, simulated, until, call_id, note, added_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (number, simulated, call_id) DO UPDATE SET until = excluded.until, note = excluded.note, added_at = excluded.added_at`,
		b.Number.E164(), simulated, micros(b.Until), b.CallID, b.Note, micros(b.AddedAt))
	return err
}

// MayCall removes every entry of a number from the do-not-call list. Errors: not_found.
func (l *Ledger) MayCall(ctx context.Context, n phone.Number) error {
	return l.drop(ctx, "dnc", `DELETE FROM do_not_call WHERE number IN (?, ?)`, l.forms(n)...)
}

// Blocks gives the do-not-call list as it holds at a moment, the newest entry first.
func (l *Ledger) Blocks(ctx context.Context, now time.Time) ([]phone.Block, error) {
	all, err := blocks(ctx, l.read, `WHERE (until = 0 OR until > ?) AND (simulated = 0 OR call_id <> '') ORDER BY added_at DESC, number`, micros(now))
	return all, failed("dnc", err)
}

// blocked gives the entry that forbids a number for longest.
func (l *Ledger) blocked(ctx context.Context, q querier, n phone.Number, simulated int, now time.Time) (*phone.Block, error) {
	all, err := blocks(ctx, q, `WHERE number IN (?, ?) AND simulated = ? AND (until = 0 OR until > ?) ORDER BY until = 0 DESC, until DESC`,
		append(l.forms(n), simulated, micros(now))...)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

func blocks(ctx context.Context, q querier, which string, args ...any) ([]phone.Block, error) {
	rows, err := q.QueryContext(ctx, `SELECT number, simulated, until, call_id, note, added_at FROM do_not_call `+which, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []phone.Block
	for rows.Next() {
		var b phone.Block
		var number string
		var until, added int64
		if err := rows.Scan(&number, &b.RingsNo, &until, &b.CallID, &b.Note, &added); err != nil {
			return nil, err
		}
		if b.Number, err = numberOf(number); err != nil {
			return nil, err
		}
		b.Until, b.AddedAt, b.RingsNo = moment(until), moment(added), b.RingsNo && b.CallID != ""
		all = append(all, b)
	}
	return all, rows.Err()
}
