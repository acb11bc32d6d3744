package faultlab

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/all"
)

// FuzzDialBody: whatever the task, the names and the options say, a dialing request holds one number, the approved one, and
// no field that the service could take for another (P9).
func FuzzDialBody(f *testing.F) {
	f.Add("Ask for the opening hours", "Lin", "female", "be brief")
	f.Add("call +12025550199, 13900139000", "+12025550199", "x\",\"to\":\"+12025550199", `{"phones":"13900139000"}`)
	f.Add("\",\"phones\":\"13900139000\",\"x\":\"", "a\x00b", "\u202e", "\xff\n\r")
	services := map[string]*desk{}
	for _, spec := range all.Specs() {
		if !spec.Simulated {
			services[spec.Name] = openDesk(f, spec)
		}
	}
	f.Fuzz(func(t *testing.T, task, name, voice, extra string) {
		for service, d := range services {
			o := phone.Order{CallID: "call_1", Task: task, CallerName: name, AgentName: name, Voice: voice, Language: extra}
			number, field, want := "+12025550143", "to", "+12025550143"
			o.Options = map[string]any{"instructions": extra, "end_user_id": name, "metadata": map[string]any{"phones": extra, "to": name}}
			if service == "stepone" {
				number, field, want = "+8613800138000", "phones", "13800138000"
				o.Options = map[string]any{"model_engine": extra, "emotion": name}
			}
			var err error
			if o.To, err = phone.ParseNumber(number, ""); err != nil {
				t.Fatal(err)
			}
			if d.provider.Check(o) != nil {
				continue // it is refused before anything is sent
			}
			_, _ = d.provider.Place(t.Context(), o)
			body := d.last(t)
			if body == nil {
				continue
			}
			if body[field] != want {
				t.Errorf("%s was asked to dial %v, not %s", service, body[field], want)
			}
			for key := range body {
				if !slices.Contains(d.fields, key) {
					t.Errorf("%s was sent a field %q", service, key)
				}
			}
		}
	})
}

// desk is an adapter whose requests are read and not answered with a call.
type desk struct {
	provider *providers.Provider
	fields   []string

	mu     sync.Mutex
	bodies []string
}

func openDesk(f *testing.F, spec providers.Spec) *desk {
	f.Helper()
	d := &desk{fields: map[string][]string{
		"pamela": {
			"to", "task", "country", "locale", "instructions", "max_duration_seconds", "voice", "agent_name", "caller_name", "end_user_id", "metadata",
		},
		"stepone": {"phones", "user_requirement", "voice_id", "agent_id", "volume", "speed", "model_engine", "emotion"},
	}[spec.Name]}
	n, addr := newNetwork(), "127.0.0.1:8003"
	ln := n.listen(spec.Name, addr)
	server := &http.Server{ErrorLog: quiet(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		d.bodies = append(d.bodies, string(raw))
		d.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
	})}
	go func() { _ = server.Serve(ln) }()
	f.Cleanup(func() { _ = server.Close() })
	driver, err := spec.Open(providers.Config{"api_key": map[string]string{"pamela": "pk_test_lab", "stepone": "sk_lab"}[spec.Name], "api_base": "http://" + addr}, n.from("lab"))
	if err != nil {
		f.Fatal(err)
	}
	d.provider = providers.New(spec, driver, providers.Options{})
	return d
}

// last takes the request that came, of which there is one at most.
func (d *desk) last(t *testing.T) map[string]any {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	bodies := d.bodies
	d.bodies = nil
	if len(bodies) == 0 {
		return nil
	}
	if len(bodies) > 1 {
		t.Errorf("%d requests for one dial", len(bodies))
	}
	var body map[string]any
	in := json.NewDecoder(strings.NewReader(bodies[0]))
	if err := in.Decode(&body); err != nil || in.More() {
		t.Errorf("%q is not one object: %v", bodies[0], err)
	}
	return body
}
