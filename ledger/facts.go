package ledger

import (
	"context"
	"time"

	"github.com/outdial/outdial/phone"
)

// factsBack is how far back facts reach.
const factsBack = 24 * time.Hour

// Facts gives what a rule may judge a call by that nobody has placed, as it stands: for questions.
func (l *Ledger) Facts(ctx context.Context, c *phone.Call) (phone.Facts, error) {
	f, err := factsAbout(ctx, l.read, c)
	return f, failed("facts", err)
}

// factsAbout are the facts for a new call. Simulated calls are judged by simulated ones, all others by those that ring.
func factsAbout(ctx context.Context, q querier, c *phone.Call) (phone.Facts, error) {
	f := phone.Facts{Principal: c.Principal, Now: c.CreatedAt}
	rows, err := q.QueryContext(ctx, `SELECT `+callColumns+` FROM calls WHERE number = ? AND simulated = ? AND created_at > ?
		ORDER BY created_at DESC, id DESC`, c.Order.To.E164(), flag(c.Simulated), micros(f.Now.Add(-factsBack)))
	if err != nil {
		return f, err
	}
	defer rows.Close()
	for rows.Next() {
		h, err := scanCall(rows)
		if err != nil {
			return f, err
		}
		f.ToNumber = append(f.ToNumber, h.Call)
	}
	return f, rows.Err()
}
