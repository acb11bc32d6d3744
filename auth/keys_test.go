package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// authority is an issuer in memory: the transport of the one who asks it.
type authority struct {
	mu      sync.Mutex
	keys    []jose.JSONWebKey
	down    bool
	asked   int
	delay   time.Duration
	moved   bool              // to another host, which would answer
	answers map[string]string // in place of what it would say, by path
}

func (a *authority) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	delay := time.NewTimer(a.delay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if a.down {
		return nil, errors.New("down")
	}
	if a.moved && r.URL.Host != "elsewhere.example" {
		return &http.Response{StatusCode: http.StatusFound, Body: http.NoBody, Header: http.Header{"Location": {"https://elsewhere.example/jwks"}}, Request: r}, nil
	}
	status, body := http.StatusOK, []byte(a.answers[r.URL.Path])
	if len(body) == 0 {
		switch r.URL.Path {
		case "/jwks":
			public := jose.JSONWebKeySet{}
			for _, k := range a.keys {
				public.Keys = append(public.Keys, k.Public())
			}
			body, _ = json.Marshal(public)
		default:
			status = http.StatusNotFound
		}
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{}, Request: r}, nil
}

func (a *authority) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *authority) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func ecKey(t testing.TB, kid string) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: string(jose.ES256), Use: "sig"}
}

const theIssuer, theAudience = "https://issuer.example", "https://phone.example/mcp"

func signedBy(t testing.TB, key jose.JSONWebKey) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": theIssuer, "aud": theAudience, "sub": "ann", "exp": time.Now().Add(1000 * time.Hour).Unix(), "scope": "calls:read",
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func asking(a *authority) *issuer {
	i := newIssuer(OAuth{Issuer: theIssuer, Audience: theAudience, KeysURL: theIssuer + "/jwks"})
	i.keys.client.Transport = a
	return i
}

func (i *issuer) try(t *testing.T, token string) error {
	t.Helper()
	_, err := i.identify(t.Context(), token, time.Now())
	return err
}

// An issuer is asked when a token names a key that is not known, and not again for a while, however many do. Those whose key
// is known wait for nothing.
func TestMadeUpKeysDoNotHammerTheIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		genuine := ecKey(t, "genuine")
		a := &authority{keys: []jose.JSONWebKey{genuine}}
		i, good := asking(a), signedBy(t, genuine)
		if err := i.try(t, good); err != nil || a.times() != 1 {
			t.Fatalf("%v, asked %d times", err, a.times())
		}
		time.Sleep(keysAtMost)
		a.set(func() { a.delay = 3 * time.Second })
		forged := signedBy(t, ecKey(t, "forged"))
		var flood sync.WaitGroup
		for range 1000 {
			flood.Go(func() {
				if err := i.try(t, forged); !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnavailable) {
					t.Errorf("forged: %v", err)
				}
			})
		}
		synctest.Wait() // one asks, some wait for it
		began := time.Now()
		for range 100 {
			if err := i.try(t, good); err != nil {
				t.Errorf("genuine, meanwhile: %v", err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("a genuine one waited %v", took)
		}
		flood.Wait()
		for range 10 {
			for range 100 {
				_ = i.try(t, forged)
			}
			time.Sleep(time.Second)
		}
		if n := a.times(); n != 2 {
			t.Errorf("the issuer was asked %d times", n)
		}
		// A forged one under a name that is known costs no question at all.
		fake := ecKey(t, "genuine")
		time.Sleep(time.Minute)
		if err := i.try(t, signedBy(t, fake)); !errors.Is(err, ErrInvalid) || a.times() != 2 {
			t.Errorf("%v, asked %d times", err, a.times())
		}
	})
}

func TestKeysChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := ecKey(t, "old"), ecKey(t, "next")
		a := &authority{keys: []jose.JSONWebKey{old}}
		i := asking(a)
		if err := i.try(t, signedBy(t, old)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keysAtMost)
		a.set(func() { a.keys = []jose.JSONWebKey{next} })
		if err := i.try(t, signedBy(t, next)); err != nil {
			t.Errorf("a new key: %v", err)
		}
		time.Sleep(keysAtMost)
		if err := i.try(t, signedBy(t, old)); !errors.Is(err, ErrInvalid) {
			t.Errorf("the old one, which is withdrawn: %v", err)
		}

		// A key that is withdrawn goes within the hour even if nothing else makes us ask.
		a.set(func() { a.keys = []jose.JSONWebKey{old} })
		time.Sleep(keysFreshFor - time.Minute)
		if err := i.try(t, signedBy(t, next)); err != nil {
			t.Errorf("before it is asked for again: %v", err)
		}
		time.Sleep(time.Minute)
		if err := i.try(t, signedBy(t, next)); !errors.Is(err, ErrInvalid) {
			t.Errorf("withdrawn an hour ago: %v", err)
		}

		// An issuer that does not answer keeps nobody out whose key is known, for a day.
		a.set(func() { a.down = true })
		time.Sleep(keysUsableFor - time.Minute)
		if err := i.try(t, signedBy(t, old)); err != nil {
			t.Errorf("while the issuer is down: %v", err)
		}
		if err := i.try(t, signedBy(t, next)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a key that is not known while the issuer is down: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := i.try(t, signedBy(t, old)); !errors.Is(err, ErrUnavailable) {
			t.Errorf("for longer than a day: %v", err)
		}
		a.set(func() { a.down = false })
		time.Sleep(keysAtMost)
		if err := i.try(t, signedBy(t, old)); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}

// What is asked is bounded, and what is answered is not believed without need.
func TestWhatTheIssuerAnswers(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	genuine := ecKey(t, "genuine")
	good, _ := json.Marshal(genuine.Public())
	encrypts, unusual := genuine.Public(), genuine.Public()
	encrypts.Use = "enc"
	unusual.Algorithm = "ES384"
	raw := func(k jose.JSONWebKey) string { b, _ := json.Marshal(k); return string(b) }
	for name, c := range map[string]struct {
		answer string
		taken  bool
	}{
		"good":               {`{"keys":[` + string(good) + `]}`, true},
		"beside strange":     {`{"keys":[{"kty":"PQ","kid":"x"},7,{"kty":"oct","k":"AAAA","kid":"genuine"},` + string(good) + `],"more":1}`, true},
		"beside weak ones":   {`{"keys":[` + raw(jose.JSONWebKey{Key: &weak.PublicKey, KeyID: "genuine"}) + `,` + raw(jose.JSONWebKey{Key: ed.Public(), KeyID: "genuine"}) + `,` + string(good) + `]}`, true},
		"for encryption":     {`{"keys":[` + raw(encrypts) + `]}`, false},
		"another algorithm":  {`{"keys":[` + raw(unusual) + `]}`, false},
		"private":            {`{"keys":[` + raw(genuine) + `]}`, false},
		"none":               {`{"keys":[]}`, false},
		"not JSON":           {`<html>`, false},
		"larger than needed": {`{"keys":[` + string(good) + `],"x":"` + strings.Repeat("x", largestKeys) + `"}`, false},
	} {
		a := &authority{answers: map[string]string{"/jwks": c.answer}}
		err := asking(a).try(t, signedBy(t, genuine))
		if (err == nil) != c.taken || err != nil && (strings.Contains(err.Error(), "html") || a.times() != 1) {
			t.Errorf("%s: %v, asked %d times", name, err, a.times())
		}
	}
	synctest.Test(t, func(t *testing.T) { // the client's own timer would be the wall's: this is the question's
		a := &authority{keys: []jose.JSONWebKey{genuine}, delay: time.Hour}
		began := time.Now()
		if err := asking(a).try(t, signedBy(t, genuine)); !errors.Is(err, ErrUnavailable) || time.Since(began) > keysWithin {
			t.Errorf("an issuer that does not answer: %v after %v", err, time.Since(began))
		}
	})
}

func TestDiscovery(t *testing.T) {
	genuine := ecKey(t, "genuine")
	says := func(issuer, keys string) string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, keys) }
	const tenant = theIssuer + "/tenant"
	for name, c := range map[string]struct {
		issuer  string
		answers map[string]string
		taken   bool
	}{
		"OpenID":                 {theIssuer, map[string]string{"/.well-known/openid-configuration": says(theIssuer, theIssuer+"/jwks")}, true},
		"OAuth":                  {theIssuer, map[string]string{"/.well-known/oauth-authorization-server": says(theIssuer, theIssuer+"/jwks")}, true},
		"a path, OpenID":         {tenant, map[string]string{"/tenant/.well-known/openid-configuration": says(tenant, theIssuer+"/jwks")}, true},
		"a path, OAuth":          {tenant, map[string]string{"/.well-known/oauth-authorization-server/tenant": says(tenant, theIssuer+"/jwks")}, true},
		"of another issuer":      {theIssuer, map[string]string{"/.well-known/openid-configuration": says("https://evil.example", theIssuer+"/jwks")}, false},
		"keys over plain http":   {theIssuer, map[string]string{"/.well-known/openid-configuration": says(theIssuer, "http://issuer.example/jwks")}, false},
		"keys on this machine":   {theIssuer, map[string]string{"/.well-known/openid-configuration": says(theIssuer, "http://127.0.0.1/jwks")}, false},
		"no keys":                {theIssuer, map[string]string{"/.well-known/openid-configuration": says(theIssuer, "")}, false},
		"a slash, to the letter": {theIssuer, map[string]string{"/.well-known/openid-configuration": says(theIssuer+"/", theIssuer+"/jwks")}, false},
		"nothing":                {theIssuer, nil, false},
	} {
		a := &authority{keys: []jose.JSONWebKey{genuine}, answers: c.answers}
		k := newKeySet(OAuth{Issuer: c.issuer})
		k.client.Transport = a
		if n, err := k.fetch(context.Background()); (err == nil) != c.taken || c.taken && n != 1 {
			t.Errorf("%s: %d keys, %v", name, n, err)
		}
	}
	for _, bad := range []OAuth{
		{Issuer: "http://issuer.example", Audience: "x"},
		{Issuer: "issuer.example", Audience: "x"},
		{Issuer: "https://u:p@issuer.example", Audience: "x"},
		{Issuer: "https://issuer.example#x", Audience: "x"},
		{Issuer: theIssuer},
		{Issuer: theIssuer, Audience: "x", KeysURL: "http://issuer.example/jwks"},
		{Issuer: "http://localhost.evil.example", Audience: "x"},
		{Issuer: "ftp://127.0.0.1", Audience: "x"},
	} {
		if _, err := New(Options{OAuth: &bad}); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	for _, fine := range []string{theIssuer, "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"} {
		if a, err := New(Options{OAuth: &OAuth{Issuer: fine, Audience: "x"}}); err != nil || a.Issuer() != fine {
			t.Errorf("%s: %v", fine, err)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("neither kind of tokens, and no error")
	}
}

// A key without a name is meant only where there is one.
func TestTokenWithoutKeyName(t *testing.T) {
	one, two := ecKey(t, "one"), ecKey(t, "two")
	nameless := one
	nameless.KeyID = ""
	for n, keys := range [][]jose.JSONWebKey{{one}, {one, two}} {
		err := asking(&authority{keys: keys}).try(t, signedBy(t, nameless))
		if alone := n == 0; (err == nil) != alone {
			t.Errorf("among %d keys: %v", len(keys), err)
		}
	}
}

// Whom to believe is asked where the operator said, and nowhere that an answer points to.
func TestKeysAreNotFetchedElsewhere(t *testing.T) {
	key := ecKey(t, "one")
	a := &authority{keys: []jose.JSONWebKey{key}, moved: true}
	if err := asking(a).try(t, signedBy(t, key)); !errors.Is(err, ErrUnavailable) || a.times() != 1 {
		t.Errorf("after %d questions: %v", a.times(), err)
	}
}

// A stream that was begun with a token ends with it, but for what clocks may differ.
func TestOAuthTokenIsStillTakenUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := ecKey(t, "one")
		id, err := asking(&authority{keys: []jose.JSONWebKey{key}}).identify(t.Context(), signedBy(t, key), time.Now())
		if err != nil || !id.Still() {
			t.Fatal(err)
		}
		time.Sleep(1000 * time.Hour)
		if !id.Still() {
			t.Error("it ended before its time")
		}
		time.Sleep(leeway + time.Second)
		if id.Still() {
			t.Error("it goes on for ever")
		}
	})
}
