package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// child is outdial as a process of its own.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    <-chan []byte // its lines
	stderr *text
}

// text is what a child has written so far.
type text struct {
	mu sync.Mutex
	s  strings.Builder
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.s.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.s.String()
}

// spawn starts outdial with an environment that holds nothing but a home and what is given.
func spawn(t *testing.T, home string, env []string, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.CommandContext(t.Context(), "outdial", args...), stderr: &text{}}
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GORACE=" + raceOptions}, env...)
	c.cmd.Stderr = c.stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe() // and not StdoutPipe, which Wait would close before all of it is read
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.cmd.Stdout = in, w
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	c.out = lines(r)
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		_ = r.Close()
		if s := c.stderr.String(); strings.Contains(s, "DATA RACE") || strings.Contains(s, "panic:") {
			t.Errorf("the child wrote:\n%s", s)
		}
	})
	return c
}

// ends waits for the end of the process, which must come within a time, and gives its exit code, or -1 where a signal
// killed it.
func (c *child) ends(within time.Duration) int {
	c.t.Helper()
	began := time.Now()
	timer := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	_ = c.cmd.Wait()
	if took := time.Since(began); took > within {
		c.t.Errorf("the process took %v to end:\n%s", took, c.stderr)
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// mcpChild is a child that serves stdio, with its answers by the request's id.
type mcpChild struct {
	*child
	mu       sync.Mutex
	last     int
	waiting  map[string]chan answer
	progress chan string // the token of each progress notification
	all      [][]byte    // every line so far
}

// answer is what came back for a request, and when.
type answer struct {
	at     time.Time
	raw    []byte
	Result struct {
		IsError bool
		Content []struct{ Text string }
		Call    struct {
			CallID   string `json:"call_id"`
			Status   string
			Outcome  string
			Record   string
			Replayed bool
			NextSeq  int `json:"next_seq"`
			Turns    []struct {
				Role, Text string
			}
		} `json:"structuredContent"`
	}
}

func spawnMCP(t *testing.T, home string, env ...string) *mcpChild {
	t.Helper()
	c := &mcpChild{child: spawn(t, home, env, "stdio"), waiting: map[string]chan answer{}, progress: make(chan string, 10_000)}
	var reading sync.WaitGroup
	reading.Go(func() {
		for line := range c.out {
			c.take(line, time.Now())
		}
	})
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		reading.Wait()
	})
	c.get(c.ask("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"child","version":"1"}}`))
	return c
}

// take sorts one line of the output, which must be a message of the protocol.
func (c *mcpChild) take(line []byte, at time.Time) {
	var m struct {
		JSONRPC string `json:"jsonrpc"`
		ID      json.RawMessage
		Method  string
		Params  struct {
			Token string `json:"progressToken"`
		}
	}
	if err := json.Unmarshal(line, &m); err != nil || m.JSONRPC != "2.0" {
		c.t.Errorf("not a message of the protocol on stdout: %.200q", line)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, line)
	if m.Method != "" {
		c.progress <- m.Params.Token
		return
	}
	a := answer{at: at, raw: line}
	if err := json.Unmarshal(line, &a); err != nil {
		c.t.Errorf("%.200q: %v", line, err)
	}
	if w := c.waiting[string(m.ID)]; w != nil {
		w <- a
	}
}

func (c *mcpChild) ask(method, params string) <-chan answer {
	c.t.Helper()
	c.mu.Lock()
	c.last++
	id := strconv.Itoa(c.last)
	w := make(chan answer, 1)
	c.waiting[id] = w
	c.mu.Unlock()
	if _, err := fmt.Fprintf(c.in, `{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`+"\n", id, method, params); err != nil {
		c.t.Fatal(err)
	}
	return w
}

// tool calls a tool; arguments are JSON, and a token that is not empty asks for progress.
func (c *mcpChild) tool(name, arguments, token string) <-chan answer {
	c.t.Helper()
	meta := ""
	if token != "" {
		meta = fmt.Sprintf(`,"_meta":{"progressToken":%q}`, token)
	}
	return c.ask("tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s%s}`, name, arguments, meta))
}

func (c *mcpChild) get(from <-chan answer) answer {
	c.t.Helper()
	select {
	case a := <-from:
		return a
	case <-time.After(patience):
		c.t.Fatalf("no answer in %v; stderr:\n%s", patience, c.stderr)
		return answer{}
	}
}

// hears waits until each of n requests with progress has had some: it waits then for more.
func (c *mcpChild) hears(n int) {
	c.t.Helper()
	heard := map[string]bool{}
	timeout := time.After(patience)
	for len(heard) < n {
		select {
		case token := <-c.progress:
			heard[token] = true
		case <-timeout:
			c.t.Fatalf("%d of %d requests had progress in %v", len(heard), n, patience)
		}
	}
}

// place places a call and gives its id.
func (c *mcpChild) place(to, task string) string {
	c.t.Helper()
	a := c.get(c.tool("create_call", fmt.Sprintf(`{"to":%q,"task":%q}`, to, task), ""))
	if a.Result.IsError || a.Result.Call.CallID == "" {
		c.t.Fatalf("create_call: %s", a.raw)
	}
	return a.Result.Call.CallID
}

// spawnGone starts outdial stdio for a client that sends its messages and then reads nothing ever: its end of the output is
// closed before the program can write, while the input stays open.
func spawnGone(t *testing.T, home string, env []string, input string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.CommandContext(t.Context(), "outdial", "stdio"), stderr: &text{}}
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GORACE=" + raceOptions}, env...)
	c.cmd.Stderr = c.stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stdout = w
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = r.Close(), w.Close()
	t.Cleanup(func() { _ = in.Close() })
	if _, err := io.WriteString(in, input); err != nil {
		t.Fatal(err)
	}
	return c
}
