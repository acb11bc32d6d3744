package phone

import (
	"reflect"
	"slices"
	"time"
)

// hearing is what a follower remembers of the present connection and of what it was told about the end. It is not part of
// the call: another process that takes over begins with none of it.
type hearing struct {
	stream stream
	told   Observation // outcome, duration, cost … as far as they are known
}

func (h hearing) clone() hearing {
	h.stream.base, h.stream.said = slices.Clone(h.stream.base), slices.Clone(h.stream.said)
	return h
}

// Observe turns what a provider reports into the events that are new in it, numbered on from the call's last. It changes
// nothing that a client sees: record the events, then Apply them. Whatever was seen before, in whatever order and however
// often it comes again, gives no event.
func (c *Call) Observe(o Observation) []Event {
	l := &listener{call: c.Clone(), at: o.At, from: c.Seq}
	l.call.hearing.told = c.known().and(c.hearing.told).and(o)
	l.observe(o)
	c.hearing = l.call.hearing
	return l.events
}

// Settle ends a call of which nobody will learn more, mostly one whose record did not come: what was heard is all there is.
func (c *Call) Settle(at time.Time) []Event {
	if c.Ended() {
		return nil
	}
	l := &listener{call: c.Clone(), at: at, from: c.Seq}
	l.place(true)
	l.heed(true)
	l.end(Partial)
	c.hearing = l.call.hearing
	return l.events
}

// listener gathers the events of one observation on a copy of the call, on which each is applied at once.
type listener struct {
	call   *Call
	at     time.Time
	from   int64 // the last event before
	events []Event
	told   time.Time // of the report whose words are being taken
}

func (l *listener) emit(b Body) {
	e := Event{Seq: l.call.Seq + 1, At: l.at, Body: b}
	l.call.Apply(e)
	l.events = append(l.events, e)
}

func (l *listener) observe(o Observation) {
	closed := o.Line.rank() >= WrappingUp.rank()
	if !closed {
		l.advance(o)
	} else if !o.StartedAt.IsZero() {
		l.advance(Observation{Line: InProgress, StartedAt: o.StartedAt})
	}
	switch o.Extent {
	case Next:
		l.next(o, closed)
	case SoFar:
		l.merge(o.Words, false)
	case Whole:
		l.merge(o.Words, true)
	case Update:
		if l.call.Ended() && l.call.Record == Complete {
			l.late(o)
		} else {
			l.report(o)
		}
	}
	l.ask(o)
	l.heed(closed)
	if !closed {
		return
	}
	l.advance(o)
	if o.Extent == Whole && !(l.call.Ended() && l.call.Record == Complete) {
		l.end(l.completeness(o))
	}
}

// advance tells of a state that is new. Words prove that somebody talks, whatever the state says.
func (l *listener) advance(o Observation) {
	to, since := o.Line, time.Time{}
	switch {
	case len(o.Words) > 0 && to.rank() < InProgress.rank():
		to = InProgress
	case to == WrappingUp:
		since = o.EndedAt
	}
	if to == InProgress {
		since = o.StartedAt
	}
	if to.rank() > l.call.Status.rank() && to.rank() <= WrappingUp.rank() {
		l.emit(Progress{State: to, Since: since})
	}
}

// optedOutFor is how long somebody who asks not to be called again is left alone without the operator's doing.
const optedOutFor = 30 * 24 * time.Hour

// heed tells, once, that the callee asks not to be called again. An utterance that may still grow is waited for, until the
// line closes: "don't call me" may go on with "before nine".
func (l *listener) heed(closed bool) {
	if !l.call.OptedOut.IsZero() {
		return
	}
	for _, t := range l.call.Turns {
		asked := t.Role == Callee && !t.Withdrawn && (t.Final && t.Seq > l.from || !t.Final && closed) && OptsOut(t.Text)
		if asked {
			l.emit(OptedOut{Until: l.at.Add(optedOutFor)})
			return
		}
	}
}

// ask tells what the agent on the line asks and is answered, each once. An answer may be told before its question.
func (l *listener) ask(o Observation) {
	if a := o.Asked; a != nil && l.call.inquiry(a.ID) < 0 {
		l.emit(*a)
	}
	if a := o.Answered; a != nil {
		if i := l.call.inquiry(a.ID); i >= 0 && l.call.Inquiries[i].By == "" {
			l.emit(*a)
		}
	}
}

// completeness doubts an empty record of a call in which words were heard: it shows that the record lacks them, not that
// nobody spoke.
func (l *listener) completeness(o Observation) Record {
	if len(o.Words) == 0 && len(l.call.Spoken()) > 0 {
		return Partial
	}
	return Complete
}

// end closes the call with what was told of its end; again only if there is something new in it.
func (l *listener) end(r Record) {
	t := l.call.hearing.told
	if t.Outcome == "" {
		t.Outcome = UnknownOutcome
	}
	e := Ended{Outcome: t.Outcome, Duration: t.Duration, Cost: t.Cost, Summary: t.Summary, Recording: t.Recording, Record: r}
	c := l.call
	between := func(t time.Time) bool { return !t.Before(c.CreatedAt) && !t.After(l.at) } // else it is of a clock that is not to be trusted
	if c.StartedAt.IsZero() && c.Ended() && between(t.StartedAt) {
		e.StartedAt = t.StartedAt
	}
	if c.EndedAt.IsZero() && c.Ended() && between(t.EndedAt) {
		e.EndedAt = t.EndedAt
	}
	if c.Ended() && reflect.DeepEqual(e, Ended{
		Outcome: c.Outcome, Duration: c.Duration, Cost: c.Cost, Summary: c.Summary, Recording: c.Recording, Record: c.Record,
	}) {
		return
	}
	l.emit(e)
}

// known is what the call's events have told of its end.
func (c *Call) known() Observation {
	return Observation{Outcome: c.Outcome, Duration: c.Duration, Cost: c.Cost, Summary: c.Summary, Recording: c.Recording}
}

// and adds to what was told of the end what o says of it. A later word replaces an earlier one, silence does not.
func (t Observation) and(o Observation) Observation {
	if o.Outcome != "" && (t.Outcome == "" || o.Outcome != UnknownOutcome) {
		t.Outcome = o.Outcome
	}
	if o.Duration != nil {
		t.Duration = o.Duration
	}
	if o.Cost != nil {
		t.Cost = o.Cost
	}
	if !o.StartedAt.IsZero() {
		t.StartedAt = o.StartedAt
	}
	if !o.EndedAt.IsZero() {
		t.EndedAt = o.EndedAt
	}
	if o.Summary != "" {
		t.Summary = o.Summary
	}
	if o.Recording != "" {
		t.Recording = o.Recording
	}
	return t
}
