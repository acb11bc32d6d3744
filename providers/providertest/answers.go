package providertest

import (
	"context"
	"fmt"

	"github.com/outdial/outdial/phone"
)

// dialAnswers are the clauses about what a service may answer to a dial.
func dialAnswers() []clause {
	var all []clause
	for _, status := range []int{400, 401, 402, 403, 404, 405, 413, 415, 422, 426, 429, 408, 409, 425, 500, 502, 503, 504} {
		all = append(all, clause{fmt.Sprintf("a dial answered with %d", status), wire, func(s *scene) { answeredDial(s, status) }})
	}
	return append(all,
		clause{"a fault after the dial is uncertain, and one request", wire, faultAfterDial},
		clause{"a good answer that names no call is uncertain, and one request", wire, namelessDial},
		clause{"an answer that breaks off is uncertain, and one request", wire, truncatedDial},
	)
}

// meaning are the codes that a status may have: of a dial that was surely turned down, or of one that may ring.
func meaning(status int) []phone.Code {
	switch status {
	case 401, 403:
		return []phone.Code{phone.Unauthorized}
	case 402, 429:
		return []phone.Code{phone.Exhausted}
	case 426:
		return []phone.Code{phone.Unsupported}
	case 400, 404, 405, 413, 415, 422:
		return []phone.Code{phone.Invalid, phone.Refused, phone.Unsupported}
	}
	return []phone.Code{phone.Uncertain}
}

func answeredDial(s *scene, status int) {
	s.breaker.with(dialing, 1, says(status))
	o := s.order("00")
	ref, err := s.dialed(context.Background(), s.open(Wire{}), o)
	s.fails(o, ref, err, meaning(status)...)
	s.once(fmt.Sprint(status))
	if e := phone.AsError(err); status == 429 && e != nil && e.RetryAt.IsZero() {
		s.Errorf("nothing says when to ask again: %v", err)
	}
}

func faultAfterDial(s *scene) {
	s.breaker.with(dialing, 1, answers(500, "application/json", `{"error":"`+canary+`"}`))
	o := s.order("00")
	ref, err := s.dialed(context.Background(), s.open(Wire{}), o)
	s.fails(o, ref, err, phone.Uncertain)
	s.once("500 after the dial")
}

func namelessDial(s *scene) {
	d := s.open(Wire{})
	bodies := []string{
		``, `{}`, `[]`, `null`, `""`, `7`, `{"success":true}`, `{"id":"","call_id":null,"ok":true}`, `{"id":{},"call_id":[]}`, `{"message":"` + canary + `"`, "\xff\xfe",
		`<!DOCTYPE html><html><body>` + canary + `</body></html>`,
	}
	for i, body := range bodies {
		contentType := "application/json"
		if i == len(bodies)-1 {
			contentType = "text/html"
		}
		s.breaker.with(dialing, 1, answers(200, contentType, body))
		o := s.order(fmt.Sprint(20 + i))
		ref, err := s.dialed(context.Background(), d, o)
		s.fails(o, ref, err, phone.Uncertain)
		if n := s.breaker.count(dialing); n != i+1 {
			s.Fatalf("%q: %d requests for %d dials", short(body), n, i+1)
		}
	}
}

func truncatedDial(s *scene) {
	d := s.open(Wire{})
	for i, after := range []int{0, 1, 7, -2, -1} {
		s.breaker.with(dialing, 1, truncated(after))
		o := s.order(fmt.Sprint(20 + i))
		ref, err := s.dialed(context.Background(), d, o)
		s.fails(o, ref, err, phone.Uncertain)
		if n := s.breaker.count(dialing); n != i+1 {
			s.Fatalf("cut after %d: %d requests for %d dials", after, n, i+1)
		}
	}
}
