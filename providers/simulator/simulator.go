// Package simulator is the provider that dials nobody: the default where no key is set, the demo, and the reference
// reading of the contract in package providers.
//
// Its one idea: a call is its ref. The ref holds which script is played and since when, so how the call stands is a
// function of the ref and the clock, and any process can follow it, also after a restart. What a number plays is told by
// its last two digits (script.For).
//
// It opens no connection and writes nothing down. A call hung up in one process is not known to be so in another: the one
// thing that is kept, and in memory alone.
package simulator

import (
	"context"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
)

// Spec is what is to be known of the simulator.
func Spec() providers.Spec {
	return providers.Spec{
		Name:      "simulator",
		Title:     "The simulator",
		Simulated: true,
		Voices:    []providers.Choice{{ID: "warm", Name: "Warm"}, {ID: "bright", Name: "Bright"}},
		Open:      func(providers.Config, providers.Connect) (providers.Driver, error) { return New(1), nil },
	}
}

// Driver plays scripted calls.
type Driver struct {
	speed float64

	mu      sync.Mutex
	hung    map[phone.Ref]time.Time // calls hung up here, and when
	changed chan struct{}           // closed when one more is
}

var (
	_ providers.Driver   = (*Driver)(nil)
	_ providers.Streamer = (*Driver)(nil)
	_ providers.Hanguper = (*Driver)(nil)
)

// New makes a simulator whose calls run speed times as fast as real ones; 0 and less is taken as 1.
func New(speed float64) *Driver {
	if speed <= 0 {
		speed = 1
	}
	return &Driver{speed: speed, hung: map[phone.Ref]time.Time{}, changed: make(chan struct{})}
}

// Place begins the call that the number's last digits name. Errors: unavailable, uncertain.
func (d *Driver) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	if err := ctx.Err(); err != nil {
		return "", &phone.Error{Code: phone.Unavailable, Message: "The time ran out before anything was simulated. Ask again.", Err: err}
	}
	c := callOf(o, time.Now())
	switch c.script().Dial {
	case script.Rejected:
		return "", phone.Errorf(phone.Unavailable, "Numbers that end in 08 play a dial that fails: nothing rings. Use another ending, such as 00.")
	case script.Lost:
		return "", phone.Errorf(phone.Uncertain, "Numbers that end in 09 play a dial whose answer is lost: the phone may ring. Do not ask again; ask about this call instead.")
	}
	return c.ref(), nil
}

// Lookup tells how the call stands now. Errors: not_found.
func (d *Driver) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	c, err := parse(ref)
	if err != nil {
		return phone.Observation{}, err
	}
	if err := ctx.Err(); err != nil {
		return phone.Observation{}, phone.AsError(err)
	}
	p := playing{call: c, script: c.script(), speed: d.speed}
	since, cut := p.since(time.Now()), false
	if at, ok := d.hungUp(ref); ok {
		since, cut = p.since(at), true
	}
	o := p.stands(since, cut)
	o.Extent = phone.SoFar
	if o.Line == phone.WrappingUp {
		o.Extent = phone.Whole
	}
	for _, l := range p.script.At(since).Said {
		o.Words = append(o.Words, words(l))
	}
	return o, nil
}

// Stream plays the call from its start: what has happened already at once, the rest as it happens. Errors: not_found;
// unavailable where the context ends.
func (d *Driver) Stream(ctx context.Context, ref phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) {
		c, err := parse(ref)
		if err != nil {
			yield(phone.Observation{}, err)
			return
		}
		p := playing{call: c, script: c.script(), speed: d.speed}
		first := p.stands(0, false)
		first.Opened = true
		if !yield(first, nil) {
			return
		}
		at := time.Duration(0)
		for next, more := p.script.Next(at); more; next, more = p.script.Next(at) {
			cut, err := d.wait(ctx, ref, p.when(next))
			if err != nil {
				yield(phone.Observation{}, phone.AsError(err))
				return
			}
			if !cut.IsZero() {
				yield(p.stands(p.since(cut), true), nil)
				return
			}
			if !p.tell(at, next, yield) {
				return
			}
			at = next
		}
	}
}

// Hangup ends the call as from now, for this process. Errors: not_found; unavailable where the context has ended.
func (d *Driver) Hangup(ctx context.Context, ref phone.Ref) error {
	c, err := parse(ref)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return phone.AsError(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	p := playing{call: c, script: c.script(), speed: d.speed}
	if _, ok := d.hung[ref]; ok || p.script.At(p.since(now)).Line == phone.WrappingUp {
		return nil
	}
	d.hung[ref] = now
	close(d.changed)
	d.changed = make(chan struct{})
	return nil
}

// hungUp says when a call was hung up here, if it was.
func (d *Driver) hungUp(ref phone.Ref) (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.hung[ref]
	return at, ok
}

// wait waits for a moment, or for the call to be hung up before it, and then says when that was. It goes by the wall
// clock, as Lookup does, so that what a stream has told a look-up right after it tells too.
func (d *Driver) wait(ctx context.Context, ref phone.Ref, until time.Time) (cut time.Time, err error) {
	for {
		d.mu.Lock()
		at, hung := d.hung[ref]
		changed := d.changed
		d.mu.Unlock()
		left := time.Until(until)
		switch {
		case hung && at.Before(until):
			return at, nil
		case ctx.Err() != nil:
			return time.Time{}, ctx.Err()
		case left <= 0:
			return time.Time{}, nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(left):
		}
	}
}

// playing is a call with its script, at a speed.
type playing struct {
	call   call
	script script.Script
	speed  float64
}

// when is the moment at which the script has come to a point.
func (p playing) when(since time.Duration) time.Time {
	return p.call.start().Add(time.Duration(math.Ceil(float64(since) / p.speed)))
}

// since is how far the script has come at a moment: the inverse of when.
func (p playing) since(now time.Time) time.Duration {
	return time.Duration(math.Round(max(0, float64(now.Sub(p.call.start()))) * p.speed))
}

// stands tells the state of the line without the words. A call that was cut was hung up at that point.
func (p playing) stands(since time.Duration, cut bool) phone.Observation {
	st := p.script.At(since)
	o := phone.Observation{Line: st.Line}
	if st.Answered {
		o.StartedAt = p.when(p.script.Ring).UTC()
	}
	if st.Line != phone.WrappingUp && !cut {
		return o
	}
	end := min(since, p.script.Length())
	talked := time.Duration(0)
	if st.Answered {
		talked = p.when(end).Sub(o.StartedAt)
	}
	o.Line, o.EndedAt, o.Duration = phone.WrappingUp, p.when(end).UTC(), &talked
	o.Outcome, o.Summary = p.script.Outcome, p.script.Summary
	if cut {
		o.Outcome, o.Summary = phone.Cancelled, p.call.cancelled()
	}
	return o
}

// tell yields what happens from one point of the script to the next.
func (p playing) tell(at, next time.Duration, yield func(phone.Observation, error) bool) bool {
	was, is := p.script.At(at), p.script.At(next)
	for _, l := range is.Said[len(was.Said):] {
		if !yield(phone.Observation{Words: []phone.Words{words(l)}}, nil) {
			return false
		}
	}
	return is.Line == was.Line || yield(p.stands(next, false), nil)
}

func words(l script.Line) phone.Words { return phone.Words{Role: l.Role, Text: l.Text, Final: true} }
