package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/simulator"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
)

// newBoard is a switchboard with nothing but a fast simulator.
func newBoard(t *testing.T) *switchboard.Switchboard {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := providers.New(simulator.Spec(), simulator.New(20), providers.Options{
		Account: "s", Pace: providers.Pace{RecordEvery: 20 * time.Millisecond},
	})
	b := switchboard.New(switchboard.Options{Ledger: l, Providers: []*providers.Provider{p}})
	running, stop := context.WithCancel(context.Background())
	var rounds sync.WaitGroup
	rounds.Go(func() { b.Run(running) })
	t.Cleanup(func() {
		stop()
		rounds.Wait()
		if err := errors.Join(b.Close(context.Background()), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// caller calls tools as a client with a progress token does.
type caller struct {
	t        *testing.T
	board    *switchboard.Switchboard
	progress []json.RawMessage
}

func (c *caller) raw(name string, args string) (structured map[string]any, text string, failed bool) {
	c.t.Helper()
	ctx := peer.With(c.t.Context(), peer.Link{Caller: phone.Local(), Token: json.RawMessage(`"t"`), Send: func(m []byte) error {
		c.progress = append(c.progress, m)
		return nil
	}})
	request := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"progressToken":"t"}}}`, name, args)
	answer, err := json.Marshal(tools.Server(c.board, "test").HandleMessage(ctx, json.RawMessage(request)))
	if err != nil {
		c.t.Fatal(err)
	}
	var message struct {
		Result *struct {
			Content           []mcp.TextContent
			StructuredContent map[string]any
			IsError           bool
		}
	}
	if err := json.Unmarshal(answer, &message); err != nil || message.Result == nil {
		c.t.Fatalf("%s: %s, %v", name, answer, err)
	}
	return message.Result.StructuredContent, message.Result.Content[0].Text, message.Result.IsError
}

func (c *caller) ok(name, args string) (map[string]any, string) {
	c.t.Helper()
	s, text, failed := c.raw(name, args)
	if failed {
		c.t.Fatalf("%s failed: %s", name, text)
	}
	return s, text
}

func turnsOf(t *testing.T, call map[string]any) []schema.Turn {
	t.Helper()
	raw, err := json.Marshal(call["turns"])
	if err != nil {
		t.Fatal(err)
	}
	var turns []schema.Turn
	if err := json.Unmarshal(raw, &turns); err != nil {
		t.Fatal(err)
	}
	return turns
}

func TestACallInOneTool(t *testing.T) {
	c := &caller{t: t, board: newBoard(t)}
	call, text := c.ok("create_call", `{"to":"+12025550100","task":"Ask for the opening hours","wait_seconds":45}`)
	if call["status"] != "ended" || call["outcome"] != "completed" || call["simulated"] != true || call["record"] != "complete" {
		t.Fatalf("%v", call)
	}
	turns := turnsOf(t, call)
	if len(turns) < 3 {
		t.Fatalf("%d turns", len(turns))
	}
	for _, turn := range turns {
		if !strings.Contains(text, turn.Role+": "+turn.Text) {
			t.Errorf("the text lacks %q", turn.Text)
		}
	}
	for _, fact := range []string{call["call_id"].(string), "next_seq", "simulated: true", "outcome: completed", "The call is over."} {
		if !strings.Contains(text, fact) {
			t.Errorf("the text lacks %q:\n%s", fact, text)
		}
	}
	last, said := 0.0, 0
	for _, raw := range c.progress {
		var p struct {
			Params struct {
				Token    string `json:"progressToken"`
				Progress float64
				Message  string
				Meta     map[string]json.RawMessage `json:"_meta"`
			}
		}
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		if p.Params.Progress <= last || p.Params.Token != "t" {
			t.Errorf("progress %v after %v", p.Params.Progress, last)
		}
		last = p.Params.Progress
		if turn := p.Params.Meta["outdial/turn"]; turn != nil {
			var one schema.Turn
			if err := json.Unmarshal(turn, &one); err != nil || p.Params.Message != one.Role+": "+one.Text {
				t.Errorf("%s, %v", raw, err)
			}
			said++
		} else if !strings.HasPrefix(p.Params.Message, "status: ") {
			t.Errorf("progress that says nothing: %s", raw)
		}
	}
	if said != len(turns) || last != call["next_seq"] {
		t.Errorf("%d fragments for %d turns, the last event %v of %v", said, len(turns), last, call["next_seq"])
	}
	id := call["call_id"].(string)
	if again, _ := c.ok("create_call", `{"to":"+12025550100","task":"Ask for the opening hours"}`); again["replayed"] != true || again["call_id"] != id {
		t.Errorf("the same request: %v", again)
	}
	tail, _ := c.ok("get_call", fmt.Sprintf(`{"call_id":%q,"after_seq":%v}`, id, call["next_seq"]))
	if len(turnsOf(t, tail)) != 0 || tail["next_seq"] != call["next_seq"] {
		t.Errorf("after the last event: %v", tail)
	}
	half := turns[len(turns)/2].Seq
	if tail, _ = c.ok("stream_transcript", fmt.Sprintf(`{"call_id":%q,"after_seq":%d}`, id, half)); len(turnsOf(t, tail)) != len(turns)-len(turns)/2-1 {
		t.Errorf("after the middle: %v", tail["turns"])
	}
	if list, _ := c.ok("list_calls", `{}`); len(list["calls"].([]any)) != 1 || list["calls"].([]any)[0].(map[string]any)["turns"] != nil {
		t.Errorf("%v", list)
	}
	if over, _ := c.ok("cancel_call", fmt.Sprintf(`{"call_id":%q}`, id)); over["status"] != "ended" || over["outcome"] != "completed" {
		t.Errorf("a call that is over was changed: %v", over)
	}
}

func TestWaitingEndsInTime(t *testing.T) {
	c := &caller{t: t, board: newBoard(t)}
	began := time.Now()
	call, text := c.ok("create_call", `{"to":"+12025550107","task":"x","wait_seconds":1}`)
	if took := time.Since(began); took < time.Second || took > 3*time.Second || call["status"] == "ended" || !strings.Contains(text, "The call goes on") {
		t.Errorf("after %v: %v", took, call["status"])
	}
	began = time.Now()
	c.ok("stream_transcript", fmt.Sprintf(`{"call_id":%q,"max_seconds":0}`, call["call_id"]))
	if took := time.Since(began); took > time.Second {
		t.Errorf("max_seconds 0 took %v", took)
	}
	if over, _ := c.ok("cancel_call", fmt.Sprintf(`{"call_id":%q}`, call["call_id"])); over["call_id"] != call["call_id"] {
		t.Errorf("%v", over)
	}
	if over, _ := c.ok("stream_transcript", fmt.Sprintf(`{"call_id":%q}`, call["call_id"])); over["status"] != "ended" || over["outcome"] != "cancelled" {
		t.Errorf("%v", over)
	}
}

// get_call comes back with the first news, not at the end of its wait.
func TestGetCallWaitsForNews(t *testing.T) {
	c := &caller{t: t, board: newBoard(t)}
	call, _ := c.ok("create_call", `{"to":"+12025550107","task":"x"}`)
	began := time.Now()
	got, _ := c.ok("get_call", fmt.Sprintf(`{"call_id":%q,"after_seq":%v,"wait_seconds":30}`, call["call_id"], call["next_seq"]))
	if time.Since(began) > 10*time.Second || got["next_seq"].(float64) <= call["next_seq"].(float64) {
		t.Errorf("after %v: %v", time.Since(began), got["next_seq"])
	}
}

func TestWhatBadArgumentsGet(t *testing.T) {
	c := &caller{t: t, board: newBoard(t)}
	for _, tt := range []struct{ tool, args, says string }{
		{"get_call", `{"call_id":"x","callid":"y"}`, `There is no argument "callid". Valid arguments: call_id, after_seq, wait_seconds.`},
		{"get_call", `{}`, "Missing: call_id."},
		{"get_call", `{"call_id":null}`, "Missing: call_id."},
		{"get_call", `{"call_id":7}`, "call_id must be a string, not number."},
		{"get_call", `[]`, "The arguments must be one JSON object."},
		{"create_call", `{"to":"+12025550100","task":"x","wait_seconds":"soon"}`, "wait_seconds must be a whole number, not string."},
		{"create_call", `{"to":"+12025550100","task":7}`, "task must be a string, not number."},
		{"create_call", `{"to":"+12025550100","task":"x","max_duration_seconds":9999}`, "max_duration_seconds must be from 1 to 3600."},
		{"create_call", `{"to":"+12025550100","task":"x","provider_options":{"speed":1}}`, `simulator has no option "speed"`},
		{"create_call", `{"to":"+12025550100","task":" "}`, "The task is empty"},
		{"create_call", `{"to":"+12025550100","task":"x","provider":"nobody"}`, `There is no provider "nobody"`},
		{"create_call", `{"to":"+12025550100","task":"x","provider":"pamela","dry_run":true}`, `There is no provider "pamela"`},
		{"create_batch", `{"recipients":[],"task":"x"}`, "a batch has 1 to 100"},
		{"create_batch", `{"recipients":[{"to":"+12025550100","name":"x"}],"task":"x"}`, `There is no field "name" inside the arguments`},
		{"list_calls", `{"status":"asleep"}`, `there is no state "asleep"`},
		{"list_calls", `{"limit":201}`, "limit must be from 1 to 200."},
		{"list_calls", `{"cursor":"?"}`, "cursor: pass on next_cursor"},
		{"check_balance", `{"provider":"nobody"}`, `There is no provider "nobody"`},
		{"list_providers", `{"all":true}`, `There is no argument "all".`},
	} {
		s, text, failed := c.raw(tt.tool, tt.args)
		if !failed || s["code"] != "invalid" || s["call_started"] != "no" || s["retry_safe"] != false || !strings.Contains(s["message"].(string), tt.says) || !strings.Contains(text, tt.says) {
			t.Errorf("%s %s: %v", tt.tool, tt.args, s)
		}
	}
	if s, _, failed := c.raw("get_call", `{"call_id":"call_nobody"}`); !failed || s["code"] != "not_found" {
		t.Errorf("%v", s)
	}
	if list, _ := c.ok("list_calls", ``+`{}`); len(list["calls"].([]any)) != 0 {
		t.Errorf("a bad request left a call: %v", list)
	}
}

func TestFailuresSayWhetherAPhoneMayRing(t *testing.T) {
	c := &caller{t: t, board: newBoard(t)}
	for to, want := range map[string][]any{
		"+12025550108": {"unavailable", "no", true},
		"+12025550109": {"uncertain", "unknown", false},
		"911":          {"refused", "no", false},
		"12345":        {"invalid", "no", false},
	} {
		s, text, failed := c.raw("create_call", fmt.Sprintf(`{"to":%q,"task":"x"}`, to))
		if !failed || s["code"] != want[0] || s["call_started"] != want[1] || s["retry_safe"] != want[2] {
			t.Errorf("%s: %v", to, s)
		}
		if !strings.Contains(text, "call_started: "+want[1].(string)) {
			t.Errorf("%s: the text lacks what the structure says:\n%s", to, text)
		}
	}
	s, _, _ := c.raw("create_call", `{"to":"+12025550109","task":"x"}`)
	call, text := c.ok("get_call", fmt.Sprintf(`{"call_id":%q}`, s["call_id"]))
	if call["status"] != "unconfirmed" || call["error"].(map[string]any)["call_started"] != "unknown" || !strings.Contains(text, "Do not call again") {
		t.Errorf("%v", call)
	}
}

func TestDryRunAndCheckNumber(t *testing.T) {
	c := &caller{t: t, board: newBoard(t)}
	dry, _ := c.ok("create_call", `{"to":"+12025550100","task":"x","dry_run":true}`)
	if dry["status"] != "dry_run" || dry["call_id"] != nil || dry["check"].(map[string]any)["allowed"] != true {
		t.Errorf("%v", dry)
	}
	dry, _ = c.ok("create_call", `{"to":"911","task":"x","dry_run":true}`)
	refusals := dry["check"].(map[string]any)["refusals"].([]any)
	if len(refusals) != 1 || refusals[0].(map[string]any)["code"] != "emergency_number" {
		t.Errorf("%v", dry)
	}
	n, text := c.ok("check_number", `{"to":"+8613800138000"}`)
	if n["valid"] != true || n["region"] != "CN" || n["type"] != "MOBILE" || n["allowed"] != true || n["provider"] != "simulator" ||
		!strings.HasSuffix(n["local_time"].(string), "+08:00") || !strings.Contains(text, "Asia/Shanghai") {
		t.Errorf("%v", n)
	}
	if list, _ := c.ok("list_calls", `{}`); len(list["calls"].([]any)) != 0 {
		t.Errorf("somebody was called: %v", list)
	}
}

func TestBatchTool(t *testing.T) {
	c := &caller{t: t, board: newBoard(t)}
	args := `{"task":"Tell {{name}}","recipients":[{"to":"+12025550100","variables":{"name":"Ann"}},{"to":"911","variables":{"name":"Bo"}},{"to":"+12025550108","variables":{"name":"Cy"}}]}`
	b, text := c.ok("create_batch", args)
	calls := b["calls"].([]any)
	if b["placed"] != 1.0 || b["refused"] != 1.0 || b["failed"] != 1.0 || len(calls) != 3 || b["batch_id"] == "" {
		t.Fatalf("%v", b)
	}
	if e := calls[1].(map[string]any)["error"].(map[string]any); e["reason"] != "emergency_number" || e["call_started"] != "no" {
		t.Errorf("%v", e)
	}
	if e := calls[2].(map[string]any); e["status"] != "ended" || e["outcome"] != "failed" || e["error"].(map[string]any)["retry_safe"] != true {
		t.Errorf("%v", e)
	}
	if !strings.Contains(text, "Tell Ann") || !strings.Contains(text, "emergency") {
		t.Errorf("%s", text)
	}
	again, _ := c.ok("create_batch", args)
	if again["batch_id"] != b["batch_id"] || again["calls"].([]any)[0].(map[string]any)["replayed"] != true {
		t.Errorf("%v", again)
	}
}
