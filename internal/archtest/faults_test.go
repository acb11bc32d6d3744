package archtest

import (
	"strings"
	"testing"
	"testing/fstest"
)

// sound is a small repository that keeps every rule.
func sound() map[string]string {
	return map[string]string{
		"go.mod":         "module " + module + "\n\ngo 1.26.0\n\nrequire github.com/rs/zerolog v1.35.1\n",
		"phone/doc.go":   "// Package phone is the vocabulary.\npackage phone\n\n// Call is one.\ntype Call struct{ ID string }\n",
		"phone/error.go": "package phone\n\nimport \"errors\"\n\n// ErrGone is one.\nvar ErrGone = errors.New(\"gone\")\n",
		"guard/guard.go": "// Package guard judges.\npackage guard\n\nimport \"" + module + "/phone\"\n\nvar _ = phone.ErrGone\n",
		"guard/guard_test.go": "package guard_test\n\nimport (\n\t\"testing\"\n\t\"testing/synctest\"\n\t\"time\"\n)\n\n" +
			"func TestIt(t *testing.T) {\n\tbubble(t, func(*testing.T) { time.Sleep(1) })\n\tt.Skip(\"no reason to run\")\n}\n\n" +
			"func bubble(t *testing.T, f func(*testing.T)) {\n\tsynctest.Test(t, func(t *testing.T) { f(t); time.Sleep(1) })\n}\n",
		"ledger/ledger.go":       "// Package ledger records.\npackage ledger\n\nimport \"embed\"\n\n//go:embed *.sql\nvar migrations embed.FS\n",
		"providers/providers.go": "// Package providers is the contract.\npackage providers\n\nimport _ \"github.com/rs/zerolog\"\n\n// Driver is one.\ntype Driver interface{ Place() }\n",
		"providers/all/all.go":   "// Package all lists.\npackage all\n\nimport _ \"" + module + "/providers/bell\"\n",
		"providers/providertest/providertest.go": "// Package providertest is the suite.\npackage providertest\n\nimport \"testing\"\n\n" +
			"// Run runs.\nfunc Run(*testing.T) {}\n",
		"providers/bell/bell.go": "// Package bell adapts.\npackage bell\n\nimport \"" + module + "/providers\"\n\n// Spec is.\nfunc Spec() {}\n\n" +
			"// Driver is.\ntype Driver struct{}\n\nvar _ providers.Driver = Driver{}\n\n// Place dials.\nfunc (Driver) Place() {}\n\nfunc classify() {}\n",
		"providers/bell/wire.go":            "package bell\n",
		"providers/bell/bell_test.go":       "package bell\n\nimport _ \"" + module + "/providers/providertest\"\n",
		"providers/bell/standin/standin.go": "// Package standin plays.\npackage standin\n",
		"cmd/outdial/main.go":               "// Command outdial dials.\npackage main\n\nvar release string\n\nfunc main() { println(release) }\n",
		"docs/adr/0002-dependencies.md":     "| `github.com/rs/zerolog` | logs |\n",
		"docs/architecture.md":              "`providers.Driver` has `Driver.Place`; see [the reasons](adr/0002-dependencies.md). Run `make test`.\nShown by `TestIt`: `go test ./guard -run It`\n",
		"Makefile":                          "test:\n\tgo test ./...\n",
		"Dockerfile": "FROM golang:1.26 AS build\nRUN CGO_ENABLED=0 go build -trimpath ./cmd/outdial\n" +
			"FROM gcr.io/distroless/static:nonroot\nCOPY --from=build /outdial /outdial\nENV OUTDIAL_DATABASE=sqlite:/var/lib/outdial/outdial.db\n" +
			"VOLUME [\"/var/lib/outdial\"]\nUSER nonroot:nonroot\nENTRYPOINT [\"/outdial\"]\nCMD [\"stdio\"]\n",
		"mcp.json": `{"$schema": "https://agent-plugins.org/schemas/1.0.0/mcp.schema.json", "mcpServers": {
			"outdial": {"type": "stdio", "command": "outdial", "args": ["stdio"]},
			"outdial-http": {"type": "streamable-http", "url": "http://127.0.0.1:8757/mcp"}}}`,
		"node_modules/x/x.go":       "this is not ours",
		"ledger/testdata/broken.go": "nor is this parsed",
	}
}

// fault is something planted that a rule must find.
type fault struct {
	rule, file string
	from, to   string // what is replaced in the file by what; from empty: to is the whole file, and nothing removes it
	says       string // part of what the rule says
}

func faults() []fault {
	const ours = `import _ "` + module + `/`
	head := "// Package guard judges.\npackage guard\n\n"
	return []fault{
		{rule: "files parse", file: "phone/doc.go", from: "struct{", to: "struct{{", says: "phone/doc.go:5"},

		{rule: "imports go down", file: "phone/up.go", to: "package phone\n\n" + ours + "guard\"\n", says: "phone/up.go:3: phone may not import guard: the vocabulary"},
		{rule: "imports go down", file: "guard/aside.go", to: "package guard\n\n" + ours + "ledger\"\n", says: "guard may not import ledger"},
		{rule: "imports go down", file: "guard/aside_test.go", to: "package guard_test\n\n" + ours + "ledger\"\n", says: "guard may not import ledger"},
		{rule: "imports go down", file: "tools/tools.go", to: "// Package tools is.\npackage tools\n\n" + ours + "operator\"\n", says: "nothing of operator's"},
		{rule: "imports go down", file: "server/server.go", to: "// Package server is.\npackage server\n\n" + ours + "operator\"\n", says: "nothing of operator's"},
		{rule: "imports go down", file: "providers/bell/wire.go", from: "bell\n", to: "bell\n\n" + ours + "providers/chime\"\n", says: "no other adapter"},
		{rule: "imports go down", file: "providers/bell/wire.go", from: "bell\n", to: "bell\n\n" + ours + "providers/bell/standin\"\n", says: "may not import providers/bell/standin"},
		{rule: "imports go down", file: "providers/bell/standin/more.go", to: "package standin\n\n" + ours + "providers/bell\"\n", says: "share its mistakes"},
		{rule: "imports go down", file: "providers/bell/internal/sign/sign.go", to: "// Package sign signs.\npackage sign\n\n" + ours + "phone\"\n", says: "must stand by itself"},
		{rule: "imports go down", file: "gossip/gossip.go", to: "// Package gossip is new.\npackage gossip\n", says: "gossip: this package has no place"},
		{rule: "imports go down", file: "providers/bell/helper/helper.go", to: "// Package helper helps.\npackage helper\n", says: "providers/bell/helper: this package has no place"},

		{rule: "libraries are confined", file: "guard/log.go", to: "package guard\n\nimport _ \"github.com/rs/zerolog\"\n", says: "zerolog may be imported by switchboard"},
		{rule: "libraries are confined", file: "guard/new.go", to: "package guard\n\nimport _ \"example.com/left/pad\"\n", says: "example.com/left/pad is new"},
		{rule: "libraries are confined", file: "guard/guard.go", from: head, to: head + "import _ \"pgregory.net/rapid\"\n", says: "is for tests"},

		{rule: "parts of the standard library are confined", file: "phone/io.go", to: "package phone\n\nimport _ \"os\"\n", says: "phone may not import os: it does no I/O"},
		{rule: "parts of the standard library are confined", file: "ledger/help.go", to: "package ledger\n\nimport _ \"testing\"\n", says: "registers flags"},
		{rule: "parts of the standard library are confined", file: "cmd/outdial/log.go", to: "package main\n\nimport _ \"expvar\"\n", says: "a global server"},

		{rule: "packages say what they are for", file: "guard/guard.go", from: "// Package guard judges.\n", to: "", says: "guard: the package has no comment"},
		{rule: "packages say what they are for", file: "guard/doc.go", to: head, says: "more than one"},
		{rule: "packages say what they are for", file: "guard/guard.go", from: "Package guard", to: "The guard", says: "must begin with"},
		{rule: "packages say what they are for", file: "cmd/outdial/main.go", from: "Command", to: "Package", says: "must begin with"},

		{rule: "nothing runs before main", file: "guard/early.go", to: "package guard\n\nfunc init() {}\n", says: "guard/early.go:3"},
		{rule: "nothing runs before main", file: "guard/early_test.go", to: "package guard\n\nfunc init() {}\n", says: "guard/early_test.go:3"},

		{rule: "packages hold no state", file: "guard/state.go", to: "package guard\n\nvar (\n\t_ = 1\n\tcount int\n)\n", says: "guard/state.go:5: count"},
		{rule: "packages hold no state", file: "guard/state.go", to: "package guard\n\nvar release = \"1\"\n", says: "release"},
		{rule: "packages hold no state", file: "guard/state.go", to: "package guard\n\nvar errands = 1\n", says: "errands"},

		{rule: "nobody shares globals", file: "guard/log.go", to: "package guard\n\nimport \"log\"\n\nfunc say() { log.Print(1) }\n", says: "guard/log.go:5: log.Print"},
		{rule: "nobody shares globals", file: "cmd/outdial/web.go", to: "package main\n\nimport \"net/http\"\n\nfunc get() any { return http.DefaultClient }\n", says: "web.go:5: net/http.DefaultClient"},

		{rule: "nobody sleeps", file: "guard/nap_test.go", to: "package guard\n\nimport \"time\"\n\nfunc nap() {\n\ttime.Sleep(1)\n}\n", says: "guard/nap_test.go:6"},
		{rule: "nobody sleeps", file: "guard/nap.go", to: "package guard\n\nimport clock \"time\"\n\nfunc nap() {\n\tclock.Sleep(1) // sorry\n}\n", says: "guard/nap.go:6"},

		{rule: "skips say why", file: "guard/guard_test.go", from: `t.Skip("no reason to run")`, to: "t.Skip()", says: "a skip without a reason"},
		{rule: "skips say why", file: "guard/slow_test.go", to: "//go:build slow && !race\n\npackage guard\n", says: `"slow"`},

		{rule: "files are short", file: "guard/long.go", to: "package guard\n" + strings.Repeat("\n", longest), says: "guard/long.go: 501 lines"},

		{rule: "adapters are alike", file: "providers/bell/more.go", to: "package bell\n\nfunc (d *Driver) Hangup() {}\n", says: "providers/bell/more.go:3: what the Driver can do is in bell.go"},
		{rule: "adapters are alike", file: "providers/bell/bell.go", from: "classify", to: "sortOut", says: "does not declare classify"},
		{rule: "adapters are alike", file: "providers/bell/bell.go", from: "var _ providers.Driver = Driver{}", to: "var _ = providers.Driver(Driver{})", says: "the block of var _"},
		{rule: "adapters are alike", file: "providers/bell/bell_test.go", from: `import _ "` + module + `/providers/providertest"`, to: "", says: "no test of it runs providertest"},
		{rule: "adapters are alike", file: "providers/bell/wire.go", from: "package bell\n", says: "wire.go: every adapter has this file"},
		{rule: "adapters are alike", file: "providers/bell/standin/standin.go", from: "// Package standin plays.\npackage standin\n", says: "as a stand-in"},

		{rule: "adapters are listed", file: "providers/all/all.go", from: `import _ "` + module + `/providers/bell"`, to: "", says: "bell is not in the list"},

		{
			rule: "adapters dial through upstream", file: "providers/bell/wire.go",
			from: "bell\n", to: "bell\n\nimport web \"net/http\"\n\nfunc ask() { web.Post(\"\", \"\", nil) }\n", says: "wire.go:5: http.Post",
		},

		{rule: "nothing points at a machine", file: "README.md", to: "Run it:\n\n    cd /ro" + "ot/outdial/bin\n", says: "README.md:3"},
		{rule: "nothing points at a machine", file: "ledger/testdata/x.txt", to: "log=/ho" + "me/ann/log\n", says: "testdata/x.txt:1"},
		{rule: "nothing points at a machine", file: "package-lock.json", to: `"resol` + `ved": "https://example.com/x.tgz"`, says: "package-lock.json:1"},
		{rule: "nothing points at a machine", file: ".npmrc", to: "//example.com/:_auth" + "Token=x\n", says: ".npmrc:1"},

		{rule: "merges are finished", file: "docs/x.md", to: "one\n" + strings.Repeat("<", 7) + " HEAD\ntwo\n", says: "docs/x.md:2: the merge is not finished"},
		{rule: "merges are finished", file: "docs/x.md", to: "one\n" + strings.Repeat(">", 7) + " 1234567 (x)\n", says: "docs/x.md:2"},

		{rule: "dependencies have reasons", file: "docs/adr/0002-dependencies.md", from: "zerolog", to: "zerolag", says: "zerolog is imported and has no row"},
		{rule: "dependencies have reasons", file: "docs/adr/0002-dependencies.md", from: "logs |\n", to: "logs |\n| `pgregory.net/rapid` | makes up |\n", says: "nothing imports pgregory.net/rapid"},
		{rule: "dependencies have reasons", file: "go.mod", from: "zerolog", to: "zerolag", says: "is imported and not required"},

		{
			rule: "dependencies have reasons", file: "go.mod", from: "\n\nrequire",
			to: "\n\nrequire (\n\texample.com/left/pad v1.0.0\n\texample.com/right/pad v1.0.0 // indirect\n)\n\nrequire", says: "left/pad is required directly and has no row",
		},
		{
			rule: "dependencies have reasons", file: "go.mod", from: "\n\nrequire",
			to: "\n\nrequire (" + strings.Repeat("\n\texample.com/a v1.0.0", mostLibraries) + "\n)\n\nrequire", says: "go.mod: 21 libraries are required directly, more than 20",
		},

		{rule: "documents name what exists", file: "docs/architecture.md", from: "providers.Driver", to: "providers.Drover", says: "architecture.md:1: there is no providers.Drover"},
		{rule: "documents name what exists", file: "docs/architecture.md", from: "Driver.Place", to: "Driver.Plate", says: "there is no Driver.Plate"},
		{rule: "documents name what exists", file: "docs/architecture.md", from: "(adr/", to: "(ard/", says: "no file docs/ard"},

		{rule: "documents show what they say", file: "docs/architecture.md", from: "`TestIt`", to: "`TestThat`", says: "architecture.md:2: there is no TestThat"},
		{rule: "documents show what they say", file: "docs/architecture.md", from: "-run It", to: "-run That", says: "no test there is called That"},
		{rule: "documents show what they say", file: "docs/architecture.md", from: "./guard", to: "./phone", says: "phone has no tests"},
		{rule: "make knows its targets", file: "docs/architecture.md", from: "make test", to: "make tests", says: "no target tests"},

		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: "USER nonroot:nonroot\n", says: "as root"},
		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: "CGO_ENABLED=0", to: "CGO_ENABLED=1", says: "static"},
		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: "gcr.io/distroless/static:nonroot", to: "debian", says: "distroless"},
		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: "USER nonroot:nonroot", to: "USER nonroot:nonroot\nENV STEPONEAI_API_KEY=sk", says: "secret"},
		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: "USER nonroot:nonroot", to: "RUN true\nUSER nonroot:nonroot", says: "no shell"},

		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: "golang:1.26", to: "golang:1.25", says: "by the Go of go.mod"},
		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: "FROM golang", to: "ARG DB_PASSWORD\nFROM golang", says: "secret"},
		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: `ENTRYPOINT ["/outdial"]`, to: "ENTRYPOINT /outdial", says: "must be the program"},
		{rule: "the image runs one static binary as nobody", file: "Dockerfile", from: "sqlite:/var/lib/outdial/", to: "sqlite:/srv/", says: "lie in the volume"},

		{rule: "the client configuration fits the server", file: "mcp.json", from: "8757", to: "8080", says: "should say"},
		{rule: "the client configuration fits the server", file: "mcp.json", from: `"type": "stdio",`, to: `"type": "stdio", "note": "x",`, says: "closed"},
	}
}

func parsed(t *testing.T, files map[string]string) *tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	repository, err := read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return repository
}

func TestSoundRepositoryKeepsTheRules(t *testing.T) {
	for _, r := range rules() {
		for _, wrong := range r.check(parsed(t, sound())) {
			t.Errorf("%s: %s", r.name, wrong)
		}
	}
}

func TestRulesFindPlantedFaults(t *testing.T) {
	found := map[string]bool{}
	for _, f := range faults() {
		t.Run(f.rule+"/"+f.says, func(t *testing.T) {
			files := sound()
			switch {
			case f.from == "":
				files[f.file] = f.to
			case !strings.Contains(files[f.file], f.from):
				t.Fatalf("%s does not hold %q: the fault was not planted", f.file, f.from)
			case f.from == files[f.file]:
				delete(files, f.file)
			default:
				files[f.file] = strings.Replace(files[f.file], f.from, f.to, 1)
			}
			repository := parsed(t, files)
			for _, r := range rules() {
				said := strings.Join(r.check(repository), "\n")
				if r.name == f.rule && strings.Contains(said, f.says) {
					found[r.name] = true
				} else if r.name == f.rule {
					t.Errorf("%s: it says %q and should say %q", r.name, said, f.says)
				}
			}
		})
	}
	for _, r := range rules() {
		if !found[r.name] {
			t.Errorf("%s: no planted fault shows that it can fail", r.name)
		}
	}
}
