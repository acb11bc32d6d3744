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
// Errors: invalid with reason key_conflict; refused with reason busy, if the call that is to be repeated is not over, or
// ledger_moved, if the ledger's file lies where it was no more; those of judge, which is asked only about a new call, with the facts as they stand in the same transaction. The call's
// worst case counts as spent from then on, and an approval that a person gave for it is used up.
func (l *Ledger) Reserve(ctx context.Context, in Intent, judge func(phone.Facts) error) (h Held, replayed bool, err error) {
	err = l.do(ctx, "reserve", func(tx *transaction) error {
		h, replayed, err = l.earlier(ctx, tx, in)
		if err != nil || replayed {
			return err
		}
		if err := l.engine.present(); err != nil {
			return err
		}
		if err := repeatable(ctx, tx, in); err != nil {
			return err
		}
		facts, err := l.factsAbout(ctx, tx, in.Call)
		if err != nil {
			return err
		}
		if err := judge(facts); err != nil {
			return err
		}
		if err := useApproval(tx, in.Call); err != nil {
			return err
		}
		h = Held{Call: in.Call.Clone(), Epoch: 1, Dial: Sending, owner: l.process}
		if err := insertCall(tx, h); err != nil {
			return err
		}
		return l.stand(tx, in, in.Call.ID, in.Names...)
	})
	if err != nil {
		return Held{}, false, err
	}
	return h, replayed, nil
}

// stand has a call stand for the intent: under the client's key, and under names, each of which several calls may have.
func (l *Ledger) stand(tx *transaction, in Intent, id string, names ...string) error {
	if in.Key != "" {
		if _, err := tx.Exec(`DELETE FROM intents WHERE principal = ? AND key = ?`, in.Call.Principal, l.sealedKey(in.Key)); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO intents (principal, key, call_id, params) VALUES (?, ?, ?, ?)
			ON CONFLICT (principal, key) DO UPDATE SET call_id = excluded.call_id, params = excluded.params`,
			in.Call.Principal, clientKey(in.Key), id, in.Params); err != nil {
			return err
		}
	}
	for _, n := range names {
		if _, err := tx.Exec(`INSERT INTO names (principal, name, call_id) VALUES (?, ?, ?)`, in.Call.Principal, n, id); err != nil {
			return err
		}
	}
	return nil
}

func clientKey(s string) string { return "client:" + s }

// earlier is the call of the same intent, if one still stands for it. A call that surely was not placed stands for nothing.
func (l *Ledger) earlier(ctx context.Context, tx *transaction, in Intent) (h Held, found bool, err error) {
	if in.Key != "" {
		if h, found, err = l.byKey(ctx, tx, in); err != nil || found {
			return h, found, err
		}
	}
	for _, name := range in.Known {
		ids, err := column[string](ctx, tx, `SELECT n.call_id FROM names n JOIN calls c ON c.id = n.call_id
			WHERE n.principal = ? AND n.name = ? AND c.dial <> ? ORDER BY c.created_at DESC, c.id DESC`, in.Call.Principal, name, string(Rejected))
		if err != nil {
			return Held{}, false, err
		}
		for _, id := range ids {
			if h, found, err = in.stillMeans(ctx, tx, id); err != nil {
				return Held{}, false, err
			}
			if found {
				if err := l.stand(tx, in, id); err != nil || h.ErasedAt.IsZero() {
					return h, true, err
				}
				return h, true, l.sealKeys(ctx, tx, id)
			}
		}
	}
	return Held{}, false, nil
}

func (l *Ledger) byKey(ctx context.Context, tx *transaction, in Intent) (h Held, found bool, err error) {
	var id, params string
	err = tx.QueryRowContext(ctx, `SELECT i.call_id, i.params FROM intents i JOIN calls c ON c.id = i.call_id
		WHERE i.principal = ? AND i.key IN (?, ?) AND c.dial <> ? ORDER BY c.created_at DESC LIMIT 1`,
		in.Call.Principal, clientKey(in.Key), l.sealedKey(in.Key), string(Rejected)).Scan(&id, &params)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Held{}, false, nil
	case err != nil:
		return Held{}, false, err
	case params != in.Params:
		return Held{}, false, &phone.Error{
			Code: phone.Invalid, Reason: "key_conflict", CallID: id,
			Message: "This idempotency_key already stands for another call. Send the same request again to get that call, or use another key for a new one.",
		}
	}
	h, err = load(ctx, tx, id)
	return h, err == nil, err
}

// stillMeans says whether a call of the same name still is what the intent means: it is not over for longer than the
// window, and not both have keys, which differ then.
func (in Intent) stillMeans(ctx context.Context, tx *transaction, id string) (h Held, yes bool, err error) {
	if h, err = load(ctx, tx, id); err != nil || h.Ended() && in.Call.CreatedAt.Sub(since(h.Call)) > in.Window {
		return Held{}, false, err
	}
	if in.Key != "" {
		keyed, err := column[string](ctx, tx, `SELECT key FROM intents WHERE call_id = ?`, id)
		if err != nil || len(keyed) > 0 {
			return Held{}, false, err
		}
	}
	return h, true, nil
}

// since is when a call that has ended did, or was given up by all.
func since(c *phone.Call) time.Time {
	if c.EndedAt.IsZero() {
		return c.ChangedAt
	}
	return c.EndedAt
}

// repeatable refuses to repeat a call that goes on, or of which nobody knows whether it does: its phone would ring twice.
func repeatable(ctx context.Context, tx *transaction, in Intent) error {
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

func insertCall(tx *transaction, h Held) error {
	o := h.Order
	s, err := specOf(o)
	if err != nil {
		return err
	}
	hd, err := json.Marshal(headOf(h.Call))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO calls (id, principal, provider, account, simulated, number, spec, dial, ref, hangup_wanted,
		created_at, status, seq, ended_at, head, owner, epoch, currency, per_minute, worst, charge)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?, ?)`,
		h.ID, h.Principal, h.Provider, h.Account, flag(h.Simulated), o.To.E164(), s, string(h.Dial),
		micros(h.CreatedAt), string(h.Status), string(hd), h.owner, h.Epoch,
		h.Worst.Currency(), h.PerMinute.Micros(), h.Worst.Micros(), h.Charge().Micros())
	return err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
