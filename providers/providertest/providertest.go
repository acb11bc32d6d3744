// Package providertest is the contract of package providers as tests: an adapter that passes Run keeps what it owes.
//
// Its one idea: a clause is a small function of its own, and what it tests the adapter against is the service itself,
// played by the adapter's stand-in, with a breaker in front that damages requests on command: it refuses, drops, cuts,
// stalls, redirects and lies, and counts how often the phone would have rung. What the adapter made of it is compared with
// the script that was played.
//
// It knows no service, and it says nothing about whether a stand-in is like its service: only a person with an account
// can. The suite is tested in turn by drivers that break one clause each.
package providertest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
)

// Harness is what an adapter gives to be tested.
type Harness struct {
	Spec providers.Spec

	// Open opens the adapter on a wire; it is called several times, also in one clause. A Driver that is an io.Closer is
	// closed.
	Open func(Wire) (providers.Driver, error)

	// Stand is the service, played by its stand-in; one that is an io.Closer is closed. Nil: a driver without a wire,
	// that plays script.For; the clauses about wires are left out.
	Stand func(Stage) http.Handler

	Number  string                            // of a region that the service calls, with %s in place of the last two digits: "+120255501%s"
	Order   func(to phone.Number) phone.Order // nil: a plain order
	Secrets []string                          // what may stand in no error and no address
	Dial    string                            // the request that rings a phone, as a pattern of http.ServeMux: "POST /v1/calls"
	Stream  string                            // the request for live words, likewise; empty: there is none
	Outcome func(script.Script) phone.Outcome // what the service can tell of how a script ends; nil: all of it
	Without map[string]string                 // clauses that cannot hold here, by name, each with the reason
}

// Wire is how a clause wants the adapter opened.
type Wire struct {
	Base   string        // the address of the service; empty without a wire
	Answer time.Duration // how long a dial or a read may wait for its answer; 0: as long as the adapter does by itself
	Idle   time.Duration // how long a stream may stay silent, from its beginning on; 0: likewise
	Speed  float64       // for a driver without a wire: how much faster than real calls its calls are

	Webhooks   string // where the service is to send its webhooks; empty: nowhere
	Secretless bool   // without the secret that they are signed with
}

// Stage is how a clause wants the stand-in.
type Stage struct {
	// Script is asked once for each dial. The number is E.164 or its national digits.
	Script func(number, lang, task, caller string) script.Script
	Speed  float64 // how much faster than real ones its calls and all its delays are
}

// T is what a clause needs of a test.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any) // ends the clause
}

// clause is one sentence of the contract.
type clause struct {
	name  string
	needs need
	check func(*scene)
}

// need is what a driver must have for a clause to make sense.
type need int

const (
	nothing    need = 0
	wire       need = 1 << iota // a service behind HTTP
	streams                     // providers.Streamer
	hangsUp                     // providers.Hanguper
	balances                    // providers.Balancer
	lists                       // providers.Cataloger
	finds                       // providers.Finder
	receives                    // providers.Receiver
	keepsTools                  // providers.Toolkeeper
)

func clauses() []clause {
	var all []clause
	for _, some := range [][]clause{everyDriver(), capabilities(), dials(), dialAnswers(), lookups(), findings(), receivings(), keepings(), brokenStreams(), oddStreams()} {
		all = append(all, some...)
	}
	return all
}

// Run tests an adapter against every clause that applies to it, each as a subtest.
func Run(t *testing.T, h Harness) {
	for name := range h.Without {
		if _, ok := find(name); !ok {
			t.Errorf("there is no clause %q to do without", name)
		}
	}
	for _, c := range clauses() {
		t.Run(c.name, func(t *testing.T) {
			if why := h.lacks(c); why != "" {
				t.Skip(why)
			}
			h.hold(t, c)
		})
	}
}

func find(name string) (clause, bool) {
	for _, c := range clauses() {
		if c.name == name {
			return c, true
		}
	}
	return clause{}, false
}

// lacks says why a clause does not apply, or nothing.
func (h Harness) lacks(c clause) string {
	if why := h.Without[c.name]; why != "" {
		return why
	}
	if h.Stand == nil && c.needs&wire != 0 {
		return "this driver has no wire"
	}
	d, err := h.Open(Wire{Base: "http://127.0.0.1:1", Speed: 1})
	if err != nil {
		return "" // the clause will say so
	}
	defer shut(d)
	_, canStream := d.(providers.Streamer)
	_, canHangUp := d.(providers.Hanguper)
	_, canBalance := d.(providers.Balancer)
	_, canList := d.(providers.Cataloger)
	_, canFind := d.(providers.Finder)
	_, canReceive := d.(providers.Receiver)
	_, canKeepTools := d.(providers.Toolkeeper)
	for _, n := range []struct {
		need need
		has  bool
		name string
	}{
		{streams, canStream, "live transcript"},
		{hangsUp, canHangUp, "way to hang up"},
		{balances, canBalance, "balance"},
		{lists, canList, "list of voices"},
		{finds, canFind, "list of calls"},
		{receives, canReceive, "webhooks"},
		{keepsTools, canKeepTools, "tools of the operator's"},
	} {
		if c.needs&n.need != 0 && !n.has {
			return "this service has no " + n.name
		}
	}
	return ""
}

// number is the harness's number with these last digits.
func (h Harness) number(digits string) (phone.Number, error) {
	return phone.ParseNumber(fmt.Sprintf(h.Number, digits), "")
}

func (h Harness) order(to phone.Number) phone.Order {
	if h.Order != nil {
		return h.Order(to)
	}
	return phone.Order{CallID: "call_test", To: to, Task: "Ask whether a table for two is free at seven", CallerName: "Lin"}
}

func (h Harness) outcome(s script.Script) phone.Outcome {
	if h.Outcome != nil {
		return h.Outcome(s)
	}
	return s.Outcome
}
