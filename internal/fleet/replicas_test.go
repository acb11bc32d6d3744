package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outdial/outdial/internal/pgtest"
)

// outdial builds the program, and lets go test know all files that it may be made of: an outcome is cached for as long as
// no file that the test has looked at changes.
func outdial(t *testing.T) string {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // just removed
			return nil
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".go" || filepath.Ext(path) == ".sql" || d.Name() == "go.mod" || d.Name() == "go.sum":
			_, _ = os.Stat(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "outdial")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../cmd/outdial").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return path
}

// replica is one real outdial.
type replica struct {
	cmd   *exec.Cmd
	ended <-chan struct{}
}

// startReplicas starts real outdials on one ledger, waits until they are ready, and gives a token that they take.
func startReplicas(t *testing.T, program, ledger, port, public string) (all []replica, token string) {
	t.Helper()
	dir := t.TempDir()
	tokens := "OUTDIAL_TOKENS_FILE=" + filepath.Join(dir, "tokens")
	made := exec.CommandContext(t.Context(), program, "token", "new", "ann")
	made.Env = []string{"HOME=" + t.TempDir(), tokens}
	said, err := made.Output()
	if err != nil {
		t.Fatal(err)
	}
	token = strings.TrimSpace(string(said))
	for i := range replicas {
		c := exec.CommandContext(t.Context(), program, "http")
		said := &log{}
		c.Env = []string{
			"HOME=" + t.TempDir(), "OUTDIAL_DATABASE=" + ledger, "OUTDIAL_ADDR=" + addressOf(i, port), tokens,
			"OUTDIAL_PUBLIC_URL=" + public,
		}
		c.Stderr = said
		all = append(all, replica{c, start(t, c)})
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("replica %d said:\n%s", i+1, said)
			}
		})
	}
	c := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range replicas {
		within(t, fmt.Sprintf("replica %d is ready", i+1), func() bool {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addressOf(i, port)+"/readyz", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(r)
			if err != nil {
				return false
			}
			return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
		})
	}
	return all, token
}

// mcp is a client of the fleet's.
type mcp struct {
	t          *testing.T
	c          *http.Client
	url, token string
}

// send posts one message, in a session or, without one, as 2026-07-28 has it.
func (m mcp) send(session, method, params string) *http.Response {
	m.t.Helper()
	id := `"id":1,`
	if strings.HasPrefix(method, "notifications/") {
		id = ""
	}
	r, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.url+"/mcp",
		strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0",%s"method":%q,"params":%s}`, id, method, params)))
	if err != nil {
		m.t.Fatal(err)
	}
	if m.token != "" {
		r.Header.Set("Authorization", "Bearer "+m.token)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	switch {
	case method == "initialize":
	case session != "":
		r.Header.Set(sessionHeader, session)
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	default:
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", method)
		var named struct{ Name string }
		if json.Unmarshal([]byte(params), &named) == nil && named.Name != "" {
			r.Header.Set("Mcp-Name", named.Name)
		}
	}
	resp, err := m.c.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp
}

// status sends and reads to the end.
func (m mcp) status(session, method, params string) (status int, text string) {
	m.t.Helper()
	resp := m.send(session, method, params)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// begin begins a session.
func (m mcp) begin() string {
	m.t.Helper()
	resp := m.send("", "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}`)
	defer resp.Body.Close()
	session := resp.Header.Get(sessionHeader)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || session == "" || resp.StatusCode != http.StatusOK {
		m.t.Fatalf("initialize: %s, session %q, %v", resp.Status, session, err)
	}
	if status, text := m.status(session, "notifications/initialized", `{}`); status != http.StatusAccepted {
		m.t.Fatalf("%d: %s", status, text)
	}
	return session
}

const modern = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}`

// tool is the answer to a tool's call, which came as an object or as the last event.
func (m mcp) tool(session, name, arguments string) map[string]any {
	m.t.Helper()
	meta := ""
	if session == "" {
		meta = modern
	}
	status, text := m.status(session, "tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s,"_meta":{%s}}`, name, arguments, meta))
	if i := strings.LastIndex(text, "data: "); i >= 0 {
		text = text[i+len("data: "):]
	}
	var answer struct {
		Result struct {
			StructuredContent map[string]any
		}
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK || answer.Result.StructuredContent == nil {
		m.t.Fatalf("%s: %d: %s, %v", name, status, text, err)
	}
	return answer.Result.StructuredContent
}

func TestReplicas(t *testing.T) {
	haproxy(t)
	program := outdial(t)
	t.Run("on a file", func(t *testing.T) {
		t.Parallel()
		serve(t, program, "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"))
	})
	t.Run("on Postgres", func(t *testing.T) {
		t.Parallel()
		var server pgtest.Server
		t.Cleanup(server.Stop)
		serve(t, program, server.Database(t))
	})
}

// serve is three replicas on one ledger, and what they are to their clients.
func serve(t *testing.T, program, ledger string) {
	port := freePort(t)
	url, client := startProxy(t, port)
	all, token := startReplicas(t, program, ledger, port, url)
	m := mcp{t, client, url, token}
	within(t, "the proxy answers", func() bool { status, _ := m.status("", "tools/list", `{"_meta":{`+modern+`}}`); return status == 200 })

	var sessions []string
	t.Run("sessions last", func(t *testing.T) {
		for range 30 {
			sessions = append(sessions, m.begin())
		}
		var asking sync.WaitGroup
		for _, s := range sessions {
			asking.Go(func() {
				for range 10 {
					if status, text := m.status(s, "tools/list", `{}`); status != http.StatusOK || !strings.Contains(text, "create_call") {
						t.Errorf("%d: %.200s", status, text)
					}
				}
			})
		}
		asking.Wait()
	})
	t.Run("nobody comes in without a token", func(t *testing.T) {
		for session, token := range map[string]string{"": "", sessions[0]: "", sessions[1]: "x" + token} {
			if status, text := (mcp{t, client, url, token}).status(session, "tools/list", `{"_meta":{`+modern+`}}`); status != http.StatusUnauthorized {
				t.Errorf("%d: %s", status, text)
			}
		}
	})
	var id string
	t.Run("progress comes while the call goes on", func(t *testing.T) { id = live(t, m) })
	t.Run("any replica answers for any call", func(t *testing.T) {
		for range 3 * replicas {
			if got := m.tool("", "get_call", fmt.Sprintf(`{"call_id":%q}`, id)); got["call_id"] != id {
				t.Errorf("%v", got)
			}
		}
	})
	t.Run("a replica takes only its own sessions along", func(t *testing.T) { leave(t, m, all[1], sessions, id) })
}

// live places a call and sees, once its first progress has come, that it is not over yet.
func live(t *testing.T, m mcp) string {
	resp := m.send("", "tools/call", `{"name":"create_call","arguments":{"to":"+12025550100","task":"Ask for the opening hours","wait_seconds":40},"_meta":{"progressToken":"p",`+modern+`}}`)
	defer resp.Body.Close()
	first, id, events := "", "", 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if events++; first == "" {
			first = data
			calls, _ := m.tool("", "list_calls", `{}`)["calls"].([]any)
			if len(calls) != 1 {
				t.Fatalf("%v", calls)
			}
			call, _ := calls[0].(map[string]any)
			if call["status"] == "ended" || call["status"] == "wrapping_up" {
				t.Errorf("the first progress came when the call was over: %v", call)
			}
			id = fmt.Sprint(call["call_id"])
		}
	}
	if !strings.Contains(first, "notifications/progress") || events < 5 {
		t.Errorf("%d events, the first: %s", events, first)
	}
	return id
}

// leave stops one replica: its sessions are none any more and begin anew, all others go on.
func leave(t *testing.T, m mcp, gone replica, sessions []string, id string) {
	if err := gone.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
	defer cancel()
	select {
	case <-gone.ended:
	case <-ctx.Done():
		t.Fatal("it did not stop within 35 s")
	}
	lost := 0
	for i, s := range sessions {
		status, text := m.status(s, "tools/list", `{}`)
		switch status {
		case http.StatusOK:
		case http.StatusNotFound:
			lost++
			sessions[i] = m.begin()
			if status, text := m.status(sessions[i], "tools/list", `{}`); status != http.StatusOK {
				t.Errorf("begun anew: %d: %s", status, text)
			}
		default:
			t.Errorf("%d: %s", status, text)
		}
	}
	if lost == 0 || lost > len(sessions)*2/3 {
		t.Errorf("%d sessions of %d were lost", lost, len(sessions))
	}
	if got := m.tool("", "get_call", fmt.Sprintf(`{"call_id":%q}`, id)); got["call_id"] != id {
		t.Errorf("%v", got)
	}
	again := m.tool("", "create_call", `{"to":"+12025550100","task":"Ask for the opening hours"}`)
	if again["replayed"] != true || again["call_id"] != id {
		t.Errorf("the same request through another replica: %v", again)
	}
}
