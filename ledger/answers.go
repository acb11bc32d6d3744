package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/outdial/outdial/phone"
)

// Placed records that the provider has the call, whoever follows it by now: what a provider answered is a fact. The call
// it gives says under HangupWanted whether somebody wanted it ended meanwhile.
//
// A call that was given up for never dialed, because the provider did not list it, cannot come to life again: it is told
// as ended with an unknown outcome, and its record can be asked for.
func (l *Ledger) Placed(ctx context.Context, id string, ref phone.Ref) (Held, error) {
	return l.settle(ctx, id, func(_ *sql.Tx, h Held) (*answer, error) {
		switch h.Dial {
		case Placed:
			return nil, nil
		case Rejected:
			return &answer{Placed, ref, phone.Ended{Outcome: phone.UnknownOutcome, Record: phone.Partial}}, nil
		}
		return &answer{Placed, ref, phone.Progress{State: phone.Queued}}, nil
	})
}

// Rejected records that surely nobody was called. The intent is free again.
func (l *Ledger) Rejected(ctx context.Context, id string, why *phone.Failure) (Held, error) {
	return l.settle(ctx, id, func(_ *sql.Tx, h Held) (*answer, error) {
		if h.Dial == Placed || h.Dial == Rejected {
			return nil, nil
		}
		return &answer{dial: Rejected, body: phone.Ended{Outcome: phone.Failed, Record: phone.Complete, Failure: why}}, nil
	})
}

// Unknown records that nobody knows whether the provider dials. The intent stays taken.
func (l *Ledger) Unknown(ctx context.Context, id string, why *phone.Failure) (Held, error) {
	return l.settle(ctx, id, func(_ *sql.Tx, h Held) (*answer, error) {
		if h.Dial != Sending {
			return nil, nil
		}
		return &answer{dial: Unknown, body: phone.Progress{State: phone.Unconfirmed, Failure: why}}, nil
	})
}

// Adopt records that an uncertain dial has led to one of the calls that its provider lists, and gives those of them that
// are no other call's: only where there is exactly one is it known which.
func (l *Ledger) Adopt(ctx context.Context, id string, listed []phone.Ref) (h Held, candidates []phone.Ref, err error) {
	h, err = l.settle(ctx, id, func(tx *sql.Tx, h Held) (*answer, error) {
		candidates = nil
		for _, ref := range listed {
			others, err := column(ctx, tx, `SELECT id FROM calls WHERE account = ? AND ref = ? AND id <> ?`, h.Account, string(ref), id)
			if err != nil {
				return nil, err
			}
			if len(others) == 0 && !slices.Contains(candidates, ref) {
				candidates = append(candidates, ref)
			}
		}
		if h.Dial != Unknown || len(candidates) != 1 {
			return nil, nil
		}
		return &answer{Placed, candidates[0], phone.Progress{State: phone.Queued}}, nil
	})
	return h, candidates, err
}

// Resolve records what a person has found out about an uncertain dial, or one whose process died: it happened, or it did not. A call that happened is
// over, as far as anybody will learn; with the provider's name of it, it is followed to its end.
//
// Errors: not_found; refused with reason not_unconfirmed, if there is nothing to find out.
func (l *Ledger) Resolve(ctx context.Context, id string, dialed bool, ref phone.Ref, why *phone.Failure) (Held, error) {
	return l.settle(ctx, id, func(tx *sql.Tx, h Held) (*answer, error) {
		alive, err := column(ctx, tx, `SELECT id FROM processes WHERE id = ? AND expires_at > ?`, h.owner, micros(time.Now()))
		interrupted := h.Dial == Sending && len(alive) == 0
		switch {
		case err != nil:
			return nil, err
		case h.Dial != Unknown && !interrupted || h.Ended():
			return nil, &phone.Error{
				Code: phone.Refused, Reason: "not_unconfirmed", CallID: id,
				Message: "Only a call with the status unconfirmed can be resolved; this one is " + string(h.Status) + ".",
			}
		case !dialed:
			return &answer{dial: Rejected, body: phone.Ended{Outcome: phone.Failed, Record: phone.Complete, Failure: why}}, nil
		case ref != "":
			return &answer{Placed, ref, phone.Progress{State: phone.Queued}}, nil
		}
		return &answer{dial: Unknown, body: phone.Ended{Outcome: phone.UnknownOutcome, Record: phone.Partial}}, nil
	})
}

// WantHangup notes that a call is to be ended as soon as the provider's name of it is known.
func (l *Ledger) WantHangup(ctx context.Context, id string) (h Held, err error) {
	err = l.do(ctx, "hangup", func(tx *sql.Tx) error {
		if _, err := tx.Exec(`UPDATE calls SET hangup_wanted = 1 WHERE id = ?`, id); err != nil {
			return err
		}
		h, err = load(ctx, tx, id)
		return err
	})
	return h, err
}

// answer is what became of a dial.
type answer struct {
	dial Dial
	ref  phone.Ref
	body phone.Body
}

// settle records what decide makes of a call as it stands; nil leaves it so. It asks for no epoch: an answer is a fact,
// whoever learned it.
func (l *Ledger) settle(ctx context.Context, id string, decide func(tx *sql.Tx, h Held) (*answer, error)) (h Held, err error) {
	err = l.do(ctx, "answer", func(tx *sql.Tx) error {
		h, err = load(ctx, tx, id)
		if err != nil {
			return err
		}
		a, err := decide(tx, h)
		if err != nil || a == nil {
			return err
		}
		e := phone.Event{Seq: h.Seq + 1, At: time.Now().UTC(), Body: a.body}
		h.Apply(e)
		h.Dial, h.Ref = a.dial, a.ref
		if a.dial != Placed || h.Ended() {
			h.owner = ""
		}
		hd, err := json.Marshal(headOf(h.Call))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE calls SET dial = ?, ref = ?, status = ?, seq = ?, ended_at = ?, head = ?, owner = ? WHERE id = ?`,
			string(a.dial), string(a.ref), string(h.Status), h.Seq, micros(h.EndedAt), string(hd), h.owner, id); err != nil {
			return err
		}
		if a.dial == Rejected {
			if _, err := tx.Exec(`DELETE FROM intents WHERE call_id = ?`, id); err != nil {
				return err
			}
		}
		return insertEvents(tx, id, []phone.Event{e})
	})
	if err != nil {
		return Held{}, err
	}
	return h, nil
}
