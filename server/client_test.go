package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"

	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rpc is any JSON-RPC message, as a client sees it.
type rpc struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Token    json.RawMessage `json:"progressToken"`
		Progress float64         `json:"progress"`
		Total    float64         `json:"total"`
		Message  string          `json:"message"`
		Meta     map[string]any  `json:"_meta"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func (m rpc) isAnswer() bool { return m.Method == "" }

// text is the first text of a tool's result.
func (m rpc) text(t *testing.T) string {
	t.Helper()
	var result struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	if err := json.Unmarshal(m.Result, &result); err != nil || len(result.Content) == 0 {
		t.Fatalf("not a tool's result: %+v (%v)", m, err)
	}
	return result.Content[0].Text
}

func decode(t *testing.T, raw []byte) rpc {
	t.Helper()
	var m rpc
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("the server wrote what is not JSON: %q: %v", raw, err)
	}
	return m
}

// patience bounds every wait of these tests: it is reached only by a test that fails.
const patience = 15 * time.Second

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v, ok := <-from:
		if !ok {
			t.Fatalf("%s: the other side ended", what)
		}
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came in %v", what, patience)
	}
	panic("unreachable")
}

// tools is an MCP server with tools to try a transport with, and what went on in them.
type tools struct {
	*mcpserver.MCPServer
	started  chan string // the tag of each call of hang, wait, slow and hold that has begun
	ended    chan string // and of each call of hang whose context has ended
	sent     chan int    // how many notifications burst has sent, each time it has sent one
	leftover chan func() error
	release  chan struct{} // lets one call of hold go on
}

func newTools() *tools {
	s := &tools{
		MCPServer: mcpserver.NewMCPServer("test", "1"),
		started:   make(chan string, 1000), ended: make(chan string, 1000),
		sent: make(chan int, 100_000), leftover: make(chan func() error, 10), release: make(chan struct{}, 10),
	}
	add := func(name string, h mcpserver.ToolHandlerFunc) { s.AddTool(mcp.NewTool(name), h) }
	add("burst", s.burst)
	add("hang", func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.started <- req.GetString("tag", "")
		<-ctx.Done()
		s.ended <- req.GetString("tag", "")
		return nil, ctx.Err()
	})
	add("wait", func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		wait, done := peer.From(ctx).Waiting(ctx)
		defer done()
		s.started <- req.GetString("tag", "")
		<-wait.Done()
		return mcp.NewToolResultText(fmt.Sprintf("%v; %v", context.Cause(wait), ctx.Err())), nil
	})
	s.AddTool(mcp.NewTool("quick", mcp.WithReadOnlyHintAnnotation(true)), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(peer.From(ctx).Caller().Principal), nil
	})
	add("client", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		session, _ := mcpserver.ClientSessionFromContext(ctx).(mcpserver.SessionWithClientInfo)
		return mcp.NewToolResultText(session.GetClientInfo().Name), nil
	})
	add("slow", func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.started <- "slow"
		time.Sleep(time.Duration(req.GetInt("ms", 0)) * time.Millisecond) // it stands for a tool that takes so long and heeds nothing
		return mcp.NewToolResultText("slow"), nil
	})
	add("big", func(_ context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(strings.Repeat("x", req.GetInt("n", 0))), nil
	})
	add("hold", func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.started <- "hold"
		if err := peer.From(ctx).Progress(ctx, req, peer.Progress{Progress: 1, Message: "held"}); err != nil {
			return nil, err
		}
		<-s.release
		return mcp.NewToolResultText("released"), nil
	})
	add("ask", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result, err := s.RequestElicitation(ctx, mcp.ElicitationRequest{Params: mcp.ElicitationParams{
			Message: "Shall I?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
		}})
		if err != nil {
			return mcp.NewToolResultText(err.Error()), nil
		}
		return mcp.NewToolResultText(string(result.Action)), nil
	})
	add("panic", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) { panic("on purpose") })
	add("leave", func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		p := peer.From(ctx)
		if req.GetBool("notify", false) { // has mcp-go itself begin an event stream
			if err := s.SendNotificationToClient(ctx, "notifications/marker", nil); err != nil {
				return nil, err
			}
		}
		s.leftover <- func() error {
			return p.Progress(context.WithoutCancel(ctx), req, peer.Progress{Progress: 1, Message: "too late"})
		}
		return mcp.NewToolResultText("left"), nil
	})
	return s
}

func (s *tools) burst(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	n, size, tag := req.GetInt("n", 0), req.GetInt("size", 0), req.GetString("tag", "")
	fill := strings.Repeat("x", size)
	for i := 1; i <= n; i++ {
		if err := peer.From(ctx).Progress(ctx, req, peer.Progress{
			Progress: float64(i), Total: float64(n), Message: tag + fill, Meta: map[string]any{"outdial/turn": i},
		}); err != nil {
			s.ended <- err.Error()
			return nil, err
		}
		if size > 0 {
			s.sent <- i
		}
	}
	return mcp.NewToolResultText("sent"), nil
}

// line writes one JSON-RPC request; params is JSON.
func line(id any, method, params string) string {
	raw, _ := json.Marshal(id)
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, raw, method, params)
}

const (
	initialize  = `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	modernMeta  = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"raw","version":"1"}`
)

// callParams are those of tools/call; token is JSON, or empty.
func callParams(tool, arguments, token string, modern bool) string {
	var meta []string
	if token != "" {
		meta = append(meta, `"progressToken":`+token)
	}
	if modern {
		meta = append(meta, modernMeta)
	}
	return fmt.Sprintf(`{"name":%q,"arguments":%s,"_meta":{%s}}`, tool, arguments, strings.Join(meta, ","))
}

// stdioClient is the other end of [server.Stdio].
type stdioClient struct {
	t    *testing.T
	in   *io.PipeWriter
	got  chan rpc   // what the server wrote, in order
	done chan error // what Stdio returned
	stop context.CancelFunc
}

func startStdio(t *testing.T, s *tools, o server.StdioOptions) *stdioClient {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	c := &stdioClient{t: t, in: inW, got: make(chan rpc, 100_000), done: make(chan error, 1), stop: stop}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(c.got)
		lines := bufio.NewReaderSize(outR, 1<<20)
		for {
			raw, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			c.got <- decode(t, raw)
		}
	})
	var serving sync.WaitGroup
	serving.Go(func() {
		c.done <- server.Stdio(ctx, s.MCPServer, inR, outW, o)
		_ = outW.Close()
	})
	t.Cleanup(func() {
		stop()
		_ = inW.Close()
		serving.Wait()
		reading.Wait()
	})
	return c
}

func (c *stdioClient) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, strings.Join(lines, "\n")+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *stdioClient) next(what string) rpc {
	c.t.Helper()
	return receive(c.t, c.got, what)
}

// shake does the handshake.
func (c *stdioClient) shake() *stdioClient {
	c.t.Helper()
	c.send(line("hello", "initialize", initialize))
	if m := c.next("initialize"); m.Error != nil {
		c.t.Fatalf("initialize: %+v", m.Error)
	}
	c.send(initialized)
	return c
}

// httpClient is a raw client of either era.
type httpClient struct {
	t       *testing.T
	url     string
	modern  bool
	session string
	http    *http.Client
}

func serveHTTP(t *testing.T, s *tools, o server.HTTPOptions) *httptest.Server {
	t.Helper()
	web := httptest.NewServer(server.Handler(s.MCPServer, o))
	t.Cleanup(web.Close)
	return web
}

func newHTTPClient(t *testing.T, url string, modern bool) *httpClient {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &httpClient{t: t, url: url, modern: modern, http: &http.Client{Transport: transport}}
	if !modern {
		resp := c.post(t.Context(), line("hello", "initialize", initialize))
		defer resp.Body.Close()
		c.session = resp.Header.Get("Mcp-Session-Id")
		if resp.StatusCode != http.StatusOK || c.session == "" {
			t.Fatalf("initialize: %s, session %q", resp.Status, c.session)
		}
		c.accepted(initialized)
	}
	return c
}

func (c *httpClient) request(ctx context.Context, method, body string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, c.url+"/mcp", bytes.NewReader([]byte(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	if c.session != "" {
		r.Header.Set("Mcp-Session-Id", c.session)
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	if c.modern {
		var m struct {
			Method string
			Params struct{ Name string }
		}
		_ = json.Unmarshal([]byte(body), &m)
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", m.Method)
		if m.Params.Name != "" {
			r.Header.Set("Mcp-Name", m.Params.Name)
		}
	}
	return r
}

func (c *httpClient) do(r *http.Request) *http.Response {
	c.t.Helper()
	resp, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

func (c *httpClient) post(ctx context.Context, body string) *http.Response {
	c.t.Helper()
	return c.do(c.request(ctx, http.MethodPost, body))
}

// accepted posts a notification.
func (c *httpClient) accepted(body string) {
	c.t.Helper()
	resp := c.post(c.t.Context(), body)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		c.t.Fatalf("%s: %s", body, resp.Status)
	}
}

// call posts tools/call and returns everything that its response carries.
func (c *httpClient) call(id any, tool, arguments, token string) []rpc {
	c.t.Helper()
	resp := c.post(c.t.Context(), line(id, "tools/call", callParams(tool, arguments, token, c.modern)))
	defer resp.Body.Close()
	return messages(c.t, resp)
}

// messages reads a response of either kind to its end.
func messages(t *testing.T, resp *http.Response) []rpc {
	t.Helper()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return []rpc{decode(t, raw)}
	}
	var got []rpc
	for m := range eventStream(t, resp.Body) {
		got = append(got, m)
	}
	return got
}

// eventStream reads events until the stream ends.
func eventStream(t *testing.T, body io.Reader) <-chan rpc {
	got := make(chan rpc, 100_000)
	go func() {
		defer close(got)
		lines := bufio.NewReaderSize(body, 1<<20)
		for {
			raw, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if data, ok := strings.CutPrefix(raw, "data: "); ok {
				got <- decode(t, []byte(data))
			}
		}
	}()
	return got
}

// get opens the session's listening stream.
func (c *httpClient) get(ctx context.Context) *http.Response {
	c.t.Helper()
	resp := c.do(c.request(ctx, http.MethodGet, ""))
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("GET: %s", resp.Status)
	}
	return resp
}
