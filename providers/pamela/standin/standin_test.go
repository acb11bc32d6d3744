package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
)

// plays is a call of ten seconds: it rings for two, and three lines are spoken at 3, 5 and 8 s.
func plays(outcome phone.Outcome) func(string, string, string, string) script.Script {
	return func(string, string, string, string) script.Script {
		return script.Script{Ring: 2 * time.Second, Outcome: outcome, Summary: "Settled.", Lines: []script.Line{
			{After: time.Second, Role: phone.Agent, Text: "Hello."},
			{After: 2 * time.Second, Role: phone.Callee, Text: "Wer ist da? 对 😀 \"x\"\n"},
			{After: 3 * time.Second, Role: phone.Agent, Text: "Goodbye."},
		}}
	}
}

// client asks a stand-in without a network, as inside a bubble there is none.
type client struct {
	t   *testing.T
	s   *Service
	key string
}

func (c client) do(method, path, body string) (int, any) {
	c.t.Helper()
	r := httptest.NewRequest(method, "/api/b2b/v1"+path, strings.NewReader(body))
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	w := httptest.NewRecorder()
	c.s.ServeHTTP(w, r)
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Header().Get("Content-Type") != "application/json" {
		c.t.Errorf("%s %s: not JSON: %q", method, path, w.Body)
	}
	return w.Code, v
}

// must is do for what succeeds with an object.
func (c client) must(method, path, body string) object {
	c.t.Helper()
	status, v := c.do(method, path, body)
	o, _ := v.(object)
	if status != http.StatusOK || o == nil {
		c.t.Fatalf("%s %s: %d %v", method, path, status, v)
	}
	return o
}

func (c client) place(more string) string {
	c.t.Helper()
	return c.must("POST", "/calls", `{"to":"+12025550143","task":"x"`+more+`}`)["id"].(string)
}

func newClient(t *testing.T, o Options) client {
	s := New(o)
	t.Cleanup(func() { _ = s.Close() })
	return client{t, s, "pk_live_x"}
}

// A call goes through its states by the clock, and its transcript comes after its end.
func TestCallLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: plays(phone.Completed), Speed: 2, RecordAfter: 4 * time.Second})
		created := c.must("POST", "/calls", `{"to":"+12025550143","task":"Ask","metadata":{"a":[1]},"locale":null}`)
		id, _ := created["id"].(string)
		if created["status"] != "queued" || created["call_session_id"] == "" || created["created_at"] == "" || len(created) != 4 {
			t.Errorf("created %v", created)
		}
		at := time.Duration(0)
		for _, tt := range []struct {
			at         time.Duration // by the script's clock
			status     string
			transcript int // entries; -1: none is there
		}{
			{100 * time.Millisecond, "queued", -1},
			{time.Second, "ringing", -1},
			{4 * time.Second, "in_progress", -1},
			{8200 * time.Millisecond, "in_progress", -1},
			{8300 * time.Millisecond, "completed", 0},
			{12200 * time.Millisecond, "completed", 0},
			{12300 * time.Millisecond, "completed", 3},
		} {
			time.Sleep((tt.at - at) / 2)
			at = tt.at
			v := c.must("GET", "/calls/"+id, "")
			entries, there := v["transcript"].([]any)
			if v["status"] != tt.status || there != (tt.transcript >= 0) || len(entries) != max(0, tt.transcript) {
				t.Errorf("after %v: %v", at, v)
			}
		}
		v := c.must("GET", "/calls/"+id, "")
		if diff := cmp.Diff(object{"a": []any{1.0}}, v["metadata"]); diff != "" || v["duration_seconds"] != 7.0 || v["summary"] != "Settled." {
			t.Errorf("%v %s", v, diff)
		}
		first := v["transcript"].([]any)[0].(object)
		if first["role"] != "assistant" || first["content"] != "Hello." || first["timestamp"] == "" {
			t.Errorf("%v", first)
		}
		if u := c.must("GET", "/usage", ""); u["call_count"] != 1.0 || u["api_minutes"] != 1.0 || u["period"] != time.Now().UTC().Format("2006-01") {
			t.Errorf("usage %v", u)
		}
		if u := c.must("GET", "/usage?period=1999-12", ""); u["call_count"] != 0.0 {
			t.Errorf("usage %v", u)
		}
	})
}

func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for digits, want := range map[string]struct {
			status  string
			started bool
		}{
			"00": {"completed", true}, "01": {"failed", false}, "02": {"failed", false}, "03": {"failed", false},
			"04": {"completed", true}, "06": {"failed", true},
		} {
			c := newClient(t, Options{})
			id := c.must("POST", "/calls", `{"to":"+120255501`+digits+`","task":"x"}`)["id"].(string)
			time.Sleep(5 * time.Minute)
			v := c.must("GET", "/calls/"+id, "")
			if v["status"] != want.status || (v["started_at"] != nil) != want.started {
				t.Errorf("%s: %v", digits, v)
			}
		}
		c := newClient(t, Options{})
		if status, v := c.do("POST", "/calls", `{"to":"+12025550108","task":"x"}`); status != 400 || codeOf(v) != 2001 {
			t.Errorf("a dial that is refused: %d %v", status, v)
		}
		id := c.must("POST", "/calls", `{"to":"+12025550107","task":"x","max_duration_seconds":5}`)["id"].(string)
		time.Sleep(5 * time.Minute)
		if v := c.must("GET", "/calls/"+id, ""); v["status"] != "completed" || v["duration_seconds"] != 5.0 {
			t.Errorf("at its greatest length: %v", v)
		}
	})
}

func TestScriptIsAskedForOrder(t *testing.T) {
	var got []string
	c := newClient(t, Options{Script: func(number, lang, task, caller string) script.Script {
		got = append(got, number, lang, task, caller)
		return script.For(number, lang, task, caller)
	}})
	to, err := phone.ParseNumber("+12025550143", "")
	if err != nil {
		t.Fatal(err)
	}
	o := phone.Order{To: to, Task: "Ask for Bo", Language: "zh-CN", CallerName: "Lin"}
	raw, err := json.Marshal(object{"to": to.E164(), "task": providers.Brief(o), "locale": "zh-CN", "caller_name": "Lin"})
	if err != nil {
		t.Fatal(err)
	}
	c.must("POST", "/calls", string(raw))
	if want := []string{"+12025550143", "zh", "Ask for Bo", "Lin"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func codeOf(v any) float64 {
	o, _ := v.(object)
	detail, _ := o["detail"].(object)
	code, _ := detail["error_code"].(float64)
	return code
}

func TestRefusals(t *testing.T) {
	c := newClient(t, Options{})
	for body, code := range map[string]float64{
		``: 2001, `[]`: 2001, `null`: 2001, `{"task":"x"}`: 2002, `{"to":"+12025550143"}`: 2001, `{"to":"+12025550143","task":" "}`: 2001,
		`{"to":"2025550143","task":"x"}`: 2002, `{"to":"+12025550143,+12025550144","task":"x"}`: 2002, `{"to":12025550143,"task":"x"}`: 2001,
		`{"to":"+8613800138000","task":"x"}`: 7005, `{"to":"+12025550143","task":"x","country":"CN"}`: 7005,
		`{"to":"+12025550143","task":"x","voice":"deep"}`:                       2001,
		`{"to":"+12025550143","task":"x","max_duration_seconds":0}`:             2001,
		`{"to":"+12025550143","task":"x","max_duration_seconds":3601}`:          2001,
		`{"to":"+12025550143","task":"x","max_duration_seconds":"9"}`:           2001,
		`{"to":"+12025550143","task":"x","metadata":[]}`:                        2001,
		`{"to":"+12025550143","task":"x","tools":{}}`:                           2001,
		`{"to":"+12025550143","task":"x","webhooks":"http://127.0.0.1"}`:        2001,
		`{"to":"+12025550143","task":"x","webhooks":{"webhook_url":"ftp://x"}}`: 2001,
		`{"to":"+12025550143","task":"` + strings.Repeat("x", maxBody) + `"}`:   2001,
	} {
		if status, v := c.do("POST", "/calls", body); status != 400 || codeOf(v) != code {
			t.Errorf("%.80s: %d %v, want %v", body, status, v, code)
		}
	}
	for _, tt := range []struct {
		method, path string
		status       int
		code         float64
	}{
		{"GET", "/calls/call_x", 404, 7003},
		{"POST", "/calls/call_x/cancel", 404, 7003},
		{"POST", "/calls/call_x/hangup", 404, 7003},
		{"GET", "/calls?limit=101", 400, 2001},
		{"GET", "/calls?limit=x", 400, 2001},
		{"GET", "/calls?offset=-1", 400, 2001},
		{"GET", "/calls?start_date=yesterday", 400, 2001},
		{"GET", "/usage?period=2026-13", 400, 2001},
		{"DELETE", "/tools/tool_x", 404, 0},
		{"GET", "/partner/api-keys", 404, 0},
		{"GET", "/nothing", 404, 0},
	} {
		if status, v := c.do(tt.method, tt.path, ""); status != tt.status || codeOf(v) != tt.code {
			t.Errorf("%s %s: %d %v", tt.method, tt.path, status, v)
		}
	}
	for key, code := range map[string]float64{"": 1001, "pk_other": 1002, "sk_live_x": 1002} {
		if status, v := (client{t, c.s, key}).do("GET", "/calls", ""); status != 401 || codeOf(v) != code {
			t.Errorf("key %q: %d %v", key, status, v)
		}
	}
	if status, _ := (client{t, c.s, "pk_test_x"}).do("GET", "/calls", ""); status != 200 {
		t.Errorf("a test key: %d", status)
	}
}

func TestFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			verb  string
			after time.Duration
			want  string
		}{
			{"cancel", time.Second, "cancelled"},
			{"hangup", time.Second, "cancelled"},
			{"cancel", 4 * time.Second, "cancelled"},
			{"hangup", 4 * time.Second, "completed"},
		} {
			c := newClient(t, Options{Script: plays(phone.Completed)})
			id := c.place("")
			time.Sleep(tt.after)
			if v := c.must("POST", "/calls/"+id+"/"+tt.verb, ""); v["success"] != true || v["id"] != id || v["status"] != tt.want {
				t.Errorf("%s after %v: %v", tt.verb, tt.after, v)
			}
			time.Sleep(time.Minute)
			v := c.must("GET", "/calls/"+id, "")
			if entries, _ := v["transcript"].([]any); v["status"] != tt.want || len(entries) != int(tt.after/(4*time.Second)) {
				t.Errorf("%s after %v: %v", tt.verb, tt.after, v)
			}
			for _, verb := range []string{"cancel", "hangup"} {
				if status, v := c.do("POST", "/calls/"+id+"/"+verb, ""); status != 400 || codeOf(v) != 2001 {
					t.Errorf("%s of a call that is over: %d %v", verb, status, v)
				}
			}
		}
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Options{Script: plays(phone.Completed)})
		var ids []string
		began := time.Now()
		for range 60 {
			ids = append(ids, c.place(""))
			time.Sleep(time.Second)
		}
		slices.Reverse(ids)
		list := func(query string) (got []string, total float64) {
			v := c.must("GET", "/calls"+query, "")
			for _, item := range v["items"].([]any) {
				got = append(got, item.(object)["id"].(string))
			}
			return got, v["total"].(float64)
		}
		minute := func(m int) string { return began.Add(time.Duration(m) * time.Minute).UTC().Format(time.RFC3339) }
		for query, want := range map[string]struct {
			ids   []string
			total float64
		}{
			"":                                   {ids[:50], 60},
			"?limit=100":                         {ids, 60},
			"?limit=7&offset=55":                 {ids[55:], 60},
			"?offset=60":                         {nil, 60},
			"?status=ringing":                    {ids[0:1], 1},
			"?status_filter=completed":           {ids[8:58], 52},
			"?status_filter=cancelled":           {nil, 0},
			"?limit=100&start_date=" + minute(0): {ids, 60},
			"?start_date=" + minute(1):           {nil, 0},
			"?limit=100&end_date=" + began.UTC().Format(time.DateOnly): {ids, 60},
			"?end_date=" + minute(-1):                                  {nil, 0},
		} {
			if got, total := list(query); !slices.Equal(got, want.ids) || total != want.total {
				t.Errorf("%s: %d of %v, want %d of %v", query, len(got), total, len(want.ids), want.total)
			}
		}
	})
}

func TestForgetsOldest(t *testing.T) {
	c := newClient(t, Options{Script: plays(phone.Completed)})
	first := c.place("")
	for i := range maxCalls - 1 {
		c.s.keep(&call{id: fmt.Sprint(i), created: time.Now()})
	}
	c.must("GET", "/calls/"+first, "")
	last := c.place("")
	c.must("GET", "/calls/"+last, "")
	if status, _ := c.do("GET", "/calls/"+first, ""); status != 404 || len(c.s.calls) != maxCalls || len(c.s.byID) != maxCalls {
		t.Errorf("%d, %d calls", status, len(c.s.calls))
	}
}

func TestTools(t *testing.T) {
	c := newClient(t, Options{})
	list := func() []any {
		_, v := c.do("GET", "/tools", "")
		return v.([]any)
	}
	if got := list(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	a := c.must("POST", "/tools", `{"tool":{"name":"a","description":"d","input_schema":{"type":"object"},"output_schema":{},"timeout_ms":30000}}`)
	b := c.must("POST", "/tools", `{"tool":{"name":"b","input_schema":{},"timeout_seconds":60}}`)
	bare := c.must("POST", "/tools", `{"name":"c"}`)
	if a["timeout_ms"] != 30000.0 || b["timeout_seconds"] != 60.0 || bare["name"] != "c" || len(list()) != 3 {
		t.Errorf("%v %v %v", a, b, bare)
	}
	if v := c.must("DELETE", "/tools/"+a["id"].(string), ""); v["success"] != true || len(list()) != 2 {
		t.Errorf("%v", v)
	}
	for _, body := range []string{``, `{}`, `{"tool":{}}`, `{"tool":{"name":"x","input_schema":[]}}`, `{"tool":{"name":"x","timeout_seconds":301}}`, `{"tool":{"name":"x","timeout_ms":"1"}}`} {
		if status, v := c.do("POST", "/tools", body); status != 400 || codeOf(v) != 2001 {
			t.Errorf("%s: %d %v", body, status, v)
		}
	}
}

func TestLostDialIsTaken(t *testing.T) {
	c := newClient(t, Options{})
	srv := httptest.NewServer(c.s)
	defer srv.Close()
	req, err := http.NewRequest(http.MethodPost, srv.URL+"/api/b2b/v1/calls", strings.NewReader(`{"to":"+12025550109","task":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer pk_live_x")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("answered with %s", resp.Status)
	}
	if v := c.must("GET", "/calls", ""); v["total"] != 1.0 {
		t.Errorf("%v", v)
	}
}
