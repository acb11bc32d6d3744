package server

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/outdial/outdial/auth"
)

// unreadable is a body that must not be read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body of a refused request was read")
	return 0, net.ErrClosed
}

func TestGuardMatrix(t *testing.T) {
	const loopback, lan = "127.0.0.1:8757", "192.168.1.5:8757"
	cases := []struct {
		bind, host, origin string // origin "-" is none
		pass               bool
	}{
		// Loopback, called as it should be.
		{loopback, "127.0.0.1:8757", "-", true},
		{loopback, "localhost:8757", "-", true},
		{loopback, "LocalHost:8757", "-", true},
		{loopback, "[::1]:8757", "-", true},
		{loopback, "localhost:8757", "http://localhost:8757", true},
		{loopback, "127.0.0.1:8757", "http://127.0.0.1:8757", true},
		{loopback, "phone.example.com", "-", true}, // a proxy on this machine, allowed
		{loopback, "phone.example.com", "https://phone.example.com", true},
		// A page of somebody else's, in a browser on this machine.
		{loopback, "localhost:8757", "https://evil.example", false},
		{loopback, "localhost:8757", "null", false},
		{loopback, "localhost:8757", "", false},
		{loopback, "localhost:8757", "http://localhost:3000", false}, // another program's page
		{loopback, "localhost:8757", "https://localhost:8757", false},
		{loopback, "localhost:8757", "http://localhost:8757.evil.example", false},
		{loopback, "localhost:8757", "http://phone.example.com", false}, // allowed with https only
		// The same, under a name that it has made resolve to us.
		{loopback, "evil.example:8757", "http://evil.example:8757", false},
		{loopback, "evil.example:8757", "-", false},
		{loopback, "localhost:3000", "-", false},
		{loopback, "localhost", "-", false},
		{loopback, "localhost.evil.example:8757", "-", false},
		{loopback, "", "-", false},
		// Within a network.
		{lan, "evil.example:8757", "http://evil.example:8757", false},
		{lan, "192.168.1.5:8757", "https://evil.example", false},
		{lan, "192.168.1.5:8757", "-", true}, // the address that the connection came to
		{lan, "192.168.1.5:8757", "http://192.168.1.5:8757", true},
		{lan, "192.168.1.6:8757", "-", false},
		{lan, "192.168.1.5:9999", "-", false},
		{lan, "192.168.1.5:8757", "null", false},
		{lan, "office.example:8757", "-", true},
		{lan, "office.example:9999", "-", false}, // allowed with its port only
	}
	e := Handler(newEmpty(), HTTPOptions{
		Auth:           &auth.Auth{},
		AllowedHosts:   []string{"phone.example.com", "Office.example:8757"},
		AllowedOrigins: []string{"https://Phone.example.com/"},
	})
	for _, c := range cases {
		for _, route := range []string{"POST /mcp", "GET /mcp", "DELETE /mcp", "GET /healthz", "GET /readyz", "GET /", "POST /webhooks/x"} {
			method, path, _ := strings.Cut(route, " ")
			r := httptest.NewRequest(method, path, nil)
			if !c.pass {
				r.Body = http.NoBody
				if method == http.MethodPost {
					r = httptest.NewRequest(method, path, unreadable{t})
				}
			}
			r.Host = c.host
			if c.origin != "-" {
				r.Header["Origin"] = []string{c.origin}
			}
			addr, err := net.ResolveTCPAddr("tcp", c.bind)
			if err != nil {
				t.Fatal(err)
			}
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr))
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			if passed := w.Code != http.StatusForbidden; passed != c.pass {
				t.Errorf("%s on %s, Host %q, Origin %q: %d, want pass=%v", route, c.bind, c.host, c.origin, w.Code, c.pass)
			}
		}
	}
}

// Where nobody is asked who they are, only this machine is served: whatever name a proxy asks by, and whatever is allowed.
func TestNobodyFromElsewhere(t *testing.T) {
	public, err := PublicURL("https://phone.example.com")
	if err != nil {
		t.Fatal(err)
	}
	e := Handler(newEmpty(), HTTPOptions{PublicURL: public, AllowedHosts: []string{"phone.example.com", "other.example"}})
	for _, tt := range []struct {
		host, header string
		here         bool
	}{
		{"127.0.0.1:8757", "", true},
		{"localhost:8757", "", true},
		{"phone.example.com", "", false},
		{"phone.example.com:8443", "", false},
		{"PHONE.example.com:80", "", false},
		{"other.example", "", false},
		{"127.0.0.1:8757", "X-Forwarded-For", false},
		{"127.0.0.1:8757", "X-Forwarded-Host", false},
		{"127.0.0.1:8757", "X-Real-IP", false},
		{"127.0.0.1:8757", "Forwarded", false},
		{"127.0.0.1:8757", "Via", false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{}`))
		r.Host = tt.host
		if tt.header != "" {
			r.Header.Set(tt.header, "203.0.113.9")
		}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8757})))
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if here := w.Code != http.StatusForbidden; here != tt.here {
			t.Errorf("Host %s, %s: %d", tt.host, tt.header, w.Code)
		}
	}
}

func TestGuardTwoOrigins(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
	r.Host = "phone.example.com"
	r.Header["Origin"] = []string{"https://phone.example.com", "https://evil.example"}
	w := httptest.NewRecorder()
	Handler(newEmpty(), HTTPOptions{AllowedHosts: []string{"phone.example.com"}, AllowedOrigins: []string{"https://phone.example.com"}}).ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d", w.Code)
	}
}
