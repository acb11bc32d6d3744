package faultlab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/all"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/server"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
)

func TestMain(m *testing.M) {
	sqlite.RegisterConnectionHook(mortal)
	os.Exit(m.Run())
}

// mortal lets no commit of a dead replica come to pass: a folder named dead beside the path that it opened the ledger by
// says that it is dead. To the ledger that is what kill -9 is: what was not committed is lost, what was is not.
func mortal(conn sqlite.ExecQuerierContext, dsn string) error {
	path, _, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
	path, err := url.PathUnescape(path)
	if err != nil {
		return err
	}
	own, _, ok := strings.Cut(path, "/../")
	hooks, can := conn.(sqlite.HookRegisterer)
	if !ok || !can {
		return nil
	}
	hooks.RegisterCommitHook(func() int32 {
		if _, err := os.Stat(filepath.Join(own, "dead")); err == nil {
			return 1
		}
		return 0
	})
	return nil
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// elsewhere is a host that nobody has any business with.
const elsewhere = "127.0.0.1:8666"

// world is a ledger's folder, a network, one service, and the replicas on them. It lives in a bubble of virtual time.
type world struct {
	t       *testing.T
	dir     string
	net     *network
	service *service
	strays  *strays
	ends    []func()

	mu       sync.Mutex
	replicas int
	told     []told

	events map[string][]phone.Event // by call, once all has ended
}

func newWorld(t *testing.T, k kind) *world {
	w := &world{t: t, dir: memory(t), net: newNetwork(), strays: &strays{}, events: map[string][]phone.Event{}}
	w.service = &service{kind: k, handler: k.standIn(), hit: make(chan struct{})}
	w.ends = append(w.ends, w.service.serve(w.net), w.strays.serve(w.net))
	return w
}

// memory is a folder that costs no disk, where there is one: what a sync costs is not this lab's matter.
func memory(t *testing.T) string {
	const shared = "/dev/shm"
	dir, err := os.MkdirTemp(shared, "faultlab") //nolint:usetesting // t.TempDir is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// end ends everything, the newest first.
func (w *world) end() {
	for _, end := range slices.Backward(w.ends) {
		end()
	}
}

// strays is the host that nobody has any business with. It counts who comes all the same.
type strays struct {
	mu sync.Mutex
	n  int
}

func (s *strays) ServeHTTP(http.ResponseWriter, *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
}

func (s *strays) serve(n *network) func() {
	server := &http.Server{Handler: s, ErrorLog: quiet()}
	h, done := n.listen("elsewhere", elsewhere), make(chan struct{})
	go func() { defer close(done); _ = server.Serve(h) }()
	return func() { _ = server.Close(); <-done }
}

// replica is one whole outdial: ledger, switchboard, the adapter of the world's service, and MCP over HTTP.
type replica struct {
	w      *world
	name   string
	addr   string
	ledger *ledger.Ledger
	client *http.Client
	end    func()
}

// look is how often replicas look for each other's commits: a bubble's time is for nothing, but a look is not.
const look = time.Second

// start starts a replica on the world's ledger.
func (w *world) start() *replica {
	w.t.Helper()
	w.mu.Lock()
	w.replicas++
	r := &replica{w: w, name: fmt.Sprint("replica", w.replicas), addr: fmt.Sprintf("127.0.0.1:%d", 9000+w.replicas)}
	w.mu.Unlock()
	own := filepath.Join(w.dir, r.name)
	if err := os.Mkdir(own, 0o700); err != nil {
		w.t.Fatal(err)
	}
	var err error
	if r.ledger, err = ledger.Open(w.t.Context(), "sqlite:"+own+"/../outdial.db", ledger.Options{Look: look}); err != nil {
		w.t.Fatal(err)
	}
	board := switchboard.New(switchboard.Options{Ledger: r.ledger, Providers: []*providers.Provider{w.adapter(r.name)}})
	running, stop := context.WithCancel(context.Background())
	serving, hush := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { board.Run(running) })
	ln := w.net.listen(r.name, r.addr)
	parts.Go(func() {
		_ = server.HTTP(serving, ln, server.Handler(tools.Server(board, "lab"), server.HTTPOptions{Grace: time.Second}))
	})
	transport := &http.Transport{DialContext: w.net.from("client"), DisableKeepAlives: true}
	r.client = &http.Client{Transport: transport}
	r.end = sync.OnceFunc(func() {
		hush()
		ending, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = board.Close(ending) // that of a dead replica cannot give up its calls
		stop()
		parts.Wait()
		_ = r.ledger.Close()
	})
	w.ends = append(w.ends, r.end)
	return r
}

// adapter is the real one, over the world's network.
func (w *world) adapter(machine string) *providers.Provider {
	for _, spec := range all.Specs() {
		if spec.Name != w.service.name {
			continue
		}
		d, err := spec.Open(providers.Config{"api_key": map[string]string{"pamela": "pk_test_lab", "stepone": "sk_lab"}[spec.Name], "api_base": "http://" + w.service.addr}, w.net.from(machine))
		if err != nil {
			w.t.Fatal(err)
		}
		if c, ok := d.(io.Closer); ok {
			w.ends = append(w.ends, func() { _ = c.Close() })
		}
		return providers.New(spec, d, providers.Options{Account: "lab"})
	}
	w.t.Fatalf("there is no adapter %q", w.service.name)
	return nil
}

// kill ends a replica as kill -9 does: nothing that it does any more reaches the ledger or the network.
func (r *replica) kill() {
	r.w.bury(r)
	r.w.net.cut(r.name)
}

// bury has nothing that a replica does any more reach the ledger.
func (w *world) bury(r *replica) {
	if err := os.Mkdir(filepath.Join(w.dir, r.name, "dead"), 0o700); err != nil {
		w.t.Error(err)
	}
}

// unearth undoes bury.
func (w *world) unearth(r *replica) {
	if err := os.Remove(filepath.Join(w.dir, r.name, "dead")); err != nil {
		w.t.Error(err)
	}
}

// told is what a client was told in answer to a request.
type told struct {
	intent string // what the client meant
	tool   string
	took   time.Duration
	at     time.Time
	lost   error // no answer came
	failed bool
	schema.Call
	Code        string `json:"code"`
	Reason      string `json:"reason"`
	CallStarted string `json:"call_started"`
	RetrySafe   bool   `json:"retry_safe"`
}

// ask calls a tool of a replica over MCP, and notes what comes back.
func (r *replica) ask(ctx context.Context, intent, tool string, arguments map[string]any) told {
	began := time.Now()
	answer := told{intent: intent, tool: tool}
	answer.lost = r.post(ctx, tool, arguments, &answer)
	answer.at, answer.took = time.Now(), time.Since(began)
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.told = append(r.w.told, answer)
	return answer
}

func (r *replica) post(ctx context.Context, tool string, arguments map[string]any, into *told) error {
	message, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call",
		"params": map[string]any{
			"name": tool, "arguments": arguments, "_meta": map[string]any{
				"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
				"io.modelcontextprotocol/clientCapabilities": map[string]any{},
				"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "lab", "version": "1"},
			},
		},
	})
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.addr+"/mcp", bytes.NewReader(message))
	if err != nil {
		return err
	}
	for k, v := range map[string]string{
		"Accept": "application/json, text/event-stream", "Content-Type": "application/json",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool,
	} {
		q.Header.Set(k, v)
	}
	resp, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(raw) {
		line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("data: "))
		var m struct {
			Result *struct {
				IsError           bool
				StructuredContent json.RawMessage
			}
		}
		if json.Unmarshal(line, &m) == nil && m.Result != nil {
			into.failed = m.Result.IsError
			return json.Unmarshal(m.Result.StructuredContent, into)
		}
	}
	return fmt.Errorf("status %d without a result: %.200s", resp.StatusCode, raw)
}
