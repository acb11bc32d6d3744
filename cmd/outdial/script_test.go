package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Each script in testdata/script pins a part of what outdial does at the terminal; its first lines say which. $STANDIN is
// the address of the services' stand-ins, $BRISK and $SLOW those of slower ones, HOME an empty folder. The guard's limits
// are open: a script that is about one sets it back.
func TestScripts(t *testing.T) {
	standin, brisk, slow := sandbox(t, speed), sandbox(t, 5), sandbox(t, 0.2)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/home")
			e.Setenv("STANDIN", standin)
			e.Setenv("BRISK", brisk)
			e.Setenv("SLOW", slow)
			e.Setenv("GORACE", raceOptions)
			for _, set := range openGuard() {
				name, value, _ := strings.Cut(set, "=")
				e.Setenv(name, value)
			}
			return os.MkdirAll(e.WorkDir+"/home", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "capture": capture, "jsonlines": jsonLines, "isjson": isJSON, "ledgerhas": ledgerHas,
		},
	})
}

// exits CODE COMMAND… runs a command that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, not %d", got, want)
	}
}

// capture NAME PATTERN sets a variable to what a pattern finds in the last command's output: its first group, if it has one.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATTERN")
	}
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("nothing fits %s", args[1])
	}
	ts.Setenv(args[0], found[len(found)-1])
}

// jsonlines FILE FIRST checks that each line is one event, that their seqs rise by one from FIRST, and that the last one is
// the call's end.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: jsonlines FILE FIRST")
	}
	next, err := strconv.Atoi(args[1])
	ts.Check(err)
	status := ""
	for line := range bytes.Lines([]byte(ts.ReadFile(args[0]))) {
		var e struct {
			Seq    int
			CallID string `json:"call_id"`
			Status string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			ts.Fatalf("%q: %v", line, err)
		}
		if e.Seq != next || e.CallID == "" {
			ts.Fatalf("%q should be event %d", line, next)
		}
		next, status = next+1, e.Status
	}
	if status != "ended" {
		ts.Fatalf("the last event is not the end but %q", status)
	}
}

// isjson FILE checks that a file is one JSON value.
func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: isjson FILE")
	}
	if text := ts.ReadFile(args[0]); !json.Valid([]byte(text)) {
		ts.Fatalf("not one JSON value: %s", text)
	}
}

// ledgerhas PATTERN looks for a pattern in the ledger's files as they are.
func ledgerHas(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] ledgerhas PATTERN")
	}
	files, err := filepath.Glob(ts.Getenv("HOME") + "/.local/state/outdial/*")
	ts.Check(err)
	if len(files) < 2 {
		ts.Fatalf("%d files", len(files))
	}
	var all []byte
	for _, f := range files {
		all = append(all, ts.ReadFile(f)...)
	}
	if found := regexp.MustCompile(args[0]).Find(all); (found == nil) != neg {
		ts.Fatalf("found %q in %v", found, files)
	}
}
