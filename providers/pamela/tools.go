package pamela

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// tool is one of the operator's tools as Pamela is told of it.
type tool struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Input       map[string]any `json:"input_schema"`
	Output      map[string]any `json:"output_schema"`
	// Its SDKs up to 1.0.4 name the time in milliseconds, its later documentation in seconds, from 1 to 300.
	TimeoutMS      int64 `json:"timeout_ms"`
	TimeoutSeconds int64 `json:"timeout_seconds"`
}

func registration(t providers.CallTool) map[string]tool {
	return map[string]tool{"tool": {
		Name: t.Name, Description: t.Description, Input: t.Input, Output: map[string]any{},
		TimeoutMS: t.Timeout.Milliseconds(), TimeoutSeconds: int64(t.Timeout / time.Second),
	}}
}

// toolID is the name of a tool in an answer; empty if there is none.
func toolID(o upstream.Object) string {
	for _, n := range []string{"tool", "data"} {
		if inner := o.Object(n); inner != nil {
			o = inner
		}
	}
	return o.Text("id", "tool_id")
}

// inactive says whether a listed tool is called no more: Pamela deactivates what it is told to delete, and whether its list
// shows such tools is not known.
func inactive(o upstream.Object) bool {
	for _, n := range []string{"active", "is_active", "enabled", "is_enabled"} {
		if on, known := o.Bool(n); known && !on {
			return true
		}
	}
	for _, n := range []string{"deleted", "is_deleted", "deactivated"} {
		if gone, known := o.Bool(n); known && gone {
			return true
		}
	}
	switch strings.ToLower(o.Text("status", "state")) {
	case "inactive", "deactivated", "deleted", "disabled", "archived":
		return true
	}
	return o.Text("deleted_at", "deactivated_at") != ""
}

// toolList reads a list of tools, which is bare, or in an object as other lists are.
func toolList(raw []byte) ([]providers.RegisteredTool, error) {
	v, err := upstream.ParseAny(raw)
	if err != nil {
		return nil, err
	}
	list, isList := v.([]any)
	if o, ok := v.(map[string]any); ok {
		for _, n := range []string{"items", "tools", "data"} {
			if inner, ok := o[n].([]any); ok && !isList {
				list, isList = inner, true
			}
		}
	}
	if !isList {
		return nil, fmt.Errorf("the answer is not a list but %T", v)
	}
	all := []providers.RegisteredTool{}
	for _, e := range list {
		o, _ := e.(map[string]any)
		if id := toolID(o); id != "" && !inactive(o) {
			all = append(all, providers.RegisteredTool{ID: id, Name: upstream.Object(o).Text("name")})
		}
	}
	return all, nil
}

// asked reads the webhook of a tool's call.
func asked(event upstream.Object) *providers.Ask {
	arguments, err := json.Marshal(event["arguments"])
	if err != nil || event["arguments"] == nil {
		arguments = []byte("{}")
	}
	correlation := event.Text("correlation_id")
	return &providers.Ask{
		ID: correlation, Tool: event.Text("tool_name"), Arguments: arguments,
		Reply: func(result json.RawMessage) []byte {
			b, _ := json.Marshal(map[string]any{"result": result, "correlation_id": correlation}) //nolint:errchkjson // result is JSON, or this is an empty answer
			return b
		},
	}
}
