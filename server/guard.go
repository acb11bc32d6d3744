package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard lets in who came to us by a name of ours and, if a browser sends them, from a page of ours. Without it any page
// in a browser on this machine or network could place calls: directly, or under a name of its own that it has made
// resolve to our address (DNS rebinding).
type guard struct {
	hosts   map[string]bool // "name", then with any port, or "name:port"
	origins map[string]bool // "scheme://name" or "scheme://name:port"
}

func newGuard(hosts, origins []string) guard {
	g := guard{hosts: map[string]bool{}, origins: map[string]bool{}}
	for _, h := range hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	for _, o := range origins {
		g.origins[strings.ToLower(strings.TrimSuffix(o, "/"))] = true
	}
	return g
}

// refusal says why a request may not pass, or nothing. It looks at the headers only.
func (g guard) refusal(r *http.Request) string {
	port := ownPort(r)
	if !g.ourHost(r.Host, port) {
		return fmt.Sprintf("Forbidden: this server does not go by the name %q; use a loopback name with its own port, or have its operator allow the host", r.Host)
	}
	switch origins := r.Header.Values("Origin"); {
	case len(origins) == 0: // no browser
	case len(origins) > 1 || !g.ourOrigin(origins[0], port):
		return fmt.Sprintf("Forbidden: pages of %q may not use this server; its operator can allow the origin", strings.Join(origins, ", "))
	}
	return ""
}

func (g guard) ourHost(hostport, own string) bool {
	hostport = strings.ToLower(hostport)
	host, port := splitHostPort(hostport)
	return isLoopback(host) && port == own || g.hosts[host] || g.hosts[hostport]
}

func (g guard) ourOrigin(origin, own string) bool {
	origin = strings.ToLower(origin)
	if g.origins[origin] {
		return true
	}
	host, port := splitHostPort(strings.TrimPrefix(origin, "http://"))
	return strings.HasPrefix(origin, "http://") && isLoopback(host) && port == own
}

// ownPort is the port that the request's connection came in on, or "" where that is not known.
func ownPort(r *http.Request) string {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	_, port, err := net.SplitHostPort(local.String())
	if err != nil {
		return ""
	}
	return port
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
