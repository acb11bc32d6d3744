package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/outdial/outdial/phone"
)

// Intent is a wish to call, before it is known whether it is a new one.
type Intent struct {
	Call *phone.Call // as phone.Begin made it

	// Key is what the client named the wish, or empty. Params is a digest of all that it asked for: the same key with
	// other params is a conflict.
	Key, Params string
	// Names name the wish by what it is, each until Window after its call has ended. Known are those of them under which an
	// earlier, equal wish counts as this one. Two wishes that the client gave different keys are two.
	Names, Known []string
	Window       time.Duration

	// RepeatOf is the call that this one repeats on purpose. It must be over.
	RepeatOf string
}

// Reserve finds the call that an intent has already led to, or records a new one that is about to be dialed, in one
// transaction with the judgement on it. Once it returns a call that is not replayed, that call is on disk as sending and
// followed by this process: dial it.
//
// Errors: invalid with reason key_conflict; refused with reason busy, if the call that is to be repeated is not over;
// those of judge, which is asked only about a new call.
func (l *Ledger) Reserve(ctx context.Context, in Intent, judge func() error) (h Held, replayed bool, err error) {
	err = l.do(ctx, "reserve", func(tx *sql.Tx) error {
		h, replayed, err = earlier(ctx, tx, in)
		if err != nil || replayed {
			return err
		}
		if err := repeatable(ctx, tx, in); err != nil {
			return err
		}
		if err := judge(); err != nil {
			return err
		}
		h = Held{Call: in.Call.Clone(), Epoch: 1, Dial: Sending, owner: l.process}
		if err := insertCall(tx, h); err != nil {
			return err
		}
		return in.name(tx, in.Call.ID, in.Names...)
	})
	if err != nil {
		return Held{}, false, err
	}
	return h, replayed, nil
}

// name has a call stand for the intent: under the client's key, and under names.
func (in Intent) name(tx *sql.Tx, id string, names ...string) error {
	var keys []string
	if in.Key != "" {
		keys = append(keys, clientKey(in.Key))
	}
	for _, n := range names {
		keys = append(keys, derivedKey(n))
	}
	for _, k := range keys {
		if _, err := tx.Exec(`INSERT INTO intents (principal, key, call_id, params) VALUES (?, ?, ?, ?)
			ON CONFLICT (principal, key) DO UPDATE SET call_id = excluded.call_id, params = excluded.params`,
			in.Call.Principal, k, id, in.Params); err != nil {
			return err
		}
	}
	return nil
}

func clientKey(s string) string  { return "client:" + s }
func derivedKey(s string) string { return "derived:" + s }

// earlier is the call of the same intent, if it still stands for it.
func earlier(ctx context.Context, tx *sql.Tx, in Intent) (h Held, found bool, err error) {
	if in.Key != "" {
		id, params, err := named(ctx, tx, in.Call.Principal, clientKey(in.Key))
		switch {
		case err != nil:
			return Held{}, false, err
		case id != "" && params != in.Params:
			return Held{}, false, &phone.Error{
				Code: phone.Invalid, Reason: "key_conflict", CallID: id,
				Message: "This idempotency_key already stands for another call. Send the same request again to get that call, or use another key for a new one.",
			}
		case id != "":
			h, err = load(ctx, tx, id)
			return h, true, err
		}
	}
	for _, name := range in.Known {
		id, _, err := named(ctx, tx, in.Call.Principal, derivedKey(name))
		if err != nil {
			return Held{}, false, err
		}
		if id == "" {
			continue
		}
		if h, err = load(ctx, tx, id); err != nil {
			return Held{}, false, err
		}
		if h.Ended() && in.Call.CreatedAt.Sub(h.EndedAt) > in.Window {
			continue
		}
		if in.Key != "" {
			keyed, err := column(ctx, tx, `SELECT key FROM intents WHERE call_id = ? AND key LIKE 'client:%'`, id)
			if err != nil {
				return Held{}, false, err
			}
			if len(keyed) > 0 {
				continue
			}
		}
		return h, true, in.name(tx, id)
	}
	return Held{}, false, nil
}

func named(ctx context.Context, tx *sql.Tx, principal, key string) (id, params string, err error) {
	err = tx.QueryRowContext(ctx, `SELECT call_id, params FROM intents WHERE principal = ? AND key = ?`, principal, key).Scan(&id, &params)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return id, params, err
}

// repeatable refuses to repeat a call that goes on, or of which nobody knows whether it does: its phone would ring twice.
func repeatable(ctx context.Context, tx *sql.Tx, in Intent) error {
	if in.RepeatOf == "" {
		return nil
	}
	h, err := load(ctx, tx, in.RepeatOf)
	if err != nil || h.Ended() {
		return err
	}
	return &phone.Error{
		Code: phone.Refused, Reason: "busy", CallID: h.ID,
		Message: "The call that is to be repeated is not over, or nobody knows yet whether it happened. Ask get_call about it first.",
	}
}

func insertCall(tx *sql.Tx, h Held) error {
	o := h.Order
	s, err := json.Marshal(spec{o.Task, o.Language, o.Voice, o.AgentName, o.CallerName, o.MaxDuration, o.Options})
	if err != nil {
		return err
	}
	hd, err := json.Marshal(headOf(h.Call))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO calls (id, principal, provider, account, simulated, number, spec, dial, ref, hangup_wanted,
		created_at, status, seq, ended_at, head, owner, epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, ?, ?, 0, 0, ?, ?, ?)`,
		h.ID, h.Principal, h.Provider, h.Account, flag(h.Simulated), o.To.E164(), string(s), string(h.Dial),
		micros(h.CreatedAt), string(h.Status), string(hd), h.owner, h.Epoch)
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Placed records that the provider has the call, whoever follows it by now: what a provider answered is a fact. The call
// it gives says under HangupWanted whether somebody wanted it ended meanwhile.
func (l *Ledger) Placed(ctx context.Context, id string, ref phone.Ref) (Held, error) {
	return l.answered(ctx, id, Placed, ref, phone.Progress{State: phone.Queued})
}

// Rejected records that surely nobody was called. The intent is free again.
func (l *Ledger) Rejected(ctx context.Context, id string, why *phone.Failure) (Held, error) {
	return l.answered(ctx, id, Rejected, "", phone.Ended{Outcome: phone.Failed, Record: phone.Complete, Failure: why})
}

// Unknown records that nobody knows whether the provider dials. The intent stays taken.
func (l *Ledger) Unknown(ctx context.Context, id string, why *phone.Failure) (Held, error) {
	return l.answered(ctx, id, Unknown, "", phone.Progress{State: phone.Unconfirmed, Failure: why})
}

func (l *Ledger) answered(ctx context.Context, id string, d Dial, ref phone.Ref, body phone.Body) (h Held, err error) {
	err = l.do(ctx, "answer", func(tx *sql.Tx) error {
		h, err = load(ctx, tx, id)
		if err != nil {
			return err
		}
		if settled := h.Dial == Placed || h.Dial == Rejected || h.Dial == d; settled {
			return nil
		}
		e := phone.Event{Seq: h.Seq + 1, At: time.Now().UTC(), Body: body}
		h.Apply(e)
		h.Dial, h.Ref = d, ref
		if d != Placed {
			h.owner = ""
		}
		hd, err := json.Marshal(headOf(h.Call))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE calls SET dial = ?, ref = ?, status = ?, seq = ?, ended_at = ?, head = ?, owner = ? WHERE id = ?`,
			string(d), string(ref), string(h.Status), h.Seq, micros(h.EndedAt), string(hd), h.owner, id); err != nil {
			return err
		}
		if d == Rejected {
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
