package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// heed records what an event means for other calls: whom not to call, and which numbers were heard.
func (l *Ledger) heed(tx *transaction, c *phone.Call, e phone.Event) error {
	switch b := e.Body.(type) {
	case phone.OptedOut:
		return l.insertBlock(tx, phone.Block{Number: c.Order.To, Until: b.Until, CallID: c.ID, AddedAt: e.At}, flag(c.Simulated))
	case phone.Fragment:
		return hear(tx, c, e.At, b.Text, wordsUpTo(c, b.Turn))
	case phone.Asked:
		return hear(tx, c, e.At, b.Arguments)
	case phone.Ended:
		return hear(tx, c, e.At, b.Summary)
	}
	return nil
}

// wordsUpTo are the last utterances of one side up to a turn, put together: a number is often dictated in parts.
func wordsUpTo(c *phone.Call, turn int) string {
	const together = 10
	i := slices.IndexFunc(c.Turns, func(t phone.Turn) bool { return t.ID == turn })
	if i < 0 {
		return ""
	}
	var parts []string
	for of := c.Turns[i].Role; i >= 0 && len(parts) < together; i-- {
		if t := c.Turns[i]; t.Role == of && !t.Withdrawn && len(t.Text) < longestPart {
			parts = append(parts, t.Text)
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, " ")
}

const (
	longestPart = 1000 // characters of an utterance that may be a part of a number
	longestRun  = 1000 // digits
	mostRuns    = 300  // of one call: whoever says more says everything
	everything  = "*"
)

// hear notes the digits that were spoken, or that a summary tells.
func hear(tx *transaction, c *phone.Call, at time.Time, texts ...string) error {
	var said []string
	for _, text := range texts {
		said = append(said, phone.Spoken(text)...)
	}
	if len(said) == 0 {
		return nil
	}
	if _, err := tx.Exec(`DELETE FROM heard WHERE at < ?`, micros(at.Add(-aDay))); err != nil {
		return err
	}
	known, err := column[string](context.Background(), tx, `SELECT digits FROM heard WHERE call_id = ?`, c.ID)
	if err != nil {
		return err
	}
	fresh := map[string]bool{}
	for _, digits := range said {
		if len(digits) > longestRun {
			digits = everything
		}
		if !slices.Contains(known, digits) {
			fresh[digits] = true
		}
	}
	if len(known)+len(fresh) > mostRuns {
		fresh = map[string]bool{everything: !slices.Contains(known, everything)}
	}
	for digits, isNew := range fresh {
		if !isNew {
			continue
		}
		if _, err := tx.Exec(`INSERT INTO heard (call_id, digits, simulated, at) VALUES (?, ?, ?, ?)`, c.ID, digits, flag(c.Simulated), micros(at)); err != nil {
			return err
		}
	}
	return nil
}

// heard says whether the number of a call was spoken on a line in the last day. That a line's own number is said on it
// proves nothing.
func (l *Ledger) heard(ctx context.Context, q querier, c *phone.Call) (bool, error) {
	to := c.Order.To
	rows, err := q.QueryContext(ctx, `SELECT h.digits FROM heard h WHERE h.at > ? AND h.simulated = ?
		AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.id = h.call_id AND c.number IN (?, ?))`,
		append([]any{micros(c.CreatedAt.Add(-aDay)), flag(c.Simulated)}, l.forms(to)...)...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		var digits string
		if err := rows.Scan(&digits); err != nil {
			return false, err
		}
		if digits == everything || to.SpokenIn(digits) {
			return true, nil
		}
	}
	return false, rows.Err()
}
