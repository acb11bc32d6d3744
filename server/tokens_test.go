package server_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/server"
)

// authority is an OAuth issuer on loopback.
type authority struct {
	*httptest.Server
	mu   sync.Mutex
	keys []jose.JSONWebKey
	seen []*http.Request
}

func newAuthority(t *testing.T, keys ...jose.JSONWebKey) *authority {
	t.Helper()
	a := &authority{keys: keys}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen = append(a.seen, r)
		var answer any
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server":
			answer = map[string]string{"issuer": a.URL, "jwks_uri": a.URL + "/keys"}
		case "/keys":
			public := jose.JSONWebKeySet{}
			for _, k := range a.keys {
				public.Keys = append(public.Keys, k.Public())
			}
			answer = public
		default:
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) set(keys ...jose.JSONWebKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = keys
}

// asked are the paths that were asked for, but those that the server itself has to.
func (a *authority) asked() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.seen {
		if r.URL.Path != "/keys" && !strings.HasPrefix(r.URL.Path, "/.well-known/") || r.Header.Get("Authorization") != "" {
			all = append(all, r.URL.Path)
		}
	}
	return all
}

func newKey(t *testing.T, kid string, alg jose.SignatureAlgorithm) jose.JSONWebKey {
	t.Helper()
	var key any
	var err error
	switch alg {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: kid, Use: "sig"}
}

// minted signs claims; header goes into the token's.
func minted(t *testing.T, alg jose.SignatureAlgorithm, key jose.JSONWebKey, claims, header map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	o.WithType("at+jwt")
	for k, v := range header {
		o.WithHeader(jose.HeaderKey(k), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// protected serves a server's tools to who has a token: static ones of a file, and those of an issuer if there is one.
func protected(t *testing.T, s *tools, a *authority, o server.HTTPOptions) (url, tokensFile string) {
	t.Helper()
	tokensFile = filepath.Join(t.TempDir(), "tokens")
	_ = newStatic(t, tokensFile, "somebody", phone.PlaceScope)
	web := httptest.NewUnstartedServer(nil)
	url = "http://" + web.Listener.Addr().String()
	with := auth.Options{TokensFile: tokensFile}
	if a != nil {
		with.OAuth = &auth.OAuth{Issuer: a.URL, Audience: url + "/mcp"}
		o.PublicURL = url
	}
	var err error
	if o.Auth, err = auth.New(with); err != nil {
		t.Fatal(err)
	}
	e := server.Handler(s.MCPServer, o)
	e.RecheckEvery(50 * time.Millisecond)
	web.Config.Handler = e
	web.Start()
	t.Cleanup(web.Close)
	return url, tokensFile
}

func newStatic(t *testing.T, file, name string, scopes ...string) string {
	t.Helper()
	token, e, err := auth.NewToken(name, scopes)
	if err == nil {
		err = auth.Add(file, e, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// tries posts a modern request that needs no session, with change made to it, and gives the answer, read to its end.
func tries(t *testing.T, url string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	c := &httpClient{t: t, url: url, modern: true, http: http.DefaultClient}
	r := c.request(t.Context(), http.MethodPost, line(1, "tools/call", callParams("quick", `{}`, ``, true)))
	change(r)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func with(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// Promise 26: only tokens that our issuer made for us, and those of the file, are taken.
func TestTokenMatrix(t *testing.T) {
	rs, es, ed := newKey(t, "rs", jose.RS256), newKey(t, "es", jose.ES256), newKey(t, "ed", jose.EdDSA)
	issuer, evil := newAuthority(t, rs, es, ed), newAuthority(t, newKey(t, "rs", jose.RS256))
	s := newTools()
	ran := false
	s.started = make(chan string, 1000)
	url, file := protected(t, s, issuer, server.HTTPOptions{})
	now := time.Now()
	claims := func(change ...any) map[string]any {
		c := map[string]any{
			"iss": issuer.URL, "aud": url + "/mcp", "sub": "ann", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "calls:place calls:read", "client_id": "c",
		}
		for i := 0; i < len(change); i += 2 {
			name, _ := change[i].(string)
			if c[name] = change[i+1]; change[i+1] == nil {
				delete(c, name)
			}
		}
		return c
	}
	mint := func(change ...any) string { return minted(t, jose.RS256, rs, claims(change...), nil) }
	good := mint()
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	public, err := x509.MarshalPKIXPublicKey(publicOf(t, rs))
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	hs := func(secret []byte, kid string) string {
		return minted(t, jose.HS256, jose.JSONWebKey{Key: secret, KeyID: kid}, claims(), nil)
	}
	own := newKey(t, "rs", jose.RS256) // an attacker's, under the name of a genuine one
	stranger := newKey(t, "nobody", jose.RS256)
	unsigned := func(alg string) string {
		return b64(`{"alg":"`+alg+`","typ":"at+jwt","kid":"rs"}`) + "." + payload + "."
	}
	file1 := newStatic(t, file, "ann", phone.ReadScope)

	type hostile struct {
		send   func(*http.Request)
		status []int
	}
	refused, malformed, forbidden := []int{401}, []int{400}, []int{403}
	cases := map[string][]hostile{
		"1 audience": {
			{with(mint("aud", "https://other.example/mcp")), refused},
			{with(mint("aud", nil)), refused},
			{with(mint("aud", []string{})), refused},
			{with(mint("aud", url)), refused},
			{with(mint("aud", url+"/mcp/")), refused},
			{with(mint("aud", 7)), refused},
		},
		"2 issuer":     {{with(mint("iss", evil.URL)), refused}, {with(mint("iss", nil)), refused}, {with(mint("iss", issuer.URL+"/")), refused}},
		"3 expiry":     {{with(mint("exp", now.Add(-time.Hour).Unix())), refused}, {with(mint("exp", nil)), refused}, {with(mint("exp", "never")), refused}, {with(mint("exp", 1e300)), refused}},
		"4 not before": {{with(mint("nbf", now.Add(time.Hour).Unix())), refused}, {with(mint("nbf", 9e18)), refused}, {with(mint("iat", now.Add(time.Hour).Unix())), refused}},
		"5 no signature": {
			{with(unsigned("none")), refused},
			{with(unsigned("None") + signature), refused},
			{with(unsigned("") + signature), refused},
			{with(head + "." + payload + "."), refused},
			{with(head + "." + payload), refused},
		},
		"6 a public key as a shared secret": {{with(hs(asPEM, "rs")), refused}, {with(hs(public, "rs")), refused}, {with(hs(bytes.TrimSpace(asPEM), "")), refused}},
		"7 unknown key":                     {{with(minted(t, jose.RS256, stranger, claims(), nil)), []int{401, 503}}},
		"8 a key of the attacker's":         {{with(minted(t, jose.RS256, own, claims(), nil)), refused}, {with(minted(t, jose.PS256, own, claims(), nil)), refused}},
		"9 a key within the token": {
			{with(minted(t, jose.RS256, own, claims(), map[string]any{"jwk": own.Public()})), refused},
		},
		"10 an address of keys": {
			{with(minted(t, jose.RS256, own, claims(), map[string]any{"jku": evil.URL + "/keys"})), refused},
			{with(minted(t, jose.RS256, own, claims(), map[string]any{"x5u": evil.URL + "/keys"})), refused},
		},
		"11 scope": {
			{with(mint("scope", nil)), forbidden},
			{with(mint("scope", "")), forbidden},
			{with(mint("scope", "openid calls:placed")), forbidden},
			{with(mint("scope", "metrics:read")), forbidden},
			{with(mint("scope", []any{7})), refused},
		},
		"12 another resource": {{with(mint("aud", []string{"https://other.example/mcp", issuer.URL})), refused}, {with(mint("aud", nil, "resource", url+"/mcp")), refused}},
		"13 in the address": {
			{func(r *http.Request) { r.URL.RawQuery = "access_token=" + good }, malformed},
			{func(r *http.Request) { with(good)(r); r.URL.RawQuery = "x=1&access_token=" + good }, malformed},
			{func(r *http.Request) { with(good)(r); r.URL.RawQuery = "ACCESS%5Ftoken=" + good }, malformed},
			{func(r *http.Request) { r.URL.RawQuery = "token=" + good }, refused},
		},
		"14 in two headers": {
			{func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good} }, malformed},
			{func(r *http.Request) {
				r.Header["Authorization"] = []string{"Bearer " + mint("sub", "eve"), "Bearer " + good}
			}, malformed},
			{func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+good+", Bearer "+good) }, malformed},
			{func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "access_token", Value: good}) }, refused},
			{func(r *http.Request) { r.Header.Set("Proxy-Authorization", "Bearer "+good) }, refused},
			{func(r *http.Request) { r.SetBasicAuth("ann", good) }, refused},
			{func(r *http.Request) { r.Header.Set("Authorization", good) }, refused},
		},
		"15 altered": {
			{with(head + "." + b64(`{"iss":"`+issuer.URL+`","aud":"`+url+`/mcp","sub":"root","exp":9999999999,"scope":"calls:place"}`) + "." + signature), refused},
			{with(head + "." + payload + "." + b64("x"+signature)), refused},
			{with(good[:len(good)-8] + "AAAAAAAA"), refused},
			{with(b64(`{"alg":"RS512","typ":"at+jwt","kid":"rs"}`) + "." + payload + "." + signature), refused},
			{with(file1[:len(file1)-1] + string(file1[len(file1)-1]^1)), refused},
			{with(minted(t, jose.ES256, jose.JSONWebKey{Key: es.Key, KeyID: "rs"}, claims(), nil)), []int{401, 503}},
		},
		"16 no token at all": {
			{func(*http.Request) {}, refused},
			{with(""), []int{400, 401}},
			{with("   "), []int{400, 401}},
			{with("a b"), malformed},
			{with("\t"), []int{400, 401}},
			{with("."), refused},
			{with(".."), refused},
			{with("é"), refused},
			{with(strings.Repeat("a", 9<<10)), refused},
			{with(good + strings.Repeat("=", 9<<10)), refused},
			{with(`{"payload":"x","signatures":[]}`), []int{400, 401}},
			{with(mint("sub", nil)), refused},
			{with(mint("sub", "")), refused},
			{with(mint("sub", "a\nb")), refused},
			{with(mint("sub", strings.Repeat("a", 300))), refused},
			{with(minted(t, jose.RS256, rs, claims(), map[string]any{"typ": "logout+jwt"})), refused},
			{with("ann"), refused},
			{with("odt_"), refused},
		},
	}
	if len(cases) != 16 {
		t.Fatalf("%d mutations", len(cases))
	}
	n := 0
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		for i, c := range cases[name] {
			n++
			resp, body := tries(t, url, c.send)
			if strings.Contains(body, `"result"`) || resp.StatusCode == http.StatusOK {
				ran = true
			}
			code := resp.StatusCode
			if code == http.StatusTooManyRequests {
				code = 401 // there are many by now
			}
			if !slices.Contains(c.status, code) {
				t.Errorf("%s (%d): %s %s", name, i, resp.Status, body)
			}
			challenge := resp.Header.Get("WWW-Authenticate")
			if code != 503 && (!strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `resource_metadata="`+url+`/.well-known/oauth-protected-resource/mcp"`) || !strings.Contains(challenge, `scope="`)) {
				t.Errorf("%s (%d): the challenge is %q", name, i, challenge)
			}
			if strings.Contains(body+challenge, good) || strings.Contains(body+challenge, payload) {
				t.Errorf("%s (%d): the token comes back", name, i)
			}
		}
	}
	t.Logf("%d hostile requests in 16 kinds", n)
	if ran {
		t.Error("a tool ran")
	}

	// After all of that, from the same address, everything genuine is taken.
	genuine := map[string]struct{ token, principal string }{
		"RS256":                  {good, "oauth:ann"},
		"PS256":                  {minted(t, jose.PS256, rs, claims(), nil), "oauth:ann"},
		"ES256":                  {minted(t, jose.ES256, es, claims(), nil), "oauth:ann"},
		"EdDSA":                  {minted(t, jose.EdDSA, ed, claims(), nil), "oauth:ann"},
		"audiences":              {mint("aud", []string{"https://other.example", url + "/mcp"}), "oauth:ann"},
		"scp as a list":          {mint("scope", nil, "scp", []string{"calls:read"}), "oauth:ann"},
		"scp as words":           {mint("scope", nil, "scp", "calls:place openid"), "oauth:ann"},
		"scope as a list":        {mint("scope", []string{"calls:read"}), "oauth:ann"},
		"just expired":           {mint("exp", now.Add(-10*time.Second).Unix()), "oauth:ann"}, // clocks differ
		"not quite valid yet":    {mint("nbf", now.Add(10*time.Second).Unix()), "oauth:ann"},
		"typ JWT":                {minted(t, jose.RS256, rs, claims(), map[string]any{"typ": "JWT"}), "oauth:ann"},
		"typ application/at+jwt": {minted(t, jose.RS256, rs, claims(), map[string]any{"typ": "application/at+jwt"}), "oauth:ann"},
		"with a key of its own":  {minted(t, jose.RS256, rs, claims(), map[string]any{"jku": evil.URL, "jwk": own.Public()}), "oauth:ann"},
		"a subject of any kind":  {mint("sub", "local"), "oauth:local"},
		"another subject":        {mint("sub", "auth0|5f7c8ec7c33c6c004bbafe82"), "oauth:auth0|5f7c8ec7c33c6c004bbafe82"},
		"static":                 {file1, "token:ann"},
	}
	takes := func(name, token, principal string) {
		t.Helper()
		resp, body := tries(t, url, func(r *http.Request) { r.Header.Set("authorization", "bearer "+token) })
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, `"text":"`+principal+`"`) {
			t.Errorf("%s: %s %s", name, resp.Status, body)
		}
	}
	for name, c := range genuine {
		takes(name, c.token, c.principal)
	}
	if asked := append(evil.asked(), issuer.asked()...); len(asked) > 0 || len(evil.seen) > 0 {
		t.Errorf("asked for %v; the attacker %d times", asked, len(evil.seen))
	}
}

func publicOf(t *testing.T, k jose.JSONWebKey) any {
	t.Helper()
	key, ok := k.Key.(crypto.Signer)
	if !ok {
		t.Fatalf("%T", k.Key)
	}
	return key.Public()
}

// An issuer that changes its keys keeps nobody out.
func TestKeyRotation(t *testing.T) {
	first, second := newKey(t, "first", jose.ES256), newKey(t, "second", jose.ES256)
	issuer := newAuthority(t, second) // not asked yet
	url, _ := protected(t, newTools(), issuer, server.HTTPOptions{})
	issuer.set(first, second)
	for _, key := range []jose.JSONWebKey{first, second} {
		token := minted(t, jose.ES256, key, map[string]any{
			"iss": issuer.URL, "aud": url + "/mcp", "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(), "scope": "calls:read",
		}, nil)
		if resp, body := tries(t, url, with(token)); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", key.KeyID, resp.Status, body)
		}
	}
}

// However many forged tokens come, a right one gets through; the forged ones are told to wait.
func TestFloodOfForgedTokens(t *testing.T) {
	url, file := protected(t, newTools(), nil, server.HTTPOptions{})
	good := newStatic(t, file, "ann", phone.ReadScope)
	told := map[int]int{}
	for i := range 100 {
		resp, _ := tries(t, url, with(fmt.Sprintf("odt_FORGED%d", i)))
		if told[resp.StatusCode]++; resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
			t.Error("how long to wait is not told")
		}
		if resp, body := tries(t, url, with(good)); resp.StatusCode != http.StatusOK {
			t.Fatalf("after %d forged ones: %s %s", i, resp.Status, body)
		}
	}
	if told[401] != 20 || told[429] != 80 {
		t.Errorf("answered %v", told)
	}
	if resp, _ := tries(t, url, func(*http.Request) {}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token, which is no attempt: %s", resp.Status)
	}
}
