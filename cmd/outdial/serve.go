package main

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/server"
	"github.com/outdial/outdial/tools"
	"github.com/spf13/cobra"
)

func (p *program) stdio() *cobra.Command {
	return &cobra.Command{
		Use:   "stdio",
		Short: "Serve one MCP client over standard input and output",
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := p.serve(c.Context())
			if err != nil {
				return err
			}
			in := &input{Reader: p.in}
			defer func() { o.close(in.patience()) }()
			// A client that has gone must not kill the program by a signal: it has dials to record and leases to give up.
			signal.Ignore(syscall.SIGPIPE)
			return server.Stdio(c.Context(), tools.Server(o.board, version()), in, p.out, server.StdioOptions{Log: o.log})
		},
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

// patience is how long a dial under way is waited for. After the end of input the program is gone within 5 s, so a dial
// that takes longer is left to the next process, which can only say that nobody knows.
func (i *input) patience() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ended.IsZero() {
		return aDial
	}
	return max(100*time.Millisecond, 4700*time.Millisecond-time.Since(i.ended))
}

func (p *program) http() *cobra.Command {
	return &cobra.Command{
		Use:   "http",
		Short: "Serve MCP clients over streamable HTTP, on this machine",
		RunE: using(p.serve, func(ctx context.Context, o opened, _ []string) error {
			ln, err := server.Listen(o.value("addr"))
			if err != nil {
				return phone.Errorf(phone.Invalid, "%v", err)
			}
			fmt.Fprintf(p.errs, "outdial: http://%s/mcp\n", ln.Addr())
			signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go before the server does
			return server.HTTP(ctx, ln, server.Handler(tools.Server(o.board, version()), server.HTTPOptions{Receive: o.board.Receive, Ready: o.ledger.Ready, Log: o.log}))
		}),
	}
}
