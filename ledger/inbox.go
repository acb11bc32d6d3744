package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/outdial/outdial/phone"
)

// Letter is what a service has told by itself of one of its calls.
type Letter struct {
	Digest      string    // of its content: the same letter has the same one, however often it comes
	Account     string    // at the service
	Ref         phone.Ref // the service's name of the call, which may not be known here yet
	Observation phone.Observation
}

const (
	// mostUnread bounds the letters that wait to be read, mostStrange those among them that keep further ones about calls
	// that are not known from being taken: a service may tell of calls that others have placed.
	mostUnread  = 20_000
	mostStrange = 10_000
	// strangeFor is how long a letter about a call that is not known is kept: the answer to its dial may be late.
	strangeFor = 10 * time.Minute
	// rememberedFor is how long a letter that was read is told from a new one: longer than any call lasts.
	rememberedFor = aDay
)

// Post puts a letter into the inbox, for whoever follows its call, and says whether it is a new one. Errors: exhausted, if
// too many wait to be read.
func (l *Ledger) Post(ctx context.Context, m Letter) (fresh bool, err error) {
	err = l.do(ctx, "post", func(tx *transaction) error {
		var waiting int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM inbox WHERE unread = 1`).Scan(&waiting); err != nil {
			return err
		}
		known := waiting < mostStrange
		if !known {
			if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM calls WHERE account = ? AND ref = ?)`, m.Account, string(m.Ref)).Scan(&known); err != nil {
				return err
			}
		}
		if !known || waiting >= mostUnread {
			return phone.Errorf(phone.Exhausted, "Too many webhooks wait to be read.")
		}
		var err error
		fresh, err = post(tx, m)
		return err
	})
	return fresh, err
}

func post(tx *transaction, m Letter) (fresh bool, err error) {
	body, err := json.Marshal(m.Observation)
	if err != nil {
		return false, err
	}
	r, err := tx.Exec(`INSERT INTO inbox (digest, account, ref, at, body, unread) VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (digest) DO NOTHING`,
		m.Digest, m.Account, string(m.Ref), micros(m.Observation.At), string(body))
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// mostLetters is how many letters are read at once.
const mostLetters = 100

// Letters gives the letters about a call that were not read yet, the oldest first, some of them if there are many.
func (l *Ledger) Letters(ctx context.Context, h Held) ([]Letter, error) {
	rows, err := l.read.QueryContext(ctx, `SELECT digest, body FROM inbox WHERE account = ? AND ref = ? AND unread = 1 ORDER BY at, digest LIMIT ?`,
		h.Account, string(h.Ref), mostLetters)
	if err != nil {
		return nil, failed("letters", err)
	}
	defer rows.Close()
	var all []Letter
	for rows.Next() {
		m := Letter{Account: h.Account, Ref: h.Ref}
		var body string
		if err := rows.Scan(&m.Digest, &body); err != nil {
			return nil, failed("letters", err)
		}
		if err := json.Unmarshal([]byte(body), &m.Observation); err != nil {
			return nil, failed("letters", err)
		}
		m.Observation.Letter = m.Digest
		all = append(all, m)
	}
	return all, failed("letters", rows.Err())
}

// Addressees are the calls about which letters were not read yet: those that this process follows, and those of accounts
// that it holds that are over.
func (l *Ledger) Addressees(ctx context.Context, accounts []string) (followed, over []string, err error) {
	const from = `SELECT DISTINCT c.id FROM inbox i JOIN calls c ON c.account = i.account AND c.ref = i.ref WHERE i.unread = 1`
	followed, err = column[string](ctx, l.read, from+` AND c.owner = ? AND c.status <> 'ended'`, l.process)
	if err == nil {
		over, err = column[string](ctx, l.read, from+` AND c.status = 'ended' AND c.erased = 0 AND c.account IN (`+places(len(accounts))+`)`, anys(accounts)...)
	}
	return followed, over, failed("addressees", err)
}

// markRead notes that letters were read. What they say is in the call's events now.
func markRead(tx *transaction, letters []string) error {
	for _, digest := range letters {
		if _, err := tx.Exec(`UPDATE inbox SET unread = 0, body = '' WHERE digest = ?`, digest); err != nil {
			return err
		}
	}
	return nil
}

// ClearInbox drops the letters that nobody will read: those about calls that never became known or were
// erased, and all after a day.
func (l *Ledger) ClearInbox(ctx context.Context, now time.Time) error {
	return l.do(ctx, "inbox", func(tx *transaction) error {
		if _, err := tx.Exec(`UPDATE inbox SET unread = 0, body = '' WHERE unread = 1 AND at < ? AND NOT EXISTS
			(SELECT 1 FROM calls c WHERE c.account = inbox.account AND c.ref = inbox.ref AND c.erased = 0)`, micros(now.Add(-strangeFor))); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM inbox WHERE at < ?`, micros(now.Add(-rememberedFor)))
		return err
	})
}
