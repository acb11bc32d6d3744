package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/rs/zerolog"

	"github.com/outdial/outdial/server"
)

// collector takes traces on loopback.
type collector struct {
	*httptest.Server
	mu  sync.Mutex
	got bytes.Buffer
	n   int
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.n++
		_ = r.Header.Write(&c.got)
		c.got.Write(body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String()
}

func environment(pairs ...string) func(string) string {
	all := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return all[name] }
}

// Traces are sent only where they are asked for, and what is asked for and not there is told.
func TestTracesAreAskedFor(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		sent bool
		told string
	}{
		{nil, false, ""},
		{[]string{"OTEL_SERVICE_NAME", "phone"}, false, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"}, true, ""},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1"}, true, ""},
		{[]string{"OTEL_TRACES_EXPORTER", "otlp"}, true, ""},
		{[]string{"OTEL_TRACES_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"}, false, ""},
		{[]string{"OTEL_TRACES_EXPORTER", "zipkin"}, false, "OTEL_TRACES_EXPORTER"},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_SDK_DISABLED", "TRUE"}, false, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"}, true, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, false, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{[]string{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}, false, ""},
	} {
		var log bytes.Buffer
		traces := server.NewTraces(t.Context(), environment(tt.env...), "1", zerolog.New(&log))
		if sent := traces != nil; sent != tt.sent || (tt.told != "") != strings.Contains(log.String(), "no traces are sent") || !strings.Contains(log.String(), tt.told) {
			t.Errorf("%v: sent %v, told %s", tt.env, sent, &log)
		}
		if (len(traces.Options()) > 0) != tt.sent {
			t.Errorf("%v: %d options", tt.env, len(traces.Options()))
		}
		traces.Close()
	}
}

// What is not understood of how to reach the collector is told by its name alone: it may be the key to it.
func TestTracesTellNoKeyOfTheCollector(t *testing.T) {
	const key = "canary-7f3a"
	for _, tt := range []struct{ name, value, told string }{
		{"OTEL_EXPORTER_OTLP_HEADERS", "api-key=" + key + ",x=%20", ""},
		{"OTEL_EXPORTER_OTLP_HEADERS", "api-key:" + key, "OTEL_EXPORTER_OTLP_HEADERS"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "api-key: a=" + key, "OTEL_EXPORTER_OTLP_HEADERS"},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x=1,api-key=%zz" + key, "OTEL_EXPORTER_OTLP_TRACES_HEADERS"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a:" + key + "@127.0.0.1:1/%zz", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", key, "OTEL_EXPORTER_OTLP_TIMEOUT"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "/" + key, "OTEL_EXPORTER_OTLP_CERTIFICATE"},
	} {
		var log bytes.Buffer
		server.NewTraces(t.Context(), environment("OTEL_TRACES_EXPORTER", "otlp", tt.name, tt.value), "1", zerolog.New(&log)).Close()
		if said := log.String(); strings.Contains(said, key) || tt.told == "" && said != "" || !strings.Contains(said, tt.told) {
			t.Errorf("%s=%s: %s", tt.name, tt.value, said)
		}
	}
}

// Spans tell which request, tool and dial it was and how it ended, in the client's own trace; and nothing that a client, a
// tool or a provider has written.
func TestTracesHoldNobodysWords(t *testing.T) {
	const canary = "canary-7f3a"
	to := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", to.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	traces := server.NewTraces(t.Context(), environment("OTEL_EXPORTER_OTLP_ENDPOINT", to.URL), "1.2.3", zerolog.Nop())
	m := server.NewMetrics(server.MetricsOptions{Traces: traces})
	s := mcpserver.NewMCPServer("test", "1", append(traces.Options(), mcpserver.WithRecovery())...)
	s.AddTool(mcp.NewTool("dials"), func(ctx context.Context, q mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		m.Dialing(context.WithoutCancel(ctx), "stepone")("uncertain")
		switch q.GetString("how", "") {
		case "error":
			return nil, fmt.Errorf("the service says %s", canary)
		case "panic":
			panic(canary)
		}
		return mcp.NewToolResultError(canary), nil
	})
	web := httptest.NewServer(server.Handler(s, server.HTTPOptions{Metrics: m}))
	defer web.Close()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	c := newHTTPClient(t, web.URL, false)
	post := func(body string) {
		r := c.request(t.Context(), http.MethodPost, body)
		r.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
		r.Header.Set("Tracestate", "vendor="+canary)
		r.Header.Set("Baggage", "who="+canary)
		r.Header.Set("X-Anything", canary)
		resp := c.do(r)
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	for i, how := range []string{"error", "panic", canary} {
		post(line(i+10, "tools/call", fmt.Sprintf(`{"name":"dials","arguments":{"how":%q,"task":%q}}`, how, canary)))
	}
	post(line(20, "tools/call", fmt.Sprintf(`{"name":%q,"arguments":{}}`, canary)))
	post(line(21, canary, `{}`))
	post(line(22, "resources/read", fmt.Sprintf(`{"uri":%q}`, canary)))
	post(fmt.Sprintf(`{"jsonrpc":"2.0","id":23,"method":"ping","params":{"_meta":{"traceparent":"00-%s-00f067aa0ba902b7-01","baggage":%q}}}`, trace, canary))
	traces.Close()

	got := to.String()
	for _, word := range []string{"mcp.initialize", "mcp.tools/call", "tool.dials", "dial", "stepone", "uncertain", "mcp.other", "mcp.ping", "outdial", "1.2.3"} {
		if !strings.Contains(got, word) {
			t.Errorf("no span says %s", word)
		}
	}
	raw := make([]byte, 16)
	if _, err := fmt.Sscanf(trace, "%x", &raw); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(got, string(raw)); n < 10 {
		t.Errorf("%d spans are in the client's trace", n)
	}
	for _, word := range []string{canary, c.session} {
		if strings.Contains(got, word) {
			t.Errorf("exported: %s", word)
		}
	}
}
