package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/server"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
	"github.com/spf13/cobra"
)

func (p *program) stdio() *cobra.Command {
	return &cobra.Command{
		Use:   "stdio",
		Short: "Serve one MCP client over standard input and output",
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := p.serve(c.Context(), false)
			if err != nil {
				return err
			}
			in, stop := &input{Reader: p.in}, stopping(c.Context(), o.board)
			defer func() {
				dials, rest := in.patience()
				o.close(min(dials, stop()), rest)
			}()
			// A client that has gone must not kill the program by a signal: it has dials to record and leases to give up.
			signal.Ignore(syscall.SIGPIPE)
			return server.Stdio(c.Context(), tools.Server(o.board, version(), p.traces.Options()...), in, p.out, server.StdioOptions{Log: o.log})
		},
	}
}

// stopping has no dial begun any more once the context has ended. left is how long those under way are then waited for:
// what the requests that asked for them have waited already is part of it.
func stopping(ctx context.Context, board *switchboard.Switchboard) (left func() time.Duration) {
	at := make(chan time.Time, 1)
	stop := context.AfterFunc(ctx, func() {
		at <- time.Now()
		board.Ending()
	})
	return func() time.Duration {
		if stop() { // nobody asked it to end
			return aDial
		}
		return max(100*time.Millisecond, aDial-time.Since(<-at))
	}
}

// input knows when it ended.
type input struct {
	io.Reader
	mu    sync.Mutex
	ended time.Time
}

func (i *input) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil {
		i.mu.Lock()
		i.ended = time.Now()
		i.mu.Unlock()
	}
	return n, err
}

// patience is how long a dial under way is waited for, and the rest. After the end of input the program is gone within 5 s,
// so a dial that takes longer is left to the next process, which can only say that nobody knows.
func (i *input) patience() (dials, rest time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended.IsZero() {
		return aDial, aFarewell
	}
	return max(100*time.Millisecond, 4700*time.Millisecond-time.Since(i.ended)), 250 * time.Millisecond
}

func (p *program) http() *cobra.Command {
	return &cobra.Command{
		Use:   "http",
		Short: "Serve MCP clients over streamable HTTP",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			o, err := p.serve(ctx, true)
			if err != nil {
				return err
			}
			stop := stopping(ctx, o.board)
			defer func() { o.close(stop(), aFarewell) }()
			h, err := protection(o.values, func(s string) { o.log.Error().Msg(s) })
			if err != nil {
				return err
			}
			ln, err := server.Listen(o.value("addr"), h.Auth != nil)
			if err != nil {
				return phone.Errorf(phone.Invalid, "%v", err)
			}
			fmt.Fprintf(p.errs, "outdial: http://%s/mcp\n", ln.Addr())
			if at, err := netip.ParseAddrPort(ln.Addr().String()); err == nil && !at.Addr().IsLoopback() {
				fmt.Fprintln(p.errs, "outdial: this is plain HTTP, and others can reach it: whoever listens in between reads tokens. "+
					"Let clients reach it through a proxy that speaks TLS, and nobody else (docs/operating.md).")
			}
			signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go before the server does
			p.metrics.Read(p.standing(o), o.ledger.Renewed)
			h.Receive, h.Ready, h.Metrics, h.Log, h.Grace = o.board.Receive, o.ledger.Ready, p.metrics, o.log, aDial-2*time.Second
			return server.HTTP(ctx, ln, server.Handler(tools.Server(o.board, version(), p.traces.Options()...), h))
		},
	}
}

// publicURL reads where others find the HTTP server; empty where nobody says it. Errors: invalid, naming the setting.
func publicURL(values []value) (string, error) {
	written := valueOf(values, "", "public_url")
	if written == "" {
		return "", nil
	}
	public, err := server.PublicURL(written)
	if err != nil {
		return "", wrong(values, "public_url", "%s", phone.AsError(err).Message)
	}
	return public, nil
}

// protection reads who may use the HTTP server. Auth is nil where nobody is asked who they are. Errors: invalid, naming the
// setting as it was set.
func protection(values []value, warn func(string)) (server.HTTPOptions, error) {
	get := func(name string) string { return valueOf(values, "", name) }
	o := server.HTTPOptions{AllowedHosts: list(get("allowed_hosts")), AllowedOrigins: list(get("allowed_origins"))}
	var err error
	if o.PublicURL, err = publicURL(values); err != nil {
		return o, err
	}
	for _, h := range o.AllowedHosts {
		if strings.ContainsAny(h, "/*@ ") {
			return o, wrong(values, "allowed_hosts", "%q is no host, such as outdial or outdial:8757.", h)
		}
	}
	for _, origin := range o.AllowedOrigins {
		if u, err := url.Parse(origin); err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "" || strings.Contains(origin, "*") {
			return o, wrong(values, "allowed_origins", "%q is no origin, such as https://inspector.example.com.", origin)
		}
	}
	a := auth.Options{TokensFile: get("tokens_file"), Warn: warn}
	named := "tokens_file"
	switch issuer := get("oauth_issuer"); {
	case issuer != "" && o.PublicURL == "":
		return o, wrong(values, "oauth_issuer", "it needs OUTDIAL_PUBLIC_URL too: clients are told there for what to ask the issuer.")
	case issuer != "":
		named = "oauth_issuer"
		a.OAuth = &auth.OAuth{Issuer: issuer, Audience: cmp.Or(get("oauth_audience"), o.PublicURL+"/mcp"), KeysURL: get("oauth_jwks_url")}
	case get("oauth_audience") != "":
		return o, wrong(values, "oauth_audience", "it means nothing without OUTDIAL_OAUTH_ISSUER.")
	case get("oauth_jwks_url") != "":
		return o, wrong(values, "oauth_jwks_url", "it means nothing without OUTDIAL_OAUTH_ISSUER.")
	case a.TokensFile == "":
		return o, nil
	}
	if o.Auth, err = auth.New(a); err != nil {
		return o, wrong(values, named, "%s", phone.AsError(err).Message)
	}
	return o, nil
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
