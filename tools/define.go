package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
)

// tool is what a client is told of a tool.
type tool struct {
	name, title, description string
	reads                    bool // it changes nothing
	repeats                  bool // the same request again changes nothing more
	world                    bool // it reaches beyond outdial
	destroys                 bool
	dials                    bool // a fault of ours leaves it open whether a phone rings
}

// scope is what a caller must have for the tool. The switchboard asks again for what belongs to a principal.
func (t tool) scope() string {
	if t.reads {
		return phone.ReadScope
	}
	return phone.PlaceScope
}

// request is one call of a tool.
type request[In any] struct {
	args In
	client
}

// client is who called, and the way back.
type client struct {
	who  phone.Caller
	peer *peer.Peer
	raw  mcp.CallToolRequest
}

// result is what a tool answers: the structured form, and the same as text.
type result struct {
	structured any
	text       string

	ask *mcp.CallToolResult // in place of all: what the client has to ask a person before it sends the request again
}

// define adds a tool. It panics if a schema cannot be made: at the start, not when a model calls.
func define[In, Out any](b toolbox, s *mcpserver.MCPServer, t tool, handle func(context.Context, request[In]) (result, error)) {
	in, err := schema.Input[In]()
	if err != nil {
		panic(err)
	}
	out, err := schema.Output[Out]()
	if err != nil {
		panic(err)
	}
	s.AddTool(mcp.Tool{
		Name: t.name, Title: t.title, Description: t.description, RawInputSchema: in, RawOutputSchema: out,
		Annotations: mcp.ToolAnnotation{
			Title: t.title, ReadOnlyHint: &t.reads, DestructiveHint: &t.destroys, IdempotentHint: &t.repeats, OpenWorldHint: &t.world,
		},
	}, func(ctx context.Context, raw mcp.CallToolRequest) (answer *mcp.CallToolResult, _ error) {
		defer func() {
			if p := recover(); p != nil {
				answer = b.failure(t, fault(t, p))
			}
		}()
		from := peer.From(ctx)
		r := request[In]{client: client{who: from.Caller(), peer: from, raw: raw}}
		if err := r.who.Forbidden(t.scope()); err != nil {
			return b.failure(t, err), nil
		}
		if err := decode(raw, &r.args); err != nil {
			return b.failure(t, err), nil
		}
		res, err := handle(ctx, r)
		if err != nil {
			return b.failure(t, err), nil
		}
		if res.ask != nil {
			return res.ask, nil
		}
		return &mcp.CallToolResult{
			Content: []mcp.Content{mcp.NewTextContent(res.text)}, StructuredContent: res.structured,
		}, nil
	})
}

// fault is what a model hears of a panic.
func fault(t tool, p any) error {
	e := &phone.Error{Code: phone.Internal, Message: "Something went wrong inside outdial; its log says what.", Err: fmt.Errorf("%s: %w", t.name, phone.Panicked(p))}
	if t.dials {
		e.Code, e.Message = phone.Uncertain, "Something went wrong inside outdial, and a phone may ring. Do not ask again; look at list_calls first."
	}
	return e
}

// failure is an error as a result that a model can read. What the model is not told of a fault of ours is logged.
func (b toolbox) failure(t tool, err error) *mcp.CallToolResult {
	if full := phone.AsError(err); full.Code == phone.Internal || full.Code == phone.Uncertain && full.CallID == "" {
		b.board.Fault(t.name, full)
	}
	e := schema.FromError(err)
	return &mcp.CallToolResult{
		IsError: true, StructuredContent: e, Content: []mcp.Content{mcp.NewTextContent(errorText(e))},
	}
}

// decode reads the arguments strictly: a misspelt one would answer another question.
func decode(raw mcp.CallToolRequest, into any) error {
	args := []byte(raw.Params.RawArguments)
	if len(args) == 0 && raw.Params.Arguments != nil {
		var err error
		if args, err = json.Marshal(raw.Params.Arguments); err != nil {
			return phone.Errorf(phone.Invalid, "The arguments are not JSON.")
		}
	}
	if len(bytes.TrimSpace(args)) == 0 || bytes.Equal(bytes.TrimSpace(args), []byte("null")) {
		args = []byte("{}")
	}
	given := map[string]json.RawMessage{}
	if err := json.Unmarshal(args, &given); err != nil {
		return phone.Errorf(phone.Invalid, "The arguments must be one JSON object.")
	}
	names, required := arguments(reflect.TypeOf(into).Elem())
	for name := range given {
		if !slices.Contains(names, name) {
			return phone.Errorf(phone.Invalid, "There is no argument %q. Valid arguments: %s.", name, strings.Join(names, ", "))
		}
	}
	var missing []string
	for _, name := range required {
		if v, ok := given[name]; !ok || bytes.Equal(v, []byte("null")) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return phone.Errorf(phone.Invalid, "Missing: %s. Valid arguments: %s.", strings.Join(missing, ", "), strings.Join(names, ", "))
	}
	d := json.NewDecoder(bytes.NewReader(args))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badArgument(err)
	}
	return nil
}

func badArgument(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := wrong.Field
		if i := strings.LastIndex(field, "CallOptions."); i >= 0 {
			field = field[i+len("CallOptions."):]
		}
		return phone.Errorf(phone.Invalid, "%s must be %s, not %s.", field, kindName(wrong.Type), wrong.Value)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return phone.Errorf(phone.Invalid, "There is no field %s inside the arguments; a recipient has to and variables.", name)
	}
	return phone.Errorf(phone.Invalid, "The arguments cannot be read.")
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// arguments are the names of a struct's fields as JSON has them, and those that must be there.
func arguments(t reflect.Type) (names, required []string) {
	for f := range t.Fields() {
		if f.Anonymous {
			n, r := arguments(f.Type)
			names, required = append(names, n...), append(required, r...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	return names, required
}
