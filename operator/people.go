package operator

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// longestText bounds what the operator notes, in characters.
const longestText = 500

// Entry is a contact as the operator writes it.
type Entry struct {
	Number  string // E.164, or national digits of Region
	Region  string // ISO 3166-1 alpha-2; empty: E.164 alone
	Name    string
	Zone    string // IANA name; empty: as the number tells
	Hours   string // such as "08:00-22:00"; empty: as all others
	Consent string // how and when they agreed to be called
}

// AddContact enters somebody among the contacts. An entry that the number had is replaced, whole, and given back: a consent
// is never taken over in silence for whoever has the number now. Errors: invalid.
func AddContact(ctx context.Context, l *ledger.Ledger, e Entry, now time.Time) (added phone.Contact, before *phone.Contact, err error) {
	if added, err = e.contact(now); err != nil {
		return phone.Contact{}, nil, err
	}
	all, err := l.Contacts(ctx)
	if err != nil {
		return phone.Contact{}, nil, err
	}
	for i, c := range all {
		if c.Number == added.Number {
			before = &all[i]
		}
	}
	return added, before, l.SaveContact(ctx, added)
}

func (e Entry) contact(now time.Time) (c phone.Contact, err error) {
	c = phone.Contact{Name: strings.TrimSpace(e.Name), Zone: e.Zone, Consent: strings.TrimSpace(e.Consent), AddedAt: now.UTC()}
	if c.Number, err = phone.ParseNumber(e.Number, e.Region); err != nil {
		return c, err
	}
	if c.Name == "" {
		return c, phone.Errorf(phone.Invalid, "A contact needs a name: it is what a person is shown who is asked about a call.")
	}
	for what, s := range map[string]string{"The name": c.Name, "The consent": c.Consent} {
		if err := oneLine(what, s); err != nil {
			return c, err
		}
	}
	if e.Zone != "" {
		// "Local" would be the zone of whichever machine reads it.
		if _, err := time.LoadLocation(e.Zone); err != nil || e.Zone == "Local" {
			return c, phone.Errorf(phone.Invalid, "%q is not a time zone such as Asia/Shanghai or America/New_York.", e.Zone)
		}
	}
	if e.Hours != "" {
		if c.Window, err = phone.ParseWindow(e.Hours); err != nil {
			return c, err
		}
	}
	return c, nil
}

// oneLine refuses what would not be shown as it was meant. Errors: invalid.
func oneLine(what, s string) error {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || utf8.RuneCountInString(s) > longestText {
		return phone.Errorf(phone.Invalid, "%s must be one line of at most %d characters.", what, longestText)
	}
	return nil
}

// RemoveContact takes somebody off the contacts. Errors: invalid; not_found.
func RemoveContact(ctx context.Context, l *ledger.Ledger, number, region string) (phone.Number, error) {
	all, err := l.Contacts(ctx)
	if err != nil {
		return phone.Number{}, err
	}
	n, err := meant(number, region, all, func(c phone.Contact) phone.Number { return c.Number })
	if err != nil {
		return n, err
	}
	return n, l.DropContact(ctx, n)
}

// meant is the number that is written. A list may hold one that newer tables do not know any more: it is found as it stands
// there.
func meant[T any](written, region string, list []T, number func(T) phone.Number) (phone.Number, error) {
	n, err := phone.ParseNumber(written, region)
	if err == nil {
		return n, nil
	}
	for _, one := range list {
		if number(one).E164() == written {
			return number(one), nil
		}
	}
	return phone.Number{}, err
}

// Block puts a number on the do-not-call list, for good or until a moment. Any number may be there, also one that no rule
// would let through. Errors: invalid.
func Block(ctx context.Context, l *ledger.Ledger, number, region, note string, until, now time.Time) (phone.Block, error) {
	b := phone.Block{Note: strings.TrimSpace(note), Until: until, AddedAt: now.UTC()}
	var err error
	if b.Number, err = phone.ParseNumber(number, region); err != nil {
		return b, err
	}
	if err := oneLine("The note", b.Note); err != nil {
		return b, err
	}
	if !until.IsZero() && !until.After(now) {
		return b, phone.Errorf(phone.Invalid, "An entry that is over before it begins forbids nothing.")
	}
	return b, l.DoNotCall(ctx, b)
}

// Unblock takes a number off the do-not-call list, whoever put it there. Errors: invalid; not_found.
func Unblock(ctx context.Context, l *ledger.Ledger, number, region string, now time.Time) (phone.Number, error) {
	all, err := l.Blocks(ctx, now)
	if err != nil {
		return phone.Number{}, err
	}
	n, err := meant(number, region, all, func(b phone.Block) phone.Number { return b.Number })
	if err != nil {
		return n, err
	}
	return n, l.MayCall(ctx, n)
}
