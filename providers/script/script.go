// Package script holds scripted telephone calls, in English and Chinese: what the simulator and the stand-ins of the
// services play, so that all of them tell the same stories.
//
// Its one idea: a script is pure. How a call stands is a function of its script and of the time that has passed since it
// was placed, so nobody has to keep a call running, and two processes see the same one.
//
// It serves nothing and keeps no clock.
package script

import (
	"time"

	"github.com/outdial/outdial/phone"
)

// Script is one call from the dial to its end.
type Script struct {
	Name    string        // of the scenario: "talk", "no_answer" …
	Dial    Dial          // what becomes of the request to call
	Ring    time.Duration // from the dial until somebody answers, or nobody does
	Lines   []Line        // what is said once answered; none: nobody answers
	Outcome phone.Outcome
	Summary string
}

// Dial is what becomes of a request to call.
type Dial int

// The fates of a dial.
const (
	Accepted Dial = iota
	Rejected      // the service says no: nothing rings
	Lost          // the service takes the call and its answer never comes
)

// Line is one utterance and the pause before it is spoken whole.
type Line struct {
	After time.Duration
	Role  phone.Role
	Text  string
}

// State is how a call stands at one moment.
type State struct {
	Line     phone.Status // Queued, Ringing, InProgress, or WrappingUp once it is over
	Said     []Line       // so far
	Talked   time.Duration
	Answered bool
	Outcome  phone.Outcome // once over
}

// queued is how long a call waits before it rings.
const queued = 200 * time.Millisecond

// At is how the call stands some time after the dial.
func (s Script) At(since time.Duration) State {
	switch {
	case since < queued:
		return State{Line: phone.Queued}
	case since < s.Ring:
		return State{Line: phone.Ringing}
	case len(s.Lines) == 0:
		return State{Line: phone.WrappingUp, Outcome: s.Outcome}
	}
	st := State{Line: phone.InProgress, Answered: true, Talked: since - s.Ring}
	at := s.Ring
	for _, l := range s.Lines {
		if at += l.After; at > since {
			return st
		}
		st.Said = append(st.Said, l)
	}
	if end := at + goodbye; since >= end {
		st.Line, st.Outcome, st.Talked = phone.WrappingUp, s.Outcome, end-s.Ring
	}
	return st
}

// Length is how long the call lasts, from the dial until the line has closed.
func (s Script) Length() time.Duration {
	end := time.Duration(0)
	for at, more := s.Next(0); more; at, more = s.Next(at) {
		end = at
	}
	return end
}

// goodbye is the time between the last word and the end of the line.
const goodbye = 300 * time.Millisecond

// Next is when, after a moment, the call will next stand otherwise; false if it is over.
func (s Script) Next(since time.Duration) (time.Duration, bool) {
	at := s.Ring
	moments := []time.Duration{queued, s.Ring}
	for _, l := range s.Lines {
		at += l.After
		moments = append(moments, at)
	}
	if len(s.Lines) > 0 {
		moments = append(moments, at+goodbye)
	}
	for _, m := range moments {
		if m > since {
			return m, true
		}
	}
	return 0, false
}
