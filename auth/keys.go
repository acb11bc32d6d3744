package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	keysFreshFor  = time.Hour        // then they are asked for again: a key that the issuer has withdrawn goes
	keysUsableFor = 24 * time.Hour   // so long they hold where the issuer does not answer
	keysAtMost    = 15 * time.Second // between two questions, whatever tokens name
	keysWithin    = 5 * time.Second  // for one question
	keysWaiting   = 64               // requests that wait for one question
	largestKeys   = 512 << 10        // bytes of one answer
	mostKeys      = 100
	weakestRSA    = 2048 // bits
)

// keySet is the issuer's public keys. Tokens signed with a known key wait for nobody; one that names another key has the
// issuer asked, once for all who wait, and not again for a while: whoever makes up names of keys makes us ask no more often.
type keySet struct {
	issuer, url string
	client      *http.Client

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	learned time.Time // when the keys came
	asked   time.Time // when the issuer was asked last
	failed  error     // what came of that
	asking  chan struct{}
	waiting int
}

func newKeySet(o OAuth) *keySet {
	return &keySet{issuer: o.Issuer, url: o.KeysURL, client: &http.Client{
		Timeout:       keysWithin,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: keysWithin, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("it redirects") },
	}}
}

// find gives the key of that name for that algorithm. Errors: ErrInvalid where the issuer has none; ErrUnavailable where
// that is not known.
func (k *keySet) find(ctx context.Context, kid, alg string, now time.Time) (jose.JSONWebKey, error) {
	for {
		k.mu.Lock()
		key, ok := match(k.keys, kid, alg)
		age := now.Sub(k.learned)
		mayAsk := k.asked.IsZero() || now.Sub(k.asked) >= keysAtMost
		switch {
		case ok && (age < keysFreshFor || age < keysUsableFor && (!mayAsk || k.asking != nil)):
			k.mu.Unlock()
			return key, nil
		case k.asking != nil && k.waiting < keysWaiting:
			asking := k.asking
			k.waiting++
			k.mu.Unlock()
			select {
			case <-asking:
			case <-ctx.Done():
			}
			k.mu.Lock()
			k.waiting--
			k.mu.Unlock()
			if err := ctx.Err(); err != nil {
				return key, fmt.Errorf("%w: %w", ErrUnavailable, err)
			}
		case k.asking == nil && mayAsk:
			k.mu.Unlock()
			_, _ = k.fetch(context.WithoutCancel(ctx))
		default:
			failed, lately := k.failed, k.learned
			k.mu.Unlock()
			if failed == nil && !lately.Before(now) { // they came after this token did
				return key, fmt.Errorf("%w: the issuer has no such key", ErrInvalid)
			}
			return key, fmt.Errorf("%w: the issuer's keys: %w", ErrUnavailable, errOr(failed, errAskedLately))
		}
	}
}

var errAskedLately = errors.New("they were asked for a moment ago, and the token's is not among them")

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// match gives the key that a token must be signed with. Without a name it is the only one there is.
func match(keys []jose.JSONWebKey, kid, alg string) (jose.JSONWebKey, bool) {
	var fit []jose.JSONWebKey
	for _, key := range keys {
		if (kid == "" || key.KeyID == kid) && signs(key, alg) {
			fit = append(fit, key)
		}
	}
	if len(fit) == 0 || kid == "" && len(keys) > 1 {
		return jose.JSONWebKey{}, false
	}
	return fit[0], true
}

// signs says whether a key is one for an algorithm.
func signs(key jose.JSONWebKey, alg string) bool {
	if key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch key.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ES")
	case ed25519.PublicKey:
		return alg == string(jose.EdDSA)
	}
	return false
}

// fetch asks the issuer for its keys, unless that is under way, and says how many there are that can be used.
func (k *keySet) fetch(ctx context.Context) (int, error) {
	k.mu.Lock()
	if k.asking != nil {
		k.mu.Unlock()
		return 0, fmt.Errorf("%w: the issuer is being asked already", ErrUnavailable)
	}
	done := make(chan struct{})
	k.asking = done
	k.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, keysWithin)
	defer cancel()
	keys, err := k.ask(ctx)

	k.mu.Lock()
	defer k.mu.Unlock()
	k.asking, k.asked, k.failed = nil, time.Now(), err
	if err == nil {
		k.keys, k.learned = keys, k.asked
	}
	close(done)
	if err != nil {
		return 0, fmt.Errorf("%w: the issuer's keys: %w", ErrUnavailable, err)
	}
	return len(keys), nil
}

func (k *keySet) ask(ctx context.Context) ([]jose.JSONWebKey, error) {
	from := k.url
	if from == "" {
		var err error
		if from, err = k.discover(ctx); err != nil {
			return nil, err
		}
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, from, &set); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && usable(key) && len(keys) < mostKeys {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("there is none that could be used")
	}
	return keys, nil
}

// usable says whether a key is a public one for signatures, of a strength that is none only on paper.
func usable(key jose.JSONWebKey) bool {
	if !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
		return false
	}
	if pub, ok := key.Key.(*rsa.PublicKey); ok {
		return pub.N.BitLen() >= weakestRSA
	}
	return slices.ContainsFunc(algorithms(), func(a jose.SignatureAlgorithm) bool { return signs(key, string(a)) })
}

// discover asks for the issuer's metadata, as OpenID Connect and as RFC 8414 place it, and gives the address of its keys.
func (k *keySet) discover(ctx context.Context) (string, error) {
	u, err := url.Parse(k.issuer)
	if err != nil {
		return "", errors.New("the issuer is no address")
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	var failed error
	for _, at := range []string{origin + path + "/.well-known/openid-configuration", origin + "/.well-known/oauth-authorization-server" + path} {
		var metadata struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := k.get(ctx, at, &metadata); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		keys, err := url.Parse(metadata.Keys)
		switch {
		case metadata.Issuer != k.issuer:
			return "", fmt.Errorf("%s is of another issuer", at)
		case err != nil || secureURL(metadata.Keys) != nil || isLoopback(keys.Hostname()) && !isLoopback(u.Hostname()):
			return "", fmt.Errorf("%s names no https address for keys", at)
		}
		return metadata.Keys, nil
	}
	return "", failed
}

// get reads a JSON document of the issuer's. Its errors repeat nothing of it.
func (k *keySet) get(ctx context.Context, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return errors.New("not an address")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", from, resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, largestKeys+1))
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if len(raw) > largestKeys || json.Unmarshal(raw, into) != nil {
		return fmt.Errorf("%s answers what is no JSON document of a reasonable size", from)
	}
	return nil
}
