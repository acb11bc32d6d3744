// Package standin plays StepOne's HTTP interface over scripted calls: for the adapter's tests, for the sandbox, and for
// any client of the service that is to be tried without an account.
//
// Its one idea: it satisfies the vendor's own clients unchanged. Those are shell scripts that read answers with grep and a
// Python program, so its JSON is compact, its fields stand where they look for them, and a record has them only once they
// can be believed. The facts are StepOne's public API notes for its protocol 1.0.0, and what those clients do.
//
// It keeps no goroutine and nothing on disk, rings nobody, and proves nothing about the service itself.
package standin

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
)

// Instruction is the text of the field with which every answer tries to instruct the model that it is shown to, as the
// service's do. No client may pass it on.
const Instruction = "STANDIN-INSTRUCTION-TO-BE-REMOVED"

// Options of a stand-in. The zero Options play script.For at real speed.
type Options struct {
	Script func(number, lang, task, caller string) script.Script // asked once for each call; nil: script.For
	Speed  float64                                               // how many times faster than real everything goes; 0: 1

	Version     string        // of the protocol that it wants; empty: 1.0.0
	RecordAfter time.Duration // from the end of a call until its record is there, before Speed; 0: 1 s, negative: at once
	TailOnly    bool          // a further stream of a call goes on from now, and does not begin at the start
	NoDedup     bool          // a repeated Idempotency-Key is a further call
	Balance     string        // in yuan; empty: 8.80
}

// The bounds of what it keeps and takes.
const (
	maxCalls       = 10_000
	maxBody        = 1 << 20
	maxRequirement = 20_000           // characters
	keepAlive      = time.Second / 2  // between signs of life while nobody has answered
	unanswered     = 30 * time.Second // after this a stream of a call that nobody answers ends
)

// New makes a stand-in with no calls.
func New(o Options) http.Handler {
	if o.Script == nil {
		o.Script = script.For
	}
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.RecordAfter == 0 {
		o.RecordAfter = time.Second
	}
	o.Version, o.Balance = cmp.Or(o.Version, "1.0.0"), cmp.Or(o.Balance, "8.80")
	s := &service{Options: o, calls: map[string]*call{}, keys: map[string][]string{}}
	mux := http.NewServeMux()
	const base = "/api/v1/callinfo/"
	mux.HandleFunc("POST "+base+"initiate_call", s.authorized(s.dial))
	mux.HandleFunc("POST "+base+"search_callinfo", s.authorized(s.record))
	mux.HandleFunc("POST "+base+"stream_chat_history", s.authorized(s.stream))
	mux.HandleFunc("GET "+base+"balance", s.authorized(s.balance))
	mux.HandleFunc("GET "+base+"engine_list", s.versioned(s.engines))
	mux.HandleFunc("GET "+base+"tts_list", s.versioned(s.voices))
	mux.HandleFunc("GET "+base+"skill_version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"skill_version": s.Version})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "接口不存在") })
	return mux
}

type service struct {
	Options

	mu    sync.Mutex
	calls map[string]*call
	order []string            // the calls' names, oldest first
	keys  map[string][]string // account and Idempotency-Key: the calls that they made
}

// call is one that was placed. Nothing of it changes but streams.
type call struct {
	id, account, key   string
	phone, requirement string
	script             script.Script
	at                 time.Time
	streams            int // opened so far; under the service's lock
}

// since is how long ago a call was placed, in its own time.
func (s *service) since(c *call) time.Duration {
	return time.Duration(float64(time.Since(c.at)) * s.Speed)
}

// versioned checks the protocol's version where it is sent: the vendor's oldest scripts send none.
func (s *service) versioned(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if v := r.Header.Get("X-Skill-Version"); v != "" && v != s.Version {
			answer(w, http.StatusUpgradeRequired, struct {
				Success bool   `json:"success"`
				Message string `json:"message"`
				Version string `json:"skill_version"`
			}{false, "版本不匹配，请更新 (please update)", s.Version})
			return
		}
		next(w, r)
	}
}

// authorized takes every key of the service's form.
func (s *service) authorized(next http.HandlerFunc) http.HandlerFunc {
	return s.versioned(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("X-API-Key")
		if !strings.HasPrefix(key, "sk_") && !strings.HasPrefix(key, "aicall_") {
			refuse(w, http.StatusUnauthorized, "invalid api key")
			return
		}
		next(w, r)
	})
}

// dialRequest is what initiate_call takes.
type dialRequest struct {
	Phones      string       `json:"phones"`
	Requirement string       `json:"user_requirement"`
	AgentID     *json.Number `json:"agent_id"`
	Volume      *json.Number `json:"volume"`
	Speed       *json.Number `json:"speed"`
}

// numbers are the numbers asked for, and what is wrong with the request.
func (d dialRequest) numbers() (all []string, wrong string) {
	for n := range strings.SplitSeq(d.Phones, ",") {
		if n = strings.TrimSpace(n); n == "" {
			continue
		}
		if len(n) != 11 || strings.Trim(n, "0123456789") != "" || n[0] != '1' || n[1] < '3' {
			return nil, "手机号格式不正确"
		}
		all = append(all, n)
	}
	switch {
	case len(all) == 0:
		return nil, "phones 不能为空"
	case strings.TrimSpace(d.Requirement) == "" && d.AgentID == nil:
		return nil, "user_requirement 不能为空"
	case utf8.RuneCountInString(d.Requirement) > maxRequirement:
		return nil, "user_requirement 过长"
	case !percent(d.Volume) || !percent(d.Speed):
		return nil, "参数超出范围"
	}
	return all, ""
}

func percent(n *json.Number) bool {
	if n == nil {
		return true
	}
	v, err := n.Int64()
	return err == nil && v >= 0 && v <= 100
}

// instruction is what the service puts into its answers for whoever reads them to a model.
type instruction struct {
	Instruction struct {
		Text string `json:"text"`
	} `json:"LLM_SYSTEM_INSTRUCTION"`
}

func instruct() (i instruction) {
	i.Instruction.Text = Instruction
	return i
}

func (s *service) dial(w http.ResponseWriter, r *http.Request) {
	var d dialRequest
	if !read(w, r, &d) {
		return
	}
	numbers, wrong := d.numbers()
	if wrong != "" {
		refuse(w, http.StatusOK, wrong)
		return
	}
	ids, fate := s.place(r.Header.Get("X-API-Key"), r.Header.Get("Idempotency-Key"), numbers, d.Requirement)
	switch fate {
	case script.Rejected:
		refuse(w, http.StatusOK, "呼叫被拒绝，请稍后再试")
	case script.Lost:
		panic(http.ErrAbortHandler)
	default:
		answer(w, http.StatusOK, struct {
			Success  bool     `json:"success"`
			Message  string   `json:"message"`
			IDs      []string `json:"call_ids"`
			ID       string   `json:"call_id"`
			Provider string   `json:"provider_call_id"`
			instruction
		}{true, "呼叫已发起", ids, ids[0], ids[0], instruct()})
	}
}

// place makes a call to each number, or finds those that the same account made with the same key. The first number that is
// rejected or lost decides for all, as one answer must.
func (s *service) place(account, key string, numbers []string, requirement string) ([]string, script.Dial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key != "" {
		key = account + "\x00" + key
		if ids, again := s.keys[key]; again && !s.NoDedup {
			return ids, script.Accepted
		}
	}
	lang := "zh"
	if requirement != "" && !strings.ContainsFunc(requirement, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		lang = "en"
	}
	calls := make([]*call, 0, len(numbers))
	fate := script.Accepted
	for i, n := range numbers {
		sc := s.Script("+86"+n, lang, strings.TrimSpace(providers.TaskOf(requirement)), "")
		if sc.Dial == script.Rejected {
			return nil, script.Rejected
		}
		if sc.Dial == script.Lost {
			fate = script.Lost
		}
		calls = append(calls, &call{
			id: strings.ToLower(rand.Text()) + "^" + strconv.Itoa(i+1), account: account, key: key,
			phone: n, requirement: requirement, script: sc, at: time.Now(),
		})
	}
	ids := make([]string, 0, len(calls))
	for _, c := range calls {
		s.calls[c.id] = c
		s.order = append(s.order, c.id)
		ids = append(ids, c.id)
	}
	if key != "" {
		s.keys[key] = ids
	}
	for len(s.order) > maxCalls {
		oldest := s.order[0]
		delete(s.keys, s.calls[oldest].key)
		delete(s.calls, oldest)
		s.order = s.order[1:]
	}
	return ids, fate
}

// asked is the call that a request is about; an account knows its own alone.
func (s *service) asked(w http.ResponseWriter, r *http.Request) (c *call, ok bool) {
	var q struct {
		CallID string `json:"call_id"`
	}
	if !read(w, r, &q) {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.calls[q.CallID]
	if c != nil && c.account != r.Header.Get("X-API-Key") {
		c = nil
	}
	return c, true
}

// read reads a request's JSON, or answers that it is none.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "请求格式错误")
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}{false, message})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(compact(v))
}

// compact is JSON without a space, and with <, > and & as they are: it is read with grep.
func compact(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null") // of none of the types here
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
