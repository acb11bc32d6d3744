package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	pamela "github.com/outdial/outdial/providers/pamela/standin"
)

// withPamela is a server that Pamela's stand-in can reach, and the stand-in.
type withPamela struct {
	t          *testing.T
	home       string
	env        []string
	url, calls string // of the server, and of the stand-in
	server     *child
}

const declaredTools = `
[[call_tools]]
name = "date_of_birth"
description = "What is the date of birth of the person you call for?"
timeout = "10s"
ask_caller = true

[[call_tools]]
name = "opening_hours"
description = "When is the office open?"
answer = "from nine to five"
`

// servePamela declares tools and starts the server on an address that is known beforehand, as webhooks need it.
func servePamela(t *testing.T, speed float64) *withPamela {
	t.Helper()
	standin := pamela.New(pamela.Options{Speed: speed, Secret: sandboxSecret})
	web := httptest.NewServer(standin)
	t.Cleanup(func() { _ = standin.Close(); web.CloseClientConnections(); web.Close() })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	p := &withPamela{t: t, home: t.TempDir(), url: "http://" + addr, calls: web.URL}
	p.env = append(openGuard(), "PAMELA_API_KEY=pk_live_any", "PAMELA_API_BASE="+web.URL, "PAMELA_WEBHOOK_SECRET="+sandboxSecret,
		"OUTDIAL_PUBLIC_URL="+p.url, "OUTDIAL_ON_END=echo $OUTDIAL_CALL_ID $OUTDIAL_OUTCOME >> "+filepath.Join(p.home, "ended"))
	p.declare(declaredTools)
	return p
}

func (p *withPamela) declare(toml string) {
	p.t.Helper()
	dir := filepath.Join(p.home, ".config", "outdial")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "outdial.toml"), []byte(toml), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *withPamela) run(args ...string) string {
	p.t.Helper()
	return outdial(p.t, append(slices.Clone(p.env), "HOME="+p.home, "GORACE="+raceOptions), args...)
}

func (p *withPamela) serve() {
	p.t.Helper()
	p.server = spawn(p.t, p.home, p.env, "http", "--addr", strings.TrimPrefix(p.url, "http://"))
	for deadline := time.Now().Add(patience); ; {
		if resp, err := http.Get(p.url + "/healthz"); err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("it does not listen: %s", p.server.stderr)
		}
		select { // there is nothing to wait for but that it answers
		case <-time.After(10 * time.Millisecond):
		case <-p.t.Context().Done():
		}
	}
}

func (p *withPamela) client(heard func(message string)) *client.Client {
	p.t.Helper()
	way, err := transport.NewStreamableHTTP(p.url + "/mcp")
	if err != nil {
		p.t.Fatal(err)
	}
	c := client.NewClient(way)
	p.t.Cleanup(func() { _ = c.Close() })
	c.OnNotification(func(n mcp.JSONRPCNotification) {
		if m, ok := n.Params.AdditionalFields["message"].(string); ok && heard != nil {
			heard(m)
		}
	})
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if err := c.Start(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	if _, err := c.Initialize(ctx, mcp.InitializeRequest{Params: mcp.InitializeParams{ClientInfo: mcp.Implementation{Name: "test", Version: "1"}}}); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// post sends a webhook, signed with a secret.
func (p *withPamela) post(secret, body string) (status int, answer string, took time.Duration) {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(body))
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/webhooks/pamela", strings.NewReader(body))
	if err != nil {
		p.t.Error(err)
		return 0, "", 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Pamela-Signature", hex.EncodeToString(m.Sum(nil)))
	began := time.Now()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Error(err)
		return 0, "", 0
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw), time.Since(began)
}

// ref is the newest call's name at the stand-in.
func (p *withPamela) ref() string {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.calls+"/api/b2b/v1/calls", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer pk_live_any")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct{ Items []struct{ ID string } }
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || len(list.Items) == 0 {
		p.t.Fatalf("%+v, %v", list, err)
	}
	return list.Items[0].ID
}

// Pamela has no stream: with its webhooks a call is live all the same, long before its record comes.
func TestPamelaIsHeardLive(t *testing.T) {
	t.Parallel()
	p := servePamela(t, 2)
	p.serve()
	var mu sync.Mutex
	var live []string
	c := p.client(func(m string) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(m, "status: wrapping_up") {
			live = append(live, "over")
		}
		if strings.HasPrefix(m, "agent: ") || strings.HasPrefix(m, "callee: ") {
			live = append(live, m)
		}
	})
	call, failed := use(t, c, "create_call", map[string]any{"to": "+12125550100", "task": "Say hello", "wait_seconds": 40}, "p")
	if failed || call["status"] != "ended" || call["outcome"] != "completed" || call["record"] != "complete" {
		t.Fatalf("%v\n%s", call, p.server.stderr)
	}
	mu.Lock()
	defer mu.Unlock()
	if turns, _ := call["turns"].([]any); len(turns) < 4 || len(live) != len(turns)+1 || live[len(live)-1] != "over" {
		t.Errorf("%d turns, heard live: %q", len(turns), live)
	}
	id, _ := call["call_id"].(string)
	for deadline := time.Now().Add(patience); ; {
		told, err := os.ReadFile(filepath.Join(p.home, "ended"))
		if err == nil && string(told) == id+" completed\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("told of the end: %q, %v", told, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// The agent on the line asks whoever placed the call, who hears of it while it waits and answers in time.
func TestTheAgentOnTheLineAsks(t *testing.T) {
	t.Parallel()
	p := servePamela(t, 0.2)
	if out := p.run("call-tools", "list"); !strings.Contains(out, "date_of_birth  missing") {
		t.Errorf("before: %s", out)
	}
	for range 2 { // the second time there is nothing to do
		if out := p.run("call-tools", "sync", "--json"); strings.Count(out, `"registered"`) != 2 {
			t.Fatalf("sync: %s", out)
		}
	}
	p.serve()
	asked := make(chan string, 10)
	c := p.client(func(m string) {
		if strings.HasPrefix(m, "question ") {
			asked <- m
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all, err := c.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil || !slices.ContainsFunc(all.Tools, func(t mcp.Tool) bool { return t.Name == "answer_question" }) {
		t.Fatalf("answer_question is not listed: %v", err)
	}
	call, failed := use(t, c, "create_call", map[string]any{"to": "+12125550107", "task": "Ask for the prescription"}, nil)
	id, _ := call["call_id"].(string)
	if failed || id == "" {
		t.Fatalf("%v", call)
	}
	ref := p.ref()
	ask := func(tool, n string) string {
		return fmt.Sprintf(`{"arguments":{"who":"Ann","number":"+12125550199"},"call_id":%q,"correlation_id":%q,"tool_name":%q}`, ref, n, tool)
	}
	if status, answer, _ := p.post(sandboxSecret, ask("opening_hours", "n0")); status != 200 || answer != `{"correlation_id":"n0","result":"from nine to five"}` {
		t.Errorf("a fixed answer: %d %s", status, answer)
	}
	if status, answer, _ := p.post(sandboxSecret, ask("no_such_tool", "n1")); status != 400 || !strings.Contains(answer, "Unknown tool") {
		t.Errorf("an unknown tool: %d %s", status, answer)
	}
	if status, answer, _ := p.post("whsec_forged", ask("date_of_birth", "n2")); status != 401 || !strings.Contains(answer, "Invalid signature") {
		t.Errorf("a forged question: %d %s", status, answer)
	}
	replied := make(chan string, 1)
	var posting sync.WaitGroup
	posting.Go(func() {
		_, answer, _ := p.post(sandboxSecret, ask("date_of_birth", "n3"))
		replied <- answer
	})
	defer posting.Wait()
	began := time.Now()
	call, _ = use(t, c, "stream_transcript", map[string]any{"call_id": id}, "q")
	if time.Since(began) > 8*time.Second {
		t.Errorf("stream_transcript came back after %v: too late to answer", time.Since(began))
	}
	var open map[string]any
	questions, _ := call["questions"].([]any)
	for _, q := range questions {
		if one, _ := q.(map[string]any); one["answer_by"] != nil {
			open = one
		}
	}
	if open == nil || open["tool"] != "date_of_birth" || !strings.Contains(fmt.Sprint(open["arguments"]), "Ann") {
		t.Fatalf("the questions: %v", questions)
	}
	question, _ := open["question_id"].(string)
	call, failed = use(t, c, "answer_question", map[string]any{"question_id": question, "answer": "1 April 1990"}, nil)
	if failed || call["call_id"] != id {
		t.Errorf("answer_question: %v", call)
	}
	if got := <-replied; got != `{"correlation_id":"n3","result":"1 April 1990"}` {
		t.Errorf("the agent on the line was told %s", got)
	}
	if m := <-asked; !strings.Contains(m, "opening_hours") {
		t.Errorf("told as progress: %s", m)
	}
	if call, failed = use(t, c, "create_call", map[string]any{"to": "+12125550199", "task": "x", "dry_run": true}, nil); failed {
		t.Errorf("%v", call)
	}
	p.declare("")
	if out := p.run("call-tools", "sync"); !strings.Contains(out, "deactivated date_of_birth") || !strings.Contains(out, "no tools") {
		t.Errorf("after the declaration went: %s", out)
	}
}

// deliver sends 200 genuine webhooks, four at a time, and gives how long their answers took, in that order.
func (p *withPamela) deliver(ref string, hour int) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var sending sync.WaitGroup
	for i := range 4 {
		sending.Go(func() {
			for n := range 50 {
				status, _, d := p.post(sandboxSecret, fmt.Sprintf(
					`{"call_id":%q,"event":"call.transcript_update","timestamp":"2026-02-01T%02d:%02d:%02dZ","transcript":[{"role":"user","content":"w %[2]d %[3]d %[4]d"}]}`,
					ref, hour, i, n))
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
				if status != 200 {
					p.t.Errorf("a genuine one: %d", status)
				}
			}
		})
	}
	sending.Wait()
	slices.Sort(took)
	return took
}

// Webhooks are answered at once, also while forged ones pour in.
func TestWebhooksAreAnsweredAtOnce(t *testing.T) {
	p := servePamela(t, 0.2)
	p.serve()
	c := p.client(nil)
	if call, failed := use(t, c, "create_call", map[string]any{"to": "+12125550107", "task": "x"}, nil); failed {
		t.Fatalf("%v", call)
	}
	ref := p.ref()
	alone := p.deliver(ref, 0)
	t.Logf("answered: median %v, p99 %v, of %d", alone[len(alone)/2], alone[len(alone)*99/100], len(alone))
	if p99 := alone[len(alone)*99/100]; p99 > slower*100*time.Millisecond {
		t.Errorf("p99 is %v", p99)
	}
	stop := make(chan struct{})
	var forging sync.WaitGroup
	for range 4 {
		forging.Go(func() {
			long := `{"call_id":"x","event":"y","z":"` + strings.Repeat("é", 400_000) + `"}`
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, _, _ := p.post("whsec_forged", long); status != 401 {
					t.Errorf("a forged one: %d", status)
					return
				}
			}
		})
	}
	beside := p.deliver(ref, 1)
	close(stop)
	forging.Wait()
	t.Logf("beside forged ones: median %v, p99 %v", beside[len(beside)/2], beside[len(beside)*99/100])
	if p99 := beside[len(beside)*99/100]; p99 > slower*time.Second { // the forgers take both processors of a small machine too
		t.Errorf("beside forged ones p99 is %v", p99)
	}
	if status, _, _ := p.post(sandboxSecret, string(bytes.Repeat([]byte(" "), 1<<20+1))); status != http.StatusRequestEntityTooLarge {
		t.Errorf("more than 1 MiB: %d", status)
	}
}
