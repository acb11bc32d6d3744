package standin

import (
	"cmp"
	"crypto/rand"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
)

// call is one call. All but its end stays as it was made.
type call struct {
	id, session, to, task string
	metadata              any
	created               time.Time
	script                script.Script

	end    time.Duration // since the dial, by the script's clock
	forced string        // the status at the end, where it is not the script that ends the call
	ended  chan struct{} // closed when somebody ends the call
}

// standing is how a call stands at one moment.
type standing struct {
	script.State
	since  time.Duration
	over   bool
	status string
}

// at is how the call stands some time after the dial. Service.mu is held.
func (c *call) at(since time.Duration) standing {
	st := standing{State: c.script.At(min(since, c.end)), since: since, over: since >= c.end}
	switch {
	case st.over && c.forced != "":
		st.status = c.forced
		st.Outcome = phone.Outcome(c.forced)
	case st.over && (st.Outcome == phone.Completed || st.Outcome == phone.Voicemail):
		st.status = "completed"
	case st.over:
		st.status = "failed"
	case st.Line == phone.InProgress:
		st.status = "in_progress"
	case st.Line == phone.Ringing:
		st.status = "ringing"
	default:
		st.status = "queued"
	}
	return st
}

// now is how the call stands now. Service.mu is held.
func (s *Service) now(c *call) standing {
	return c.at(time.Duration(float64(time.Since(c.created)) * s.options.Speed))
}

// moment is when, by the clock on the wall, a call was so far on.
func (s *Service) moment(c *call, since time.Duration) string {
	return stamp(c.created.Add(time.Duration(float64(since) / s.options.Speed)))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// seconds is how long they talked, in whole seconds.
func (st standing) seconds() int { return int(math.Ceil(st.Talked.Seconds())) }

// view is the call as a client sees it. Service.mu is held.
func (s *Service) view(c *call, withRecord bool) object {
	st := s.now(c)
	v := object{
		"id": c.id, "call_session_id": c.session, "status": st.status, "created_at": stamp(c.created),
		"to": c.to, "task": c.task, "metadata": c.metadata,
	}
	if st.Answered {
		v["started_at"] = s.moment(c, c.script.Ring)
	}
	if !st.over {
		return v
	}
	v["completed_at"], v["duration_seconds"] = s.moment(c, c.end), st.seconds()
	v["end_reason"] = string(st.Outcome) // chosen here: Pamela's own field is not known
	if withRecord {
		v["transcript"] = []object{}
		if st.since >= c.end+s.options.RecordAfter {
			v["transcript"], v["summary"] = s.transcript(c, st.Said), c.script.Summary
		}
	}
	return v
}

// transcript are lines in Pamela's form.
func (s *Service) transcript(c *call, said []script.Line) []object {
	entries := []object{}
	at := c.script.Ring
	for _, l := range said {
		at += l.After
		role := "assistant"
		if l.Role == phone.Callee {
			role = "user"
		}
		entries = append(entries, object{"role": role, "content": l.Text, "timestamp": s.moment(c, at)})
	}
	return entries
}

func (s *Service) create(r *http.Request) answer {
	b, isObject := body(r)
	if !isObject {
		return refuse(http.StatusBadRequest, 2001, "The body must be a JSON object")
	}
	order, hook, wrong := parseOrder(b)
	if wrong != nil {
		return *wrong
	}
	number, err := phone.ParseNumber(order.to, "")
	if err != nil {
		return refuse(http.StatusBadRequest, 2002, "Invalid phone number format")
	}
	if !covered(cmp.Or(strings.ToUpper(order.country), number.Region())) || !covered(number.Region()) {
		return refuse(http.StatusBadRequest, 7005, "Unsupported country")
	}
	asked, task := phone.Order{To: number, Language: order.locale}, strings.TrimSpace(providers.TaskOf(order.task))
	c := &call{
		id: "call_" + rand.Text(), session: "sess_" + rand.Text(), to: number.E164(), task: order.task, metadata: b["metadata"],
		created: time.Now(), script: s.options.Script(number.E164(), asked.Lang(), task, order.callerName), ended: make(chan struct{}),
	}
	if c.script.Dial == script.Rejected {
		return refuse(http.StatusBadRequest, 2001, "The call could not be placed")
	}
	c.end = c.script.Length()
	if limit := c.script.Ring + order.maxDuration; len(c.script.Lines) > 0 && limit < c.end {
		c.end, c.forced = limit, "completed"
	}
	created := s.keep(c)
	if hook != "" {
		s.hooks.follow(func(send func(object) bool, stop <-chan struct{}) { s.tell(c, send, stop) }, hook)
	}
	if c.script.Dial == script.Lost {
		panic(http.ErrAbortHandler)
	}
	return ok(created)
}

// keep remembers a call and gives the answer to its creation.
func (s *Service) keep(c *call) object {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) >= maxCalls {
		delete(s.byID, s.calls[0].id)
		s.calls = s.calls[1:]
	}
	s.calls, s.byID[c.id] = append(s.calls, c), c
	v := s.view(c, false)
	return object{"id": c.id, "call_session_id": c.session, "status": v["status"], "created_at": v["created_at"]}
}

// covered are the countries that Pamela's own examples call.
func covered(region string) bool { return region == "US" || region == "CA" || region == "GB" }

// order are the fields of a request to call that matter here.
type order struct {
	to, task, country, locale, callerName string
	maxDuration                           time.Duration
}

// parseOrder checks a request to call. A field that is null counts as not set.
func parseOrder(b object) (o order, hook string, wrong *answer) {
	fail := func(code int, message string) (order, string, *answer) {
		a := refuse(http.StatusBadRequest, code, message)
		return order{}, "", &a
	}
	texts := map[string]string{}
	for _, n := range []string{"to", "task", "country", "locale", "instructions", "voice", "agent_name", "caller_name", "end_user_id"} {
		v, isText := b[n].(string)
		if b[n] != nil && !isText {
			return fail(2001, n+" must be a string")
		}
		texts[n] = v
	}
	if texts["to"] == "" {
		return fail(2002, "to is required")
	}
	if strings.TrimSpace(texts["task"]) == "" {
		return fail(2001, "task is required")
	}
	if v := texts["voice"]; v != "" && v != "male" && v != "female" && v != "auto" {
		return fail(2001, "voice must be male, female or auto")
	}
	length := 299.0
	if v, set := b["max_duration_seconds"]; set && v != nil {
		f, isNumber := v.(float64)
		if !isNumber || f != math.Trunc(f) || f < 1 || f > 3600 {
			return fail(2001, "max_duration_seconds must be a whole number from 1 to 3600")
		}
		length = f
	}
	if _, isObject := b["metadata"].(object); b["metadata"] != nil && !isObject {
		return fail(2001, "metadata must be an object")
	}
	if _, isList := b["tools"].([]any); b["tools"] != nil && !isList {
		return fail(2001, "tools must be an array")
	}
	webhooks, isObject := b["webhooks"].(object)
	if b["webhooks"] != nil && !isObject {
		return fail(2001, "webhooks must be an object")
	}
	for n, v := range webhooks {
		address, isText := v.(string)
		if u, err := url.Parse(address); v != nil && (!isText || err != nil || u.Scheme != "http" && u.Scheme != "https") {
			return fail(2001, "webhooks."+n+" must be an address")
		}
	}
	hook, _ = webhooks["webhook_url"].(string)
	return order{
		to: texts["to"], task: texts["task"], country: texts["country"], locale: texts["locale"], callerName: texts["caller_name"],
		maxDuration: time.Duration(length) * time.Second,
	}, hook, nil
}

// find gives the call that a path names.
func (s *Service) find(r *http.Request) (*call, *answer) {
	if c := s.byID[r.PathValue("id")]; c != nil {
		return c, nil
	}
	a := refuse(http.StatusNotFound, 7003, "Call not found")
	return nil, &a
}

func (s *Service) get(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, missing := s.find(r)
	if missing != nil {
		return *missing
	}
	return ok(s.view(c, true))
}

func (s *Service) cancel(r *http.Request) answer { return s.finish(r, "cancelled") }

func (s *Service) hangup(r *http.Request) answer { return s.finish(r, "completed") }

// finish ends a call. One that nobody has answered is cancelled, whatever was asked for.
func (s *Service) finish(r *http.Request, status string) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, missing := s.find(r)
	if missing != nil {
		return *missing
	}
	st := s.now(c)
	if st.over {
		return refuse(http.StatusBadRequest, 2001, "The call is over already")
	}
	if !st.Answered {
		status = "cancelled"
	}
	c.end, c.forced = st.since, status
	close(c.ended)
	return ok(object{"success": true, "id": c.id, "status": status})
}

func (s *Service) list(r *http.Request) answer {
	q := r.URL.Query()
	limit, err := atoi(q.Get("limit"), 50)
	if err != nil || limit < 1 || limit > 100 {
		return refuse(http.StatusBadRequest, 2001, "limit must be from 1 to 100")
	}
	offset, err := atoi(q.Get("offset"), 0)
	if err != nil || offset < 0 {
		return refuse(http.StatusBadRequest, 2001, "offset must not be negative")
	}
	from, fromOK := date(q.Get("start_date"), false)
	to, toOK := date(q.Get("end_date"), true)
	if !fromOK || !toOK {
		return refuse(http.StatusBadRequest, 2001, "start_date and end_date must be ISO 8601")
	}
	status := cmp.Or(q.Get("status_filter"), q.Get("status"))

	s.mu.Lock()
	defer s.mu.Unlock()
	items, total := []object{}, 0
	for _, c := range slices.Backward(s.calls) {
		if status != "" && s.now(c).status != status || !from.IsZero() && c.created.Before(from) || !to.IsZero() && c.created.After(to) {
			continue
		}
		if total++; total > offset && len(items) < limit {
			items = append(items, s.view(c, false))
		}
	}
	return ok(object{"items": items, "total": total})
}

func atoi(s string, otherwise int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	return strconv.Atoi(s)
}

// date reads an ISO 8601 date or time; a plain date as the end of a stretch is that day's end.
func date(s string, end bool) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, strings.Replace(s, " ", "+", 1)); err == nil { // a + that was not escaped
			return t, true
		}
	}
	t, err := time.Parse(time.DateOnly, s)
	if end {
		t = t.Add(24*time.Hour - 1)
	}
	return t, err == nil
}

func (s *Service) usage(r *http.Request) answer {
	period := cmp.Or(r.URL.Query().Get("period"), time.Now().UTC().Format("2006-01"))
	if _, err := time.Parse("2006-01", period); err != nil {
		return refuse(http.StatusBadRequest, 2001, "period must be YYYY-MM")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	calls, minutes := 0, 0
	for _, c := range s.calls {
		st := s.now(c)
		if st.Answered && strings.HasPrefix(s.moment(c, c.script.Ring), period) {
			calls++
			minutes += max(1, (st.seconds()+59)/60)
		}
	}
	return ok(object{
		"partner_id": "partner_sandbox", "project_id": "project_sandbox", "period": period, "call_count": calls, "api_minutes": minutes,
		"quota": object{"partner_limit": nil, "project_limit": nil},
	})
}
