package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/server"
)

// bearing is a client's transport that shows a token with each request.
type bearing struct {
	http.RoundTripper
	token string
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.RoundTripper.RoundTrip(r)
}

func newBearer(t *testing.T, url, token string, modern bool) *httpClient {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &httpClient{t: t, url: url, modern: modern, http: &http.Client{Transport: bearing{transport, token}}}
	if !modern {
		resp := c.post(t.Context(), line("hello", "initialize", initialize))
		defer resp.Body.Close()
		if c.session = resp.Header.Get("Mcp-Session-Id"); resp.StatusCode != http.StatusOK || c.session == "" {
			t.Fatalf("initialize: %s", resp.Status)
		}
		c.accepted(initialized)
	}
	return c
}

// as gives status and body of a request of one's own with another's session.
func (c *httpClient) as(session, method, body string) (int, string) {
	c.t.Helper()
	other := *c
	other.session = session
	resp := other.do(other.request(c.t.Context(), method, body))
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// A session is the principal's that began it: for another it does not exist, whatever it is used for.
func TestSessionsHaveOwners(t *testing.T) {
	s := newTools()
	url, file := protected(t, s, nil, server.HTTPOptions{})
	place := phone.PlaceScope
	ann, annToo, eve := newStatic(t, file, "ann", place), newStatic(t, file, "ann", place), newStatic(t, file, "eve", place)
	a, b, e := newBearer(t, url, ann, false), newBearer(t, url, annToo, false), newBearer(t, url, eve, false)
	listening := a.get(t.Context())
	defer listening.Body.Close()
	done := make(chan []rpc, 1)
	go func() { done <- a.call(5, "hang", `{"tag":"a"}`, ``) }()
	receive(t, s.started, "a's call")

	messages := []string{
		line(1, "tools/call", callParams("quick", `{}`, ``, false)), line(1, "ping", `{}`), line(1, "tools/list", `{}`),
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{}}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`,
	}
	for _, m := range messages {
		foreign, text := e.as(a.session, http.MethodPost, m)
		unknown, same := e.as(strings.Repeat("A", len(a.session)), http.MethodPost, m)
		if foreign != http.StatusNotFound || unknown != foreign || text != same {
			t.Errorf("%s: %d %q, and for one that does not exist %d %q", m, foreign, text, unknown, same)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if status, _ := e.as(a.session, method, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d", method, status)
		}
	}
	// In the disguise of the other era, and as no message at all.
	disguised := &httpClient{t: t, url: url, modern: true, session: a.session, http: e.http}
	if got := disguised.call(6, "quick", `{}`, ``); got[len(got)-1].text(t) != "token:eve" {
		t.Errorf("in disguise: %+v", got)
	}
	for _, m := range []string{`[` + messages[0] + `]`, `{"jsonrpc":"2.0","id":1,"method":7}`, messages[0] + messages[0], `null`, ``} {
		if status, text := e.as(a.session, http.MethodPost, m); strings.Contains(text, "local") || strings.Contains(text, "token:ann") {
			t.Errorf("%s: %d %s", m, status, text)
		}
	}
	select {
	case who := <-s.ended:
		t.Fatalf("the call of %q was cancelled", who)
	default:
	}
	// Another token of the same name is the same principal.
	if status, _ := b.as(a.session, http.MethodPost, messages[1]); status != http.StatusOK {
		t.Errorf("the principal's other token: %d", status)
	}
	a.accepted(messages[3])
	receive(t, s.ended, "a's own cancel")
	receive(t, done, "the end of a's call")
}

// A stream that would listen for ever ends soon after its token is revoked, and the next request is refused.
func TestRevocationEndsWhatListens(t *testing.T) {
	s := newTools()
	url, file := protected(t, s, nil, server.HTTPOptions{})
	ann := newStatic(t, file, "ann", phone.ReadScope)
	legacy, modern := newBearer(t, url, ann, false), newBearer(t, url, ann, true)
	listening := legacy.get(t.Context())
	defer listening.Body.Close()
	subscribed := modern.post(t.Context(), line(9, "subscriptions/listen", `{"notifications":{"toolsListChanged":true},"_meta":{`+modernMeta+`}}`))
	defer subscribed.Body.Close()
	if _, err := auth.Revoke(file, "ann"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*httpClient{legacy, modern} {
		resp := c.post(t.Context(), line(1, "tools/list", `{"_meta":{`+modernMeta+`}}`))
		if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("the next request: %s", resp.Status)
		}
	}
	ended := make(chan error, 2)
	for _, stream := range []*http.Response{listening, subscribed} {
		go func() {
			_, err := io.ReadAll(stream.Body)
			ended <- err
		}()
	}
	for range 2 {
		if err := receive(t, ended, "the end of a stream"); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	}
	// While the file is away nothing is known of tokens: that is no reason to throw one away.
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	if resp, _ := tries(t, url, with("odt_X")); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("without the file: %s", resp.Status)
	}
	if resp := get(t, url+"/readyz"); resp.Code != http.StatusServiceUnavailable {
		t.Errorf("ready without the file: %d", resp.Code)
	}
	if err := os.WriteFile(file, []byte("not a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if resp := get(t, url+"/readyz"); resp.Code != http.StatusOK || !strings.Contains(resp.Body.String(), "1 lines") {
		t.Errorf("with a line that is not understood: %d %s", resp.Code, resp.Body)
	}
}

// What a token may not do is refused before anything runs, and the answer says which scope is missing.
func TestScopesOverHTTP(t *testing.T) {
	s := newTools() // all but quick are not read-only
	url, file := protected(t, s, nil, server.HTTPOptions{})
	read, place, metrics := newStatic(t, file, "reader", phone.ReadScope), newStatic(t, file, "placer", phone.PlaceScope), newStatic(t, file, "prometheus", phone.MetricsScope)
	for _, modern := range []bool{false, true} {
		c := newBearer(t, url, read, modern)
		body := func(tool string) string {
			return line(1, "tools/call", callParams(tool, `{"n":1}`, ``, modern))
		}
		resp := c.post(t.Context(), body("burst"))
		resp.Body.Close()
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusForbidden || got != `Bearer realm="outdial", error="insufficient_scope", scope="calls:place"` {
			t.Errorf("modern=%v: %s, %q", modern, resp.Status, got)
		}
		if got := c.call(2, "quick", `{}`, ``); got[len(got)-1].text(t) != "token:reader" {
			t.Errorf("%+v", got)
		}
		p := newBearer(t, url, place, modern)
		for tool, want := range map[string]string{"burst": "sent", "quick": "token:placer"} { // who places may read
			if got := p.call(3, tool, `{"n":1}`, ``); got[len(got)-1].text(t) != want {
				t.Errorf("%+v", got)
			}
		}
	}
	resp, _ := tries(t, url, with(metrics))
	if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusForbidden || !strings.Contains(got, `error="insufficient_scope", scope="calls:place calls:read"`) {
		t.Errorf("with a scope for other things: %s, %q", resp.Status, got)
	}
}

// A token that may only read says no yes to a question: an answer may let a call go through.
func TestAnswersNeedThePlaceScope(t *testing.T) {
	url, file := protected(t, newTools(), nil, server.HTTPOptions{})
	read, place := newStatic(t, file, "ann", phone.ReadScope), newStatic(t, file, "ann", phone.PlaceScope)
	session := newBearer(t, url, place, false).session
	for token, want := range map[string]int{read: http.StatusForbidden, place: http.StatusBadRequest} { // nothing was asked
		c := newBearer(t, url, token, false)
		for _, answer := range []string{`"result":{"action":"accept"}`, `"error":{"code":1,"message":"x"}`} {
			if status, text := c.as(session, http.MethodPost, `{"jsonrpc":"2.0","id":1,`+answer+`}`); status != want {
				t.Errorf("%s: %d %s, want %d", answer, status, text, want)
			}
		}
	}
}

// One principal cannot take the sessions of all.
func TestSessionsArePerPrincipal(t *testing.T) {
	url, file := protected(t, newTools(), nil, server.HTTPOptions{})
	ann, eve := newStatic(t, file, "ann", phone.ReadScope), newStatic(t, file, "eve", phone.ReadScope)
	a, e := newBearer(t, url, ann, false), newBearer(t, url, eve, false)
	first := e.session
	for range 256 {
		resp := e.do(e.request(t.Context(), http.MethodPost, line(1, "initialize", initialize)))
		if resp.Body.Close(); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	if status, _ := e.as(first, http.MethodPost, line(1, "ping", `{}`)); status != http.StatusNotFound {
		t.Errorf("the principal's own, idle longest: %d", status)
	}
	if status, text := a.as(a.session, http.MethodPost, line(1, "ping", `{}`)); status != http.StatusOK {
		t.Errorf("another's: %d %s", status, fmt.Sprint(text))
	}
}

// What was shown to get in stays at the door: no tool can hand it on.
func TestTokenStaysAtTheDoor(t *testing.T) {
	s := newTools()
	s.AddTool(mcp.NewTool("headers", mcp.WithReadOnlyHintAnnotation(true)), func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(fmt.Sprint(req.Header)), nil
	})
	url, file := protected(t, s, nil, server.HTTPOptions{})
	token := newStatic(t, file, "ann", phone.ReadScope)
	for _, modern := range []bool{false, true} {
		c := newBearer(t, url, token, modern)
		got := c.call(1, "headers", `{}`, ``)
		if text := got[len(got)-1].text(t); strings.Contains(text, token) || !strings.Contains(text, "Content-Type") {
			t.Errorf("modern=%v: a tool sees %s", modern, text)
		}
	}
}

// Nor the places of all that wait.
func TestRequestsArePerPrincipal(t *testing.T) {
	s := newTools()
	file := filepath.Join(t.TempDir(), "tokens")
	ann, eve := newStatic(t, file, "ann", phone.PlaceScope), newStatic(t, file, "eve", phone.PlaceScope)
	a, err := auth.New(auth.Options{TokensFile: file})
	if err != nil {
		t.Fatal(err)
	}
	e := server.Handler(s.MCPServer, server.HTTPOptions{Auth: a})
	e.AtOnce(3)
	web := httptest.NewServer(e)
	t.Cleanup(web.Close)
	ctx, hangUp := context.WithCancel(t.Context())
	many := newBearer(t, web.URL, eve, true)
	ended := make(chan struct{}, 3)
	for i := range 3 {
		go func() {
			if resp, err := many.http.Do(many.request(ctx, http.MethodPost, line(i, "tools/call", callParams("hang", `{}`, ``, true)))); err == nil {
				resp.Body.Close()
			}
			ended <- struct{}{}
		}()
		receive(t, s.started, "a call that hangs")
	}
	if resp, _ := tries(t, web.URL, with(eve)); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %s", resp.Status)
	}
	if resp, _ := tries(t, web.URL, with(ann)); resp.StatusCode != http.StatusOK {
		t.Errorf("another's: %s", resp.Status)
	}
	hangUp()
	for range 3 {
		receive(t, s.ended, "the end of a call")
		receive(t, ended, "the end of a request")
	}
	web.CloseClientConnections() // and with it of what counts them
	for range 100 {
		if resp, _ := tries(t, web.URL, with(eve)); resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Error("the places stay taken")
}

// Where nobody is asked who they are, the public address leads to no call: it is there for others than those at this machine.
func TestPublicAddressNeedsAuthentication(t *testing.T) {
	web := serveHTTP(t, newTools(), server.HTTPOptions{PublicURL: "https://phone.example.com"})
	for host, want := range map[string]int{"phone.example.com": 403, "PHONE.example.com:443": 403, strings.TrimPrefix(web.URL, "http://"): 200} {
		if resp, body := tries(t, web.URL, func(r *http.Request) { r.Host = host }); resp.StatusCode != want {
			t.Errorf("%s: %s %s", host, resp.Status, body)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "phone.example.com"
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("whether it lives: %s", resp.Status)
	}
}
