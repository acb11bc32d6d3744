package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/outdial/outdial/phone"
)

// guard lets in who came to us by a name of ours and, if a browser sends them, from a page of ours. Without it any page
// in a browser on this machine or network could place calls: directly, or under a name of its own that it has made
// resolve to our address (DNS rebinding).
type guard struct {
	public  []string        // what a Host says that asks for the public address, with and without its port
	hosts   map[string]bool // "name", then with any port, or "name:port"
	origins map[string]bool // "scheme://name" or "scheme://name:port"
	named   map[string]bool // those of them that the operator has named
}

// newGuard takes a public address as [PublicURL] gives it.
func newGuard(public string, hosts, origins []string) guard {
	g := guard{hosts: map[string]bool{}, origins: map[string]bool{}, named: map[string]bool{}}
	if u, err := url.Parse(public); err == nil && u.Host != "" {
		g.public = []string{u.Host}
		if u.Port() == "" {
			g.public = append(g.public, u.Host+":"+defaultPortOf(u.Scheme))
		}
		g.origins[public] = true
	}
	for _, h := range hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	for _, o := range origins {
		o = strings.ToLower(strings.TrimSuffix(o, "/"))
		g.origins[o], g.named[o] = true, true
	}
	return g
}

// refusal says why a request may not pass, or nothing. It looks at the headers only.
func (g guard) refusal(r *http.Request) string {
	own := ownAddress(r)
	if !g.ourHost(r.Host, own) {
		return fmt.Sprintf("Forbidden: this server does not go by the name %q; use the address that it listens on, or have its operator set OUTDIAL_PUBLIC_URL or OUTDIAL_ALLOWED_HOSTS", r.Host)
	}
	switch origins := r.Header.Values("Origin"); {
	case len(origins) == 0: // no browser
	case len(origins) > 1 || !g.ourOrigin(origins[0], own):
		return fmt.Sprintf("Forbidden: pages of %q may not use this server; its operator can allow the origin", strings.Join(origins, ", "))
	}
	return ""
}

// share has a browser give the answer to a page that the operator has named; without that it keeps it to itself. It is true
// if that was all that was asked: whether such a page may ask. Pages of our own addresses need none of it where they are; and
// those of the public one are nobody's that we know where they ask for another.
func (g guard) share(w http.ResponseWriter, r *http.Request) (answered bool) {
	origin := r.Header.Get("Origin")
	if !g.named[strings.ToLower(origin)] {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", mcpserver.HeaderKeySessionID+", WWW-Authenticate, Retry-After")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "POST, GET, DELETE")
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (g guard) ourHost(hostport string, own netip.AddrPort) bool {
	hostport = strings.ToLower(hostport)
	host, port := splitHostPort(hostport)
	return isOwn(host, port, own) || g.hosts[host] || g.hosts[hostport] || slices.Contains(g.public, hostport)
}

func (g guard) ourOrigin(origin string, own netip.AddrPort) bool {
	origin = strings.ToLower(origin)
	if g.origins[origin] {
		return true
	}
	rest, isHTTP := strings.CutPrefix(origin, "http://")
	host, port := splitHostPort(rest)
	return isHTTP && isOwn(host, port, own)
}

// fromElsewhere says whether a request comes from beyond this machine, as far as it shows: it asks for a name that is not
// loopback's, or a proxy says that it has handed it on, under whatever name.
func fromElsewhere(r *http.Request, own netip.AddrPort) bool {
	for _, h := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"} {
		if r.Header.Get(h) != "" {
			return true
		}
	}
	host, port := splitHostPort(strings.ToLower(r.Host))
	return own.IsValid() && !isOwn(host, port, own)
}

// isOwn says whether host and port are where the connection came to: by a name or an address that can only mean this
// machine, or by that very address. Neither can be made to resolve to something else.
func isOwn(host, port string, own netip.AddrPort) bool {
	if !own.IsValid() || port != fmt.Sprint(own.Port()) {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return isLoopback(host) || err == nil && ip.Unmap() == own.Addr()
}

// ownAddress is what the request's connection came to; not valid where that is not known.
func ownAddress(r *http.Request) netip.AddrPort {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.AddrPort{}
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// splitHostPort takes "host", "host:port", "[v6]" and "[v6]:port"; without a port it is that of HTTP.
func splitHostPort(hostport string) (host, port string) {
	if host, port, err := net.SplitHostPort(hostport); err == nil {
		return host, port
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]"), "80"
}

// isLoopback reports whether host, a name or an address, can only mean this machine. No name is looked up: what a name
// resolves to is just what an attacker chooses.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// PublicURL reads the address under which clients find the server, and gives it in the form that an Origin has: a scheme and
// a host in small letters, with a port only if it is not the scheme's. It is https; http is taken on loopback only. Errors:
// invalid.
func PublicURL(written string) (string, error) {
	u, err := url.Parse(written)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "" || strings.Trim(u.Path, "/") != "" {
		return "", phone.Errorf(phone.Invalid, "it must be a scheme and a host, such as https://phone.example.com, and nothing more.")
	}
	host := strings.ToLower(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(host)) {
		return "", phone.Errorf(phone.Invalid, "it must begin with https; http is taken on loopback only.")
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != defaultPortOf(u.Scheme) {
		host += ":" + port
	}
	return u.Scheme + "://" + host, nil
}

func defaultPortOf(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
