package tools_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
)

// Promise 27: another principal's call is answered like one that does not exist, by whatever tool takes a call_id: the same
// bytes but for the id, in the same time.
func TestTenantIsolation(t *testing.T) {
	board := newBoard(t)
	s := tools.Server(board, "test")
	const principals = 10
	pairs := 1000
	if underRace {
		pairs = 160
	}
	who := func(n int) phone.Caller {
		return phone.Caller{Principal: fmt.Sprintf("token:t%d", n), Scopes: []string{phone.PlaceScope}}
	}
	owned := make([][]string, principals)
	cursor := map[string]string{} // of a list that ends with a call
	for n := range principals {
		for i := range 3 {
			placed, err := board.Place(t.Context(), who(n), switchboard.Request{To: fmt.Sprintf("+1202555%02d%d0", n, i), Task: "x"})
			if err != nil {
				t.Fatal(err)
			}
			owned[n] = append(owned[n], placed.Call.ID)
			cursor[placed.Call.ID] = placed.Call.CreatedAt.Format(time.RFC3339Nano)
		}
	}
	for n := range principals { // so that there is something to read of each, and more of some than of others
		for e, err := range board.Watch(t.Context(), who(n), owned[n][0], 0) {
			if err != nil {
				t.Fatal(e, err)
			}
		}
	}
	arguments := map[string]func(id, created string) string{
		"get_call":          func(id, _ string) string { return fmt.Sprintf(`{"call_id":%q,"wait_seconds":45}`, id) },
		"get_call at once":  func(id, _ string) string { return fmt.Sprintf(`{"call_id":%q,"after_seq":3}`, id) },
		"stream_transcript": func(id, _ string) string { return fmt.Sprintf(`{"call_id":%q,"max_seconds":45}`, id) },
		"cancel_call":       func(id, _ string) string { return fmt.Sprintf(`{"call_id":%q}`, id) },
		"create_call":       func(id, _ string) string { return fmt.Sprintf(`{"to":"+12025559999","task":"x","repeat_of":%q}`, id) },
		"create_call dry": func(id, _ string) string {
			return fmt.Sprintf(`{"to":"+12025559999","task":"x","repeat_of":%q,"dry_run":true}`, id)
		},
		"create_batch": func(id, _ string) string {
			return fmt.Sprintf(`{"recipients":[{"to":"+12025559999"}],"task":"x","repeat_of":%q}`, id)
		},
		"list_calls": func(id, created string) string {
			return fmt.Sprintf(`{"limit":2,"cursor":%q}`, base64.RawURLEncoding.EncodeToString([]byte(created+" "+id)))
		},
	}
	taking := map[string]bool{}
	for name, raw := range listed(t, whereAgentsAsk(t)) {
		for _, argument := range []string{"call_id", "repeat_of", "cursor"} {
			if bytes.Contains(inputOf(t, raw), []byte(`"`+argument+`":`)) {
				taking[name] = true
			}
		}
	}
	if len(taking) < 6 {
		t.Errorf("only %v take a call's id: then this looks at the wrong place", taking)
	}
	for name := range arguments {
		delete(taking, strings.Fields(name)[0])
	}
	if len(taking) > 0 {
		t.Errorf("tools that take a call's id and are not tried: %v", taking)
	}
	var kinds []string
	for name := range arguments {
		kinds = append(kinds, name)
	}
	slices.Sort(kinds)

	took := map[string][2][]time.Duration{}
	for i := range pairs {
		owner := rand.IntN(principals)
		stranger := who((owner + 1 + rand.IntN(principals-1)) % principals)
		foreign, unknown := owned[owner][rand.IntN(3)], ledger.NewCallID()
		kind := kinds[i%len(kinds)]
		tool := strings.Fields(kind)[0]
		created := cursor[foreign]
		var answers [2]string
		times := took[kind]
		for _, n := range rand.Perm(2) {
			id := []string{foreign, unknown}[n]
			began := time.Now()
			answers[n] = strings.ReplaceAll(say(t, s, stranger, tool, arguments[kind](id, created)), id, "ID")
			times[n] = append(times[n], time.Since(began))
		}
		took[kind] = times
		if a, b := unmarked(answers[0]), unmarked(answers[1]); a != b {
			t.Fatalf("%s of another's call:\n%s\nof none:\n%s", kind, a, b)
		}
		if tool != "list_calls" && tool != "create_batch" && !strings.Contains(answers[0], `"isError":true`) {
			t.Fatalf("%s of another's call: %s", kind, answers[0])
		}
		if own := say(t, s, who(owner), "get_call", arguments["get_call at once"](foreign, "")); i < 50 && strings.Contains(own, `"isError":true`) {
			t.Fatalf("of one's own: %s", own)
		}
	}
	for _, kind := range kinds {
		a, b := median(took[kind][0]), median(took[kind][1])
		t.Logf("%-18s %4d pairs, another's %8v, none's %8v", kind, len(took[kind][0]), a, b)
		if d := (a - b).Abs(); d > time.Millisecond && !underRace {
			t.Errorf("%s: the medians differ by %v", kind, d)
		}
	}
	for n := range principals { // nobody's calls were touched
		calls, _, err := board.List(t.Context(), who(n), switchboard.Filter{Limit: 200})
		if err != nil || len(calls) != 3 {
			t.Errorf("principal %d has %d calls, %v", n, len(calls), err)
		}
		for _, c := range calls {
			if c.Outcome == phone.Cancelled {
				t.Errorf("%s was ended by another", c.ID)
			}
		}
	}
}

// say calls a tool as a principal and gives what comes back.
func say(t *testing.T, s *mcpserver.MCPServer, who phone.Caller, tool, arguments string) string {
	t.Helper()
	ctx := peer.With(t.Context(), peer.Link{Caller: who, Send: func([]byte) error { return nil }})
	raw, err := json.Marshal(s.HandleMessage(ctx, fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments)))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// unmarked is an answer without what differs in each: the boundary around words, which is made up anew, and batches' names.
func unmarked(s string) string {
	var answer struct {
		Result struct {
			IsError bool
			Call    map[string]any `json:"structuredContent"`
			Content []struct{ Text string }
		}
		Error any
	}
	if json.Unmarshal([]byte(s), &answer) != nil || answer.Result.IsError {
		return s // byte for byte
	}
	raw, _ := json.Marshal(answer.Result.Call)
	return string(raw)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func inputOf(t *testing.T, tool []byte) []byte {
	t.Helper()
	var one struct{ InputSchema json.RawMessage }
	if err := json.Unmarshal(tool, &one); err != nil {
		t.Fatal(err)
	}
	return one.InputSchema
}

// Every tool asks what its caller may do, before it looks at anything else.
func TestToolsNeedScopes(t *testing.T) {
	b := whereAgentsAsk(t)
	s := tools.Server(b, "test")
	for name, raw := range listed(t, b) {
		var one struct {
			Annotations struct {
				ReadOnlyHint bool
			}
		}
		if err := json.Unmarshal(raw, &one); err != nil {
			t.Fatal(err)
		}
		for scope, may := range map[string]bool{"": false, phone.MetricsScope: false, phone.ReadScope: one.Annotations.ReadOnlyHint, phone.PlaceScope: true} {
			answer := say(t, s, phone.Caller{Principal: "token:t", Scopes: []string{scope}}, name, `{"no such":1}`)
			if strings.Contains(answer, `"reason":"forbidden"`) == may {
				t.Errorf("%s with the scope %q: %s", name, scope, answer)
			}
		}
	}
}
