package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Each file in testdata/wire is a conversation of a client with the whole program: an essay on what it pins, what the client
// sends, and what it gets back. It is held over every transport, once for each era of the protocol; where one of them
// answers otherwise, a section says so. -update writes the answers anew.
//
// In the client's lines call_1 is the first call that the server named, and so on; what differs from run to run is
// replaced in the server's. A request is sent once the one before has been answered. "hello" is the handshake, where the
// era has one, with nothing kept of what both eras say otherwise; a line that begins with & is not waited for, only for its
// first progress; "end of input" is just that.
func TestWire(t *testing.T) {
	files, err := filepath.Glob("testdata/wire/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	env := strings.NewReplacer("$STANDIN", sandbox(t, speed), "$SLOW", sandbox(t, 1))
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			c, err := readConversation(file)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			t.Run("on", func(t *testing.T) {
				for _, way := range c.ways {
					said := make(chan string, 1)
					t.Run(way, func(t *testing.T) {
						t.Parallel()
						said <- c.hold(t, way, append(openGuard(), strings.Fields(env.Replace(c.section("env")))...))
					})
					t.Cleanup(func() {
						if len(said) > 0 {
							got[way] = <-said
						}
					})
				}
			})
			if t.Failed() {
				return
			}
			if *update {
				c.write(t, file, got)
				return
			}
			for _, way := range c.ways {
				if diff := cmp.Diff(c.expected(way), got[way]); diff != "" {
					t.Errorf("over %s (go test ./cmd/outdial -update writes it anew):\n%s", way, diff)
				}
			}
		})
	}
}

// conversation is one file.
type conversation struct {
	*txtar.Archive
	ways []string
}

// ways are the transports with the era that the client is of.
func ways() []string {
	return []string{"stdio 2025-11-25", "stdio 2026-07-28", "http 2025-11-25", "http 2026-07-28"}
}

func readConversation(file string) (conversation, error) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		return conversation{}, err
	}
	c := conversation{a, ways()}
	if on := c.section("on"); on != "" {
		c.ways = strings.Split(strings.TrimSpace(on), "\n")
	}
	for _, f := range a.Files {
		way := strings.TrimPrefix(f.Name, "server ")
		if !slices.Contains([]string{"on", "env", "client", "server"}, f.Name) && !slices.Contains(c.ways, way) {
			return c, fmt.Errorf("%s: there is no section %q", file, f.Name)
		}
	}
	for _, way := range c.ways {
		if !slices.Contains(ways(), way) {
			return c, fmt.Errorf("%s: there is no way %q", file, way)
		}
	}
	return c, nil
}

func (c conversation) section(name string) string {
	for _, f := range c.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func (c conversation) expected(way string) string {
	if own := c.section("server " + way); own != "" {
		return own
	}
	return c.section("server")
}

// write keeps what was answered: once what is the same as over the first way, and the rest beside it.
func (c conversation) write(t *testing.T, file string, got map[string]string) {
	t.Helper()
	c.Files = slices.DeleteFunc(c.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "server") })
	shared := got[c.ways[0]]
	c.Files = append(c.Files, txtar.File{Name: "server", Data: []byte(shared)})
	for _, way := range c.ways {
		if got[way] != shared {
			c.Files = append(c.Files, txtar.File{Name: "server " + way, Data: []byte(got[way])})
		}
	}
	if err := os.WriteFile(file, txtar.Format(c.Archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// hold holds the conversation and gives what the server said, with what differs from run to run replaced.
func (c conversation) hold(t *testing.T, way string, env []string) string {
	t.Helper()
	transport, era, _ := strings.Cut(way, " ")
	modern := era == "2026-07-28"
	var server wire
	if transport == "stdio" {
		server = dialStdio(t, env)
	} else {
		server = dialHTTP(t, env, modern)
	}
	names := &nicknames{}
	var out strings.Builder
	alike := false // leave out in what the eras always differ
	for line := range strings.Lines(c.section("client")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		switch line {
		case "end of input":
			for _, m := range server.end(t) {
				out.WriteString(names.tame(t, m, alike && modern))
			}
			continue
		case "hello":
			if alike = true; !modern {
				server.say(t, []byte(hello), false)
				server.say(t, []byte(initialized), false)
			}
			continue
		}
		line, waits := strings.CutPrefix(line, "& ")
		if line = asOf(t, names.real(line), modern); line == "" {
			continue
		}
		for _, m := range server.say(t, []byte(line), waits) {
			out.WriteString(names.tame(t, m, alike && modern))
		}
	}
	return out.String()
}

const (
	hello       = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"wire","version":"1"}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
)

// asOf makes a message one of 2026-07-28, which has no handshake and says who it is in each request. It is empty for what
// that era does not send.
func asOf(t *testing.T, line string, modern bool) string {
	t.Helper()
	var m map[string]any
	if !modern || json.Unmarshal([]byte(line), &m) != nil {
		return line
	}
	if m["method"] == "initialize" || m["method"] == "notifications/initialized" {
		return ""
	}
	params, _ := m["params"].(map[string]any)
	if params == nil {
		params = map[string]any{}
	}
	meta, _ := params["_meta"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
	}
	meta["io.modelcontextprotocol/protocolVersion"] = "2026-07-28"
	meta["io.modelcontextprotocol/clientCapabilities"] = map[string]any{}
	meta["io.modelcontextprotocol/clientInfo"] = map[string]any{"name": "wire", "version": "1"}
	params["_meta"], m["params"] = meta, params
	return string(marshal(t, m))
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// nicknames are the ids that the server has made up, in the order in which it named them.
type nicknames struct{ ids []string }

var (
	callID  = regexp.MustCompile(`call_[a-z2-7]{26}`)
	batchID = regexp.MustCompile(`batch_[0-9a-f]{32}`)
	moment  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	secret  = regexp.MustCompile(`\b[A-Z2-7]{12}\b`) // the word around the words of others
	cursor  = regexp.MustCompile(`("next_cursor":|next_cursor: )("?)[A-Za-z0-9_=-]+`)
	build   = regexp.MustCompile(`"version":"[^"]*"`)
)

func (n *nicknames) real(line string) string {
	return regexp.MustCompile(`\bcall_(\d)\b`).ReplaceAllStringFunc(line, func(s string) string {
		if i := int(s[len(s)-1] - '1'); i < len(n.ids) {
			return n.ids[i]
		}
		return s
	})
}

// tame makes one message a line that is the same in each run. Of the list of tools it keeps the names: what they look like
// lies in schema/tools. modern leaves out what every result of 2026-07-28 has and must have.
func (n *nicknames) tame(t *testing.T, raw []byte, modern bool) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("the server wrote what is no JSON: %q", raw)
	}
	if result, ok := m["result"].(map[string]any); ok {
		if modern {
			meta, _ := result["_meta"].(map[string]any)
			if result["resultType"] != "complete" || meta["io.modelcontextprotocol/serverInfo"] == nil {
				t.Errorf("not a result of 2026-07-28: %s", raw)
			}
			delete(result, "resultType")
			delete(result, "_meta")
		}
		if tools, ok := result["tools"].([]any); ok {
			for i, tool := range tools {
				tools[i] = tool.(map[string]any)["name"]
			}
		}
	}
	s := string(marshal(t, m))
	s = callID.ReplaceAllStringFunc(s, func(id string) string {
		if !slices.Contains(n.ids, id) {
			n.ids = append(n.ids, id)
		}
		return fmt.Sprintf("call_%d", slices.Index(n.ids, id)+1)
	})
	s = batchID.ReplaceAllString(s, "batch_1")
	s = moment.ReplaceAllString(s, "TIME")
	s = secret.ReplaceAllString(s, "SECRETWORD")
	s = cursor.ReplaceAllString(s, "${1}${2}CURSOR")
	return build.ReplaceAllString(s, `"version":"VERSION"`) + "\n"
}
