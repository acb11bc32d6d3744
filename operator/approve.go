package operator

import (
	"context"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// listed is how many questions a person is shown: as many as somebody will read.
const listed = 20

// Waiting gives the questions that wait for a person, the newest first; more is how many are left out.
func Waiting(ctx context.Context, l *ledger.Ledger, now time.Time) (all []phone.Question, more int, err error) {
	all, err = l.Waiting(ctx, now)
	if len(all) > listed {
		all, more = all[:listed], len(all)-listed
	}
	return all, more, err
}

// Approve allows the call that a question is about, once, for five minutes, and places nothing. Whoever allows it shows with
// the last four digits that they have read whom it calls. Errors: refused with reason wrong_digits, and nothing is changed;
// not_found, if the question waits no longer.
func Approve(ctx context.Context, l *ledger.Ledger, q phone.Question, lastFour string, now time.Time) error {
	number := q.Order.To.E164()
	if number == "" || lastFour != number[len(number)-4:] {
		return &phone.Error{Code: phone.Refused, Reason: "wrong_digits", Message: "Those are not the last four digits of the number. Nothing was allowed."}
	}
	return l.Answer(ctx, q.ID, true, now)
}

// Decline refuses the call that a question is about: for five minutes the agent hears that a person said no. Errors:
// not_found, if the question waits no longer.
func Decline(ctx context.Context, l *ledger.Ledger, q phone.Question, now time.Time) error {
	return l.Answer(ctx, q.ID, false, now)
}

// SwitchDialing switches dialing off or on for every process on the ledger, from this moment. Calls that go on are not ended.
func SwitchDialing(ctx context.Context, l *ledger.Ledger, on bool, why string) error {
	if on {
		return l.SwitchDialing(ctx, "")
	}
	if why == "" {
		why = "no reason was given"
	}
	if err := oneLine("The reason", why); err != nil {
		return err
	}
	return l.SwitchDialing(ctx, why)
}
