package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// product builds the product's binary.
func product(t *testing.T) string {
	t.Helper()
	node(t)
	if _, err := os.Stat("../../cmd/outdial"); errors.Is(err, os.ErrNotExist) {
		t.Skip("NOT RUN: there is no cmd/outdial in this checkout")
	}
	return build(t, "../../cmd/outdial")
}

// home is an environment in which the product finds nothing of its user's: no keys, no settings, no calls.
func home(t *testing.T, more ...string) []string {
	t.Helper()
	dir := t.TempDir()
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"XDG_STATE_HOME=" + filepath.Join(dir, "state"), "XDG_CONFIG_HOME=" + filepath.Join(dir, "config"),
		"XDG_DATA_HOME=" + filepath.Join(dir, "data"), "XDG_CACHE_HOME=" + filepath.Join(dir, "cache"),
	}
	return append(env, more...)
}

// serveProduct runs `outdial http` on a free port until the test ends.
func serveProduct(t *testing.T, binary string) (url string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, "http")
	cmd.Env = home(t, "OUTDIAL_ADDR="+addr)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	log := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { <-ended })

	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for {
		ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(ask); err == nil {
			_ = resp.Body.Close()
			return "http://" + addr + "/mcp"
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("outdial http ended with %v:\n%s", err, log)
		case <-ctx.Done():
			t.Fatal("outdial http did not answer /healthz within 15 s")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// declared are the capabilities that a server says it has.
func declared(t *testing.T, url string) map[string]json.RawMessage {
	t.Helper()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	ask.Header.Set("Content-Type", "application/json")
	ask.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Result struct {
			Capabilities map[string]json.RawMessage `json:"capabilities"`
		} `json:"result"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || len(answer.Result.Capabilities) == 0 {
		t.Fatalf("initialize answered %s, %+v, %v", resp.Status, answer, err)
	}
	return answer.Result.Capabilities
}

// The scenarios that ask for no fixtures. Those about a capability are for servers that declare it.
func TestProduct(t *testing.T) {
	url := serveProduct(t, product(t))
	capabilities := declared(t, url)
	const legacy, modern = "2025-11-25", "2026-07-28"
	for _, c := range []struct{ script, version, scenario, needs string }{
		{released, legacy, "server-initialize", ""},
		{released, legacy, "ping", ""},
		{released, legacy, "server-sse-multiple-streams", ""},
		{released, legacy, "dns-rebinding-protection", ""},
		{released, legacy, "tools-list", "tools"},
		{released, legacy, "prompts-list", "prompts"},
		{released, legacy, "logging-set-level", "logging"},
		{released, legacy, "resources-list", "resources"},
		{released, legacy, "resources-subscribe", "resources"},
		{released, legacy, "resources-unsubscribe", "resources"},
		{next, legacy, "server-session-lifecycle", ""},
		{next, modern, "dns-rebinding-protection", ""},
		{next, modern, "http-header-validation", ""},
		{next, modern, "sep-2164-resource-not-found", ""},
		{next, modern, "tools-list", "tools"},
		{next, modern, "prompts-list", "prompts"},
		{next, modern, "resources-list", "resources"},
	} {
		t.Run(c.version+" "+c.scenario, func(t *testing.T) {
			if _, has := capabilities[c.needs]; c.needs != "" && !has {
				t.Skip("the product declares no " + c.needs)
			}
			args := []string{"--scenario", c.scenario}
			if c.script == next { // the other one knows of none
				args = append(args, "--spec-version", c.version)
			}
			found := suite(t, c.script, url, args...)
			if found.passed == 0 || len(found.failed) > 0 {
				t.Errorf("%d checks passed, failed: %q", found.passed, found.failed)
			}
		})
	}
}

// The Inspector is the client that most people first try a server with.
func TestProductInspector(t *testing.T) {
	binary := product(t)
	url := serveProduct(t, binary)
	// The Inspector starts the server with its own environment.
	for _, set := range home(t) {
		name, value, _ := strings.Cut(set, "=")
		t.Setenv(name, value)
	}
	for transport, target := range inspected(url, binary, "stdio") {
		t.Run(transport, func(t *testing.T) {
			list := inspectJSON[struct {
				Tools []struct{ Name, Description string }
			}](t, target, "--method", "tools/list")
			var names []string
			for _, tool := range list.Tools {
				names = append(names, tool.Name)
				if tool.Description == "" {
					t.Errorf("%s has no description", tool.Name)
				}
			}
			for _, want := range []string{"create_call", "create_batch", "get_call", "stream_transcript", "list_calls", "cancel_call", "check_balance", "check_number", "list_providers"} {
				if !slices.Contains(names, want) {
					t.Errorf("tools/list names %q, and not %s", names, want)
				}
			}
			called := inspectJSON[struct {
				IsError           bool
				StructuredContent struct{ Providers []struct{ Name string } }
			}](t, target, "--method", "tools/call", "--tool-name", "list_providers")
			if called.IsError || len(called.StructuredContent.Providers) == 0 {
				t.Errorf("list_providers answered %+v", called)
			}
		})
	}
}
