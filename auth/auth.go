package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// Why a token is not taken. Neither says more to whoever sent it; what is wrong is the operator's to read.
var (
	// ErrInvalid is for a token that is not one of ours, or no longer.
	ErrInvalid = errors.New("the token is not valid here, or no longer")
	// ErrUnavailable is for a token that cannot be judged now: it may be a good one.
	ErrUnavailable = errors.New("tokens cannot be checked now")
)

// longestToken is in bytes: more is no token, and is not looked at.
const longestToken = 8 << 10

// Options say which tokens are taken. At least one kind must be there.
type Options struct {
	TokensFile string       // of static tokens; empty: none
	OAuth      *OAuth       // an issuer whose tokens are taken; nil: none
	Warn       func(string) // is told, for the operator, when the tokens file goes bad or comes back; nil: nobody
}

// Auth knows which tokens are taken.
type Auth struct {
	tokens *tokens
	issuer *issuer
}

// New reads the tokens file, which must be without fault, and checks what is said of the issuer, whom it asks nothing yet.
// Errors: invalid.
func New(o Options) (*Auth, error) {
	a := &Auth{}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.TokensFile != "" {
		a.tokens = &tokens{path: o.TokensFile, warn: o.Warn}
		if _, err := a.tokens.current(); err != nil {
			return nil, phone.Errorf(phone.Invalid, "%v", err)
		}
		if a.tokens.faults > 0 {
			return nil, phone.Errorf(phone.Invalid, "%s: %s", o.TokensFile, a.tokens.fault)
		}
	}
	if o.OAuth != nil {
		if err := o.OAuth.check(); err != nil {
			return nil, err
		}
		a.issuer = newIssuer(*o.OAuth)
	}
	if a.tokens == nil && a.issuer == nil {
		return nil, phone.Errorf(phone.Invalid, "Neither a tokens file nor an issuer is named.")
	}
	return a, nil
}

// Identity is whom a token speaks for.
type Identity struct {
	Caller phone.Caller
	still  func() bool
}

// Nobody has to show a token to be the local caller, where no authentication is set up.
func Nobody() Identity { return Identity{Caller: phone.Local()} }

// Still says whether the token would be taken now: it has not expired and has not been revoked.
func (i Identity) Still() bool { return i.still == nil || i.still() }

// Identify gives whom a token speaks for. Errors: ErrInvalid, ErrUnavailable, with what is wrong, which is the operator's to
// read and holds nothing of the token.
func (a *Auth) Identify(ctx context.Context, token string) (Identity, error) {
	if len(token) > longestToken || !wellFormed(token) {
		return Identity{}, fmt.Errorf("%w: it has not the form of a token", ErrInvalid)
	}
	if a.tokens != nil {
		id, err := a.tokens.identify(token)
		if err == nil || a.issuer == nil || strings.HasPrefix(token, prefix) {
			return id, err
		}
	}
	return a.issuer.identify(ctx, token, time.Now())
}

// wellFormed says whether a token consists of the characters that one may have (RFC 6750, b64token).
func wellFormed(token string) bool {
	body := strings.TrimRight(token, "=")
	if body == "" {
		return false
	}
	for _, c := range []byte(body) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return true
}

// Ready says why static tokens cannot be checked, or that some lines of their file are not understood and grant nothing.
// Only the first keeps anybody out who should not be: then err is not nil.
func (a *Auth) Ready() (note string, err error) {
	if a.tokens == nil {
		return "", nil
	}
	if _, err := a.tokens.current(); err != nil {
		return "", err
	}
	return a.tokens.note(), nil
}

// Issuer names the OAuth issuer whose tokens are taken; empty if there is none.
func (a *Auth) Issuer() string {
	if a.issuer == nil {
		return ""
	}
	return a.issuer.Issuer
}

// Reach asks the issuer for its keys and says how many there are, for the operator. Errors: ErrUnavailable; and invalid
// without an issuer.
func (a *Auth) Reach(ctx context.Context) (keys int, err error) {
	if a.issuer == nil {
		return 0, phone.Errorf(phone.Invalid, "No issuer is named.")
	}
	return a.issuer.keys.fetch(ctx)
}

// Static gives what the tokens file holds, without the tokens.
func (a *Auth) Static() []Entry {
	if a.tokens == nil {
		return nil
	}
	all, _ := a.tokens.current()
	return all
}
