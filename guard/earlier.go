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
	var all []Refusal
	refuse := func(c *phone.Call, r Refusal) {
		if c.Principal == f.Principal {
			r.CallID = c.ID
		}
		all = append(all, r)
	}
	for _, c := range f.ToNumber {
		again := c.CreatedAt.Add(unconfirmedBlocks)
		switch {
		case c.Status == phone.Dialing:
			refuse(c, Refusal{
				Code:    "busy",
				Message: "Another call to this number is being dialed at this moment. Ask about that call; when it is known what became of it, ask again.",
			})
		case c.Status == phone.Unconfirmed && f.Now.Before(again):
			refuse(c, Refusal{
				Code: "too_soon", AllowedAt: again,
				Message: "Nobody knows whether an earlier call to this number was placed: the phone may have rung, or ring yet. Ask about that call; the operator can find out and settle it.",
			})
		}
	}
	return all
}
