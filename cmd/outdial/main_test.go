package main

import (
	"cmp"
	"context"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/internal/pgtest"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/all"
	pamela "github.com/outdial/outdial/providers/pamela/standin"
	"github.com/outdial/outdial/providers/simulator"
	stepone "github.com/outdial/outdial/providers/stepone/standin"
	"github.com/rogpeppe/go-internal/testscript"
)

// speed is how many times faster than real calls go in these tests. TEST_SPEED in a child's environment is another one.
const speed = 20

// raceOptions are a child's GORACE: the race detector otherwise waits a second at each exit.
const raceOptions = "atexit_sleep_ms=10"

// TestMain makes the test binary play outdial where it is started under that name: a child process of a test is the whole
// program, with the race detector in it if the test has it.
func TestMain(m *testing.M) {
	// Most of these tests wait for calls to be played: more of them at once than there are processors.
	if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	testscript.Main(tests{m}, map[string]func(){
		"outdial": func() {
			x, err := strconv.ParseFloat(cmp.Or(os.Getenv("TEST_SPEED"), strconv.Itoa(speed)), 64)
			if err != nil {
				panic(err)
			}
			lease, err := time.ParseDuration(cmp.Or(os.Getenv("TEST_LEASE"), "0s"))
			if err != nil {
				panic(err)
			}
			with := parts{specs: via(os.Getenv("TEST_VIA"), parseKiller(os.Getenv("TEST_KILL")).arm(fast(x))), lease: lease}
			os.Exit(with.run(context.Background(), os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// postgres is one server for the tests that share it, one after the other: all that is in it has one lock.
var postgres pgtest.Server

// tests are those of this package, with what is left to be stopped after them.
type tests struct{ *testing.M }

func (t tests) Run() int {
	defer postgres.Stop()
	return t.M.Run()
}

// via has connections to services go elsewhere than they believe: to each address before a "=" what stands behind it.
func via(ways string, specs []providers.Spec) []providers.Spec {
	other := map[string]string{}
	for way := range strings.FieldsSeq(ways) {
		from, to, _ := strings.Cut(way, "=")
		other[from] = to
	}
	for i := range specs {
		open := specs[i].Open
		specs[i].Open = func(c providers.Config, _ providers.Connect) (providers.Driver, error) {
			if ways == "" {
				return open(c, nil)
			}
			return open(c, func(ctx context.Context, network, address string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, cmp.Or(other[address], address))
			})
		}
	}
	return specs
}

// fast are the adapters with a simulator that plays faster, and shorter pauses between questions to the others.
func fast(x float64) []providers.Spec {
	specs := all.Specs()
	for i := range specs {
		specs[i].Pace.Poll = 300 * time.Millisecond
		specs[i].Pace.RecordEvery = 100 * time.Millisecond
		specs[i].Pace.Reconnect = 200 * time.Millisecond
		if specs[i].Name == "simulator" {
			specs[i].Open = func(providers.Config, providers.Connect) (providers.Driver, error) { return simulator.New(x), nil }
		}
	}
	return specs
}

// sandbox serves what outdial sandbox does, faster, and gives its address.
func sandbox(t testing.TB, x float64) string {
	t.Helper()
	calls := pamela.New(pamela.Options{Secret: sandboxSecret, Speed: x})
	mux := http.NewServeMux()
	mux.Handle("/stepone/", http.StripPrefix("/stepone", stepone.New(stepone.Options{Speed: x})))
	mux.Handle("/pamela/", http.StripPrefix("/pamela", calls))
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		_ = calls.Close()
	})
	return s.URL
}
