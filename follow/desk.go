// Package follow keeps the calls that are live in this process: one reader for each, any number of watchers.
//
// Its one idea: a watcher is a cursor and not a queue. A call has one log, one goroutine appends to it, and whoever
// watches reads on from where it is; so a slow watcher delays nobody and loses nothing, and a late one sees what an early
// one saw. Events are recorded before they are shown.
//
// It does no I/O: where observations come from and where events are recorded is handed to it.
package follow

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
)

// Record puts events on disk; after is the call with them applied. letter is the one of the inbox that they came with, which
// is read then, also if it brought no event; empty if none did. An error ends the following.
type Record func(ctx context.Context, after *phone.Call, events []phone.Event, letter string) error

// Desk is the map of the live calls.
type Desk struct {
	mu    sync.Mutex
	lines map[string]*Line
}

// NewDesk makes an empty desk.
func NewDesk() *Desk { return &Desk{lines: map[string]*Line{}} }

// ErrFollowed says that the call is followed here already.
var ErrFollowed = errors.New("the call is followed here already")

// Follow reads what is observed of a call until the call has ended, what it observes ends, or the context does. Each
// observation's events are recorded, then shown. history are the events that the call is made of so far.
//
// A call whose observations end before it has is settled with what is known, since nobody will learn more.
func (d *Desk) Follow(ctx context.Context, c *phone.Call, history []phone.Event, observed iter.Seq[phone.Observation], record Record) error {
	line, err := d.sit(c, history)
	if err != nil {
		return err
	}
	defer d.leave(line)
	c = c.Clone()
	note := func(events []phone.Event, letter string) error {
		if len(events) == 0 && letter == "" {
			return nil
		}
		after := c.Clone()
		for _, e := range events {
			after.Apply(e)
		}
		if err := record(ctx, after, events, letter); err != nil {
			return err
		}
		c = after
		line.show(events)
		return nil
	}
	for o := range observed {
		if err := note(c.Observe(o), o.Letter); err != nil {
			return err
		}
		if c.Ended() {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return note(c.Settle(time.Now()), "")
}

// Read gives the events of a call after a number, and waits for some. After an error it is asked again.
type Read func(ctx context.Context, after int64) ([]phone.Event, error)

// Hold gives the line of a call to somebody who wants to watch it. While nobody in this process follows the call, read
// brings what the process that does has recorded. done lets go of the line.
func (d *Desk) Hold(c *phone.Call, history []phone.Event, read Read) (line *Line, done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line = d.line(c, history)
	line.holders++
	line.read = read
	line.mirror()
	return line, sync.OnceFunc(func() { d.let(line) })
}

// sit takes a call's place for its one follower.
func (d *Desk) sit(c *phone.Call, history []phone.Event) (*Line, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line := d.line(c, history)
	if line.followed {
		return nil, ErrFollowed
	}
	line.followed = true
	line.unmirror()
	return line, nil
}

func (d *Desk) leave(line *Line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line.followed = false
	line.mirror()
	d.drop(line)
}

func (d *Desk) let(line *Line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	line.holders--
	d.drop(line)
}

// drop takes a line away that nobody follows and nobody holds.
func (d *Desk) drop(line *Line) {
	if line.holders > 0 || line.followed {
		return
	}
	line.unmirror()
	delete(d.lines, line.id)
}

func (d *Desk) line(c *phone.Call, history []phone.Event) *Line {
	line := d.lines[c.ID]
	if line == nil {
		line = &Line{id: c.ID, changed: make(chan struct{})}
		d.lines[c.ID] = line
	}
	line.show(history)
	return line
}

// Line is one call as it is shown here.
type Line struct {
	id string

	// Guarded by the desk.
	followed bool
	holders  int
	read     Read
	stop     context.CancelFunc // of the mirror; nil while there is none

	mu      sync.Mutex
	events  []phone.Event // all of the call's, from the first on
	ended   bool
	changed chan struct{} // closed at the next event
}

// mirror reads along for those who hold the line, unless it is followed here or over.
func (l *Line) mirror() {
	if _, over, _ := l.Since(0); over || l.followed || l.holders == 0 || l.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	read := l.read
	go func() {
		for {
			events, err := read(ctx, l.seq())
			if err == nil {
				l.show(events)
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(200 * time.Millisecond): // a read that failed once is made again: somebody watches
			}
		}
	}()
}

func (l *Line) unmirror() {
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

func (l *Line) seq() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.events))
}

// show appends the events that are new and wakes the watchers, once.
func (l *Line) show(events []phone.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := false
	for _, e := range events {
		if e.Seq != int64(len(l.events))+1 {
			continue
		}
		l.events, news = append(l.events, e), true
		if _, ok := e.Body.(phone.Ended); ok {
			l.ended = true
		}
	}
	if news {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// Since gives the events after a number, whether the call is over, and a channel that is closed at the next event.
func (l *Line) Since(after int64) (events []phone.Event, ended bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after < int64(len(l.events)) {
		events = l.events[max(0, after):len(l.events):len(l.events)]
	}
	return events, l.ended, l.changed
}

// Watch yields the events after a number as they come, until the call is over or the context ends.
func (l *Line) Watch(ctx context.Context, after int64) iter.Seq[phone.Event] {
	return func(yield func(phone.Event) bool) {
		for {
			events, ended, changed := l.Since(after)
			for _, e := range events {
				if !yield(e) {
					return
				}
				after = e.Seq
			}
			if len(events) > 0 {
				continue
			}
			if ended {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}
