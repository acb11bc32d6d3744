package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/outdial/outdial/phone"
	pamela "github.com/outdial/outdial/providers/pamela/standin"
	stepone "github.com/outdial/outdial/providers/stepone/standin"
	"github.com/outdial/outdial/server"
	"github.com/spf13/cobra"
)

const sandboxSecret = "whsec_sandbox"

func (p *program) sandbox() *cobra.Command {
	addr := "127.0.0.1:8758"
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve stand-ins of StepOne's and Pamela's interfaces on this machine, to try clients without an account",
		RunE:  func(c *cobra.Command, _ []string) error { return p.serveSandbox(c.Context(), addr) },
	}
	c.Flags().StringVar(&addr, "addr", addr, "where to listen; loopback only")
	return c
}

func (p *program) serveSandbox(ctx context.Context, addr string) error {
	ln, err := server.Listen(addr, false)
	if err != nil {
		return phone.Errorf(phone.Invalid, "%v", err)
	}
	calls := pamela.New(pamela.Options{Secret: sandboxSecret})
	defer func() { _ = calls.Close() }()
	mux := http.NewServeMux()
	mux.Handle("/stepone/", http.StripPrefix("/stepone", stepone.New(stepone.Options{})))
	mux.Handle("/pamela/", http.StripPrefix("/pamela", calls))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })

	base := "http://" + ln.Addr().String()
	fmt.Fprintf(p.out, `# Stand-ins of StepOne and Pamela over scripted calls: nobody's phone rings.
# The number's last two digits choose the scenario, as in the simulator. Any key of the form will do.
export STEPONEAI_API_BASE=%[1]s/stepone
export STEPONEAI_API_KEY=sk_sandbox
export PAMELA_API_BASE=%[1]s/pamela
export PAMELA_API_KEY=pk_live_sandbox
export PAMELA_WEBHOOK_SECRET=%[2]s
`, base, sandboxSecret)

	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.Shutdown(last)
		_ = s.Close()
	})
	defer stopped()
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
