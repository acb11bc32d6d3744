package guard

import (
	"time"

	"github.com/outdial/outdial/phone"
)

// unconfirmedBlocks is how long a number is left alone after a dial of which nobody knows whether it rang there.
const unconfirmedBlocks = 30 * time.Minute

// Earlier gives every rule that forbids a call because of those before it; none if it may be placed now.
func (p Policy) Earlier(f phone.Facts, by Route) []Refusal {
	if by.Exempt {
		return nil
	}
	for _, c := range f.ToNumber {
		again := c.CreatedAt.Add(unconfirmedBlocks)
		if c.Status != phone.Unconfirmed || !f.Now.Before(again) {
			continue
		}
		r := Refusal{
			Code: "too_soon", AllowedAt: again,
			Message: "Nobody knows whether an earlier call to this number was placed: the phone may have rung, or ring yet. Ask about that call; the operator can find out and settle it.",
		}
		if c.Principal == f.Principal {
			r.CallID = c.ID
		}
		return []Refusal{r}
	}
	return nil
}
