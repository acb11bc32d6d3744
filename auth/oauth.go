package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/outdial/outdial/phone"
)

// leeway is how far the issuer's clock may differ from ours.
const leeway = 30 * time.Second

// OAuth says whose tokens are taken, as an OAuth 2.1 resource server does.
type OAuth struct {
	Issuer   string // as it stands in tokens, to the letter; https, or http on loopback
	Audience string // that a token must name: it is for us and nobody else
	KeysURL  string // of the issuer's keys (JWKS); empty: the issuer's metadata tells
}

func (o OAuth) check() error {
	if err := secureURL(o.Issuer); err != nil {
		return phone.Errorf(phone.Invalid, "the issuer %v", err)
	}
	if o.KeysURL != "" {
		if err := secureURL(o.KeysURL); err != nil {
			return phone.Errorf(phone.Invalid, "the address of the issuer's keys %v", err)
		}
	}
	if o.Audience == "" {
		return phone.Errorf(phone.Invalid, "without an audience every token of the issuer would be taken, whomever it is for")
	}
	return nil
}

// secureURL says what is wrong with an address whose answer decides whom to believe.
func secureURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("must be an https address without a user and a fragment")
	case u.Scheme == "http" && isLoopback(u.Hostname()), u.Scheme == "https":
		return nil
	}
	return fmt.Errorf("must be an https address; plain http is taken on loopback only")
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// algorithms are those of signatures with a key pair: what verifies a token cannot make one.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// issuer takes the tokens of one OAuth issuer that are for us.
type issuer struct {
	OAuth
	keys *keySet
}

func newIssuer(o OAuth) *issuer { return &issuer{OAuth: o, keys: newKeySet(o)} }

// words are what is one string of words, or a list of them.
type words []string

func (w *words) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*w = strings.Fields(one)
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(w))
}

// claims are what is read of a token.
type claims struct {
	jwt.Claims
	Scope words `json:"scope"`
	Scp   words `json:"scp"`
}

// identify checks a token: its form, its algorithm, its signature with a key of the issuer's, who made it, whom it is for
// and when. Keys that a token brings along, or says where to find, are not looked at.
func (i *issuer) identify(ctx context.Context, token string, now time.Time) (Identity, error) {
	bad := func(why string) (Identity, error) { return Identity{}, fmt.Errorf("%w: %s", ErrInvalid, why) }
	signed, err := jwt.ParseSigned(token, algorithms())
	if err != nil || len(signed.Headers) != 1 {
		return bad("it is no JWT that is signed with a key pair")
	}
	h := signed.Headers[0]
	if kind, ok := h.ExtraHeaders[jose.HeaderType]; ok && !isAccessToken(kind) {
		return bad("it is a JWT of another kind (typ)")
	}
	key, err := i.keys.find(ctx, h.KeyID, h.Algorithm, now)
	if err != nil {
		return Identity{}, err
	}
	var c claims
	if err := signed.Claims(key.Key, &c); err != nil {
		return bad("its signature or its claims are wrong")
	}
	if c.Expiry == nil {
		return bad("it never expires")
	}
	if err := c.ValidateWithLeeway(jwt.Expected{Issuer: i.Issuer, AnyAudience: jwt.Audience{i.Audience}, Time: now}, leeway); err != nil {
		return bad(strings.TrimPrefix(err.Error(), "go-jose/go-jose/jwt: "))
	}
	if c.Subject == "" || len(c.Subject) > 255 || strings.ContainsFunc(c.Subject, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return bad("it has no subject (sub) that could own calls")
	}
	scopes := c.Scope
	if scopes == nil {
		scopes = c.Scp
	}
	expires := c.Expiry.Time().Add(leeway)
	return Identity{
		Caller: phone.Caller{
			Principal: "oauth:" + c.Subject,
			Scopes:    slices.DeleteFunc(scopes, func(s string) bool { return !slices.Contains(phone.Scopes(), s) }),
		},
		still: func() bool { return time.Now().Before(expires) },
	}, nil
}

// isAccessToken says whether a typ is that of an access token (RFC 9068), or tells nothing. One of another kind, such as a
// logout token, was not made to let anybody in.
func isAccessToken(typ any) bool {
	s, ok := typ.(string)
	s = strings.TrimPrefix(strings.ToLower(s), "application/")
	return ok && (s == "jwt" || s == "at+jwt")
}
