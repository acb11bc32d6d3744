package peer

import (
	"context"
	"slices"
	"sync"
)

// Room is where requests wait: so many places, and an end. A transport keeps one for all that it serves.
type Room struct {
	places chan struct{}
	ending context.Context
	end    context.CancelCauseFunc
}

// NewRoom returns an open room of so many places.
func NewRoom(places int) *Room {
	r := &Room{places: make(chan struct{}, places)}
	r.ending, r.end = context.WithCancelCause(context.Background())
	return r
}

// Close tells whoever waits, and whoever comes later, to answer with what there is. It may be called more than once.
func (r *Room) Close() { r.end(ErrEnding) }

// Ending is closed when the room is.
func (r *Room) Ending() <-chan struct{} { return r.ending.Done() }

// Until returns a context that ends with ctx, and when the room closes. Stop frees what it holds; until then it must
// not be forgotten.
func (r *Room) Until(ctx context.Context) (until context.Context, stop func()) {
	return endingWith(ctx, r.ending, ErrEnding)
}

// Waiting returns what a tool that waits should wait on, and what it must call when it waits no longer.
//
// The context ends with ctx; when the input has ended or the server is asked to stop; when nobody listens any more; and
// at once if too many are waiting already. The tool then answers with what there is: ctx itself goes on, so that the
// answer still gets out. [context.Cause] tells why.
func (p *Peer) Waiting(ctx context.Context) (wait context.Context, done func()) {
	stops := make([]func(), 0, 3)
	wait = ctx
	if gone := p.link.Gone; gone != nil {
		var stop func()
		wait, stop = endingWith(wait, gone, ErrGone)
		stops = append(stops, stop)
	}
	if room := p.link.Room; room != nil {
		until, stop := room.Until(wait)
		wait, stops = until, append(stops, stop)
		select {
		case room.places <- struct{}{}:
			stops = append(stops, func() { <-room.places })
		default:
			full, cancel := context.WithCancelCause(wait)
			cancel(ErrFull)
			wait = full
		}
	}
	return wait, sync.OnceFunc(func() {
		for _, stop := range slices.Backward(stops) {
			stop()
		}
	})
}

// endingWith returns a context that ends with ctx, and with the other one, for that cause.
func endingWith(ctx, other context.Context, cause error) (until context.Context, stop func()) {
	until, cancel := context.WithCancelCause(ctx)
	if other.Err() != nil { // AfterFunc would say so a moment later, from a goroutine of its own
		cancel(cause)
	}
	forget := context.AfterFunc(other, func() { cancel(cause) })
	return until, func() {
		forget()
		cancel(context.Canceled)
	}
}
