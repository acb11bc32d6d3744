package stepone

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// readRecord says what an answer tells of a call. It says nothing where there is no record in it, as for some time after
// the end there is not.
func readRecord(v any, ref phone.Ref, now time.Time) phone.Observation {
	all := objects(v, ref)
	best := richest(all)
	if best == nil {
		return phone.Observation{}
	}
	// What is said of the call's state stands in its record or around it; the rest may stand anywhere.
	var around []*node
	for n := best; n != nil; n = n.in {
		around = append(around, n)
	}
	all = append(slices.Clone(around), all...)

	status := statusOf(around)
	outcome, over := terminal(status)
	endedAt, ended := endOf(around, now)
	duration := secondsOf(all)
	words, explicit := content(field(all, "call_content"))
	billed, _ := field(all, "billed").(bool)
	talked := len(words) > 0 || duration != nil && *duration > 0
	// Records of the older form tell no status: they have a length once the call is over. No seconds alone say nothing.
	if status == "" && duration != nil && (*duration > 0 || billed) {
		over = true
	}
	if !over && !ended {
		o := phone.Observation{Line: lineOf(status), Words: words}
		if len(words) > 0 {
			o.Extent = phone.SoFar
			o.Words[len(words)-1].Final = false // it may be the one being spoken
		}
		return o
	}
	if talked && (outcome == "" || status == "timeout" && len(words) > 0) {
		outcome = phone.Completed
	}
	o := phone.Observation{Line: phone.WrappingUp, EndedAt: endedAt, Outcome: outcome, Words: words, Duration: duration, Cost: costOf(all)}
	switch {
	case len(words) > 0, outcome == phone.NoAnswer, outcome == phone.Busy, outcome == phone.Declined:
		o.Extent = phone.Whole
	case (outcome == phone.Failed || outcome == phone.Cancelled) && !talked:
		o.Extent = phone.Whole
	case explicit && billed && !talked: // answered and paid for, and not a word: no more will come
		o.Extent = phone.Whole
	}
	if o.Extent != phone.Whole && duration != nil && *duration == 0 {
		o.Duration = nil // not told yet
	}
	return o
}

// richest is the object with the most fields of a record, the outermost of equals; nil if none says how a call stands.
func richest(all []*node) *node {
	var best *node
	most := 0
	for _, n := range all {
		has := 0
		for _, name := range []string{
			"status", "call_status", "state", "duration_seconds", "duration", "phones", "user_requirement", "cost", "billed",
			"call_content", "provider_response", "ended_at", "end_time", "endedAt",
		} {
			if _, there := n.Object[name]; there {
				has++
			}
		}
		if has > most {
			best, most = n, has
		}
	}
	if best != nil && most == 1 && best.in == nil && best.Text("message", "msg", "error", "detail") != "" {
		return nil // not the state of a call but of the answer: {"status":"failed","message":"…"}
	}
	return best
}

// statusOf is the service's word for the state of the call, with one spelling for each; empty if it has none.
func statusOf(around []*node) string {
	for _, n := range around {
		for _, name := range []string{"status", "call_status", "state"} {
			s := strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(text(n.Object, name)))
			if s != "" && s != "success" && s != "ok" { // those are of the answer
				return s
			}
		}
	}
	return ""
}

// terminal says whether a status means that the line has closed, and how it went.
func terminal(status string) (phone.Outcome, bool) {
	switch status {
	case "completed", "complete", "ended", "hung_up", "hangup":
		return phone.Completed, true
	case "failed":
		return phone.Failed, true
	case "cancelled", "canceled":
		return phone.Cancelled, true
	case "no_answer", "timeout":
		return phone.NoAnswer, true
	case "busy":
		return phone.Busy, true
	case "declined", "rejected":
		return phone.Declined, true
	case "voicemail":
		return phone.Voicemail, true
	}
	return "", false
}

// lineOf is the state of a line that has not closed; empty where the service's word for it is not known.
func lineOf(status string) phone.Status {
	switch status {
	case "queued", "pending", "initiated", "created", "scheduled":
		return phone.Queued
	case "ringing", "dialing", "calling":
		return phone.Ringing
	case "in_progress", "answered", "connected", "talking":
		return phone.InProgress
	}
	return ""
}

// endOf says whether a time of the end is set, and which, where it can be told: a time without a zone could be China's or
// UTC, and one that is still to come is wrong.
func endOf(around []*node, now time.Time) (at time.Time, set bool) {
	switch v := field(around, "ended_at", "end_time", "endedAt").(type) {
	case string:
		s := strings.TrimSpace(v)
		if s == "" || s == "0" || strings.EqualFold(s, "null") || strings.EqualFold(s, "none") {
			return time.Time{}, false
		}
		if n, err := strconv.ParseFloat(s, 64); err == nil {
			return epoch(n, now), n > 0 // which NaN is not
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err == nil && t.Year() <= 1970 || strings.HasPrefix(s, "0001-") {
			return time.Time{}, false // how some write that there is none
		}
		return past(t, now), true
	case json.Number:
		n, err := v.Float64()
		return epoch(n, now), err == nil && n > 0
	case bool:
		return time.Time{}, v
	}
	return time.Time{}, false
}

// epoch reads seconds since 1970, or milliseconds.
func epoch(n float64, now time.Time) time.Time {
	if n > 1e11 {
		n /= 1000
	}
	if !(n >= 1e9 && n <= 1e10) {
		return time.Time{}
	}
	return past(time.UnixMilli(int64(n*1000)), now)
}

func past(t, now time.Time) time.Time {
	if t.IsZero() || t.After(now.Add(time.Minute)) {
		return time.Time{}
	}
	return t.UTC()
}

func secondsOf(all []*node) *time.Duration {
	for _, n := range all {
		if d := n.Seconds("duration_seconds", "duration"); d != nil {
			return d
		}
	}
	return nil
}

func costOf(all []*node) *phone.Cost {
	m := money(first(all, "cost"), "CNY")
	if m == nil || m.Micros() < 0 {
		return nil
	}
	return &phone.Cost{Money: *m}
}

// content are the words of a record: a list of utterances, or the same as JSON within a string. Explicit says that there
// was a list, if an empty one.
func content(v any) (words []phone.Words, explicit bool) {
	for range 2 { // JSON within a string, perhaps within a string
		s, ok := v.(string)
		if !ok || !json.Valid([]byte(s)) {
			break
		}
		v, _ = parse([]byte(s))
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	for _, one := range list {
		o, _ := one.(map[string]any)
		if w, ok := readWords(upstream.Object(o)); ok {
			words = append(words, w)
		}
	}
	return words, true
}
