// Package operator is what only a person at the machine may do, because it says what no program can know or allow.
//
// Its one idea: no model reaches it. Neither the tools nor the servers import it (internal/archtest holds that); the
// command line alone does, on the machine of the one who answers for the calls.
//
// It dials nobody: it works on what is recorded, and tells services of nothing but the tools that the operator declares.
package operator

import (
	"context"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// Finding is what a person has found out about an uncertain dial, such as from the provider's console.
type Finding struct {
	Dialed bool
	Ref    phone.Ref // the provider's name of the call, where it is known: the call is then followed, and its record fetched
}

// Resolve settles a call with the status unconfirmed. One that was dialed is over with an unknown outcome, unless its name
// at the provider is given; one that was not frees its intent and its number at once.
//
// Errors: not_found; refused with reason not_unconfirmed; invalid, if a call that was not dialed is given a name.
func Resolve(ctx context.Context, l *ledger.Ledger, callID string, f Finding) (*phone.Call, error) {
	if !f.Dialed && f.Ref != "" {
		return nil, phone.Errorf(phone.Invalid, "A call that was not dialed has no name at its provider.")
	}
	h, err := l.Resolve(ctx, callID, f.Dialed, f.Ref, &phone.Failure{
		Code: phone.Unavailable, Reason: "not_placed", Message: "The operator has found that nobody was called; ask again.",
	})
	return h.Call, err
}
