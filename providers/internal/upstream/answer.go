package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// Object is a JSON object of whose form little is certain: fields may be missing, nested, or of another type.
type Object map[string]any

// Parse reads an answer that should be a JSON object. Numbers keep their digits.
func Parse(raw []byte) (Object, error) {
	v, err := ParseAny(raw)
	if err != nil {
		return nil, err
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the answer is not a JSON object but %T", v)
	}
	return o, nil
}

// ParseAny reads any JSON value. Numbers keep their digits, invalid UTF-8 becomes U+FFFD.
func ParseAny(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	return v, nil
}

// Text is the first of the named fields that holds a string or a number, as text; else empty.
func (o Object) Text(names ...string) string {
	for _, n := range names {
		switch v := o[n].(type) {
		case string:
			if v != "" {
				return v
			}
		case json.Number:
			return v.String()
		}
	}
	return ""
}

// Bool is the named field where it is a truth value.
func (o Object) Bool(name string) (value, known bool) {
	value, known = o[name].(bool)
	return value, known
}

// Seconds is the first of the named fields that holds a number, as a duration; nil where none does.
func (o Object) Seconds(names ...string) *time.Duration {
	s, err := strconv.ParseFloat(o.Text(names...), 64)
	if err != nil || !(s >= 0 && s <= 1e7) { // not a number is none of both
		return nil
	}
	d := time.Duration(s * float64(time.Second))
	return &d
}

// Time is the first of the named fields that holds an RFC 3339 time, or one without a zone, taken for UTC; else zero.
func (o Object) Time(names ...string) time.Time {
	s := o.Text(names...)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// Object is the named field where it is an object; else nil.
func (o Object) Object(name string) Object {
	v, _ := o[name].(map[string]any)
	return v
}

// Classify says what a status means, alike for every service; an adapter decides before it what it knows better. dial
// says that the request was to ring a phone: then what is not surely refused is uncertain. Nil for a 2xx.
//
// Errors: unauthorized, exhausted, invalid, not_found, unsupported, unavailable, uncertain.
func (c *Client) Classify(a *Answer, dial bool) error {
	s := a.Status
	e := &phone.Error{Err: fmt.Errorf("status %d", s)}
	switch {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		e.Code, e.Message = phone.Unauthorized, c.name+" does not accept the key or the account behind it: the operator must check both."
	case s == http.StatusPaymentRequired:
		e.Code, e.Reason, e.Message = phone.Exhausted, "no_credit", c.name+"'s account has no credit left: the operator must top it up."
	case s == http.StatusTooManyRequests:
		e.Code, e.Reason, e.Message = phone.Exhausted, "rate_limited", c.name+" takes no more requests for now."
		e.RetryAt = RetryAt(a, "", 30*time.Second)
	case s == http.StatusNotFound:
		e.Code, e.Message = phone.NotFound, c.name+" does not know this."
	case s == http.StatusMethodNotAllowed:
		e.Code, e.Message = phone.Unsupported, c.name+" cannot do this."
	case s == 400 || s == 413 || s == 415 || s == 422:
		e.Code, e.Reason, e.Message = phone.Invalid, "provider_refused", c.name+" refused the request as malformed. Check the number and the options."
	case s == http.StatusUpgradeRequired:
		e.Code, e.Reason, e.Message = phone.Unsupported, "wrong_version", c.name+" wants another version of its protocol: outdial must be updated."
	case dial:
		e.Code, e.Message = phone.Uncertain, c.name+" was asked to dial and answered with a fault: the phone may ring. Do not ask again; ask about this call instead."
	default:
		e.Code, e.Message = phone.Unavailable, c.name+" has a fault of its own. Try again in a moment."
	}
	return e
}

// RetryAt is when a service wants to be asked again: after the seconds that its body told, else its Retry-After header,
// else otherwise; never more than a day ahead.
func RetryAt(a *Answer, seconds string, otherwise time.Duration) time.Time {
	now := time.Now()
	wait := otherwise
	for _, s := range []string{strings.TrimSpace(a.Header.Get("Retry-After")), seconds} {
		if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 {
			wait = time.Duration(min(f, 86400) * float64(time.Second))
		} else if t, err := http.ParseTime(s); err == nil {
			wait = min(max(0, t.Sub(now)), 24*time.Hour)
		}
	}
	return now.Add(wait).UTC().Truncate(time.Second)
}

// Excerpt is a service's words for the operator's log, on one line and short.
func Excerpt(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return strconv.QuoteToGraphic(s)
}
