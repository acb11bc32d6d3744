package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// sealedMark stands before what is known by its HMAC alone: it can be told whether it is a given number or key, and not
// read.
const sealedMark = "hmac:"

// sealed is the form in which a number is kept that was erased.
func (l *Ledger) sealed(n phone.Number) string { return l.sealedNumber(n.E164()) }

func (l *Ledger) sealedNumber(e164 string) string { return sealedMark + l.Digest("number", e164) }

// sealedKey is the form in which a client's key is kept whose call was erased: clients put numbers into keys.
func (l *Ledger) sealedKey(key string) string { return sealedMark + l.Digest("key", key) }

// forms are the two in which a number can stand in a table, for number IN (?, ?).
func (l *Ledger) forms(n phone.Number) []any { return []any{n.E164(), l.sealed(n)} }

func isSealed(s string) bool { return strings.HasPrefix(s, sealedMark) }

// numberOf is a number as a table has it; none at all where it was erased.
func numberOf(kept string) (phone.Number, error) {
	if isSealed(kept) {
		return phone.Number{}, nil
	}
	return phone.RestoreNumber(kept)
}

// met gives when the principal first called, in the last day, those numbers that it had not called before and that are no
// contacts, the newest first. One that is known from calls whose number was erased is not new.
func (l *Ledger) met(ctx context.Context, q querier, c *phone.Call, dayAgo int64) ([]time.Time, error) {
	simulated := flag(c.Simulated)
	rows, err := q.QueryContext(ctx, `SELECT number, MIN(created_at) FROM calls c WHERE principal = ? AND created_at > ? AND simulated = ? AND dial <> 'rejected'
		AND NOT EXISTS (SELECT 1 FROM calls e WHERE e.principal = c.principal AND e.number = c.number AND e.created_at <= ?
			AND e.simulated = c.simulated AND e.dial <> 'rejected')
		AND NOT EXISTS (SELECT 1 FROM contacts k WHERE k.number = c.number)
		GROUP BY number`, c.Principal, dayAgo, simulated, dayAgo)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	first := map[string]int64{}
	for rows.Next() {
		var number string
		var at int64
		if err := rows.Scan(&number, &at); err != nil {
			return nil, err
		}
		first[number] = at
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if first, err = l.sealedToo(ctx, q, c, dayAgo, first); err != nil {
		return nil, err
	}
	var all []time.Time
	for _, at := range first {
		all = append(all, moment(at))
	}
	slices.SortFunc(all, func(a, b time.Time) int { return b.Compare(a) })
	return all, nil
}

// sealedToo drops from numbers those that are known from calls whose number was erased, and counts one that stands there in
// both forms once.
func (l *Ledger) sealedToo(ctx context.Context, q querier, c *phone.Call, dayAgo int64, first map[string]int64) (map[string]int64, error) {
	var erased bool
	err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM calls WHERE principal = ? AND number >= 'hmac:' AND number < 'hmac;')`, c.Principal).Scan(&erased)
	if err != nil || !erased || len(first) == 0 {
		return first, err
	}
	contacts, err := column[string](ctx, q, `SELECT number FROM contacts`)
	if err != nil {
		return nil, err
	}
	merged := map[string]int64{}
	for number, at := range first {
		if !isSealed(number) {
			number = l.sealedNumber(number)
		}
		if before, there := merged[number]; !there || at < before {
			merged[number] = at
		}
	}
	for _, number := range contacts {
		delete(merged, l.sealedNumber(number))
	}
	var numbers []string
	for number := range merged {
		numbers = append(numbers, number)
	}
	const atOnce = 1000 // values in one query
	for some := range slices.Chunk(numbers, atOnce) {
		known, err := column[string](ctx, q, `SELECT DISTINCT number FROM calls WHERE principal = ? AND created_at <= ? AND simulated = ? AND dial <> 'rejected'
			AND number IN (`+places(len(some))+`)`, append([]any{c.Principal, dayAgo, flag(c.Simulated)}, anys(some)...)...)
		if err != nil {
			return nil, err
		}
		for _, number := range known {
			delete(merged, number)
		}
	}
	return merged, nil
}
