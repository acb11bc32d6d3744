package ledger

import (
	"cmp"
	"context"
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
	return l.settle(ctx, id, func(_ *transaction, h Held) (*answer, error) {
		switch h.Dial {
		case Placed:
			return nil, nil
		case Rejected:
			return &answer{Placed, ref, phone.Ended{Outcome: phone.UnknownOutcome, Record: phone.Partial}}, nil
		}
		return &answer{Placed, ref, phone.Progress{State: phone.Queued}}, nil
	})
}

// Rejected records that surely nobody was called. The intent is free, as long as nothing else is learned.
func (l *Ledger) Rejected(ctx context.Context, id string, why *phone.Failure) (Held, error) {
	return l.settle(ctx, id, func(_ *transaction, h Held) (*answer, error) {
		if h.Dial == Placed || h.Dial == Rejected {
			return nil, nil
		}
		return rejected(why), nil
	})
}

// Unknown records that nobody knows whether the provider dials. The intent stays taken.
func (l *Ledger) Unknown(ctx context.Context, id string, why *phone.Failure) (Held, error) {
	return l.settle(ctx, id, func(_ *transaction, h Held) (*answer, error) {
		if h.Dial != Sending {
			return nil, nil
		}
		return &answer{dial: Unknown, body: phone.Progress{State: phone.Unconfirmed, Failure: why}}, nil
	})
}

// Adopt records that an uncertain dial has led to one of the calls that its provider lists, and says how many of them it
// could be: those that no other call of ours has. Only where there is exactly one is it known which; and where it does not
// carry our identifier, only if no other dial to the number could have led to it as well. Nobody is hung up on because of
// a likeness: a wish to hang up is forgotten then.
func (l *Ledger) Adopt(ctx context.Context, id string, listed []phone.Listed) (h Held, candidates int, err error) {
	likeness := false
	h, err = l.settle(ctx, id, func(tx *transaction, h Held) (*answer, error) {
		refs, match, err := candidatesFor(ctx, tx, h, listed)
		if candidates = len(refs); err != nil || h.Dial != Unknown || h.Ended() || candidates != 1 || match == phone.Possible || refs[0] == "" {
			return nil, err
		}
		if match == phone.Likely {
			rivals, err := column[string](ctx, tx, `SELECT id FROM calls WHERE provider = ? AND number IN (?, ?) AND id <> ? AND dial IN (?, ?)
				AND created_at > ? AND created_at < ?`, append(append([]any{h.Provider}, l.forms(h.Order.To)...), id, string(Sending), string(Unknown),
				micros(h.CreatedAt.Add(-rivalry)), micros(h.CreatedAt.Add(rivalry)))...)
			if candidates += len(rivals); err != nil || len(rivals) > 0 {
				return nil, err
			}
			if _, err := tx.Exec(`UPDATE calls SET hangup_wanted = 0 WHERE id = ?`, id); err != nil {
				return nil, err
			}
			likeness = true
		}
		return &answer{Placed, refs[0], phone.Progress{State: phone.Queued}}, nil
	})
	h.HangupWanted = h.HangupWanted && !likeness
	return h, candidates, err
}

// rivalry is how far apart two dials to one number can lie and still be taken for each other.
const rivalry = 10 * time.Minute

// candidatesFor gives the listed calls that no other call of ours has, and how well the worst of them fits: those that
// carry our identifier, else all.
func candidatesFor(ctx context.Context, tx *transaction, h Held, listed []phone.Listed) (refs []phone.Ref, worst phone.Match, err error) {
	if sure := slices.DeleteFunc(slices.Clone(listed), func(c phone.Listed) bool { return c.Match != phone.Sure }); len(sure) > 0 {
		listed = sure
	}
	worst = phone.Sure
	for _, c := range listed {
		other, err := heldBy(ctx, tx, h, c.Ref)
		if err != nil {
			return nil, 0, err
		}
		if other == "" && (c.Ref == "" || !slices.Contains(refs, c.Ref)) {
			refs, worst = append(refs, c.Ref), min(worst, c.Match)
		}
	}
	return refs, worst, nil
}

// heldBy is the other call that a provider's name stands for, if there is one.
func heldBy(ctx context.Context, tx *transaction, h Held, ref phone.Ref) (string, error) {
	others, err := column[string](ctx, tx, `SELECT id FROM calls WHERE provider = ? AND ref = ? AND ref <> '' AND id <> ?`, h.Provider, string(ref), h.ID)
	if err != nil || len(others) == 0 {
		return "", err
	}
	return others[0], nil
}

// NeverPlaced records that an uncertain dial did not happen, as its provider's list shows, unless it is known better by now.
func (l *Ledger) NeverPlaced(ctx context.Context, id string, why *phone.Failure) (Held, error) {
	return l.settle(ctx, id, func(_ *transaction, h Held) (*answer, error) {
		if h.Dial != Unknown || h.Ended() {
			return nil, nil
		}
		return rejected(why), nil
	})
}

func rejected(why *phone.Failure) *answer {
	return &answer{dial: Rejected, body: phone.Ended{Outcome: phone.Failed, Record: phone.Complete, Failure: why}}
}

// Resolve records what a person has found out about an uncertain dial, or one whose process died: it happened, or it did
// not. A call that happened is over, as far as anybody will learn; with the provider's name of it, it is followed to its
// end.
//
// Errors: not_found; refused with reason not_unconfirmed, if there is nothing to find out, or ref_taken, if ref is another
// call's.
func (l *Ledger) Resolve(ctx context.Context, id string, dialed bool, ref phone.Ref, why *phone.Failure) (Held, error) {
	return l.settle(ctx, id, func(tx *transaction, h Held) (*answer, error) {
		alive, err := column[string](ctx, tx, living+` AND id = ?`, append(l.living(tx.now(time.Now())), h.owner)...)
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
			return rejected(why), nil
		case ref != "":
			other, err := heldBy(ctx, tx, h, ref)
			if err != nil || other != "" {
				return nil, cmp.Or(err, error(&phone.Error{
					Code: phone.Refused, Reason: "ref_taken", CallID: other,
					Message: "That is the provider's name of another call here. Look it up in the provider's console again.",
				}))
			}
			return &answer{Placed, ref, phone.Progress{State: phone.Queued}}, nil
		}
		return &answer{dial: Unknown, body: phone.Ended{Outcome: phone.UnknownOutcome, Record: phone.Partial}}, nil
	})
}

// WantHangup notes that a call is to be ended as soon as the provider's name of it is known.
func (l *Ledger) WantHangup(ctx context.Context, id string) (h Held, err error) {
	err = l.do(ctx, "hangup", func(tx *transaction) error {
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
func (l *Ledger) settle(ctx context.Context, id string, decide func(tx *transaction, h Held) (*answer, error)) (h Held, err error) {
	err = l.do(ctx, "answer", func(tx *transaction) error {
		h, err = load(ctx, tx, id)
		if err != nil {
			return err
		}
		a, err := decide(tx, h)
		if err != nil || a == nil {
			return err
		}
		e := phone.Event{Seq: h.Seq + 1, At: time.Now().UTC().Truncate(time.Microsecond), Body: a.body}
		h.Apply(e)
		h.Dial, h.Ref = a.dial, a.ref
		if a.dial != Placed || h.Ended() {
			h.owner = ""
		}
		hd, err := json.Marshal(headOf(h.Call))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE calls SET dial = ?, ref = ?, status = ?, seq = ?, ended_at = ?, head = ?, owner = ?,
			charge = ?, faulty = ? WHERE id = ?`,
			string(a.dial), string(a.ref), string(h.Status), h.Seq, micros(h.EndedAt), string(hd), h.owner,
			h.Charge().Micros(), flag(h.Faulty()), id); err != nil {
			return err
		}
		return l.insertEvents(tx, h.Call, []phone.Event{e})
	})
	if err != nil {
		return Held{}, err
	}
	return h, nil
}
