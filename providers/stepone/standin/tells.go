package standin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/script"
)

// turn is one utterance as the service writes it.
type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func turnOf(l script.Line) turn {
	if l.Role == phone.Agent {
		return turn{"assistant", l.Text}
	}
	return turn{"user", l.Text}
}

// record is a call as search_callinfo tells it. Until it is there, duration and content say nothing: the vendor's scripts
// take either for the end.
type record struct {
	ID          string       `json:"call_id"`
	Phones      string       `json:"phones"`
	Requirement string       `json:"user_requirement"`
	Status      string       `json:"status"`
	Duration    *int         `json:"duration_seconds"`
	Cost        *json.Number `json:"cost"`
	Billed      bool         `json:"billed"`
	Content     *[]turn      `json:"call_content,omitempty"`
	EndedAt     string       `json:"ended_at,omitempty"`
}

func (s *service) record(w http.ResponseWriter, r *http.Request) {
	c, ok := s.asked(w, r)
	if !ok {
		return
	}
	var data *record
	if c != nil {
		data = s.recordOf(c)
	}
	answer(w, http.StatusOK, struct {
		Success bool    `json:"success"`
		Data    *record `json:"data"`
		instruction
	}{true, data, instruct()})
}

func (s *service) recordOf(c *call) *record {
	since := s.since(c)
	st := c.script.At(since)
	rec := &record{ID: c.id, Phones: c.phone, Requirement: c.requirement, Status: string(st.Line)}
	if st.Line != phone.WrappingUp {
		return rec
	}
	rec.Status = string(phone.InProgress)
	end := c.script.Length()
	if since < end+s.RecordAfter {
		return rec
	}
	rec.Status = string(st.Outcome)
	if st.Outcome == phone.UnknownOutcome || st.Outcome == "" {
		rec.Status = "ended"
	}
	seconds := 0
	if st.Answered {
		seconds = int((st.Talked + time.Second - 1) / time.Second)
	}
	cost := json.Number(strconv.FormatFloat(float64((seconds+59)/60*6)/10, 'f', -1, 64)) // 0.6 yuan for each minute begun
	said := make([]turn, 0, len(st.Said))
	for _, l := range st.Said {
		said = append(said, turnOf(l))
	}
	rec.Duration, rec.Cost, rec.Billed, rec.Content = &seconds, &cost, seconds > 0, &said
	rec.EndedAt = c.at.Add(time.Duration(float64(end) / s.Speed)).UTC().Format(time.RFC3339Nano)
	return rec
}

func (s *service) stream(w http.ResponseWriter, r *http.Request) {
	c, ok := s.asked(w, r)
	if !ok {
		return
	}
	if c == nil {
		refuse(w, http.StatusNotFound, "通话不存在")
		return
	}
	s.mu.Lock()
	c.streams++
	further := c.streams > 1
	s.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	sent := 0
	if further && s.TailOnly {
		sent = len(c.script.At(s.since(c)).Said)
	}
	for alive := -1; ; {
		since := s.since(c)
		st := c.script.At(since)
		var out bytes.Buffer
		for ; sent < len(st.Said); sent++ {
			event(&out, turnOf(st.Said[sent]))
		}
		over := true
		switch {
		case st.Line == phone.WrappingUp && st.Outcome != phone.NoAnswer:
			event(&out, turn{"system", "[DONE]"})
		case st.Line == phone.WrappingUp, !st.Answered && since >= unanswered:
			event(&out, turn{"system", "[TIMEOUT]"})
		default:
			over = false
		}
		if !over && !st.Answered && alives(since) != alive {
			alive = alives(since)
			out.WriteString(": keep-alive\n\n")
		}
		if out.Len() > 0 {
			if _, err := w.Write(out.Bytes()); err != nil {
				return
			}
			if http.NewResponseController(w).Flush() != nil {
				return
			}
		}
		if over || !s.pause(r, since, c.script, st.Answered) {
			return
		}
	}
}

// alives is how many signs of life have become due.
func alives(since time.Duration) int { return int(since / keepAlive) }

// pause waits until there may be something to send.
func (s *service) pause(r *http.Request, since time.Duration, sc script.Script, answered bool) bool {
	next, more := sc.Next(since)
	if alive := time.Duration(alives(since)+1) * keepAlive; !more || !answered && alive < next {
		next = alive
	}
	t := time.NewTimer(max(time.Millisecond, time.Duration(float64(next-since)/s.Speed)))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// event is one event as the service's notes show it, with a space behind each colon of its JSON.
func event(out *bytes.Buffer, t turn) {
	fmt.Fprintf(out, "data: {\"role\": %s, \"content\": %s}\n\n", compact(t.Role), compact(t.Content))
}

func (s *service) balance(w http.ResponseWriter, _ *http.Request) {
	type data struct {
		Balance  json.Number `json:"balance"`
		Currency string      `json:"currency"`
	}
	answer(w, http.StatusOK, struct {
		Success bool `json:"success"`
		Data    data `json:"data"`
	}{true, data{json.Number(s.Balance), "CNY"}})
}

func (s *service) voices(w http.ResponseWriter, _ *http.Request) {
	type voice struct {
		ID   string `json:"voice_id"`
		Name string `json:"name"`
	}
	answer(w, http.StatusOK, struct {
		Success bool    `json:"success"`
		Data    []voice `json:"data"`
	}{true, []voice{{"v0001", "晓晓"}, {"v0002", "云扬"}}})
}

func (s *service) engines(w http.ResponseWriter, _ *http.Request) {
	type engine struct {
		ID   string `json:"model_engine"`
		Name string `json:"name"`
	}
	answer(w, http.StatusOK, struct {
		Success bool     `json:"success"`
		Data    []engine `json:"data"`
	}{true, []engine{{"stepone-mini", "StepOne Mini"}, {"stepone-pro", "StepOne Pro"}}})
}
