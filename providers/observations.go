package providers

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// Observations follows one call to its end: it streams where it can and opens a broken stream again, looks up where it
// cannot and where streams keep breaking, and once the line has closed asks for the record until it is there or no longer
// awaited. It ends then, or with the context; it never says that a call is over because a connection is.
func (p *Provider) Observations(ctx context.Context, ref phone.Ref, how How) iter.Seq[phone.Observation] {
	return func(yield func(phone.Observation) bool) {
		ctx, cancel := context.WithTimeout(ctx, p.pace.Longest)
		defer cancel()
		f := &following{Provider: p, ref: ref, yield: yield, hints: how.Hints}
		if how.Resumed {
			f.streams = 1
		}
		if p.streamer != nil && !f.stream(ctx) {
			return
		}
		if !f.closed && !f.poll(ctx) {
			return
		}
		f.record(ctx)
	}
}

// How a call is followed.
type How struct {
	Resumed bool            // something of it was heard before, by somebody else
	Hints   <-chan struct{} // each is a reason to look the call up before it is time
}

// following is the state of one pass over Observations. Its steps return false once nobody wants more.
type following struct {
	*Provider
	ref     phone.Ref
	yield   func(phone.Observation) bool
	hints   <-chan struct{}
	closed  bool // the line has closed
	whole   bool // the record is there
	outcome phone.Outcome

	streams  int                // that were opened, by whom ever
	streamed int                // utterances that they have brought
	talked   bool               // something was said
	draft    *phone.Observation // the record as it was read last, while it may still grow
	left     bool               // nobody wants more
}

func (f *following) see(o phone.Observation) bool {
	o.At = time.Now()
	f.closed = f.closed || o.Line == phone.WrappingUp
	f.talked = f.talked || len(o.Words) > 0
	if o.Outcome != "" {
		f.outcome = o.Outcome
	}
	if o.Extent == phone.Whole && !f.believes(o) {
		draft := o
		f.draft = &draft
		o.Extent = phone.SoFar
	}
	f.whole = f.whole || f.closed && o.Extent == phone.Whole
	f.left = !f.yield(o)
	return !f.left
}

// believes says whether a record is all there will be: it has what the one stream had, or nobody talked, or a second look
// finds the same. A service may attach a transcript in parts.
func (f *following) believes(o phone.Observation) bool {
	return len(o.Words) == 0 || f.streams == 1 && f.streamed > 0 && len(o.Words) >= f.streamed ||
		f.draft != nil && slices.Equal(f.draft.Words, o.Words)
}

// stream reads one stream after the other until the line has closed, the service has ended a stream of its own accord, or
// too many broke. A look-up after each that broke tells whether there is still something to hear.
func (f *following) stream(ctx context.Context) bool {
	for broken := 0; broken < f.pace.Streams; {
		opened := time.Now()
		wanted, err := f.oneStream(ctx)
		if !wanted || ctx.Err() != nil {
			return false
		}
		if f.closed {
			return true
		}
		if !f.see(phone.Observation{Opened: true}) { // what may have been a repetition, and was cut in it, is none of what is heard next
			return false
		}
		if err == nil {
			return true
		}
		f.log.Debug().Err(err).Msg("the stream broke off")
		if broken++; time.Since(opened) > f.pace.Reconnect {
			broken = 1 // words alone prove nothing: a service may play the same ones again each time
		}
		if !f.pause(ctx, f.pace.Reconnect/20+rand.N(min(f.pace.Reconnect, f.pace.Reconnect/20<<min(broken, 5)))) {
			return false
		}
		if !f.lookup(ctx) {
			return false
		}
		if f.closed {
			return true
		}
	}
	return true
}

// oneStream reads a stream until it ends or breaks.
func (f *following) oneStream(ctx context.Context) (wanted bool, err error) {
	f.streams++
	last := phone.Words{}
	for o, e := range f.streamer.Stream(ctx, f.ref) {
		if e != nil {
			return true, e
		}
		for _, w := range o.Words {
			if w.Role != last.Role || !strings.HasPrefix(w.Text, last.Text) { // and not the same utterance, grown
				f.streamed++
			}
			last = w
		}
		if !f.see(o) {
			return false, nil
		}
	}
	return true, nil
}

// leastBetween is how long lies between two look-ups at least, however many hints there are.
const leastBetween = time.Second

// poll looks the call up until the line has closed: often while it is young, then every Poll, and at a hint.
func (f *following) poll(ctx context.Context) bool {
	for every := f.pace.Poll / 6; ; every = min(f.pace.Poll, every*3/2) {
		if !f.lookup(ctx) {
			return false
		}
		if f.closed {
			return true
		}
		if !f.pause(ctx, min(every, leastBetween)) {
			return false
		}
		select {
		case <-f.hints:
		case <-time.After(every - leastBetween):
		case <-ctx.Done():
			return false
		}
	}
}

// record looks up what the service has of a call that is over: at once, and again until it is whole.
func (f *following) record(ctx context.Context) {
	began := time.Now()
	defer func() {
		if f.draft != nil && !f.whole && !f.left && ctx.Err() == nil {
			f.draft.At = time.Now()
			f.yield(*f.draft) // the time is up: this is all there is
		}
	}()
	for tries := 1; !f.whole; tries++ {
		if !f.lookup(ctx) || f.whole {
			return
		}
		wait := f.pace.RecordWait
		switch f.outcome {
		case phone.Cancelled, phone.Failed, phone.NoAnswer, phone.Busy, phone.Declined:
			if !f.talked {
				wait = min(wait, f.pace.NoTalkWait)
			}
		}
		if tries == f.pace.RecordTries || time.Since(began)+f.pace.RecordEvery > wait || !f.pause(ctx, f.pace.RecordEvery) {
			return
		}
	}
}

// lookup asks once. What goes wrong is asked again by the caller's loop, in its time.
func (f *following) lookup(ctx context.Context) bool {
	o, err := f.Lookup(ctx, f.ref)
	if err != nil {
		f.log.Debug().Err(err).Msg("look-up failed")
		if later := time.Until(phone.AsError(err).RetryAt); later > 0 {
			return f.pause(ctx, min(later, 3*f.pace.Poll)) // no longer: somebody is listening
		}
		return ctx.Err() == nil
	}
	return f.see(o)
}

func (f *following) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
