package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	pamela "github.com/outdial/outdial/providers/pamela/standin"
	stepone "github.com/outdial/outdial/providers/stepone/standin"
)

// eavesdropper keeps everything that a stand-in is sent.
type eavesdropper struct {
	http.Handler
	mu   sync.Mutex
	said bytes.Buffer
}

func (e *eavesdropper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	e.mu.Lock()
	e.said.WriteString(r.Method + " " + r.URL.String() + " " + r.Host + "\n")
	_ = r.Header.Write(&e.said)
	e.said.Write(body)
	e.mu.Unlock()
	e.Handler.ServeHTTP(w, r)
}

func (e *eavesdropper) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.String()
}

// throughProxy reaches a server as a proxy in front of it does, under its public name.
type throughProxy struct {
	*http.Transport
	public string
}

func (p throughProxy) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = p.public
	r.Header.Set("X-Forwarded-For", "192.0.2.7")
	return p.Transport.RoundTrip(r)
}

const publicName = "phone.example.com"

// connect is mcp-go's own client with a token, in either era.
func connect(t *testing.T, url, token string, modern bool) (*client.Client, error) {
	t.Helper()
	carrier := &http.Transport{}
	t.Cleanup(carrier.CloseIdleConnections)
	way, err := transport.NewStreamableHTTP(url, transport.WithHTTPBasicClient(&http.Client{Transport: throughProxy{carrier, publicName}}),
		transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + token}))
	if err != nil {
		t.Fatal(err)
	}
	var options []client.ClientOption
	if !modern {
		options = append(options, client.WithLegacyProtocolOnly()) //nolint:staticcheck // most clients still shake hands
	}
	c := client.NewClient(way, options...)
	t.Cleanup(func() { _ = c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = c.Initialize(ctx, mcp.InitializeRequest{Params: mcp.InitializeParams{ClientInfo: mcp.Implementation{Name: "test", Version: "1"}}})
	return c, err
}

func use(t *testing.T, c *client.Client, tool string, arguments map[string]any, token any) (call map[string]any, failed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q := mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool, Arguments: arguments}}
	if token != nil {
		q.Params.Meta = &mcp.Meta{ProgressToken: token}
	}
	r, err := c.CallTool(ctx, q)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	call, _ = r.StructuredContent.(map[string]any)
	return call, r.IsError
}

// outdial runs a command to its end.
func outdial(t *testing.T, env []string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "outdial", args...)
	c.Env = env
	out, err := c.Output()
	if err != nil {
		t.Fatalf("outdial %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// The whole program with real clients: their tokens let them in and go nowhere else, each sees its own calls, and a token
// that is revoked is out while the server runs.
func TestBearers(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signing := jose.JSONWebKey{Key: key, KeyID: "k", Use: "sig", Algorithm: "ES256"}
	issuer := &eavesdropper{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{signing.Public()}})
	})}
	calls := pamela.New(pamela.Options{Speed: speed})
	china, america := &eavesdropper{Handler: stepone.New(stepone.Options{Speed: speed})}, &eavesdropper{Handler: calls}
	var at []string
	for _, h := range []http.Handler{issuer, china, america} {
		s := httptest.NewServer(h)
		t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
		at = append(at, s.URL)
	}
	t.Cleanup(func() { _ = calls.Close() })

	home := t.TempDir()
	env := append(withStepOne(at[1]), "PAMELA_API_KEY=pk_live_any", "PAMELA_API_BASE="+at[2], "OUTDIAL_LOG_LEVEL=debug",
		"OUTDIAL_TOKENS_FILE="+filepath.Join(home, "tokens"), "OUTDIAL_PUBLIC_URL=https://"+publicName,
		"OUTDIAL_OAUTH_ISSUER="+at[0], "OUTDIAL_OAUTH_JWKS_URL="+at[0]+"/keys")
	whole := append(slices.Clone(env), "HOME="+home, "GORACE="+raceOptions)
	ann := outdial(t, whole, "token", "new", "ann")
	reader := outdial(t, whole, "token", "new", "reader", "--scope", "calls:read")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signing}, nil)
	if err != nil {
		t.Fatal(err)
	}
	bob, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": at[0], "aud": "https://" + publicName + "/mcp", "sub": "bob", "exp": time.Now().Add(time.Hour).Unix(), "scope": "calls:place calls:read",
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}

	server := spawn(t, home, env, "http", "--addr", "127.0.0.1:0")
	url := ""
	for deadline := time.Now().Add(patience); url == ""; {
		if _, rest, ok := strings.Cut(server.stderr.String(), "outdial: http://"); ok && strings.Contains(rest, "\n") {
			url = "http://" + strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0])
		} else if time.Now().After(deadline) {
			t.Fatalf("it does not listen: %s", server.stderr)
		}
		select { // there is nothing to wait for but what it writes
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	var ids []string
	for i, modern := range []bool{false, true} {
		for j, token := range []string{ann, bob} {
			c, err := connect(t, url, token, modern)
			if err != nil {
				t.Fatalf("modern=%v: %v\n%s", modern, err, server.stderr)
			}
			var mu sync.Mutex
			progress := 0
			c.OnNotification(func(n mcp.JSONRPCNotification) {
				mu.Lock()
				defer mu.Unlock()
				progress++
			})
			to := [][]string{{"+8613800138010", "+12125550111"}, {"+12125550112", "+8613800138011"}}[i][j]
			call, failed := use(t, c, "create_call", map[string]any{"to": to, "task": "Ask for the opening hours", "wait_seconds": 20}, "p")
			id, _ := call["call_id"].(string)
			if failed || id == "" {
				t.Fatalf("create_call: %v", call)
			}
			if call, failed = use(t, c, "stream_transcript", map[string]any{"call_id": id}, "q"); failed || call["status"] != "ended" {
				t.Errorf("stream_transcript: %v", call)
			}
			mu.Lock()
			if progress == 0 {
				t.Error("no progress came")
			}
			mu.Unlock()
			ids = append(ids, id)
		}
	}
	// Ann placed the first and the third, Bob the others: each sees two, of either era, and no more.
	for n, token := range []string{ann, bob} {
		c, err := connect(t, url, token, n == 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if call, failed := use(t, c, "get_call", map[string]any{"call_id": id}, nil); failed != (i%2 != n) {
				t.Errorf("principal %d, call %d: %v", n, i, call)
			}
		}
		list, _ := use(t, c, "list_calls", nil, nil)
		if own, _ := list["calls"].([]any); len(own) != 2 {
			t.Errorf("principal %d lists %d calls", n, len(own))
		}
	}
	c, err := connect(t, url, reader, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CallTool(t.Context(), mcp.CallToolRequest{Params: mcp.CallToolParams{Name: "create_call", Arguments: map[string]any{"to": "+12125550113", "task": "x"}}}); err == nil {
		t.Error("a token that may only read placed a call")
	}

	outdial(t, whole, "token", "revoke", "ann")
	if _, err := connect(t, url, ann, true); err == nil {
		t.Error("a revoked token is still taken")
	}
	if _, err := connect(t, url, bob, false); err != nil {
		t.Errorf("the others: %v", err)
	}
	for name, heard := range map[string]string{"StepOne": china.String(), "Pamela": america.String(), "the issuer": issuer.String(), "the log": server.stderr.String()} {
		if heard == "" {
			t.Errorf("%s heard nothing: then this shows nothing", name)
		}
		for _, token := range []string{ann, bob, reader} {
			if strings.Contains(heard, token) || strings.Contains(heard, token[len(token)-20:]) || strings.Contains(heard, "192.0.2.7") {
				t.Errorf("%s heard a client's token, or of its address", name)
			}
		}
	}
}
