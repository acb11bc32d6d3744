package tools_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
)

var update = flag.Bool("update", false, "write what a client sees of the tools to schema/tools")

// listed gives the tools exactly as a client sees them.
func listed(t *testing.T, b *switchboard.Switchboard) map[string]json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(tools.Server(b, "test").HandleMessage(t.Context(), json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Result struct{ Tools []json.RawMessage }
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(err)
	}
	seen := map[string]json.RawMessage{}
	for _, one := range answer.Result.Tools {
		var named struct{ Name string }
		if err := json.Unmarshal(one, &named); err != nil {
			t.Fatal(err)
		}
		seen[named.Name] = one
	}
	return seen
}

// To change what a model reads is to change a file that somebody reviews.
func TestToolsGolden(t *testing.T) {
	dir := filepath.Join("..", "schema", "tools")
	seen := listed(t, whereAgentsAsk(t))
	for name, raw := range seen {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		pretty.WriteByte('\n')
		path := filepath.Join(dir, name+".json")
		if *update {
			if err := os.WriteFile(path, pretty.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v; go test ./tools -update writes it", err)
			continue
		}
		if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
			t.Errorf("%s is not as in %s (go test ./tools -update writes it):\n%s", name, path, diff)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".json"); seen[name] == nil {
			t.Errorf("%s is of a tool that is not there", f)
		}
	}
}

func TestEveryTool(t *testing.T) {
	want := []string{
		"answer_question", "cancel_call", "check_balance", "check_number", "create_batch", "create_call", "get_call", "list_calls", "list_providers", "stream_transcript",
	}
	seen := listed(t, whereAgentsAsk(t))
	var names []string
	size := 0
	for name, raw := range seen {
		names = append(names, name)
		size += len(raw)
		var one struct {
			Title, Description        string
			Annotations               map[string]any
			InputSchema, OutputSchema map[string]any
		}
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Fatal(err)
		}
		for _, hint := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
			if _, set := one.Annotations[hint].(bool); !set {
				t.Errorf("%s: %s is not set, and its default says the worst", name, hint)
			}
		}
		for _, s := range []map[string]any{one.InputSchema, one.OutputSchema} {
			if s["type"] != "object" {
				t.Errorf("%s: a schema that is no object", name)
			}
			for _, union := range []string{"anyOf", "oneOf", "allOf"} {
				if s[union] != nil {
					t.Errorf("%s: %s at the top, and some hosts refuse the whole list for that", name, union)
				}
			}
		}
		if one.OutputSchema["required"] != nil || one.OutputSchema["additionalProperties"] != nil {
			t.Errorf("%s: a failure would not fit the output schema", name)
		}
		properties, _ := one.InputSchema["properties"].(map[string]any)
		for field, p := range properties {
			if about, _ := p.(map[string]any)["description"].(string); about == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
		if bytes.Contains(raw, []byte(`"null"`)) {
			t.Errorf("%s: a field that may be null, though none ever is", name)
		}
		if len(one.Title) == 0 || len(one.Description) < 40 || len(one.Description) > 600 {
			t.Errorf("%s: title %q, description of %d", name, one.Title, len(one.Description))
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if size > 37_500 {
		t.Errorf("the list of tools has grown to %d bytes; every session pays for it", size)
	}
}
