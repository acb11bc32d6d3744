package pamela

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// createCall is the request to call. A field that is not set is not sent.
type createCall struct {
	To                 string         `json:"to"`
	Task               string         `json:"task"`
	Country            string         `json:"country,omitempty"`
	Locale             string         `json:"locale,omitempty"`
	Instructions       string         `json:"instructions,omitempty"`
	MaxDurationSeconds int            `json:"max_duration_seconds,omitempty"`
	Voice              string         `json:"voice,omitempty"`
	AgentName          string         `json:"agent_name,omitempty"`
	CallerName         string         `json:"caller_name,omitempty"`
	EndUserID          string         `json:"end_user_id,omitempty"`
	Metadata           map[string]any `json:"metadata,omitempty"`
	Webhooks           *webhooks      `json:"webhooks,omitempty"`
}

// webhooks are where Pamela tells of a call, and has its agent ask, in place of what its portal says.
type webhooks struct {
	URL   string `json:"webhook_url,omitempty"`
	Tools string `json:"tool_webhook_url,omitempty"`
}

func (d *Driver) request(o phone.Order) createCall {
	metadata := map[string]any{}
	if m, ok := o.Options["metadata"].(map[string]any); ok {
		maps.Copy(metadata, m)
	}
	if o.CallID != "" {
		metadata[intentKey] = o.CallID
	}
	country := strings.ToUpper(option(o, "country"))
	if country == "" {
		country = o.To.Region()
	}
	var hooks *webhooks
	if d.webhooks.URL != "" {
		hooks = &d.webhooks
	}
	return createCall{
		Webhooks: hooks,
		To:       o.To.E164(), Task: providers.Brief(o), Country: country, Locale: locale(o),
		Instructions: instructions(o), MaxDurationSeconds: int(o.MaxDuration / time.Second), Voice: o.Voice,
		AgentName: providers.PlainName(o.AgentName), CallerName: providers.PlainName(o.CallerName), // Pamela may tell them first
		EndUserID: option(o, "end_user_id"), Metadata: metadata,
	}
}

func option(o phone.Order, name string) string {
	s, _ := o.Options[name].(string)
	return s
}

// instructions are under the rules too: whether Pamela's agent reads them before the task is not known.
func instructions(o phone.Order) string {
	if s := option(o, "instructions"); s != "" {
		return providers.UnderRules(o, s)
	}
	return ""
}

// locale is the language in Pamela's form: English takes the region of the number, as its published locales have one. Of a
// tag the language, the script and the region are sent: whatever else it holds can spell words.
func locale(o phone.Order) string {
	tag := ""
	if m := tagHead().FindStringSubmatch(strings.ReplaceAll(o.Language, "_", "-")); m != nil {
		tag = m[1]
	}
	if region := o.To.Region(); strings.EqualFold(tag, "en") && (region == "US" || region == "CA") {
		return "en-" + region
	}
	return tag
}

func tagHead() *regexp.Regexp {
	return regexp.MustCompile(`^([A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?)(?:-|$)`)
}

// unwrap takes a call out of an object that holds nothing else.
func unwrap(o upstream.Object) upstream.Object {
	if o.Text("id", "call_id", "status") != "" {
		return o
	}
	for _, n := range []string{"call", "data"} {
		if inner := o.Object(n); inner != nil {
			return inner
		}
	}
	return o
}

// reference is the name of a call in an answer; empty if there is none.
func reference(o upstream.Object) phone.Ref { return phone.Ref(unwrap(o).Text("id", "call_id")) }

// deniesSuccess says whether an answer says in so many words that nothing was done.
func deniesSuccess(raw []byte) bool {
	o, _ := upstream.Parse(raw)
	ok, known := o.Bool("success")
	return known && !ok
}

// observe reads a call. A status that is not known says nothing of the line, and never that it has closed.
func observe(o upstream.Object) phone.Observation {
	seen := phone.Observation{Words: transcript(o["transcript"], o.Text("agent_name"))}
	if len(seen.Words) > 0 {
		seen.Extent = phone.SoFar
	}
	status := strings.ReplaceAll(strings.ToLower(o.Text("status")), "-", "_")
	switch status {
	case "queued":
		seen.Line = phone.Queued
	case "ringing":
		seen.Line = phone.Ringing
	case "in_progress":
		seen.Line, seen.StartedAt = phone.InProgress, o.Time("started_at")
	case "completed", "failed", "cancelled", "canceled":
		closed(&seen, o, status)
	}
	return seen
}

// closed adds what is known of a call that is over. Its record is there with the transcript, which comes later than the
// end; where nobody was reached none will come.
func closed(seen *phone.Observation, o upstream.Object, status string) {
	seen.Line = phone.WrappingUp
	seen.StartedAt, seen.EndedAt = o.Time("started_at"), o.Time("ended_at", "completed_at")
	seen.Duration = o.Seconds("duration_seconds")
	seen.Summary = text(o["summary"], 0)
	seen.Recording = recording(o)
	seen.Outcome = outcome(o, status)

	reached := o.Text("started_at") != "" || seen.Duration != nil && *seen.Duration > 0 || len(seen.Words) > 0
	if d := seen.EndedAt.Sub(seen.StartedAt); seen.Duration == nil && !seen.StartedAt.IsZero() && !seen.EndedAt.IsZero() && d >= 0 {
		seen.Duration = &d
	}
	unreached := !reached && seen.Outcome != phone.Completed && seen.Outcome != phone.Voicemail
	if unreached || len(seen.Words) > 0 {
		seen.Extent = phone.Whole
	}
	switch {
	case unreached:
		seen.Cost = &phone.Cost{Money: perMinute().Times(0), Estimated: true}
	case reached && seen.Duration != nil:
		minutes := max(1, (*seen.Duration+time.Minute-1)/time.Minute)
		seen.Cost = &phone.Cost{Money: perMinute().Times(int64(minutes)), Estimated: true}
	}
}

// perMinute is the published price of a started minute. A call that was answered has at least one; Pamela tells no price
// with a call.
func perMinute() phone.Money { return phone.Micros(100_000, "USD") }

func recording(o upstream.Object) string {
	for _, n := range []string{"recording_url", "recording", "audio_url", "recording_link"} {
		address := o.Text(n)
		if inner := o.Object(n); inner != nil {
			address = inner.Text("url", "recording_url", "href")
		}
		if strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://") {
			return address
		}
	}
	return ""
}

// outcome is how a call that is over ended. Pamela's statuses tell neither a busy line nor a voicemail; a field that gives
// a reason may.
func outcome(o upstream.Object, status string) phone.Outcome {
	why := reason(o)
	switch status {
	case "completed":
		if why == phone.NoAnswer || why == phone.Busy || why == phone.Voicemail {
			return why
		}
		return phone.Completed // "declined" here may be what became of the errand
	case "failed":
		if why != "" {
			return why
		}
		return phone.Failed
	}
	return phone.Cancelled
}

// reason is the first plain word on why a call ended that one of the fields holds in which services put it.
func reason(o upstream.Object) phone.Outcome {
	for _, n := range []string{
		"end_reason", "ended_reason", "failure_reason", "fail_reason", "status_reason", "reason", "termination_reason",
		"hangup_cause", "disposition", "answered_by", "error", "error_reason", "error_message", "outcome", "result",
	} {
		why := plainly(o.Text(n))
		if inner := o.Object(n); why == "" && inner != nil {
			for _, n := range []string{"reason", "code", "type", "message"} {
				if why == "" {
					why = plainly(inner.Text(n))
				}
			}
		}
		if why != "" {
			return why
		}
	}
	return ""
}

// plainly takes a word or a few for a reason ("no_answer", "486 Busy Here"), but no sentence: in one, somebody may be busy
// who was on the line.
func plainly(s string) phone.Outcome {
	words := letters(s)
	if len(words) == 0 || len(words) > 5 {
		return ""
	}
	has := func(some ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(some, w) })
	}
	denied := has("no", "not", "didn", "never", "without")
	switch {
	case has("noanswer", "unanswered"), denied && has("answer", "answered"):
		return phone.NoAnswer
	case denied:
		return ""
	case has("busy"):
		return phone.Busy
	case has("voicemail", "machine"), has("voice") && has("mail"):
		return phone.Voicemail
	case has("declined", "decline", "rejected") && !has("carrier", "provider", "request"):
		return phone.Declined
	}
	return ""
}

// letters are the words of a name or label in lower case, without digits and signs.
func letters(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) })
}

// usage is a sentence on what was used: "2026-11: 150 calls, 321 minutes; no quota".
func usage(o upstream.Object) string {
	var parts []string
	for _, f := range []struct{ field, unit string }{{"call_count", "calls"}, {"api_minutes", "minutes"}} {
		if n, ok := o[f.field].(json.Number); ok {
			parts = append(parts, n.String()+" "+f.unit)
		}
	}
	s := strings.Join(parts, ", ")
	if s == "" {
		s = "usage unknown"
	}
	p := o.Text("period")
	if _, err := time.Parse("2006-01", p); err == nil {
		s = p + ": " + s
	}
	quota, known := o["quota"].(map[string]any)
	if !known {
		return s
	}
	var limits []string
	for _, f := range []struct{ field, of string }{{"partner_limit", "account"}, {"project_limit", "project"}} {
		if n, ok := quota[f.field].(json.Number); ok {
			limits = append(limits, n.String()+" for the "+f.of)
		}
	}
	if len(limits) == 0 {
		return s + "; no quota"
	}
	return s + "; quota " + strings.Join(limits, ", ")
}

// fault is what an error's body says. All is zero where it says nothing that can be read.
type fault struct {
	code       int
	retryAfter string // seconds
	words      string // the service's own
}

// readFault reads the forms that Pamela's errors have: an object under detail, one under detail.error or error, the same
// at the top, plain text, and a list of what is wrong with the request.
func readFault(raw []byte) fault {
	top, err := upstream.Parse(raw)
	if err != nil {
		return fault{}
	}
	var f fault
	detail := top.Object("detail")
	for _, o := range []upstream.Object{detail, detail.Object("error"), top, top.Object("error")} {
		if f.code == 0 {
			f.code, _ = strconv.Atoi(o.Text("error_code", "code"))
		}
		if f.retryAfter == "" {
			f.retryAfter = o.Object("details").Text("retry_after")
		}
		if f.words == "" {
			f.words = o.Text("message", "detail")
		}
	}
	if list, ok := top["detail"].([]any); ok && f.words == "" {
		for _, e := range list {
			item, _ := e.(map[string]any)
			f.words += fmt.Sprint(item["loc"], " ", item["msg"], "; ") // not "input", which repeats the request
		}
	}
	return f
}

// page is one page of the list of calls.
type page struct {
	items []upstream.Object
	total int // of all pages; 0: not told
}

func parsePage(raw []byte) (page, error) {
	v, err := upstream.ParseAny(raw)
	if err != nil {
		return page{}, err
	}
	list, ok := v.([]any)
	var p page
	if o, object := v.(map[string]any); object {
		for _, n := range []string{"items", "calls", "data"} {
			if list, ok = o[n].([]any); ok {
				break
			}
		}
		p.total, _ = strconv.Atoi(upstream.Object(o).Text("total"))
	}
	if !ok {
		return page{}, errors.New("the answer holds no list of calls")
	}
	for _, e := range list {
		o, _ := e.(map[string]any)
		p.items = append(p.items, unwrap(o))
	}
	return p, nil
}
