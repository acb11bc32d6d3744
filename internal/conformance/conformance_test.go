package conformance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// released is the suite for the handshake eras; next is the one that has 2026-07-28 too.
	released = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
	next     = "node_modules/conformance-next/dist/index.js"
	// runLimit bounds one run of a suite or of the Inspector. They take some three seconds.
	runLimit = 2 * time.Minute
)

// node is the Node that install.sh brought. Without it the test cannot run, which CI must not pass over.
func node(t *testing.T) string {
	t.Helper()
	for _, need := range []string{"node_modules/.bin/node", released, next, "node_modules/.bin/mcp-inspector"} {
		if _, err := os.Stat(need); err != nil {
			why := "NOT RUN: the official conformance suites are not installed; run internal/conformance/install.sh (" + err.Error() + ")"
			if os.Getenv("CI") == "true" {
				t.Fatal(why)
			}
			t.Skip(why)
		}
	}
	path, err := filepath.Abs("node_modules/.bin/node")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// build builds a main package of this module, and lets go test know all files that it may be made of: the outcome of
// a test is cached for as long as no file that it has looked at changes.
func build(t *testing.T, pkg string, flags ...string) string {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // just removed
			return nil
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".go" || d.Name() == "go.mod" || d.Name() == "go.sum":
			_, _ = os.Stat(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg))
	out, err := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", binary}, flags...), pkg)...).CombinedOutput()
	if err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return binary
}

// run runs a program of Node's to its end and returns what it wrote to its standard output.
func run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, node(t), args...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(node(t))+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.WaitDelay = 5 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		t.Fatalf("%s: not done within %v\n%s\n%s", strings.Join(args, " "), runLimit, out, &stderr)
	}
	if err != nil { // so a suite ends in which a check has failed
		t.Logf("%s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// fixtures starts the fixture server and returns its address.
func fixtures(t *testing.T, binary string) (url string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // by now the context has ended
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("the fixture server ended with %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the fixture server did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

// outcome is what a suite found: how many checks passed, and which did not, as "scenario: check".
type outcome struct {
	passed int
	failed []string
}

// suite runs scenarios of a conformance suite against a server.
func suite(t *testing.T, script, url string, args ...string) outcome {
	t.Helper()
	dir := t.TempDir()
	out := run(t, append([]string{script, "server", "--url", url, "-o", dir}, args...)...)
	reports, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil || len(reports) == 0 {
		t.Fatalf("no reports (%v) of\n%s", err, out)
	}
	var found outcome
	for _, report := range reports {
		raw, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		var checks []struct{ ID, Status, ErrorMessage string }
		if err := json.Unmarshal(raw, &checks); err != nil {
			t.Fatalf("%s: %v", report, err)
		}
		// server-NAME-2026-11-21T15-15-53-343Z
		scenario := strings.TrimPrefix(filepath.Base(filepath.Dir(report)), "server-")
		scenario = scenario[:max(0, len(scenario)-len("-2026-11-21T15-15-53-343Z"))]
		for _, c := range checks {
			switch c.Status {
			case "SUCCESS":
				found.passed++
			case "FAILURE":
				found.failed = append(found.failed, scenario+": "+c.ID)
				t.Logf("%s: %s: %s", scenario, c.ID, c.ErrorMessage)
			}
		}
	}
	slices.Sort(found.failed)
	return found
}

// Our transports, with everything behind them that the suites ask for.
func TestFixtures(t *testing.T) {
	node(t)
	binary := build(t, "./fixtures", "-tags", "conformance")
	url := fixtures(t, binary)
	for _, c := range []struct {
		name, script string
		args         []string
		passed       int
		failed       []string
	}{
		{name: "released", script: released, args: []string{"--suite", "all"}, passed: 43},
		{name: "2025-11-25", script: next, args: []string{"--suite", "all", "--spec-version", "2025-11-25"}, passed: 80},
		{
			name: "2026-07-28", script: next, args: []string{"--suite", "all", "--spec-version", "2026-07-28"}, passed: 149,
			// mcp-go lets no handler answer with the error code -32021. Once it does, both pass, and this is to go.
			failed: []string{
				"server-stateless: sep-2575-missing-capability-http-400",
				"server-stateless: sep-2575-server-rejects-undeclared-capability",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := suite(t, c.script, url, c.args...)
			t.Logf("%d passed, %d failed", found.passed, len(found.failed))
			if found.passed != c.passed || !slices.Equal(found.failed, c.failed) {
				t.Errorf("%d checks passed, want %d; failed: %q, want %q", found.passed, c.passed, found.failed, c.failed)
			}
		})
	}
	t.Run("Inspector", func(t *testing.T) {
		for name, target := range inspected(url, binary, "-stdio") {
			if out := inspect(t, target, "--method", "tools/call", "--tool-name", "test_simple_text"); !strings.Contains(out, "simple text response") {
				t.Errorf("%s: tools/call answered %s", name, out)
			}
			if out := inspect(t, target, "--method", "resources/read", "--uri", "test://static-text"); !strings.Contains(out, "static text resource") {
				t.Errorf("%s: resources/read answered %s", name, out)
			}
		}
	})
}

// inspected are one server's two transports, as the Inspector is told of them.
func inspected(url string, stdio ...string) map[string][]string {
	return map[string][]string{"stdio": stdio, "HTTP": {url, "--transport", "http"}}
}

// inspect has the Inspector ask a server one thing and returns its answer.
func inspect(t *testing.T, target []string, args ...string) string {
	t.Helper()
	return run(t, slices.Concat([]string{"node_modules/.bin/mcp-inspector", "--cli"}, target, args)...)
}

// inspectJSON is inspect, where the answer is a JSON object.
func inspectJSON[T any](t *testing.T, target []string, args ...string) (answer T) {
	t.Helper()
	out := inspect(t, target, args...)
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(fmt.Errorf("%w in the Inspector's answer: %s", err, out))
	}
	return answer
}
