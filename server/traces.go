package server

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/mark3labs/mcp-go/tracing"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Traces sends spans of requests, tools and dials to a collector. A nil one sends nothing.
//
// What mcp-go would put into a span passes a gate first: a client writes methods, session ids and errors, and who reads a
// trace need not be whom they were meant for. Nothing of a trace goes on to a provider.
type Traces struct {
	start    func(ctx context.Context, name string) (context.Context, span)
	shutdown func(context.Context) error
}

// NewTraces makes the traces that the standard variables of OpenTelemetry ask for: nil if none does, or one says that there
// are to be none. What cannot be had is logged, and is no reason not to serve.
func NewTraces(ctx context.Context, env func(name string) string, version string, log zerolog.Logger) *Traces {
	asked, odd := tracesAsked(env)
	if odd != "" {
		log.Warn().Str("variable", odd).Msg("no traces are sent: of exporters there is otlp alone, over http/protobuf or http/json")
	}
	if !asked {
		return nil
	}
	silence(otel.SetLogger) // what the library does not understand it would print to stderr, a key for the collector too
	for _, variable := range misread(env) {
		log.Warn().Str("variable", variable).Msg("the variable is not understood, or only in part")
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) { // the one that the library has; it would print to stderr
		log.Warn().Msg("traces could not be sent")
	}))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		log.Warn().Err(err).Msg("no traces are sent")
		return nil
	}
	// Named here and not left to the library, whose default would tell of the machine and the command line.
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "outdial"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		log.Warn().Err(err).Msg("not all that OTEL_RESOURCE_ATTRIBUTES says is understood")
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about), sdktrace.WithoutPanicRecording())
	tracer := provider.Tracer("github.com/outdial/outdial")
	return &Traces{
		start: func(ctx context.Context, name string) (context.Context, span) {
			ctx, s := tracer.Start(ctx, name)
			return ctx, span{set: s.SetAttributes, status: s.SetStatus, end: func() { s.End() }}
		},
		shutdown: provider.Shutdown,
	}
}

// tracesAsked says whether traces are to be sent; odd is the variable that asks for what there is not.
func tracesAsked(env func(string) string) (asked bool, odd string) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, ""
	}
	endpoint := env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	switch env("OTEL_TRACES_EXPORTER") {
	case "":
		asked = endpoint
	case "otlp":
		asked = true
	case "none":
		return false, ""
	default:
		return false, "OTEL_TRACES_EXPORTER"
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := env(name); asked && protocol != "" {
			if protocol != "http/protobuf" && protocol != "http/json" {
				return false, name
			}
			break
		}
	}
	return asked, ""
}

// silence gives a library the logger that logs nothing, which is the zero one, without naming the package that it is of.
func silence[L any](set func(L)) {
	var nothing L
	set(nothing)
}

// misread are the variables about the collector that the library passes over, in whole or in part, and whose values may be
// secrets.
func misread(env func(string) string) (all []string) {
	for _, of := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		note := func(name string, understood func(value string) bool) {
			if value := env(of + name); value != "" && !understood(value) {
				all = append(all, of+name)
			}
		}
		note("ENDPOINT", func(v string) bool { _, err := url.Parse(v); return err == nil })
		note("TIMEOUT", func(v string) bool { _, err := strconv.Atoi(v); return err == nil })
		note("CERTIFICATE", func(v string) bool { _, err := os.Stat(v); return err == nil })
		note("HEADERS", func(v string) bool {
			return !slices.ContainsFunc(strings.Split(v, ","), func(pair string) bool {
				name, value, ok := strings.Cut(pair, "=")
				_, err := url.PathUnescape(value)
				return !ok || strings.TrimSpace(name) == "" || strings.ContainsAny(strings.TrimSpace(name), ": \t") || err != nil
			})
		})
	}
	return all
}

// Options has an MCP server tell its requests to the traces.
func (t *Traces) Options() []mcpserver.ServerOption {
	if t == nil {
		return nil
	}
	return []mcpserver.ServerOption{mcpserver.WithTracer(tracer{t}), mcpserver.WithPropagator(parent{}), mcpserver.WithMetaPropagator(parent{})}
}

// Close sends what has not been sent yet, for a short while.
func (t *Traces) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = t.shutdown(ctx) // the error handler has logged what there is to say
}

// dialing begins the span of a dial, in that of the request that asked for it.
func (t *Traces) dialing(ctx context.Context, provider string) (end func(result string)) {
	if t == nil {
		return func(string) {}
	}
	_, s := t.start(ctx, "dial")
	s.set(attribute.String("outdial.provider", provider))
	return func(result string) {
		s.set(attribute.String("outdial.result", result))
		if result != "placed" {
			s.status(codes.Error, "")
		}
		s.end()
	}
}

// tracer is traces as mcp-go wants them.
type tracer struct{ *Traces }

// Start begins a span. Its name is a method's or a tool's that there is.
func (t tracer) Start(ctx context.Context, name string, _ tracing.SpanKind, attrs ...tracing.Attribute) (context.Context, tracing.Span) {
	if method, ok := strings.CutPrefix(name, "mcp."); ok && !knownMethod(method) {
		name = "mcp.other"
	}
	ctx, s := t.start(ctx, name)
	s.SetAttributes(attrs...)
	return tracing.ContextWithSpan(ctx, s), s
}

// knownMethod says whether a method is one of the protocol's.
func knownMethod(m string) bool {
	return slices.Contains([]string{
		"initialize", "ping", "server/discover", "subscriptions/listen", "tools/list", "tools/call", "resources/list", "resources/read",
		"resources/templates/list", "resources/subscribe", "resources/unsubscribe", "prompts/list", "prompts/get", "completion/complete",
		"logging/setLevel", "notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/roots/list_changed",
	}, m)
}

// span is one span under way.
type span struct {
	set    func(...attribute.KeyValue)
	status func(codes.Code, string)
	end    func()
}

// SetAttributes keeps those that say what kind of request it is.
func (s span) SetAttributes(attrs ...tracing.Attribute) {
	for _, a := range attrs {
		switch a.Key {
		case "mcp.method":
			if !knownMethod(a.Value) {
				continue
			}
		case "mcp.tool.name": // mcp-go has found the tool by then
		case "mcp.protocol.version":
			if _, err := time.Parse(time.DateOnly, a.Value); err != nil {
				continue
			}
		default: // a session's id among them: who knows it can speak in it
			continue
		}
		s.set(attribute.String(a.Key, a.Value))
	}
}

// RecordError does nothing: an error may hold what anybody has written. SetStatus says that there was one.
func (s span) RecordError(error) {}

// SetStatus keeps that, and leaves the words away.
func (s span) SetStatus(code tracing.StatusCode, _ string) {
	switch code {
	case tracing.StatusError:
		s.status(codes.Error, "")
	case tracing.StatusOK:
		s.status(codes.Ok, "")
	case tracing.StatusUnset:
	}
}

// End ends it.
func (s span) End() { s.end() }

// parent reads whose child a request's span is: traceparent, and neither tracestate nor baggage, which hold any text. It
// writes nothing: no trace leaves towards anybody.
type parent struct{}

// Inject writes nothing.
func (parent) Inject(context.Context, http.Header) {}

// Extract reads a header.
func (parent) Extract(ctx context.Context, headers http.Header) context.Context {
	return childOf(ctx, headers.Get("traceparent"))
}

// InjectMeta writes nothing.
func (parent) InjectMeta(_ context.Context, meta *mcp.Meta) *mcp.Meta { return meta }

// ExtractMeta reads a message's _meta.
func (parent) ExtractMeta(ctx context.Context, meta *mcp.Meta) context.Context {
	if meta == nil {
		return ctx
	}
	written, _ := meta.AdditionalFields["traceparent"].(string)
	return childOf(ctx, written)
}

func childOf(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}
