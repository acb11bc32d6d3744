package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	pamela "github.com/outdial/outdial/providers/pamela/standin"
	"github.com/outdial/outdial/providers/script"
	stepone "github.com/outdial/outdial/providers/stepone/standin"
	"github.com/outdial/outdial/switchboard"
)

// The canaries. What gives access must be nowhere; whom an agent calls, why, and what is said is their owner's alone.
const (
	canaryStepOne  = "sk_canary4b1d7f"
	canaryPamela   = "pk_live_canary8c2e9a"
	canaryWebhook  = "whsec_canary6d3f1b"
	canaryPassword = "canarypassword5e"
	canarySentence = "the canary sings at a quarter to nine"
	canaryTask     = "tell the aunt of the canary"
	canaryChina    = "+8613855578910"
	canaryAmerica  = "+12125550147"
)

// personal are what may be shown to the owner of a call and to nobody else.
func personal() []string {
	return []string{canarySentence, "quarter to nine", canaryTask, "aunt of the canary", canaryChina[3:], "55578910"[:6], canaryAmerica[2:], "5550147"}
}

// speaks is a conversation in which somebody says the canary sentence.
func speaks(string, string, string, string) script.Script {
	return script.Script{Ring: 300 * time.Millisecond, Outcome: phone.Completed, Summary: canarySentence, Lines: []script.Line{
		{After: time.Second, Role: phone.Agent, Text: "Hello"},
		{After: time.Second, Role: phone.Callee, Text: canarySentence},
		{After: 2 * time.Second, Role: phone.Callee, Text: "Goodbye"},
	}}
}

// echo is a service that fails, and gives back in its errors all that it was sent.
type echo struct {
	working http.Handler
	mu      sync.Mutex
	failed  int
	heard   bytes.Buffer
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var all bytes.Buffer
	_ = r.Header.Write(&all)
	all.Write(body)
	e.mu.Lock()
	e.heard.Write(all.Bytes())
	fails := e.working == nil || r.Method == http.MethodPost && bytes.Contains(body, []byte("fail"))
	n := e.failed
	if fails {
		e.failed++
	}
	e.mu.Unlock()
	if !fails {
		r.Body = io.NopCloser(bytes.NewReader(body))
		e.working.ServeHTTP(w, r)
		return
	}
	said := fmt.Sprintf("%q", all.String())
	switch n % 5 {
	case 0:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"success":false,"message":%s,"error":%s,"detail":%s}`, said, said, said)
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `<html>%s</html>`, all.String())
	case 2:
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"code":%s,"message":%s}}`, said, said)
	case 3:
		fmt.Fprintf(w, `{"success":false,"error_code":%s,"error":%s,"message":%s}`, said, said, said)
	default:
		w.Header().Set("Location", "http://127.0.0.1:1/?"+canaryStepOne)
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = w.Write(all.Bytes())
	}
}

// panicky is an adapter that panics with all that it knows.
type panicky struct{}

func (panicky) Place(_ context.Context, o phone.Order) (phone.Ref, error) {
	if strings.HasSuffix(o.To.E164(), "1") {
		return "ref", nil
	}
	panic(o.To.E164() + o.Task + canaryStepOne + canarySentence)
}

func (panicky) Lookup(context.Context, phone.Ref) (phone.Observation, error) {
	panic(canaryChina + canaryTask + canaryStepOne + canarySentence)
}

func panickySpec() providers.Spec {
	return providers.Spec{
		Name: "panicky", Title: "Panicky", Regions: []string{"CN"}, Pace: providers.Pace{Poll: 100 * time.Millisecond},
		Open: func(providers.Config, providers.Connect) (providers.Driver, error) { return panicky{}, nil },
	}
}

// served starts what listens on loopback until the test ends.
func served(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL
}

// Promise 31: with a key, a number and a sentence that can be told from all others, the whole program is used, and fails in
// every way that can be had; and nothing of them is in its log at its most talkative, in its metrics, in its traces, or in
// what is said to anybody who does not own the call.
func TestCanaryLeak(t *testing.T) {
	var traces echo // which takes them all and fails, with all that was sent in its error
	collector := served(t, &traces)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
	calls := pamela.New(pamela.Options{Speed: 5, Secret: canaryWebhook, Script: speaks})
	t.Cleanup(func() { _ = calls.Close() })
	china, america := &echo{working: stepone.New(stepone.Options{Speed: 5, Script: speaks})}, &echo{working: calls}
	hooks := &echo{}
	hookURL := served(t, hooks)
	hookSecret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a canary that signs what is told"))

	home := t.TempDir()
	tokens, toml := filepath.Join(home, "tokens"), filepath.Join(home, "outdial.toml")
	token := func(name string, scopes ...string) string {
		made, entry, err := auth.NewToken(name, scopes)
		if err == nil {
			err = auth.Add(tokens, entry, true)
		}
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	ann, bob, prometheus := token("ann", phone.PlaceScope, phone.ReadScope), token("bob", phone.PlaceScope, phone.ReadScope), token("prometheus", phone.MetricsScope)
	if err := os.WriteFile(toml, fmt.Appendf(nil, "[[call_tools]]\nname = \"order_status\"\ndescription = \"How far?\"\nendpoint = %q\nfallback = \"No.\"\ntimeout = \"5s\"\n", hookURL), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	_ = free.Close()
	env := append(withStepOne(served(t, china)), "HOME="+home, "STEPONEAI_API_KEY="+canaryStepOne, "PAMELA_API_KEY="+canaryPamela,
		"PAMELA_API_BASE="+served(t, america), "PAMELA_WEBHOOK_SECRET="+canaryWebhook, "OUTDIAL_HOOK_SECRET="+hookSecret, "OUTDIAL_ON_END="+hookURL,
		"OUTDIAL_LOG_LEVEL=debug", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector)
	online := append(env, "OUTDIAL_TOKENS_FILE="+tokens, "OUTDIAL_PUBLIC_URL=http://"+at)

	program := parts{specs: append(fast(5), panickySpec())}
	log, code := &text{}, make(chan int, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		code <- program.run(ctx, []string{"http", "--addr", at, "--config", toml}, online, strings.NewReader(""), log, log)
	}()
	url := listening(t, log.String)
	carrier := &http.Transport{}
	t.Cleanup(carrier.CloseIdleConnections)
	as := func(token string) *load {
		l := &load{t: t, url: url, token: token, client: &http.Client{Transport: carrier}}
		l.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
		l.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		return l
	}
	var own, others strings.Builder // what ann was told, and everybody else
	mine, n := as(ann), 10
	ask := func(l *load, into *strings.Builder, tool, arguments string) string {
		n++
		answer, _ := l.tool(n, tool, arguments)
		into.WriteString(answer + "\n")
		return answer
	}
	place := func(to, task, more string) string {
		return callID.FindString(ask(mine, &own, "create_call", fmt.Sprintf(`{"to":%q,"task":%q,"idempotency_key":%q%s}`, to, task, task+to, more)))
	}
	ids := []string{place(canaryChina, canaryTask, `,"wait_seconds":20`), place(canaryAmerica, canaryTask, `,"wait_seconds":1`)}
	for i := range 5 {
		ids = append(ids, place(fmt.Sprintf("%s%d", canaryChina[:13], i+2), canaryTask+" fail", ""), place(fmt.Sprintf("%s%d", canaryAmerica[:11], i), canaryTask+" fail", ""))
	}
	ids = append(ids, place(canaryChina[:13]+"0", canaryTask+" panic", `,"provider":"panicky"`), place(canaryChina[:13]+"1", canaryTask+" panic", `,"provider":"panicky","wait_seconds":1`))
	for _, id := range ids {
		if id == "" {
			t.Fatalf("not all calls were made:\n%s", own.String())
		}
	}
	ask(mine, &own, "stream_transcript", fmt.Sprintf(`{"call_id":%q,"max_seconds":20}`, ids[1]))
	for _, tool := range []string{"list_calls", "check_balance", "list_providers"} {
		ask(mine, &own, tool, `{}`)
	}
	ask(mine, &own, canarySentence, `{}`)
	ask(mine, &own, "create_call", fmt.Sprintf(`{"to":%q,"task":%q,"nonsense":%q}`, canaryChina, canaryTask, canarySentence))
	mine.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":9,"method":%q,"params":{"_meta":{"baggage":%q}}}`, canarySentence, canaryTask))
	mine.post(`{"jsonrpc":"2.0",` + canarySentence)

	// Others, with a token and without.
	theirs, stranger := as(bob), as("oda_"+canaryStepOne)
	for _, id := range ids {
		for _, l := range []*load{theirs, stranger} {
			for _, tool := range []string{"get_call", "stream_transcript", "cancel_call"} {
				ask(l, &others, tool, fmt.Sprintf(`{"call_id":%q}`, id))
			}
			ask(l, &others, "create_call", fmt.Sprintf(`{"to":"13855570000","task":"x","repeat_of":%q}`, id))
		}
	}
	ask(theirs, &others, "list_calls", `{}`)
	ask(theirs, &others, "answer_question", `{"question_id":"inq_1","answer":"x"}`)

	// Webhooks: forged, broken, and a genuine one that asks a tool whose endpoint fails.
	book, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(home, ".local", "state", "outdial", "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	talking := place(canaryAmerica[:11]+"9", canaryTask+" again", "")
	all, _, err := book.List(t.Context(), "token:ann", switchboard.Filter{Limit: 50, Provider: "pamela"})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d of ann's calls, %v", len(all), err)
	}
	ref := ""
	for _, c := range all {
		if c.ID == talking {
			ref = string(c.Ref)
		}
	}
	asks := fmt.Sprintf(`{"arguments":{"who":%q},"call_id":%q,"correlation_id":"c1","tool_name":"order_status"}`, canarySentence, ref)
	sum := hmac.New(sha256.New, []byte(canaryWebhook))
	sum.Write([]byte(asks))
	for _, hook := range []struct{ body, sum string }{
		{asks, hex.EncodeToString(sum.Sum(nil))}, {asks, strings.Repeat("0", 64)}, {`{"event":` + canarySentence, canaryWebhook}, {`{}`, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/webhooks/pamela", strings.NewReader(hook.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Pamela-Signature", hook.sum)
		resp, err := mine.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		others.Write(raw)
	}
	metrics := scraped(t, mine, prometheus)
	stop()
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}

	// The same over stdio, and at the terminal, with a ledger that cannot be reached.
	terminal := &text{}
	in := fmt.Sprintf("%s\n%s\n", hello, fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_call","arguments":{"to":%q,"task":%q}}}`,
		canaryChina[:13]+"8", canaryTask+" fail")) + canarySentence + "\n" + `{"jsonrpc":"2.0","id":3,"method":"` + canarySentence + `"}` + "\n"
	if c := program.run(t.Context(), []string{"stdio"}, env, strings.NewReader(in), io.Discard, log); c != 0 {
		t.Errorf("stdio: exit code %d", c)
	}
	away := append(env, "OUTDIAL_DATABASE=postgres://outdial:"+canaryPassword+"@127.0.0.1:1/outdial")
	for _, args := range [][]string{{"doctor"}, {"doctor", "--json"}, {"status"}, {"policy"}, {"stdio"}} {
		_ = program.run(t.Context(), args, env, strings.NewReader(""), terminal, terminal)
		_ = program.run(t.Context(), args, away, strings.NewReader(""), terminal, terminal)
	}
	_ = program.run(t.Context(), []string{"http", "--addr", "127.0.0.1:0"}, away, strings.NewReader(""), terminal, terminal)

	secrets := []string{canaryStepOne, canaryPamela, canaryWebhook, hookSecret, hookSecret[6:], canaryPassword, ann, bob, prometheus, "canary4b1d7f", "canary8c2e9a", "canary6d3f1b"}
	for _, place := range []struct {
		name, text string
		holds      string   // without which this shows nothing
		not        []string // what must not be in it
	}{
		{"the log", log.String(), `"message":"dial"`, append(personal(), secrets...)},
		{"the metrics", metrics, `outdial_dials_total{provider="panicky",result="uncertain"} 1`, append(personal(), secrets...)},
		{"the traces", traces.heard.String(), "tool.create_call", append(personal(), secrets...)},
		{"what others were told", others.String(), "not_found", append(personal(), secrets...)},
		{"what the owner was told", own.String(), canarySentence, secrets},
		{"the terminal", terminal.String(), "PAMELA_API_KEY", secrets},
	} {
		if !strings.Contains(place.text, place.holds) {
			t.Errorf("%s does not hold %q, so that this shows nothing:\n%.3000s", place.name, place.holds, place.text)
		}
		for _, canary := range place.not {
			if i := strings.Index(place.text, canary); i >= 0 {
				t.Errorf("%s holds %q: …%s…", place.name, canary, place.text[max(0, i-200):min(len(place.text), i+200)])
			}
		}
	}
	for name, heard := range map[string]*echo{"StepOne": china, "Pamela": america, "the hooks": hooks} {
		if said := heard.heard.String(); heard.failed < 2 || !strings.Contains(said, "canary") {
			t.Errorf("%s failed %d times, so that this shows little", name, heard.failed)
		} else if strings.Contains(strings.ToLower(said), "traceparent") {
			t.Errorf("%s was sent a trace", name)
		}
	}
}

// scraped reads the metrics.
func scraped(t *testing.T, l *load, token string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := l.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
