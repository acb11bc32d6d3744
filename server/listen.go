package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

const (
	defaultHost = "127.0.0.1"
	defaultPort = "8757"
	// sendBuffer is how many bytes the system may keep for a client that does not read, which is how soon such a one is
	// noticed: by itself it would keep megabytes for each.
	sendBuffer = 256 << 10
)

// Listen listens on addr ("host:port", "host" or ""; by default 127.0.0.1:8757; port 0 takes a free one). Without
// authentication it refuses an address that others could reach, whatever name it goes by: whoever reaches the server could
// place calls.
func Listen(addr string, authenticated bool) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ips, port, err := resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	if ip, others := beyondLoopback(ips); others && !authenticated {
		return nil, fmt.Errorf("refusing to listen on %q (%s): others could reach it, and without authentication "+
			"whoever reaches it can place calls. Set OUTDIAL_TOKENS_FILE (outdial token new makes tokens) or "+
			"OUTDIAL_OAUTH_ISSUER, or listen on %s:%s", addr, ip, defaultHost, port)
	}
	// The address that was judged, not the name, which might mean another one by now.
	ln, err := net.Listen("tcp", net.JoinHostPort(ips[0].Unmap().String(), port))
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w; if another process has the port, choose another one", addr, err)
	}
	return ln, nil
}

// Reaches says whether others than programs on this machine could reach a server that listens on addr, as [Listen] takes
// it. Errors: what is no address.
func Reaches(ctx context.Context, addr string) (others bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ips, _, err := resolve(ctx, addr)
	if err != nil {
		return false, err
	}
	_, others = beyondLoopback(ips)
	return others, nil
}

// resolve gives the addresses that addr means: at least one.
func resolve(ctx context.Context, addr string) (ips []netip.Addr, port string, err error) {
	host, port, err := addressOf(addr)
	if err != nil {
		return nil, "", err
	}
	if host != "" {
		if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, "", fmt.Errorf("cannot listen on %q: %w; use %s:%s", addr, err, defaultHost, port)
		}
	}
	if len(ips) == 0 {
		ips = []netip.Addr{netip.IPv6Unspecified()} // no host is every address
	}
	return ips, port, nil
}

func beyondLoopback(ips []netip.Addr) (first netip.Addr, found bool) {
	for _, ip := range ips {
		if ip = ip.Unmap(); !ip.IsLoopback() {
			return ip, true
		}
	}
	return netip.Addr{}, false
}

// addressOf splits addr and fills in what it leaves out. An empty host, as in ":8757", stays: it means every address.
func addressOf(addr string) (host, port string, err error) {
	if addr == "" {
		return defaultHost, defaultPort, nil
	}
	if ip, err := netip.ParseAddr(strings.Trim(addr, "[]")); err == nil {
		return ip.String(), defaultPort, nil
	}
	if !strings.Contains(addr, ":") {
		return addr, defaultPort, nil
	}
	if host, port, err = net.SplitHostPort(addr); err != nil {
		return "", "", fmt.Errorf("%q is no address to listen on (%w): write host:port, such as %s:%s", addr, err, defaultHost, defaultPort)
	}
	if port == "" {
		port = defaultPort
	}
	return host, port, nil
}

// HTTP serves e on ln until ctx ends, and then ends in order: /readyz says no, new requests are refused, what waits is
// told to answer with what there is, and running requests have the grace to finish. Then their contexts are cancelled and
// all connections closed. It returns nil after an end that ctx asked for, however many requests were cut short. An
// endpoint is served once.
func HTTP(ctx context.Context, ln net.Listener, e *Endpoint) error {
	defer e.cut()
	log := slog.NewLogLogger(zerolog.NewSlogHandler(e.options.Log), slog.LevelWarn)
	server := &http.Server{
		Handler:           e,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log,
		// OPTIONS * too comes to where Host and Origin are looked at.
		DisableGeneralOptionsHandler: true,
		// Not ctx: its end is when requests begin to have the grace, not when they lose their own context.
		BaseContext: func(net.Listener) context.Context { return e.life },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if c, ok := c.(*net.TCPConn); ok {
				_ = c.SetWriteBuffer(sendBuffer)
			}
			return ctx
		},
		// No ReadTimeout and no WriteTimeout: they would end streams. Bodies and each write have their own.
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving HTTP on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}

	e.gate.shut()
	e.room.Close()
	if !e.gate.finish(e.options.Grace, e.cut, nil) {
		e.options.Log.Warn().Dur("grace", e.options.Grace).Msg("requests still ran when the grace was over, and were cut short")
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := server.Shutdown(last) // lets the last answers out
	if err != nil {
		err = server.Close()
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
