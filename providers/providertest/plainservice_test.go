package providertest

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
)

// plainService plays the service of the adapter plain over a script. Its events have two lines of data, so that half an
// event looks much like a whole one.
type plainService struct {
	*http.ServeMux
	stage Stage

	mu    sync.Mutex
	calls map[string]*plainCall
	tools []map[string]string

	hooks sync.WaitGroup
	end   chan struct{} // with the service: nobody is told any more
}

type plainCall struct {
	tag    string // the client's own name of it
	script script.Script
	began  time.Time
	over   time.Duration // hung up after it; 0: not
}

func newPlainService(s Stage) *plainService {
	p := &plainService{ServeMux: http.NewServeMux(), stage: s, calls: map[string]*plainCall{}, end: make(chan struct{})}
	p.HandleFunc("POST /calls", p.place)
	p.HandleFunc("GET /calls/{id}", p.tell)
	p.HandleFunc("POST /calls/{id}/words", p.stream)
	p.HandleFunc("DELETE /calls/{id}", p.hangUp)
	p.HandleFunc("GET /calls", p.list)
	p.HandleFunc("POST /tools", p.register)
	p.HandleFunc("GET /tools", p.listTools)
	p.HandleFunc("DELETE /tools/{id}", p.deactivate)
	p.HandleFunc("GET /balance", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"usage": "3 calls."}) })
	return p
}

func (p *plainService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Key") != plainKey {
		reply(w, http.StatusUnauthorized, map[string]any{})
		return
	}
	p.ServeMux.ServeHTTP(w, r)
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (p *plainService) place(w http.ResponseWriter, r *http.Request) {
	var in struct{ To, Brief, Language, Tag, Hook string }
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		reply(w, http.StatusBadRequest, map[string]any{})
		return
	}
	s := p.stage.Script(in.To, in.Language, providers.TaskOf(in.Brief), "")
	if s.Dial == script.Rejected {
		reply(w, http.StatusUnprocessableEntity, map[string]any{"error": "no"})
		return
	}
	p.mu.Lock()
	id := fmt.Sprintf("c%d", len(p.calls)+1)
	p.calls[id] = &plainCall{tag: in.Tag, script: s, began: time.Now()}
	p.mu.Unlock()
	if in.Hook != "" {
		p.hooks.Go(func() { p.tellHook(id, in.Hook) })
	}
	if s.Dial == script.Lost {
		panic(http.ErrAbortHandler)
	}
	reply(w, http.StatusCreated, map[string]any{"id": id})
}

func (p *plainService) list(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := []any{}
	for id, c := range p.calls {
		all = append(all, map[string]any{"id": id, "tag": c.tag})
	}
	reply(w, 200, map[string]any{"calls": all})
}

// stands is how a call stands now, and how far it is.
func (p *plainService) stands(id string) (*plainCall, script.State, time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.calls[id]
	if !ok {
		return nil, script.State{}, 0, false
	}
	since := time.Duration(math.Round(float64(time.Since(c.began)) * p.stage.Speed))
	if c.over > 0 {
		st := c.script.At(c.over)
		st.Line, st.Outcome = phone.WrappingUp, phone.Cancelled
		return c, st, since, true
	}
	return c, c.script.At(since), since, true
}

func (p *plainService) tell(w http.ResponseWriter, r *http.Request) {
	_, st, _, ok := p.stands(r.PathValue("id"))
	if !ok {
		reply(w, http.StatusNotFound, map[string]any{})
		return
	}
	words := []map[string]any{}
	for _, l := range st.Said {
		words = append(words, map[string]any{"role": plainWireRole(l.Role), "text": l.Text})
	}
	state := map[phone.Status]string{phone.Queued: "queued", phone.Ringing: "ringing", phone.InProgress: "talking", phone.WrappingUp: "over"}[st.Line]
	reply(w, http.StatusOK, map[string]any{"state": state, "outcome": st.Outcome, "seconds": st.Talked.Seconds(), "words": words})
}

func plainWireRole(r phone.Role) string {
	if r == phone.Agent {
		return "assistant"
	}
	return "user"
}

func (p *plainService) stream(w http.ResponseWriter, r *http.Request) {
	if _, _, _, ok := p.stands(r.PathValue("id")); !ok {
		reply(w, http.StatusNotFound, map[string]any{})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	told, control := 0, http.NewResponseController(w)
	for {
		c, st, since, _ := p.stands(r.PathValue("id"))
		for _, l := range st.Said[told:] {
			half := len([]rune(l.Text)) / 2
			a, _ := json.Marshal(map[string]string{"role": plainWireRole(l.Role), "text": string([]rune(l.Text)[:half])})
			b, _ := json.Marshal(map[string]string{"text": string([]rune(l.Text)[half:])})
			if _, err := fmt.Fprintf(w, "data: %s\ndata: %s\n\n", a, b); err != nil {
				return
			}
		}
		told = len(st.Said)
		if st.Line == phone.WrappingUp {
			_, _ = fmt.Fprint(w, "data: {\"role\":\"system\",\"text\":\"[DONE]\"}\n\n")
			return
		}
		if control.Flush() != nil {
			return
		}
		next, more := c.script.Next(since)
		if !more {
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(min(20*time.Millisecond, time.Duration(float64(next-since)/p.stage.Speed)+1)):
		}
	}
}

func (p *plainService) hangUp(w http.ResponseWriter, r *http.Request) {
	c, st, since, ok := p.stands(r.PathValue("id"))
	if !ok {
		reply(w, http.StatusNotFound, map[string]any{})
		return
	}
	if st.Line != phone.WrappingUp {
		p.mu.Lock()
		c.over = max(since, 1)
		p.mu.Unlock()
	}
	w.WriteHeader(http.StatusNoContent)
}
