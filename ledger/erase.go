package ledger

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// How much of a call was erased.
const (
	wordsErased  = 1 // what it was about, what was said, and what its client called it
	numberErased = 2 // the number too: it is known by its HMAC alone
)

// erasedKind is the kind of an event that was erased. Its row stays: the events of a call have no gaps.
const erasedKind = "erased"

// aBatch is how long one write of many may hold up the others.
const aBatch = 20 * time.Millisecond

// Erased is a call of which nothing is left but that it was: when, through whom, on whose account, how it ended and what
// it cost.
type Erased struct {
	CallID, Provider string
	Ref              phone.Ref // the provider's name of it: the provider keeps a record of its own
	Simulated        bool
}

// Erasure is what was erased, and what had to stay.
type Erasure struct {
	Calls     []Erased
	Contact   bool     // there was a contact of the number
	Questions int      // to a person, about the number or the call
	Heard     int      // digits heard in those calls within a day: the numbers are held back no more
	Blocks    int      // do-not-call entries of the number, which go on to forbid it and show it no more
	Elsewhere []string // other calls in whose task or words the number stands, as digits: 20 at most

	byAge bool // nobody asked for it: it is kept too long
}

// EraseCall erases a call: its number, task, names, options, words, summary, recording, questions, and what was heard in
// it. It stays known that it was, and its key and its names still stand for it. Errors: not_found; refused with reason
// call_not_over.
func (l *Ledger) EraseCall(ctx context.Context, id string, now time.Time) (Erasure, error) {
	var e Erasure
	err := l.do(ctx, "erase", func(tx *transaction) error {
		e = Erasure{}
		h, err := heldOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if !h.Ended() {
			return notOver(h)
		}
		return l.erase(ctx, tx, h, numberErased, now, &e)
	})
	if err != nil {
		return Erasure{}, err // it may have been carried out, and not committed
	}
	return e, nil
}

// EraseNumber erases every call to a number, as EraseCall does, its contact and the questions about it. Entries of the
// do-not-call list go on to forbid it. It is done in several writes: what was erased before an error stays so. Errors:
// refused with reason call_not_over, if a call to it goes on or nobody knows whether it does; unavailable with reason unfinished,
// if only the calls that are told were erased, or not_searched, if only Elsewhere is missing.
func (l *Ledger) EraseNumber(ctx context.Context, n phone.Number, now time.Time) (Erasure, error) {
	var all Erasure
	for more := true; more; {
		var e Erasure
		err := l.do(ctx, "erase", func(tx *transaction) error {
			e = Erasure{}
			open, err := column[string](ctx, tx, `SELECT id FROM calls WHERE number = ? AND status <> 'ended' ORDER BY created_at`, n.E164())
			if err != nil {
				return err
			}
			if len(open) > 0 {
				h, err := heldOf(ctx, tx, open[0])
				if err != nil {
					return err
				}
				return notOver(h)
			}
			ids, err := column[string](ctx, tx, `SELECT id FROM calls WHERE number IN (?, ?) AND (erased < 2 OR number = ?)`, append(l.forms(n), n.E164())...)
			if err != nil {
				return err
			}
			began := time.Now()
			for i, id := range ids {
				if i > 0 && time.Since(began) > aBatch {
					return nil
				}
				h, err := heldOf(ctx, tx, id)
				if err != nil {
					return err
				}
				if err := l.erase(ctx, tx, h, numberErased, now, &e); err != nil {
					return err
				}
			}
			more = false
			return l.eraseFromLists(ctx, tx, n, &e)
		})
		if err != nil {
			return all, all.unfinished(err)
		}
		all.add(e)
	}
	var err error
	if all.Elsewhere, err = l.mentions(ctx, n); err != nil {
		err = &phone.Error{
			Code: phone.Unavailable, Reason: "not_searched", Op: "ledger: erase", Err: err,
			Message: "All that was kept of the number itself is erased. Whether it also stands in the words of other calls could not be searched; send this again to have that told.",
		}
	}
	return all, err
}

// unfinished is an error on the way, which speaks of what was still to be done alone.
func (e *Erasure) unfinished(err error) error {
	if len(e.Calls) == 0 || phone.CodeOf(err) != phone.Unavailable {
		return err
	}
	return &phone.Error{
		Code: phone.Unavailable, Reason: "unfinished", Op: "ledger: erase", Err: err,
		Message: "The ledger is busy: only a part is erased, as is told here. Send this again for the rest.",
	}
}

func (e *Erasure) add(o Erasure) {
	e.Calls, e.Contact = append(e.Calls, o.Calls...), e.Contact || o.Contact
	e.Questions, e.Heard, e.Blocks = e.Questions+o.Questions, e.Heard+o.Heard, o.Blocks
}

func notOver(h Held) error {
	e := &phone.Error{
		Code: phone.Refused, Reason: "call_not_over", CallID: h.ID, Started: phone.StartedYes,
		Message: "This call is not over: " + string(h.Status) + ". Wait until it has ended, or end it with outdial cancel; then erase it.",
	}
	if h.Status == phone.Unconfirmed || h.Status == phone.Dialing {
		e.Started = phone.StartedUnknown
		e.Message = "Nobody knows yet whether this call was placed, and its number must stay blocked until that is known. " +
			"Settle it with outdial resolve; then erase it."
	}
	return e
}

// eraseFromLists erases a number from the operator's lists. Whom it forbids to call it goes on to forbid.
func (l *Ledger) eraseFromLists(ctx context.Context, tx *transaction, n phone.Number, e *Erasure) error {
	contacts, err := affected(tx, `DELETE FROM contacts WHERE number = ?`, n.E164())
	if err != nil {
		return err
	}
	questions, err := affected(tx, `DELETE FROM questions WHERE number = ?`, n.E164())
	if err != nil {
		return err
	}
	e.Contact, e.Questions = contacts > 0, e.Questions+questions
	if _, err := tx.Exec(`UPDATE do_not_call SET number = ?, note = '' WHERE number = ?`, l.sealed(n), n.E164()); err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT DISTINCT call_id FROM do_not_call WHERE number = ?) AS b`, l.sealed(n)).Scan(&e.Blocks)
}

// mentions gives other calls in which a number stands as digits.
func (l *Ledger) mentions(ctx context.Context, n phone.Number) ([]string, error) {
	digits := "%" + n.National() + "%"
	ids, err := column[string](ctx, l.read, `SELECT id FROM calls WHERE spec LIKE ? OR head LIKE ?
		UNION SELECT call_id FROM events WHERE body LIKE ? LIMIT 20`, digits, digits, digits)
	return ids, err
}

// erase erases a call that is over, up to a level.
func (l *Ledger) erase(ctx context.Context, tx *transaction, h Held, level int, now time.Time, e *Erasure) error {
	if h.ErasedAt.IsZero() {
		if err := l.eraseWords(ctx, tx, h, e); err != nil {
			return err
		}
	}
	at := h.ErasedAt
	if at.IsZero() {
		at = now
	}
	// The epoch keeps whoever has asked the provider for a late record meanwhile from writing it.
	if _, err := tx.Exec(`UPDATE calls SET erased = ?, erased_at = ?, owner = '', epoch = epoch + 1 WHERE id = ? AND erased < ?`,
		level, micros(at), h.ID, level); err != nil {
		return err
	}
	if level == numberErased && !h.Order.To.IsZero() {
		if _, err := tx.Exec(`UPDATE calls SET number = ? WHERE id = ?`, l.sealed(h.Order.To), h.ID); err != nil {
			return err
		}
		blocks, err := affected(tx, `UPDATE do_not_call SET number = ?, note = '' WHERE number = ? AND call_id = ?`, l.sealed(h.Order.To), h.Order.To.E164(), h.ID)
		if err != nil {
			return err
		}
		e.Blocks += blocks
	}
	e.Calls = append(e.Calls, Erased{h.ID, h.Provider, h.Ref, h.Simulated})
	return nil
}

func (l *Ledger) eraseWords(ctx context.Context, tx *transaction, h Held, e *Erasure) error {
	before, err := specOf(h.Order)
	if err != nil {
		return err
	}
	if !e.byAge { // else both go by their own: somebody may have said no to the same call just now, or a number may just have been heard
		heard, err := affected(tx, `DELETE FROM heard WHERE call_id = ?`, h.ID)
		if err != nil {
			return err
		}
		questions, err := affected(tx, `DELETE FROM questions WHERE call_id = ? OR principal = ? AND number = ? AND spec = ?`,
			h.ID, h.Principal, h.Order.To.E164(), before)
		if err != nil {
			return err
		}
		e.Heard, e.Questions = e.Heard+heard, e.Questions+questions
	}
	if _, err := tx.Exec(`DELETE FROM inquiries WHERE call_id = ?`, h.ID); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE inbox SET unread = 0, body = '' WHERE account = ? AND ref = ? AND ref <> ''`, h.Account, string(h.Ref)); err != nil {
		return err
	}
	if err := l.sealKeys(ctx, tx, h.ID); err != nil {
		return err
	}
	if err := eraseEvents(ctx, tx, h.ID); err != nil {
		return err
	}
	c := h.Clone()
	c.Summary, c.Recording = "", ""
	hd, err := json.Marshal(headOf(c))
	if err != nil {
		return err
	}
	empty, err := specOf(phone.Order{})
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE calls SET spec = ?, head = ? WHERE id = ?`, empty, string(hd), h.ID)
	return err
}

// sealKeys keeps a call's keys in a form in which they still stand for it and cannot be read.
func (l *Ledger) sealKeys(ctx context.Context, tx *transaction, id string) error {
	keys, err := column[string](ctx, tx, `SELECT key FROM intents WHERE call_id = ?`, id)
	if err != nil {
		return err
	}
	for _, k := range keys {
		key, plain := strings.CutPrefix(k, clientKey(""))
		if !plain {
			continue
		}
		if _, err := tx.Exec(`UPDATE intents SET key = ? WHERE call_id = ? AND key = ?`, l.sealedKey(key), id, k); err != nil {
			return err
		}
	}
	return nil
}

// eraseEvents erases what was said from a call's events, and leaves how the line went.
func eraseEvents(ctx context.Context, tx *transaction, id string) error {
	if _, err := tx.Exec(`UPDATE events SET kind = ?, body = '{}', at = 0
		WHERE call_id = ? AND kind NOT IN ('progress', 'opted_out', 'ended')`, erasedKind, id); err != nil {
		return err
	}
	ends, err := column[string](ctx, tx, `SELECT DISTINCT body FROM events WHERE call_id = ? AND kind = 'ended'`, id)
	if err != nil {
		return err
	}
	for _, before := range ends {
		var b phone.Ended
		if err := json.Unmarshal([]byte(before), &b); err != nil {
			return err
		}
		b.Summary, b.Recording = "", ""
		_, after, err := encode(b)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE events SET body = ? WHERE call_id = ? AND kind = 'ended' AND body = ?`, after, id, before); err != nil {
			return err
		}
	}
	return nil
}

func affected(tx *transaction, statement string, args ...any) (int, error) {
	r, err := tx.Exec(statement, args...)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// Scrub makes what was erased unreadable in the ledger's files, as far as that is in a program's power. Others can go on; on
// SQLite their writes wait for a moment. Errors: unavailable, if somebody's reading stands in the way: it is erased all the
// same, and the same again finishes.
func (l *Ledger) Scrub(ctx context.Context) error { return failed("scrub", l.engine.scrub(ctx, true)) }
