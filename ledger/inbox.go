package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/outdial/outdial/phone"
)

// Letter is what a service has told by itself of one of its calls.
type Letter struct {
	Digest      string // of its content: the same letter has the same one, however often it comes
	Provider    string
	Ref         phone.Ref // the service's name of the call, which may not be known here yet
	Observation phone.Observation
}

const (
	// mostUnread bounds the letters that wait to be read.
	mostUnread = 10_000
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
		if waiting >= mostUnread {
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
	r, err := tx.Exec(`INSERT INTO inbox (digest, provider, ref, at, body, unread) VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (digest) DO NOTHING`,
		m.Digest, m.Provider, string(m.Ref), micros(m.Observation.At), string(body))
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// Unread gives the oldest letter about a call that was not read yet. Errors: not_found, if there is none.
func (l *Ledger) Unread(ctx context.Context, h Held) (Letter, error) {
	m := Letter{Provider: h.Provider, Ref: h.Ref}
	var body string
	err := l.read.QueryRowContext(ctx, `SELECT digest, body FROM inbox WHERE provider = ? AND ref = ? AND unread = 1 ORDER BY at, digest LIMIT 1`,
		h.Provider, string(h.Ref)).Scan(&m.Digest, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return m, phone.Errorf(phone.NotFound, "No letter.")
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &m.Observation)
	}
	m.Observation.Letter = m.Digest
	return m, failed("unread", err)
}

// Addressees are the calls that this process follows and letters about which were not read yet.
func (l *Ledger) Addressees(ctx context.Context) ([]string, error) {
	ids, err := column[string](ctx, l.read, `SELECT DISTINCT c.id FROM inbox i JOIN calls c ON c.provider = i.provider AND c.ref = i.ref
		WHERE i.unread = 1 AND c.owner = ? AND c.status <> 'ended'`, l.process)
	return ids, failed("addressees", err)
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

// ClearInbox drops the letters that nobody will read: those about calls that are over or never became known, and what is
// remembered of old ones.
func (l *Ledger) ClearInbox(ctx context.Context, now time.Time) error {
	return l.do(ctx, "inbox", func(tx *transaction) error {
		if _, err := tx.Exec(`UPDATE inbox SET unread = 0, body = '' WHERE unread = 1 AND at < ? AND NOT EXISTS
			(SELECT 1 FROM calls c WHERE c.provider = inbox.provider AND c.ref = inbox.ref AND c.status <> 'ended')`, micros(now.Add(-strangeFor))); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM inbox WHERE at < ?`, micros(now.Add(-rememberedFor)))
		return err
	})
}
