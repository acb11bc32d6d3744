package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/server"
)

// lan is an address of this machine's that is not loopback; empty if it has none.
func lan(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return ""
}

// Promise 25: pages in a browser, however they name us, reach nothing; whom it may concern does. On real connections; the
// body of each hostile request never ends, and nothing waits for it.
func TestHostOriginMatrix(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	token := newStatic(t, file, "ann", phone.ReadScope)
	a, err := auth.New(auth.Options{TokensFile: file})
	if err != nil {
		t.Fatal(err)
	}
	open := func(bind string, o server.HTTPOptions) (port string) {
		ln, err := server.Listen(bind+":0", o.Auth != nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- server.HTTP(ctx, ln, server.Handler(newTools().MCPServer, o)) }()
		t.Cleanup(func() { stop(); <-done })
		_, port, err = net.SplitHostPort(ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	protect := server.HTTPOptions{
		Auth: a, PublicURL: "https://phone.example.com", AllowedHosts: []string{"outdial:8757", "compose-name"}, AllowedOrigins: []string{"https://inspector.example.com"},
	}
	const local = "127.0.0.1"
	network := lan(t)
	if network == "" {
		network = "127.0.0.2" // the same rules, though the address is loopback
		t.Log("no address beyond loopback here: the cases of the network run on 127.0.0.2")
	}
	plain, guarded, everywhere := open(local, server.HTTPOptions{}), open(local, protect), open("0.0.0.0", protect)
	const none = "-"
	cases := []struct {
		name, at, port, host, origin string // PORT is the listener's
		pass                         bool
	}{
		{"loopback, as it should be", local, plain, "127.0.0.1:PORT", none, true},
		{"loopback by name", local, plain, "localhost:PORT", none, true},
		{"loopback, its own page", local, plain, "127.0.0.1:PORT", "http://127.0.0.1:PORT", true},
		{"loopback, its own page by name", local, plain, "localhost:PORT", "http://localhost:PORT", true},
		{"loopback, a page of somebody else's", local, plain, "127.0.0.1:PORT", "https://evil.example", false},
		{"loopback, rebinding", local, plain, "evil.example:PORT", "http://evil.example:PORT", false},
		{"loopback, rebinding, without an origin", local, plain, "evil.example:PORT", none, false},
		{"loopback, origin null", local, plain, "127.0.0.1:PORT", "null", false},
		{"loopback, another port", local, plain, "127.0.0.1:1", none, false},
		{"loopback, a page of another port", local, plain, "127.0.0.1:PORT", "http://127.0.0.1:1", false},
		{"loopback, the public address that is not set", local, plain, "phone.example.com", none, false},
		{"the public address, through a proxy", local, guarded, "phone.example.com", none, true},
		{"the public address, with its port", local, guarded, "Phone.Example.com:443", "https://phone.example.com", true},
		{"the public address, another port", local, guarded, "phone.example.com:8443", none, false},
		{"the public address, a page without TLS", local, guarded, "phone.example.com", "http://phone.example.com", false},
		{"the public address, a page of somebody else's", local, guarded, "phone.example.com", "https://evil.example", false},
		{"the network, by address", network, everywhere, network + ":PORT", none, true},
		{"the network, its own page", network, everywhere, network + ":PORT", "http://" + network + ":PORT", true},
		{"the network, a page of somebody else's", network, everywhere, network + ":PORT", "https://evil.example", false},
		{"the network, rebinding", network, everywhere, "evil.example:PORT", "http://evil.example:PORT", false},
		{"the network, origin null", network, everywhere, network + ":PORT", "null", false},
		{"the network, a name that resolves to us", network, everywhere, "printer.lan:PORT", none, false},
		{"a container's name", network, everywhere, "outdial:8757", none, true},
		{"an allowed page", network, everywhere, "compose-name:80", "https://inspector.example.com", true},
	}
	if len(cases) != 24 {
		t.Fatalf("%d cases", len(cases))
	}
	modern := &httpClient{t: t, url: "", modern: true}
	call := modern.request(t.Context(), http.MethodPost, line(1, "tools/call", callParams("quick", `{}`, ``, true)))
	body := line(1, "tools/call", callParams("quick", `{}`, ``, true))
	requests := 0
	for _, c := range cases {
		own := func(s string) string { return strings.ReplaceAll(s, "PORT", c.port) }
		for _, route := range []string{"POST /mcp", "GET /healthz", "GET /readyz", "GET /.well-known/oauth-protected-resource", "POST /webhooks/pamela", "GET /metrics", "OPTIONS *", "GET /", "DELETE /mcp"} {
			requests++
			method, path, _ := strings.Cut(route, " ")
			head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, own(c.host))
			if c.origin != none {
				head += "Origin: " + own(c.origin) + "\r\n"
			}
			if path == "/mcp" {
				for k := range call.Header {
					head += k + ": " + call.Header.Get(k) + "\r\n"
				}
				head += "Authorization: Bearer " + token + "\r\n"
			}
			send := ""
			switch {
			case method != http.MethodPost:
			case c.pass:
				head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
				send = body
			case len(c.name)%2 == 0:
				head += "Content-Length: 100000\r\n"
				send = "{"
			default:
				head += "Transfer-Encoding: chunked\r\n"
				send = "1\r\n{\r\n"
			}
			status, answer := raw(t, net.JoinHostPort(c.at, c.port), head+"\r\n"+send)
			want := http.StatusForbidden
			if c.pass {
				want = map[string]int{"POST /mcp": 200, "GET /healthz": 200, "GET /readyz": 200, "DELETE /mcp": 405}[route]
				if want == 0 {
					want = http.StatusNotFound // past the guard, and nothing there
				}
			}
			if status != want {
				t.Errorf("%s: %s: %d %s, want %d", c.name, route, status, answer, want)
			}
		}
	}
	t.Logf("%d requests in %d cases", requests, len(cases))
}

// raw sends bytes over a connection of their own, which stays open, and gives the answer.
func raw(t *testing.T, at, request string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %q after %v: %v", request, time.Since(began), err)
	}
	defer resp.Body.Close()
	text := make([]byte, 200)
	n, _ := resp.Body.Read(text)
	return resp.StatusCode, string(text[:n])
}

// Whoever is not let in has sent a body in vain: it is not waited for.
func TestBodyOfWhoIsNotLetInIsNotAwaited(t *testing.T) {
	url, _ := protected(t, newTools(), nil, server.HTTPOptions{})
	host := strings.TrimPrefix(url, "http://")
	for name, header := range map[string]string{"no token": "", "a wrong one": "Authorization: Bearer odt_WRONG\r\n", "two": "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"} {
		status, _ := raw(t, host, "POST /mcp HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 1000000\r\n"+header+"\r\n{")
		if status != 401 && status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	for route, want := range map[string]int{"POST /nowhere": 404, "POST /webhooks/nobody": 404, "PUT /mcp": 401, "GET /healthz": 200, "DELETE /readyz": 405, "POST /healthz": 405, "GET /.well-known/oauth-protected-resource": 404, "POST /.well-known/oauth-protected-resource": 404} {
		status, _ := raw(t, host, route+" HTTP/1.1\r\nHost: "+host+"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
		if status != want {
			t.Errorf("%s with a body that never ends: %d, want %d", route, status, want)
		}
	}
	withIssuer, _ := protected(t, newTools(), newAuthority(t), server.HTTPOptions{})
	there := strings.TrimPrefix(withIssuer, "http://")
	if status, _ := raw(t, there, "POST /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: "+there+"\r\nContent-Length: 10\r\n\r\n{"); status != 405 {
		t.Errorf("the metadata with a body that never ends: %d", status)
	}
	if status, _ := raw(t, host, "POST /mcp HTTP/1.1\r\nHost: "+host+"\r\nHost: evil.example\r\n\r\n"); status != 400 {
		t.Errorf("two hosts: %d", status)
	}
}

// Nor is that of whoever is let in, for longer than one may take.
func TestBodyThatStopsIsAnswered(t *testing.T) {
	e := server.Handler(newTools().MCPServer, server.HTTPOptions{})
	e.BodyWithin(50 * time.Millisecond)
	web := httptest.NewServer(e)
	defer web.Close()
	host := strings.TrimPrefix(web.URL, "http://")
	status, said := raw(t, host, "POST /mcp HTTP/1.1\r\nHost: "+host+"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	if status != http.StatusBadRequest || !strings.Contains(said, "could not be read") {
		t.Errorf("%d %s", status, said)
	}
}

// Whoever asks and asks, and reads none of the answers, is cut off on every route.
func TestWhoReadsNoAnswerIsCutOff(t *testing.T) {
	m := counted(standing)
	web := serveHTTP(t, newTools(), server.HTTPOptions{WriteTimeout: 200 * time.Millisecond, Metrics: m})
	host := strings.TrimPrefix(web.URL, "http://")
	for _, route := range []string{"GET /healthz", "GET /metrics", "GET /nowhere"} {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		asks := []byte(strings.Repeat(route+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 1000))
		_ = conn.SetWriteDeadline(time.Now().Add(patience))
		for err == nil {
			_, err = conn.Write(asks)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection is kept for as long as the client likes", route)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	ln, err := server.Listen("127.0.0.1:0", false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.HTTP(ctx, ln, server.Handler(newTools().MCPServer, server.HTTPOptions{})) }()
	defer func() { stop(); <-done }()
	host := ln.Addr().String()
	for length, want := range map[int]int{32 << 10: http.StatusOK, 100 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		if status, _ := raw(t, host, "GET /healthz HTTP/1.1\r\nHost: "+host+"\r\nX: "+strings.Repeat("x", length)+"\r\n\r\n"); status != want {
			t.Errorf("%d bytes: %d, want %d", length, status, want)
		}
	}
}

// A page that the operator has named can use the server in a browser: it is told that it may ask, and given the answers.
func TestAllowedPageIsGivenTheAnswers(t *testing.T) {
	const page = "https://inspector.example.com"
	url, file := protected(t, newTools(), nil, server.HTTPOptions{AllowedOrigins: []string{page}, PublicURL: "https://phone.example.com"})
	token := newStatic(t, file, "ann", phone.ReadScope)
	first := func(r *http.Request) {
		r.Method = http.MethodOptions
		r.Header = http.Header{"Origin": {page}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type,mcp-method"}}
	}
	own := strings.Replace(url, "127.0.0.1", "localhost", 1)
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
		shared bool
	}{
		"whether it may ask":            {first, http.StatusNoContent, true},
		"with a token":                  {func(r *http.Request) { with(token)(r); r.Header.Set("Origin", page) }, http.StatusOK, true},
		"without one":                   {func(r *http.Request) { r.Header.Set("Origin", page) }, http.StatusUnauthorized, true},
		"what is no such question":      {func(r *http.Request) { first(r); r.Header.Del("Access-Control-Request-Method") }, http.StatusUnauthorized, true},
		"another page":                  {func(r *http.Request) { first(r); r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden, false},
		"by a name that is none of its": {func(r *http.Request) { first(r); r.Host = "evil.example" }, http.StatusForbidden, false},
		"a page of this machine":        {func(r *http.Request) { with(token)(r); r.Header.Set("Origin", own) }, http.StatusOK, false},
		"one of the public address":     {func(r *http.Request) { first(r); r.Header.Set("Origin", "https://phone.example.com") }, http.StatusUnauthorized, false},
		"no page":                       {with(token), http.StatusOK, false},
	} {
		resp, _ := tries(t, url, tt.change)
		h := resp.Header
		if resp.StatusCode != tt.status || (h.Get("Access-Control-Allow-Origin") == page) != tt.shared || !tt.shared && h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %s %v", name, resp.Status, h)
		}
		if tt.shared && (h.Get("Vary") != "Origin" || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id") || h.Get("Access-Control-Allow-Credentials") != "") {
			t.Errorf("%s: %v", name, h)
		}
		if tt.status == http.StatusNoContent && (h.Get("Access-Control-Allow-Headers") != "authorization,content-type,mcp-method" || h.Get("Access-Control-Allow-Methods") != "POST, GET, DELETE") {
			t.Errorf("%s: %v", name, h)
		}
	}
}

func TestListenBeyondLoopbackWithAuthentication(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0"} {
		ln, err := server.Listen(addr, true)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
			continue
		}
		_ = ln.Close()
	}
	for addr, want := range map[string]bool{"": false, "localhost": false, "127.0.0.2:1": false, "[::1]:1": false, ":1": true, "0.0.0.0": true, "192.0.2.1:1": true} {
		if got, err := server.Reaches(t.Context(), addr); err != nil || got != want {
			t.Errorf("%q: %v, %v", addr, got, err)
		}
	}
	if _, err := server.Reaches(t.Context(), "a:b:c"); err == nil {
		t.Error("no address, and no error")
	}
}

func TestPublicURL(t *testing.T) {
	for written, want := range map[string]string{
		"https://phone.example.com": "https://phone.example.com", "https://Phone.Example.com/": "https://phone.example.com", "HTTPS://phone.example.com:443": "https://phone.example.com",
		"https://phone.example.com:8443": "https://phone.example.com:8443", "http://127.0.0.1:8757": "http://127.0.0.1:8757", "http://[::1]:8757/": "http://[::1]:8757", "http://localhost": "http://localhost",
		"http://phone.example.com": "", "phone.example.com": "", "https://phone.example.com/mcp": "", "https://phone.example.com?x": "", "https://phone.example.com?": "",
		"https://u@phone.example.com": "", "https://phone.example.com#x": "", "https://": "", "ftp://127.0.0.1": "", "https:phone.example.com": "", "http://127.0.0.1.evil.example": "",
	} {
		got, err := server.PublicURL(written)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", written, got, err)
		}
	}
}

// What an issuer's clients are told needs no token, and is there only where there is an issuer.
func TestResourceMetadata(t *testing.T) {
	issuer := newAuthority(t)
	url, _ := protected(t, newTools(), issuer, server.HTTPOptions{})
	static, _ := protected(t, newTools(), nil, server.HTTPOptions{})
	for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"} {
		resp := get(t, url+path)
		want := fmt.Sprintf(`{"resource":"%s/mcp","authorization_servers":["%s"],"scopes_supported":["calls:place","calls:read"],"bearer_methods_supported":["header"],"resource_name":"outdial"}`, url, issuer.URL)
		if resp.Code != http.StatusOK || strings.TrimSpace(resp.Body.String()) != want {
			t.Errorf("%s: %d %s", path, resp.Code, resp.Body)
		}
		if resp := get(t, static+path); resp.Code != http.StatusNotFound {
			t.Errorf("%s without an issuer: %d", path, resp.Code)
		}
	}
	resp, _ := tries(t, static, func(*http.Request) {})
	if got := resp.Header.Get("WWW-Authenticate"); got != `Bearer realm="outdial", scope="calls:place calls:read"` {
		t.Errorf("without an issuer: %q", got)
	}
}

func get(t *testing.T, url string) *httptest.ResponseRecorder {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	w := httptest.NewRecorder()
	w.Code = resp.StatusCode
	if _, err := w.Body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return w
}
