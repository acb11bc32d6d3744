package main

import (
	"fmt"
	"os/signal"
	"syscall"

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
			o, err := p.open(c.Context())
			if err != nil {
				return err
			}
			defer o.close()
			// A client that has gone must not kill the program by a signal: it has dials to record and leases to give up.
			signal.Ignore(syscall.SIGPIPE)
			return server.Stdio(c.Context(), tools.Server(o.board, version()), p.in, p.out, server.StdioOptions{Log: o.log})
		},
	}
}

func (p *program) http() *cobra.Command {
	return &cobra.Command{
		Use:   "http",
		Short: "Serve MCP clients over streamable HTTP, on this machine",
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := p.open(c.Context())
			if err != nil {
				return err
			}
			defer o.close()
			ln, err := server.Listen(o.value("addr"))
			if err != nil {
				return phone.Errorf(phone.Invalid, "%v", err)
			}
			fmt.Fprintf(p.errs, "outdial: http://%s/mcp\n", ln.Addr())
			signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go before the server does
			return server.HTTP(c.Context(), ln, server.Handler(tools.Server(o.board, version()), server.HTTPOptions{Ready: o.ledger.Ready, Log: o.log}))
		},
	}
}
