package providertest

import (
	"context"
	"fmt"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// lookups are the clauses about requests that may be sent again, when they go wrong.
func lookups() []clause {
	return []clause{
		{"a look-up that fails says so, and never that the call is over", wire, failedLookups},
		{"a look-up answered with nonsense is never the end of the call", wire, nonsenseLookups},
		{"the end of the context stops a look-up", wire, abandonedLookup},
		{"an answer that does not come is unavailable", wire, silentLookup},
		{"a call is followed past look-ups that fail", wire, followsPastFailures},
		{"a hang-up that fails says so", wire | hangsUp, failedHangUp},
	}
}

// notOver checks a look-up of a call that goes on: an error of these codes, or, where the contract lets the service be
// silent, nothing said.
func (s *scene) notOver(what string, c placed, o phone.Observation, err error, silent bool, codes ...phone.Code) {
	s.Helper()
	if err != nil {
		s.fails(c.order, c.ref, err, codes...)
		return
	}
	if !silent || o.Line != "" || len(o.Words) > 0 || o.Outcome != "" {
		s.Errorf("%s is taken for the answer %+v", what, o)
	}
}

func failedLookups(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("07"))
	for _, tt := range []struct {
		status int
		code   phone.Code
	}{
		{401, phone.Unauthorized},
		{403, phone.Unauthorized},
		{402, phone.Exhausted},
		{429, phone.Exhausted},
		{408, phone.Unavailable},
		{425, phone.Unavailable},
		{500, phone.Unavailable},
		{502, phone.Unavailable},
		{503, phone.Unavailable},
		{504, phone.Unavailable},
	} {
		s.breaker.with(reading, -1, says(tt.status))
		o, err := d.Lookup(context.Background(), c.ref)
		s.notOver(fmt.Sprint(tt.status), c, o, err, false, tt.code)
	}
	s.breaker.with(reading, -1, says(404)) // a record that is not there yet, for services that have it late
	o, err := d.Lookup(context.Background(), c.ref)
	s.notOver("404", c, o, err, true, phone.NotFound)
	for what, f := range map[string]fault{"a dropped answer": dropped, "an answer cut at 0": truncated(0), "an answer cut at its end": truncated(-1)} {
		s.breaker.with(reading, -1, f)
		o, err := d.Lookup(context.Background(), c.ref)
		s.notOver(what, c, o, err, false, phone.Unavailable)
	}
	base, err := closedPort()
	if err != nil {
		s.Fatalf("%v", err)
	}
	o, err = s.open(Wire{Base: base}).Lookup(context.Background(), c.ref)
	s.notOver("a service that cannot be reached", c, o, err, false, phone.Unavailable)
}

func nonsenseLookups(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("07"))
	for _, body := range []string{``, `{}`, `[]`, `null`, `7`, `"ended"`, `{"status":7}`, `{"status":"` + canary + `"}`, `{"data":[]}`, "\xff", `{"status":`, `<html>` + canary + `</html>`} {
		s.breaker.with(reading, -1, answers(200, "application/json", body))
		o, err := d.Lookup(context.Background(), c.ref)
		if err != nil {
			s.fails(c.order, c.ref, err, phone.Unavailable, phone.NotFound)
		}
		if o.Line == phone.WrappingUp || o.Extent == phone.Whole || o.Outcome != "" || len(o.Words) > 0 {
			s.Errorf("%q is taken for the answer %+v", body, o)
		}
	}
}

func abandonedLookup(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("07"))
	s.breaker.with(reading, -1, hangs)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	s.within(200*time.Millisecond+soon, "Lookup", func() {
		o, err := d.Lookup(ctx, c.ref)
		s.notOver("no answer", c, o, err, false, phone.Unavailable)
	})
}

func silentLookup(s *scene) {
	d := s.open(Wire{Answer: answer})
	c := s.place(d, s.order("07"))
	s.breaker.with(reading, -1, hangs)
	s.within(2*answer+soon, "Lookup", func() { // a look-up may be two requests
		o, err := d.Lookup(context.Background(), c.ref)
		s.notOver("no answer", c, o, err, false, phone.Unavailable)
	})
}

func followsPastFailures(s *scene) {
	faults := []fault{dropped, says(500), says(429), truncated(-1), answers(200, "text/html", "<html></html>"), answers(200, "application/json", "{}")}
	s.each(len(faults), func(i int, sub *scene) {
		d := sub.open(Wire{})
		c := sub.place(d, sub.order("00"))
		sub.breaker.with(reading, 5, faults[i])
		sub.ended(c, sub.follow(d, c))
		sub.once("followed")
	})
}

func failedHangUp(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("07"))
	for _, tt := range []struct {
		status int
		code   phone.Code
	}{{401, phone.Unauthorized}, {429, phone.Exhausted}, {500, phone.Unavailable}, {503, phone.Unavailable}} {
		s.breaker.with(reading, -1, says(tt.status))
		err := d.(providers.Hanguper).Hangup(context.Background(), c.ref)
		s.fails(c.order, c.ref, err, tt.code)
	}
}
