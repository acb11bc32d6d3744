package operator

import (
	"context"
	"errors"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// EraseCall erases a call, in the ledger's files too. It stays known that there was one, and its request still leads to it.
// Errors: not_found; refused with reason call_not_over; unavailable, with what was erased, if its traces in the files could
// not be removed yet.
func EraseCall(ctx context.Context, l *ledger.Ledger, callID string, now time.Time) (ledger.Erasure, error) {
	e, err := l.EraseCall(ctx, callID, now)
	if err != nil {
		return e, err
	}
	return e, l.Scrub(ctx)
}

// EraseNumber erases all calls to a number, its contact, and what a person was asked about it, in the ledger's files too.
// Whom the do-not-call list forbids it goes on to forbid. Errors: invalid; those of EraseCall.
func EraseNumber(ctx context.Context, l *ledger.Ledger, number, region string, now time.Time) (ledger.Erasure, error) {
	contacts, err := l.Contacts(ctx)
	if err != nil {
		return ledger.Erasure{}, err
	}
	n, err := meant(number, region, contacts, func(c phone.Contact) phone.Number { return c.Number })
	if err != nil {
		return ledger.Erasure{}, err
	}
	e, err := l.EraseNumber(ctx, n, now)
	if err != nil && len(e.Calls) == 0 && !e.Contact {
		return e, err
	}
	return e, errors.Join(err, l.Scrub(ctx)) // also of a part
}

// Backup copies the ledger to a new file, of which nobody is called until a person has said so. Errors: those of
// ledger.Backup.
func Backup(ctx context.Context, l *ledger.Ledger, path string, now time.Time) (ledger.Backup, error) {
	return l.Backup(ctx, path, now)
}
