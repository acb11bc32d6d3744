package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	pamela "github.com/outdial/outdial/providers/pamela/standin"
	"github.com/outdial/outdial/providers/script"
	stepone "github.com/outdial/outdial/providers/stepone/standin"
)

// dialed is one dial as its provider saw it.
type dialed struct {
	call, to, word string // outdial's name of it, the number, and the word of its task that no other call has
	ref            string // the provider's name of it, whether anybody was told or not
}

// turn is something said.
type turn struct{ Role, Text string }

// service is a provider's stand-in and what is to be known of it.
type service struct {
	http.Handler
	path   string // of the request that dials
	env    func(base string) []string
	number func(n int) string // the n-th number of calls in which they talk
	read   func(r *http.Request, body []byte) dialed
	record func(s http.Handler, d dialed) ([]turn, error) // of a call that is over
	lists  bool                                           // an uncertain dial is found again
}

// steponeService takes every repeated request for a further call, so that a second dial shows.
func steponeService(x float64, plays scripted) service {
	return service{
		Handler: stepone.New(stepone.Options{Speed: x, NoDedup: true, Script: plays}), path: "/initiate_call",
		env:    func(base string) []string { return withStepOne(base) },
		number: func(n int) string { return fmt.Sprintf("+8613800%04d%02d", n/90, 10+n%90) },
		read: func(r *http.Request, body []byte) dialed {
			var b struct {
				Phones string
				Task   string `json:"user_requirement"`
			}
			_ = json.Unmarshal(body, &b)
			return dialed{call: r.Header.Get("Idempotency-Key"), to: "+86" + b.Phones, word: crashWord.FindString(b.Task)}
		},
		record: func(s http.Handler, d dialed) ([]turn, error) {
			var a struct {
				Data struct {
					Content []said `json:"call_content"`
				}
			}
			err := askDirectly(s, "POST", "/api/v1/callinfo/search_callinfo", fmt.Sprintf(`{"call_id":%q}`, d.ref), &a)
			return turns(a.Data.Content), err
		},
	}
}

func pamelaService(x float64, plays scripted) service {
	const calls = "/api/b2b/v1/calls"
	return service{
		Handler: pamela.New(pamela.Options{Speed: x, Script: plays}), path: calls, lists: true,
		env: func(base string) []string {
			return append(openGuard(), "PAMELA_API_KEY=pk_live_any", "PAMELA_API_BASE="+base)
		},
		number: func(n int) string { // of those for fiction, in each area again
			areas := []string{"201", "202", "203", "205", "206", "207", "208", "209", "210", "212", "213", "214", "215", "216", "217", "218", "219"}
			return fmt.Sprintf("+1%s55501%02d", areas[n/90], 10+n%90)
		},
		read: func(_ *http.Request, body []byte) dialed {
			var b struct {
				To, Task string
				Metadata struct {
					Call string `json:"intent_id"`
				}
			}
			_ = json.Unmarshal(body, &b)
			return dialed{call: b.Metadata.Call, to: b.To, word: crashWord.FindString(b.Task)}
		},
		record: func(s http.Handler, d dialed) ([]turn, error) {
			var c struct{ Transcript []said }
			err := askDirectly(s, "GET", calls+"/"+d.ref, "", &c)
			return turns(c.Transcript), err
		},
	}
}

// scripted says which call a stand-in plays.
type scripted func(number, lang, task, caller string) script.Script

// short is a call of three turns: what matters here does not grow with its length, and time does.
func short(number, lang, task, caller string) script.Script {
	s := script.For(number, lang, task, caller)
	s.Lines = s.Lines[:3]
	return s
}

// steady is a call of many turns, one as long after the other.
func steady(turns int, every time.Duration) scripted {
	return func(_, _, task, _ string) script.Script {
		s := script.Script{Name: "steady", Ring: 300 * time.Millisecond, Outcome: phone.Completed, Summary: "They counted."}
		for i := range turns {
			role := phone.Agent
			if i%2 == 1 {
				role = phone.Callee
			}
			s.Lines = append(s.Lines, script.Line{After: every, Role: role, Text: fmt.Sprintf("%s, number %d.", task, i)})
		}
		return s
	}
}

// said is an utterance as both services write it.
type said struct{ Role, Content string }

func turns(all []said) []turn {
	var out []turn
	for _, s := range all {
		role := "agent"
		if s.Role == "user" {
			role = "callee"
		}
		out = append(out, turn{role, s.Content})
	}
	return out
}

// askDirectly asks a stand-in past the wire.
func askDirectly(s http.Handler, method, path, body string, into any) error {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-API-Key", "sk_any")
	r.Header.Set("Authorization", "Bearer pk_live_any")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return json.Unmarshal(w.Body.Bytes(), into)
}

// crashWord is what stands in each task of these tests.
var crashWord = regexp.MustCompile(`crash-[a-z0-9_-]*[a-z0-9]`)

// recorder stands before a service and writes down every dial that it is sent.
type recorder struct {
	service
	base string

	mu     sync.Mutex
	dials  []dialed
	before func(r *http.Request) bool // is asked about each that begins to arrive; false: the service never hears of it
	after  func(d dialed) bool        // is told of each that the service has taken; false: it is not answered
}

func record(t *testing.T, s service) *recorder {
	r := &recorder{service: s}
	srv := httptest.NewServer(r)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	r.base = srv.URL
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, r.path) {
		r.service.ServeHTTP(w, req)
		return
	}
	r.mu.Lock()
	before, after := r.before, r.after
	r.mu.Unlock()
	if before != nil && !before(req) {
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // whoever asked died of it
	}
	d := r.read(req, body)
	req.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	r.service.ServeHTTP(answer, req)
	var named struct {
		ID   string
		Call string `json:"call_id"`
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &named)
	d.ref = named.ID + named.Call
	r.mu.Lock()
	r.dials = append(r.dials, d)
	r.mu.Unlock()
	if after != nil && !after(d) {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// hold sets what happens to the dials from now on.
func (r *recorder) hold(before func(*http.Request) bool, after func(dialed) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before, r.after = before, after
}

// of gives the dials for a word.
func (r *recorder) of(word string) (all []dialed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.dials), func(d dialed) bool { return d.word != word })
}

// count says how many dials there were.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.dials)
}

// slowly has a service take some milliseconds to answer a dial, as real ones do, so that kills land there too.
func slowly(dialed) bool {
	time.Sleep(rand.N(40 * time.Millisecond)) // the service thinks
	return true
}
