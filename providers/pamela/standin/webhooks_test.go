package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/pamela/internal/signed"
	"github.com/outdial/outdial/providers/script"
)

// receiver keeps the webhooks that it gets.
type receiver struct {
	*httptest.Server
	seen chan object
}

func receive(t *testing.T, secret string) *receiver {
	r := &receiver{seen: make(chan object, 100)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		v, err := signed.Parse(body)
		canonical := signed.Canonical(v)
		if err != nil || string(canonical) != string(body) {
			t.Errorf("%s is not canonical: %v", body, err)
		}
		want := ""
		if secret != "" {
			want = signed.Sum(secret, body)
		}
		if got := req.Header.Get(SignatureHeader); got != want || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", req.Method, req.Header)
		}
		var e object
		if err := json.Unmarshal(body, &e); err != nil {
			t.Error(err)
		}
		r.seen <- e
	}))
	t.Cleanup(r.Close)
	return r
}

// until takes events until one of a kind.
func (r *receiver) until(t *testing.T, kind string) (events []object) {
	t.Helper()
	for {
		select {
		case e := <-r.seen:
			events = append(events, e)
			if e["event"] == kind {
				return events
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no %s after %v", kind, events)
		}
	}
}

func TestWebhooks(t *testing.T) {
	r := receive(t, "whsec_test")
	c := newClient(t, Options{Script: plays(phone.Completed), Speed: 100, Secret: "whsec_test"})
	id := c.place(`,"webhooks":{"webhook_url":"` + r.URL + `/hook"}`)
	var kinds []string
	var said []any
	for _, e := range r.until(t, "call.completed") {
		kinds = append(kinds, fmt.Sprint(e["event"], " ", e["status"]))
		if e["call_id"] != id || e["timestamp"] == "" {
			t.Errorf("%v", e)
		}
		entries, has := e["transcript"].([]any)
		if e["event"] == "call.transcript_update" {
			said = append(said, entries...)
		} else if has != (e["event"] == "call.completed") {
			t.Errorf("%v", e)
		} else if has && cmp.Diff(said, entries) != "" {
			t.Errorf("updates %v, in the end %v", said, entries)
		}
	}
	want := []string{
		"call.queued queued", "call.started in_progress", "call.transcript_update in_progress", "call.transcript_update in_progress",
		"call.transcript_update in_progress", "call.completed completed",
	}
	if diff := cmp.Diff(want, kinds); diff != "" || len(said) != 3 {
		t.Errorf("%v\n%s", said, diff)
	}
}

func TestWebhooksOfCallThatIsEnded(t *testing.T) {
	r := receive(t, "")
	for verb, want := range map[string]string{"cancel": "call.failed", "hangup": "call.completed"} {
		c := newClient(t, Options{Script: func(number, lang, task, caller string) script.Script {
			s := plays(phone.Completed)(number, lang, task, caller)
			s.Lines[0].After = time.Hour
			if verb == "cancel" {
				s.Ring = time.Hour
			}
			return s
		}, Speed: 50})
		id := c.place(`,"webhooks":{"webhook_url":"` + r.URL + `"},"max_duration_seconds":3600`)
		if verb == "hangup" {
			r.until(t, "call.started")
		} else {
			r.until(t, "call.queued")
		}
		c.must("POST", "/calls/"+id+"/"+verb, "")
		if e := r.until(t, want); len(e) != 1 {
			t.Errorf("%s: %v", verb, e)
		}
	}
}

// Whatever name a webhook's address has, only this machine is connected to.
func TestWebhooksStayOnThisMachine(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:1/x": true, "http://localhost:1": true, "http://[::1]:1": true, "https://127.9.9.9": true, "http://[::ffff:127.0.0.1]": true,
		"http://10.0.0.1": false, "http://192.0.2.1:80": false, "http://example.com": false, "http://127.0.0.1.example.com": false,
		"http://localhost@192.0.2.1": false, "http://0.0.0.0": false, "http://[::]": false, "http://2130706433": false, "file:///etc/passwd": false, "": false,
	} {
		if got := local(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	for address, allowed := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"192.0.2.1:80": false, "0.0.0.0:80": false, "[::]:80": false, "[fe80::1%eth0]:80": false, "localhost:80": false, "": false,
	} {
		if err := loopbackOnly("tcp", address, nil); allowed != (err == nil) {
			t.Errorf("%s: %v", address, err)
		}
	}
	h := newHooks("")
	defer h.close()
	h.follow(func(func(object) bool, <-chan struct{}) { t.Error("a call with an address elsewhere is followed") }, "http://example.com")
	h.wg.Wait()
	resp, err := h.client.Post("http://192.0.2.1/x", "text/plain", nil) // as if the name had led there
	if err == nil {
		resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "loopback addresses only") {
		t.Errorf("connecting elsewhere: %v", err)
	}
}

func TestWebhooksAreBounded(t *testing.T) {
	var mu sync.Mutex
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
	}))
	defer srv.Close()
	c := newClient(t, Options{Speed: 10_000, Script: func(string, string, string, string) script.Script {
		return script.Script{Outcome: phone.Completed, Lines: slices.Repeat([]script.Line{{After: time.Millisecond, Role: phone.Agent, Text: "x"}}, 2*maxDeliveries)}
	}})
	c.place(`,"webhooks":{"webhook_url":"` + srv.URL + `"}`)
	c.s.hooks.wg.Wait() // it gives up by itself
	if n != maxDeliveries {
		t.Errorf("%d deliveries", n)
	}
}

// Close ends what waits for a receiver that does not answer, and what waits for a call to go on.
func TestClose(t *testing.T) {
	reached := make(chan struct{}, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		reached <- struct{}{}
		<-r.Context().Done()
	}))
	defer srv.Close()
	c := newClient(t, Options{Script: plays(phone.Completed)})
	hook := `,"webhooks":{"webhook_url":"` + srv.URL + `"}`
	c.place(hook)
	<-reached
	began := time.Now()
	if err := c.s.Close(); err != nil || time.Since(began) > deliveryFor/2 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	c.place(hook)
	c.s.hooks.wg.Wait()
	if len(reached) != 0 || c.s.hooks.followed != 0 {
		t.Error("a webhook after the end")
	}
}
