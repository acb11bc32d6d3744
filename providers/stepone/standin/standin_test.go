package standin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/script"
	"github.com/outdial/outdial/providers/stepone/standin"
)

const base = "/api/v1/callinfo/"

// short is a call of two utterances that lasts 4.3 s.
func short(outcome phone.Outcome) func(string, string, string, string) script.Script {
	return func(_, lang, task, _ string) script.Script {
		return script.Script{Name: "short", Ring: 2 * time.Second, Outcome: outcome, Lines: []script.Line{
			{After: time.Second, Role: phone.Agent, Text: lang + ": " + task},
			{After: time.Second, Role: phone.Callee, Text: `好的 <b> & "co" [DONE]`},
		}}
	}
}

// ask sends one request with headers in pairs, and gives the status and the body; 0 where the connection would be cut.
func ask(t *testing.T, stand http.Handler, method, path, body string, header ...string) (status int, answer string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	r.Header.Set("X-API-Key", "sk_a")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			if err, _ := p.(error); !errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			status, answer = 0, ""
		}
	}()
	stand.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func dial(t *testing.T, stand http.Handler, body string, header ...string) []string {
	t.Helper()
	status, raw := ask(t, stand, http.MethodPost, "initiate_call", body, header...)
	var a struct {
		Success bool     `json:"success"`
		IDs     []string `json:"call_ids"`
	}
	if err := json.Unmarshal([]byte(raw), &a); err != nil || status != 200 || !a.Success {
		t.Fatalf("initiate_call: %d %s", status, raw)
	}
	return a.IDs
}

const one = `{"phones":"13800138000","user_requirement":"通知开会"}`

// recordOf is the answer of a look-up.
func recordOf(t *testing.T, stand http.Handler, id string, header ...string) string {
	t.Helper()
	status, raw := ask(t, stand, http.MethodPost, "search_callinfo", fmt.Sprintf(`{"call_id":%q}`, id), header...)
	if status != 200 {
		t.Fatalf("search_callinfo: %d %s", status, raw)
	}
	return raw
}

func TestRefusals(t *testing.T) {
	stand := standin.New(standin.Options{Version: "1.1.0"})
	ok := []string{"X-Skill-Version", "1.1.0"}
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		holds              string
	}{
		"no key":               {"POST", "initiate_call", one, []string{"X-API-Key", ""}, 401, `"success":false`},
		"a key of no form":     {"GET", "balance", "", []string{"X-API-Key", "pk_a"}, 401, `"success":false`},
		"an older key":         {"GET", "balance", "", []string{"X-API-Key", "aicall_a"}, 200, `"balance":8.80`},
		"another version":      {"POST", "initiate_call", one, []string{"X-Skill-Version", "1.0.0"}, 426, `"skill_version":"1.1.0"`},
		"its version":          {"POST", "initiate_call", one, ok, 200, `"success":true`},
		"no version":           {"POST", "initiate_call", one, nil, 200, `"success":true`},
		"version of version":   {"GET", "skill_version", "", []string{"X-Skill-Version", "0.1", "X-API-Key", ""}, 200, `{"skill_version":"1.1.0"}`},
		"voices without a key": {"GET", "tts_list", "", []string{"X-API-Key", ""}, 200, `{"voice_id":"v0001","name":"晓晓"}`},
		"engines":              {"GET", "engine_list", "", nil, 200, `"stepone-mini"`},
		"no such path":         {"GET", "hangup", "", nil, 404, `"success":false`},
		"not JSON":             {"POST", "initiate_call", `phones=1`, nil, 400, `"success":false`},
		"a landline":           {"POST", "initiate_call", `{"phones":"01085322888","user_requirement":"x"}`, nil, 200, `"success":false`},
		"no number":            {"POST", "initiate_call", `{"phones":" , ","user_requirement":"x"}`, nil, 200, `"success":false`},
		"no task":              {"POST", "initiate_call", `{"phones":"13800138000"}`, nil, 200, `"success":false`},
		"an agent's task":      {"POST", "initiate_call", `{"phones":"13800138000","agent_id":7}`, nil, 200, `"success":true`},
		"too fast":             {"POST", "initiate_call", `{"phones":"13800138000","agent_id":7,"speed":101}`, nil, 200, `"success":false`},
		"too long":             {"POST", "initiate_call", `{"phones":"13800138000","user_requirement":"` + strings.Repeat("会", 20_001) + `"}`, nil, 200, `"success":false`},
		"rejected":             {"POST", "initiate_call", `{"phones":"13800138008","user_requirement":"x"}`, nil, 200, `{"success":false,"message":"`},
		"no such call":         {"POST", "search_callinfo", `{"call_id":"c"}`, nil, 200, `"data":null`},
		"no such stream":       {"POST", "stream_chat_history", `{"call_id":"c"}`, nil, 404, `"success":false`},
		"several numbers":      {"POST", "initiate_call", `{"phones":"13800138000, 13900139000","user_requirement":"x"}`, nil, 200, `^1","`},
	} {
		t.Run(name, func(t *testing.T) {
			status, raw := ask(t, stand, c.method, c.path, c.body, c.header...)
			if status != c.status || !strings.Contains(raw, c.holds) {
				t.Errorf("%d %s", status, raw)
			}
		})
	}
}

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stand := standin.New(standin.Options{Script: short(phone.Completed), RecordAfter: 5 * time.Second})
		id := dial(t, stand, `{"phones":"13800138000","user_requirement":"规则\n任务：\n\n通知开会"}`)[0]
		for _, c := range []struct {
			at     time.Duration
			status string
		}{
			{0, "queued"}, {time.Second, "ringing"}, {3 * time.Second, "in_progress"}, {5 * time.Second, "in_progress"}, {9200 * time.Millisecond, "in_progress"},
		} {
			time.Sleep(c.at - time.Since(start()))
			raw := recordOf(t, stand, id)
			if strings.Contains(raw, "call_content") || !strings.Contains(raw, `"status":"`+c.status+`","duration_seconds":null,"cost":null,"billed":false`) {
				t.Errorf("after %v: %s", c.at, raw)
			}
		}
		time.Sleep(100 * time.Millisecond) // 4.3 s of the call and 5 s for the record
		raw := recordOf(t, stand, id)
		for _, part := range []string{
			`"success":true`, `"status":"completed"`, `"duration_seconds":3,`, `"cost":0.6,`, `"billed":true`, `"ended_at":"2000-01-01T00:00:04.3Z"`,
			`"call_content":[{"role":"assistant","content":"zh: 通知开会"},{"role":"user","content":"好的 <b> & \"co\" [DONE]"}]`,
			standin.Instruction,
		} {
			if !strings.Contains(raw, part) {
				t.Errorf("%s lacks %s", raw, part)
			}
		}
		if raw := recordOf(t, stand, id, "X-API-Key", "sk_b"); !strings.Contains(raw, `"data":null`) {
			t.Errorf("another account sees it: %s", raw)
		}
	})
}

// start is when a bubble's time begins.
func start() time.Time {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
}

func TestOutcomes(t *testing.T) {
	for outcome, status := range map[phone.Outcome]string{
		phone.NoAnswer: "no_answer", phone.Busy: "busy", phone.Declined: "declined", phone.Failed: "failed", phone.Cancelled: "cancelled", phone.UnknownOutcome: "ended",
	} {
		synctest.Test(t, func(t *testing.T) {
			stand := standin.New(standin.Options{Speed: 10, RecordAfter: -1, Script: silent(10*time.Second, outcome)})
			id := dial(t, stand, one)[0]
			time.Sleep(time.Second)
			if raw := recordOf(t, stand, id); !strings.Contains(raw, `"status":"`+status+`","duration_seconds":0,"cost":0,"billed":false,"call_content":[]`) {
				t.Errorf("%s: %s", outcome, raw)
			}
		})
	}
}

// silent is a call that nobody answers.
func silent(ring time.Duration, outcome phone.Outcome) func(string, string, string, string) script.Script {
	return func(string, string, string, string) script.Script { return script.Script{Ring: ring, Outcome: outcome} }
}

func TestLanguage(t *testing.T) {
	var said string
	stand := standin.New(standin.Options{Script: func(number, lang, task, caller string) script.Script {
		said = fmt.Sprintf("%s %s %q %q", number, lang, task, caller)
		return script.For(number, lang, task, caller)
	}})
	for body, want := range map[string]string{
		`{"phones":"13800138000","user_requirement":"Rules.\nThe task:\n\nAsk for a table"}`: `+8613800138000 en "Ask for a table" ""`,
		`{"phones":"13800138000","user_requirement":"通知 John"}`:                              `+8613800138000 zh "通知 John" ""`,
		`{"phones":"13800138000","agent_id":1}`:                                              `+8613800138000 zh "" ""`,
	} {
		dial(t, stand, body)
		if said != want {
			t.Errorf("%s, want %s", said, want)
		}
	}
}

func TestSameKeySameCall(t *testing.T) {
	key := []string{"Idempotency-Key", "call_00000001"}
	for _, off := range []bool{false, true} {
		stand := standin.New(standin.Options{NoDedup: off})
		first := dial(t, stand, one, key...)[0]
		if again := dial(t, stand, one, key...)[0]; (again == first) == off {
			t.Errorf("the same key, with de-duplication off %v: %s and %s", off, first, again)
		}
		if other := dial(t, stand, one, append(key, "X-API-Key", "sk_b")...)[0]; other == first {
			t.Error("another account gets the call")
		}
		if other := dial(t, stand, one)[0]; other == first {
			t.Error("no key gets the call")
		}
	}
}

func TestLostDialIsPlaced(t *testing.T) {
	asked := 0
	stand := standin.New(standin.Options{Script: func(string, string, string, string) script.Script {
		asked++
		return script.Script{Dial: script.Lost, Ring: time.Second, Outcome: phone.NoAnswer}
	}})
	if status, raw := ask(t, stand, http.MethodPost, "initiate_call", one, "Idempotency-Key", "call_00000001"); status != 0 {
		t.Fatalf("an answer: %d %s", status, raw)
	}
	if dial(t, stand, one, "Idempotency-Key", "call_00000001"); asked != 1 {
		t.Errorf("%d calls", asked)
	}
}

// lines reads a stream to its end.
func lines(t *testing.T, stand http.Handler, id string) []string {
	t.Helper()
	_, raw := ask(t, stand, http.MethodPost, "stream_chat_history", fmt.Sprintf(`{"call_id":%q}`, id))
	return strings.Split(strings.TrimSuffix(raw, "\n\n"), "\n\n")
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stand := standin.New(standin.Options{Script: short(phone.Completed)})
		id := dial(t, stand, one)[0]
		want := []string{
			": keep-alive", ": keep-alive", ": keep-alive", ": keep-alive", // two seconds of ringing
			`data: {"role": "assistant", "content": "zh: 通知开会"}`,
			`data: {"role": "user", "content": "好的 <b> & \"co\" [DONE]"}`,
			`data: {"role": "system", "content": "[DONE]"}`,
		}
		if diff := cmp.Diff(want, lines(t, stand, id)); diff != "" {
			t.Errorf("(- want, + got):\n%s", diff)
		}
		if took := time.Since(start()); took < 4300*time.Millisecond || took > 4310*time.Millisecond {
			t.Errorf("the stream ends after %v", took)
		}
		if diff := cmp.Diff(want[4:], lines(t, stand, id)); diff != "" {
			t.Errorf("again (- want, + got):\n%s", diff)
		}
	})
}

func TestTailOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stand := standin.New(standin.Options{Script: short(phone.Completed), TailOnly: true})
		id := dial(t, stand, one)[0]
		if first := lines(t, stand, id); len(first) != 7 {
			t.Errorf("the first stream has %q", first)
		}
		if diff := cmp.Diff([]string{`data: {"role": "system", "content": "[DONE]"}`}, lines(t, stand, id)); diff != "" {
			t.Errorf("a further stream:\n%s", diff)
		}
	})
}

func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		ring, ends time.Duration
		speed      float64
	}{
		{6 * time.Second, 6 * time.Second, 1},    // the call is over
		{time.Hour, 30 * time.Second, 1},         // it rings on
		{time.Hour, 300 * time.Millisecond, 100}, // faster
	} {
		synctest.Test(t, func(t *testing.T) {
			stand := standin.New(standin.Options{Speed: c.speed, Script: silent(c.ring, phone.NoAnswer)})
			got := lines(t, stand, dial(t, stand, one)[0])
			if last := got[len(got)-1]; last != `data: {"role": "system", "content": "[TIMEOUT]"}` {
				t.Errorf("ends with %s", last)
			}
			if took := time.Since(start()); took < c.ends || took > c.ends+10*time.Millisecond {
				t.Errorf("ends after %v, want %v", took, c.ends)
			}
		})
	}
}

func TestStreamThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stand := standin.New(standin.Options{Script: silent(time.Hour, phone.NoAnswer)})
		id := dial(t, stand, one)[0]
		ctx, cancel := context.WithTimeout(t.Context(), 1234*time.Millisecond)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, base+"stream_chat_history", strings.NewReader(`{"call_id":"`+id+`"}`))
		r.Header.Set("X-API-Key", "sk_a")
		stand.ServeHTTP(httptest.NewRecorder(), r)
		if took := time.Since(start()); took != 1234*time.Millisecond {
			t.Errorf("it goes on for %v", took)
		}
	})
}

func TestOldestCallsAreForgotten(t *testing.T) {
	stand := standin.New(standin.Options{})
	send := func(path, body, key string) string {
		_, answer := ask(t, stand, http.MethodPost, path, body, "Idempotency-Key", key)
		return answer
	}
	id := func(answer string) string {
		_, rest, _ := strings.Cut(answer, `"call_id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		return id
	}
	first := id(send("initiate_call", one, "key-00000"))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for k := range 2500 {
				send("initiate_call", one, fmt.Sprintf("key-%d-%05d", i, k))
			}
		})
	}
	all.Wait()
	last := id(send("initiate_call", one, "key-last"))
	if got := send("search_callinfo", `{"call_id":"`+first+`"}`, ""); !strings.Contains(got, `"data":null`) {
		t.Errorf("the oldest is kept: %s", got)
	}
	if got := send("search_callinfo", `{"call_id":"`+last+`"}`, ""); strings.Contains(got, `"data":null`) {
		t.Errorf("the newest is lost: %s", got)
	}
	if again := id(send("initiate_call", one, "key-00000")); again == first || again == "" {
		t.Errorf("a forgotten call's key gives %q", again)
	}
}

// TestReadWithGrep reads answers as the vendor's shell scripts do.
func TestReadWithGrep(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "grep", "sed", "cut"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s", tool)
		}
	}
	server := httptest.NewServer(standin.New(standin.Options{Speed: 100}))
	defer server.Close()
	run := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", `
		ask() { curl -sS --max-time 5 -X POST "$BASE/api/v1/callinfo/$1" -H "Content-Type: application/json" -H "X-API-Key: sk_x" -H "X-Skill-Version: 1.0.0" -d "$2"; }
		R=$(ask initiate_call '{"phones":"13800138000","user_requirement":"通知开会"}')
		test "$(echo "$R" | grep -o '"success":[^,}]*' | cut -d: -f2)" = true
		ID=$(echo "$R" | grep -o '"call_ids":\["[^"]*"\]' | grep -o '\[".*"\]' | sed 's/\["//;s/"\]//')
		test "$ID" = "$(echo "$R" | grep -o '"call_id":"[^"]*"' | cut -d'"' -f4)"
		[[ "$ID" =~ ^[a-zA-Z0-9^_-]+$ ]]
		curl -sSN --max-time 5 -X POST "$BASE/api/v1/callinfo/stream_chat_history" -H "X-API-Key: sk_x" -d "{\"call_id\":\"$ID\"}" | while IFS= read -r LINE; do
			[[ "$LINE" == data:* ]] || continue
			ROLE=$(echo "${LINE#data: }" | grep -o '"role"[[:space:]]*:[[:space:]]*"[^"]*"' | sed 's/.*"\([^"]*\)"$/\1/')
			CONTENT=$(echo "${LINE#data: }" | grep -o '"content"[[:space:]]*:[[:space:]]*"[^"]*"' | sed 's/.*"\([^"]*\)"$/\1/')
			echo "stream $ROLE $CONTENT"
		done
		DURATION=
		for i in {1..100}; do
			R=$(ask search_callinfo "{\"call_id\":\"$ID\"}")
			DURATION=$(echo "$R" | grep -o '"duration_seconds":[0-9]*' | head -1 | cut -d: -f2)
			[[ -z "$DURATION" ]] || break
			sleep 0.05
		done
		echo "duration $DURATION"
		echo "phone $(echo "$R" | grep -o '"phones":"[^"]*"' | cut -d'"' -f4)"
		echo "cost $(echo "$R" | grep -o '"cost":[0-9.]*' | cut -d: -f2)"
		echo "billed $(echo "$R" | grep -o '"billed":[^,}]*' | cut -d: -f2)"
		echo "turns $(echo "$R" | grep -o '"call_content":\[[^]]*\]' | grep -o '"content":"[^"]*"' | wc -l | tr -d ' ')"
		echo "version $(curl -sS "$BASE/api/v1/callinfo/skill_version" | grep -o '"skill_version":"[^"]*"' | cut -d'"' -f4)"
	`)
	run.Env = append(run.Environ(), "BASE="+server.URL)
	raw, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	want := script.For("+8613800138000", "zh", "通知开会", "")
	var all strings.Builder
	for _, l := range want.Lines {
		fmt.Fprintf(&all, "stream %s %s\n", map[phone.Role]string{phone.Agent: "assistant", phone.Callee: "user"}[l.Role], l.Text)
	}
	end := want.At(want.Length())
	fmt.Fprintf(&all, "stream system [DONE]\nduration %d\nphone 13800138000\ncost 0.6\nbilled true\nturns %d\nversion 1.0.0\n", (end.Talked+time.Second-1)/time.Second, len(want.Lines))
	if diff := cmp.Diff(all.String(), string(raw)); diff != "" {
		t.Errorf("(- want, + got):\n%s", diff)
	}
}

// TestReadWithPython reads answers as the vendor's Python client does: whole, and wherever a field stands.
func TestReadWithPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	server := httptest.NewServer(standin.New(standin.Options{Speed: 100}))
	defer server.Close()
	run := exec.CommandContext(t.Context(), python, "-c", `
import json, os, time, urllib.request

def ask(method, path, body=None, **headers):
    data = json.dumps(body).encode() if body is not None else None
    h = {"X-API-Key": "sk_x", "X-Skill-Version": "1.0.0", "X-Client-Version": "1", "Content-Type": "application/json; charset=utf-8", **headers}
    return urllib.request.urlopen(urllib.request.Request(os.environ["BASE"] + "/api/v1/callinfo/" + path, data, h, method=method), timeout=5)

def find(v, key):
    if isinstance(v, dict):
        if v.get(key) not in (None, "", []):
            return v[key]
        v = list(v.values())
    if isinstance(v, list):
        for child in v:
            if (found := find(child, key)) not in (None, "", []):
                return found

placed = json.load(ask("POST", "initiate_call", {"phones": "13800138004", "user_requirement": "通知"}, **{"Idempotency-Key": "china-call-1"}))
call = find(placed, "call_ids")[0]
for raw in ask("POST", "stream_chat_history", {"call_id": call}, Accept="text/event-stream"):
    line = raw.decode().rstrip()
    if line.startswith("data:"):
        event = json.loads(line[5:])
        print(event["role"], len(event["content"]) > 0)
for _ in range(100):
    record = json.load(ask("POST", "search_callinfo", {"call_id": call}))
    if find(record, "ended_at"):
        break
    time.sleep(0.05)
print(find(record, "status"), len(find(record, "call_content")), find(json.load(ask("GET", "balance")), "balance"))
`)
	run.Env = append(run.Environ(), "BASE="+server.URL, "PYTHONUTF8=1")
	raw, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	if want := "user True\nassistant True\nsystem True\nvoicemail 2 8.8\n"; string(raw) != want {
		t.Errorf("%s, want %s", raw, want)
	}
}
