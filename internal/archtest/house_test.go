package archtest

import "strings"

// place says what one package may import of ours. Everything else is forbidden.
type place struct {
	may   []string // what its code imports
	tests []string // what its tests import besides
	why   string   // why no more
}

// anything is a place without limits.
const anything = "*"

// house is the import diagram (docs/adr/0001-the-house.md). A package that is not in it fails the test: a new one gets its
// row and its reason here first. Adapters and their stand-ins have one row for all of them, in placeOf.
func house() map[string]place {
	return map[string]place{
		"phone": {
			why: "the vocabulary stands under everything else and knows none of it",
		},
		"schema": {
			may: []string{"phone"}, why: "the wire is phone's words in another form; what fills it is the tools' business",
		},
		"guard": {
			may: []string{"phone"}, why: "a verdict is a pure function: what it judges by is handed to it",
		},
		"follow": {
			may: []string{"phone"}, why: "it is told what to read and where to record, and does no I/O of its own",
		},
		"peer": {
			may: []string{"phone"}, why: "it knows who asks and the way back, not what is asked",
		},
		"auth": {
			may: []string{"phone"}, why: "it takes a token to a caller, whoever asks and whatever for",
		},
		"ledger": {
			may: []string{"phone"}, tests: []string{"internal/pgtest"}, why: "it records facts; the rules that judge them are handed to it as a function",
		},
		"notify": {
			may: []string{"phone"}, why: "it tells somebody something, and does not know what",
		},
		"providers": {
			may: []string{"phone"}, tests: []string{"providers/script", "providers/simulator"},
			why: "the contract knows no adapter: that is what lets one be added with a line",
		},
		"providers/script": {
			may: []string{"phone"}, why: "a script is pure: what plays it is the simulator's and the stand-ins' business",
		},
		"providers/internal/upstream": {
			may: []string{"phone"}, why: "it is what adapters share of HTTP, and knows neither them nor their contract",
		},
		"providers/providertest": {
			may:   []string{"phone", "providers", "providers/script", "providers/internal/upstream"},
			tests: []string{"providers/simulator"},
			why:   "the contract's suite holds for every adapter and so knows none",
		},
		"providers/all": {
			may: []string{"providers", "providers/" + anything}, why: "it is the list of adapters, and nothing else",
		},
		"switchboard": {
			may:   []string{"phone", "guard", "follow", "ledger", "notify", "providers"},
			tests: []string{"providers/simulator", "providers/script", "providers/providertest"},
			why:   "it carries out calls for whoever asks: it knows neither protocol nor adapter",
		},
		"operator": {
			may: []string{"phone", "guard", "ledger", "providers"}, tests: []string{"providers/simulator"},
			why: "it is for a person at the machine, and works on what is recorded",
		},
		"tools": {
			may:   []string{"phone", "schema", "peer", "switchboard"},
			tests: []string{"guard", "ledger", "follow", "providers", "providers/simulator", "server"},
			why:   "a model reaches through it what the switchboard offers, and nothing of operator's",
		},
		"server": {
			may:   []string{"phone", "schema", "peer", "auth", "switchboard"},
			tests: []string{"tools", "guard", "ledger", "follow", "providers", "providers/simulator"},
			why:   "it carries messages and knows no tool; a model reaches nothing of operator's through it",
		},
		"cmd/outdial": {
			may: []string{anything}, why: "main is where all of it is put together",
		},
		"internal/release": {
			why: "it builds the program and is no part of it",
		},
		"internal/fleet": {
			tests: []string{"internal/pgtest"}, why: "it runs the program from outside, with what stands before it and behind it",
		},
		"internal/pgtest": {
			why: "it gives tests a Postgres, and knows nothing of what they put there",
		},
		"internal/archtest": {
			why: "it reads the files and imports none of them",
		},
		"internal/conformance/fixtures": {
			may: []string{"phone", "peer", "server"}, why: "it shows what our transport does with tools that are not the product's",
		},
		"internal/faultlab": {
			tests: []string{anything}, why: "it puts the program together with faults in between, in its tests alone",
		},
		"internal/conformance": {
			may: []string{"phone", "schema"}, tests: []string{anything},
			why: "it speaks to the program from outside, as other people's clients do",
		},
	}
}

// placeOf is a package's place; false where it has none.
func placeOf(pkg string) (place, bool) {
	if p, ok := house()[pkg]; ok {
		return p, true
	}
	name, below := isAdapter(pkg)
	shared := "providers/" + name + "/internal/*"
	switch {
	case name == "":
		return place{}, false
	case strings.HasPrefix(below, "internal/"):
		return place{why: "what an adapter and its stand-in share must stand by itself, so that it can be tested by itself"}, true
	case below == "standin":
		return place{
			may:   []string{"phone", "providers", "providers/script", shared}, // of providers the preamble, which it must tell from the task
			tests: []string{"providers/providertest", "providers/" + name},
			why:   "a stand-in that shared its reading of the wire with its adapter would share its mistakes",
		}, true
	case name == "simulator":
		return place{
			may: []string{"phone", "providers", "providers/script"}, tests: []string{"providers/providertest"},
			why: "it is the reference reading of the contract, so it has what the contract gives, and opens no connection",
		}, true
	}
	return place{
		may:   []string{"phone", "providers", "providers/internal/upstream", shared},
		tests: []string{"providers/providertest", "providers/script", "providers/" + name + "/standin"},
		why:   "an adapter knows its service and the contract, and no other adapter",
	}, true
}

// isAdapter gives the adapter that a package is or is a part of, and which part: "" for the adapter itself, "standin", or
// what lies in its internal folder. The name is empty for any other package.
func isAdapter(pkg string) (name, below string) {
	rest, ok := strings.CutPrefix(pkg, "providers/")
	if !ok {
		return "", ""
	}
	name, below, deep := strings.Cut(rest, "/")
	switch {
	case house()["providers/"+name].why != "" || name == "internal":
		return "", ""
	case deep && below != "standin" && !strings.HasPrefix(below, "internal/"):
		return "", ""
	}
	return name, below
}

// library says where a library from outside may be imported. Each has its reason to be here at all in
// docs/adr/0002-dependencies.md.
type library struct {
	in      []string // packages of ours; "providers/*" is every package below providers
	inTests []string // packages of ours whose test files import it too
	tests   bool     // in test files everywhere, and in providertest, which is one in all but name
	why     string
}

func libraries() map[string]library {
	return map[string]library{
		"github.com/mark3labs/mcp-go": {
			in:  []string{"tools", "server", "peer", "cmd/outdial", "internal/conformance", "internal/conformance/*"},
			why: "the protocol's types stop where the tools begin",
		},
		"github.com/tmaxmax/go-sse": {
			in: []string{"providers/internal/upstream", "server"}, why: "event streams are read and written in one place each",
		},
		"github.com/nyaruka/phonenumbers/v2": {
			in: []string{"phone", "guard"}, inTests: []string{"switchboard"},
			why: "a number is parsed once, and judged once; a test takes the numbers of the world from its tables",
		},
		"github.com/google/jsonschema-go": {
			in: []string{"schema"}, why: "the wire's schemas are made in one place",
		},
		"modernc.org/sqlite": {
			in: []string{"ledger"}, inTests: []string{"internal/faultlab", "cmd/outdial"},
			why: "SQL is the ledger's secret; tests that kill a process within a transaction hook the driver",
		},
		"github.com/go-jose/go-jose/v4": {
			in: []string{"auth"}, inTests: []string{"server", "cmd/outdial"},
			why: "tokens are judged in one place; tests make some to try it with",
		},
		"github.com/jackc/pgx/v5": {in: []string{"ledger"}, why: "SQL is the ledger's secret"},
		"github.com/gofrs/flock":  {in: []string{"ledger"}, why: "the ledger's file is the one thing that processes share"},
		"github.com/rs/zerolog":   {in: []string{"switchboard", "server", "providers", "providers/*", "operator", "cmd/outdial"}, why: "only the edges log"},
		"github.com/prometheus/client_golang": {
			in: []string{"server"}, why: "the switchboard says what happens, and one place counts it",
		},
		"go.opentelemetry.io/otel":     {in: []string{"server"}, why: "spans are made, and kept free of what people write, in one place"},
		"go.opentelemetry.io/otel/sdk": {in: []string{"server"}, why: "spans are made in one place"},
		"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp": {
			in: []string{"server"}, why: "spans are sent from where they are made",
		},
		"github.com/spf13/cobra":          {in: []string{"cmd/outdial"}, why: "flags and commands are the binary's"},
		"github.com/pelletier/go-toml/v2": {in: []string{"cmd/outdial"}, why: "settings are read where the program is put together"},
		"golang.org/x/term":               {in: []string{"cmd/outdial"}, why: "the terminal is the binary's"},
		"github.com/google/go-cmp":        {tests: true, why: "it compares in tests; it may panic, and says so"},
		"pgregory.net/rapid":              {tests: true, why: "it makes up what tests are run with"},
		"go.uber.org/goleak":              {tests: true, why: "it looks for goroutines that a test left behind"},
		"github.com/rogpeppe/go-internal": {tests: true, why: "it plays the CLI's scripts in tests"},
	}
}

// libraryOf is the row of an imported path: the longest, since modules lie below others.
func libraryOf(importPath string) (name string, found library, ok bool) {
	for n, l := range libraries() {
		if (importPath == n || strings.HasPrefix(importPath, n+"/")) && len(n) > len(name) {
			name, found, ok = n, l, true
		}
	}
	return name, found, ok
}

// standard says which packages of the standard library are kept out of where.
type standard struct {
	banned []string
	from   []string // packages of ours
	except []string // of those from anything
	why    string
}

func standards() []standard {
	return []standard{
		{
			banned: []string{"os", "os/exec", "net", "net/http", "database/sql", "io/ioutil"},
			from:   []string{"phone", "guard", "follow", "schema", "providers/script"},
			why:    "it does no I/O, so that it is the same in every process and in a test",
		},
		{
			banned: []string{"testing"}, from: []string{anything}, except: []string{"providers/providertest", "internal/conformance", "internal/pgtest"},
			why: "the testing package registers flags in whatever program links it",
		},
		{
			banned: []string{"expvar", "net/http/pprof"}, from: []string{anything},
			why: "it puts itself into a global server when it is imported",
		},
		{
			banned: []string{"math/rand", "io/ioutil"}, from: []string{anything},
			why: "the standard library has replaced it",
		},
		{
			banned: []string{"unsafe", "plugin"}, from: []string{anything},
			why: "nothing here needs it",
		},
	}
}
