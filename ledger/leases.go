package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Renew says that this process lives: its calls are its own for another lease.
func (l *Ledger) Renew(ctx context.Context, now time.Time) error {
	defer l.engine.counted(ctx)
	err := l.do(ctx, "renew", func(tx *transaction) error {
		l.engine.count(tx)
		_, err := tx.Exec(`INSERT INTO processes (id, expires_at) VALUES (?, ?)
			ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`, l.process, micros(tx.now(now).Add(l.lease)))
		if err == nil {
			_, err = tx.Exec(`DELETE FROM processes WHERE expires_at < ?`, micros(tx.now(now).Add(-24*time.Hour)))
		}
		return err
	})
	if err == nil {
		l.renewed.Store(micros(now))
	}
	return err
}

// living are the processes that live. A lease that ends later than any can was written by a clock that has been set back
// since, and holds nothing.
const living = `SELECT id FROM processes WHERE expires_at > ? AND expires_at <= ?`

func (l *Ledger) living(now time.Time) []any { return []any{micros(now), micros(now.Add(2 * l.lease))} }

// Lease is how long a process that says nothing keeps its calls.
func (l *Ledger) Lease() time.Duration { return l.lease }

// Accounts are those at providers that a process can ask.
type Accounts struct {
	Ask    []string // about a call whose name there is known
	Search []string // for the call of an uncertain dial

	Any time.Time // calls that were placed before it are taken whatever their account: nobody holds it any more
}

// Claim takes over the calls that are not over and that nobody works on: those of processes that live no more, and this
// process's own that it has dropped, which working knows. Calls that a provider has are taken for accounts that can be
// asked, uncertain dials for those that can be searched, and a dial that was interrupted for any: nothing is to be asked
// about it. From then on they are this process's, under a new epoch; what the last one still writes is refused.
func (l *Ledger) Claim(ctx context.Context, of Accounts, working func(id string) bool, now time.Time) ([]Held, error) {
	where, args := `status <> 'ended' AND (dial = 'sending' OR dial = 'placed' AND account IN (`+places(len(of.Ask))+`)
			OR dial = 'unknown' AND account IN (`+places(len(of.Search))+`)
			OR dial = 'placed' AND created_at < ?)
		AND (owner = ? OR owner NOT IN (`+living+`))`, append(anys(of.Ask), anys(of.Search)...)
	args = append(args, micros(of.Any), l.process)
	looked, err := l.engine.now(ctx, now)
	if err != nil {
		return nil, failed("claim", err)
	}
	if orphans, err := column[string](ctx, l.read, `SELECT id FROM calls WHERE `+where, append(slices.Clip(args), l.living(looked)...)...); err != nil ||
		!slices.ContainsFunc(orphans, func(id string) bool { return !working(id) }) {
		return nil, failed("claim", err) // the usual case, without a write
	}
	return l.claim(ctx, working, where, args, now)
}

// ClaimOne takes one call over, if nobody else who lives follows it, nor this process, unless the call is over; no call
// otherwise.
func (l *Ledger) ClaimOne(ctx context.Context, id string, now time.Time) ([]Held, error) {
	where, args := `id = ? AND erased = 0 AND (owner = ? AND status = 'ended' OR owner <> ? AND owner NOT IN (`+living+`))`, []any{id, l.process, l.process}
	looked, err := l.engine.now(ctx, now)
	if err != nil {
		return nil, failed("claim", err)
	}
	if free, err := column[string](ctx, l.read, `SELECT id FROM calls WHERE `+where, append(slices.Clip(args), l.living(looked)...)...); err != nil || len(free) == 0 {
		return nil, failed("claim", err) // without a write, which would wake all who wait for news
	}
	return l.claim(ctx, func(string) bool { return false }, where, args, now)
}

// claim gives what it could claim also where it could not claim all. The condition ends with living.
func (l *Ledger) claim(ctx context.Context, working func(id string) bool, where string, args []any, now time.Time) (held []Held, err error) {
	var odd []error
	err = l.do(ctx, "claim", func(tx *transaction) error {
		ids, err := column[string](ctx, tx, `SELECT id FROM calls WHERE `+where, append(slices.Clip(args), l.living(tx.now(now))...)...)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if working(id) {
				continue
			}
			h, err := load(ctx, tx, id)
			if err != nil { // one that cannot be read must not keep the others
				odd = append(odd, fmt.Errorf("%s: %w", id, err))
				continue
			}
			if _, err := tx.Exec(`UPDATE calls SET owner = ?, epoch = epoch + 1 WHERE id = ?`, l.process, id); err != nil {
				return err
			}
			h.owner = l.process
			h.Epoch++
			held = append(held, h)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return held, failed("claim", errors.Join(odd...))
}

// Lost says which of some calls, each with the epoch that it is followed under, are followed under a later one by now, and
// which that is.
func (l *Ledger) Lost(ctx context.Context, epochs map[string]int64) (map[string]int64, error) {
	ids := slices.Sorted(maps.Keys(epochs))
	lost := map[string]int64{}
	for some := range slices.Chunk(ids, 500) {
		rows, err := l.read.QueryContext(ctx, `SELECT id, epoch FROM calls WHERE id IN (`+places(len(some))+`)`, anys(some)...)
		if err != nil {
			return nil, failed("lost", err)
		}
		err = func() error {
			defer rows.Close()
			for rows.Next() {
				var id string
				var now int64
				if err := rows.Scan(&id, &now); err != nil {
					return err
				}
				if now > epochs[id] {
					lost[id] = now
				}
			}
			return rows.Err()
		}()
		if err != nil {
			return nil, failed("lost", err)
		}
	}
	return lost, nil
}

// Release gives one call up, for whoever wants to follow it.
func (l *Ledger) Release(ctx context.Context, id string, epoch int64) error {
	return l.do(ctx, "release", func(tx *transaction) error {
		_, err := tx.Exec(`UPDATE calls SET owner = '' WHERE id = ? AND owner = ? AND epoch = ?`, id, l.process, epoch)
		return err
	})
}

// Leave gives up all that this process follows.
func (l *Ledger) Leave(ctx context.Context) error {
	defer l.engine.counted(ctx)
	return l.do(ctx, "leave", func(tx *transaction) error {
		l.engine.count(tx)
		_, err := tx.Exec(`UPDATE calls SET owner = '' WHERE owner = ?`, l.process)
		if err == nil {
			_, err = tx.Exec(`DELETE FROM processes WHERE id = ?`, l.process)
		}
		return err
	})
}

func column[T any](ctx context.Context, q querier, query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// places are those of n values in a list; of none, one that equals nothing.
func places(n int) string {
	if n == 0 {
		return "NULL"
	}
	return strings.TrimSuffix(strings.Repeat("?, ", n), ", ")
}

func anys(s []string) []any {
	a := make([]any, len(s))
	for i := range s {
		a[i] = s[i]
	}
	return a
}

// news wakes those who wait for a commit, of this process or another.
type news struct {
	mu sync.Mutex
	ch chan struct{}
}

func (n *news) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}

// News gives a channel that is closed at the next commit to the ledger, whoever makes it. Another process's is noticed
// by Tail within 50 ms; on Postgres within 250 ms, or within 1.5 s where its notification got lost.
func (l *Ledger) News() <-chan struct{} { return l.news.wait() }

// Tail looks for other processes' commits until the context ends.
func (l *Ledger) Tail(ctx context.Context) { l.engine.tail(ctx, l.news.tell) }
