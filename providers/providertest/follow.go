package providertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
)

// follow follows a call as the program does, to its end, and looks at every observation on its way.
func (s *scene) follow(d providers.Driver, c placed) *phone.Call {
	s.Helper()
	call := phone.Begin("call_test", "local", s.h.Spec.Name, "", c.order, c.began)
	ctx, cancel := context.WithTimeout(context.Background(), never)
	defer cancel()
	for o := range s.over(d).Observations(ctx, c.ref, providers.How{}) {
		s.observed(c, o)
		for _, e := range call.Observe(o) {
			call.Apply(e)
		}
	}
	for _, e := range call.Settle(time.Now()) {
		call.Apply(e)
	}
	if ctx.Err() != nil {
		s.Errorf("%s was followed for %v and not to its end", c.script.Name, never)
	}
	return call
}

// observed checks one observation for what none may say: that the call is over before it is, or words that nobody spoke.
func (s *scene) observed(c placed, o phone.Observation) {
	s.Helper()
	over := time.Duration(float64(c.script.Length()) / s.speed)
	if at := time.Since(c.began); o.Line == phone.WrappingUp && at < over && o.Outcome != phone.Cancelled {
		s.Errorf("a false end: the line is said to have closed after %v, and the call lasts %v", at, over)
	}
	for _, w := range o.Words {
		if w.Role != phone.Agent && w.Role != phone.Callee {
			s.Errorf("the role %q", w.Role)
		}
		if !slices.ContainsFunc(c.script.Lines, func(l script.Line) bool { return spoken(w, l) }) {
			s.Errorf("nobody said %s: %q", w.Role, short(w.Text))
		}
	}
}

// spoken says whether words are a line of the script, or, while they are not final, the beginning of one.
func spoken(w phone.Words, l script.Line) bool {
	line, heard := fold(l.Text), fold(w.Text)
	return w.Role == l.Role && (heard == line || !w.Final && strings.HasPrefix(line, heard))
}

// ended checks a followed call against its script: every word of it in its order, and how it ended.
func (s *scene) ended(c placed, call *phone.Call) {
	s.Helper()
	s.transcribed(c, call)
	if want := s.h.outcome(c.script); call.Outcome != want {
		s.Errorf("%s ends as %s, want %s", c.script.Name, call.Outcome, want)
	}
	if !call.Ended() || call.Record != phone.Complete {
		s.Errorf("%s: status %s, record %s", c.script.Name, call.Status, call.Record)
	}
}

// transcribed checks what a call is known to have said against its script: every word in its order.
func (s *scene) transcribed(c placed, call *phone.Call) {
	s.Helper()
	var want, got []string
	for _, l := range c.script.Lines {
		want = append(want, fmt.Sprintf("%s: %s", l.Role, fold(l.Text)))
	}
	for _, t := range call.Spoken() {
		got = append(got, fmt.Sprintf("%s: %s", t.Role, fold(t.Text)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("the transcript of %s is not its script (- script, + transcript):\n%s", c.script.Name, diff)
	}
}

// heard reads one stream to its end.
type heard struct {
	observations []phone.Observation
	words        []phone.Words // the final ones
	err          error
}

// listen reads one stream of a call, until it ends, breaks, or ctx does.
func (s *scene) listen(ctx context.Context, d providers.Driver, c placed) heard {
	s.Helper()
	var h heard
	for o, err := range d.(providers.Streamer).Stream(ctx, c.ref) {
		if err != nil {
			s.discreet(c.order, err)
			h.err = err
			break
		}
		s.observed(c, o)
		h.observations = append(h.observations, o)
		for _, w := range o.Words {
			if w.Final {
				h.words = append(h.words, w)
			}
		}
	}
	return h
}

// whole checks that every line of the script was heard, in its order.
func (s *scene) whole(c placed, words []phone.Words) {
	s.Helper()
	if !slices.EqualFunc(words, c.script.Lines, func(w phone.Words, l script.Line) bool { return spoken(w, l) }) {
		s.Errorf("heard %d lines of %d: %+v", len(words), len(c.script.Lines), words)
	}
}

// fold leaves white space aside: services trim and join lines.
func fold(s string) string { return strings.Join(strings.Fields(s), " ") }

func short(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return s
}

// dialogue is a script of a test's own: what the two say in turn, each line after a second of the script's time.
func dialogue(name string, texts ...string) script.Script {
	s := script.Script{Name: name, Ring: time.Second, Outcome: phone.Completed, Summary: "They talked."}
	for i, text := range texts {
		who := phone.Agent
		if i%2 == 1 {
			who = phone.Callee
		}
		s.Lines = append(s.Lines, script.Line{After: time.Second, Role: who, Text: text})
	}
	return s
}
