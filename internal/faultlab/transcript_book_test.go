package faultlab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outdial/outdial/follow"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// book is a ledger in memory for one call: what is recorded, under which epoch, and what is wrong with it.
type book struct {
	look func(after *phone.Call) string // what is wrong with a call as it is about to be shown

	reads atomic.Int64 // each fifth meets a ledger that is busy

	mu      sync.Mutex
	events  []phone.Event
	after   *phone.Call // as its follower has it
	epoch   int64
	changed chan struct{}
	closed  bool
	wrong   string
}

func newBook(look func(*phone.Call) string) *book {
	return &book{look: look, changed: make(chan struct{}), after: begun()}
}

func begun() *phone.Call {
	return phone.Begin("call_1", "local", "fake", "", phone.Order{Task: "x"}, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))
}

// fold is the call that events come to.
func fold(events []phone.Event) *phone.Call {
	c := begun()
	for _, e := range events {
		c.Apply(e)
	}
	return c
}

// take makes a new follower the only one who may write.
func (b *book) take() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.epoch++
	return b.epoch
}

func (b *book) append(epoch int64, after *phone.Call, events []phone.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch {
		return ledger.ErrLost
	}
	for _, e := range events {
		if e.Seq != int64(len(b.events))+1 {
			b.complain(fmt.Sprintf("event %d is recorded after %d", e.Seq, len(b.events)))
		}
		b.events = append(b.events, e)
	}
	if after.Seq != int64(len(b.events)) {
		b.complain(fmt.Sprintf("a call with %d events says that it has %d", len(b.events), after.Seq))
	}
	b.after = after
	b.complain(b.look(after))
	b.tell()
	return nil
}

func (b *book) tell() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *book) complain(wrong string) {
	if b.wrong == "" {
		b.wrong = wrong
	}
}

// close says that nothing more will be recorded.
func (b *book) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.tell()
}

func (b *book) since(seq int64) (events []phone.Event, closed bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[min(seq, int64(len(b.events))):len(b.events):len(b.events)], b.closed, b.changed
}

// read waits for what was recorded after a number, as a process does that does not follow the call.
func (b *book) read(ctx context.Context, after int64) ([]phone.Event, error) {
	for {
		events, _, changed := b.since(after)
		if len(events) > 0 {
			if b.reads.Add(1)%5 != 0 {
				return events, nil
			}
			sleep(ctx, time.Second)
			return nil, errors.New("busy")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// watcher reads a call by cursor: it is cut, comes back, and asks on.
type watcher struct {
	desk    *follow.Desk
	book    *book
	rand    *rand.Rand
	slow    time.Duration // for each event
	patient bool          // nothing cuts it

	cursor int64
	seen   []phone.Event
}

func (w *watcher) watch(ctx context.Context) {
	for {
		w.session(ctx)
		events, closed, changed := w.book.since(w.cursor)
		if closed && len(events) == 0 || ctx.Err() != nil {
			return
		}
		if ended := fold(w.seen).Ended(); ended && len(events) == 0 {
			<-changed // only a late record can still come
			continue
		}
		sleep(ctx, time.Duration(w.rand.Int64N(int64(8*time.Second))))
	}
}

// session watches until it is cut or the call is over.
func (w *watcher) session(ctx context.Context) {
	events, _, _ := w.book.since(0)
	line, done := w.desk.Hold(fold(events), events, w.book.read)
	defer done()
	left := w.rand.IntN(60)
	if w.patient {
		left = math.MaxInt
	} else {
		var cut context.CancelFunc
		ctx, cut = context.WithTimeout(ctx, time.Duration(w.rand.Int64N(int64(time.Minute))))
		defer cut()
	}
	for e := range line.Watch(ctx, w.cursor) {
		if recorded, _, _ := w.book.since(e.Seq - 1); len(recorded) == 0 {
			w.book.fault("event %d was shown before it was recorded", e.Seq)
		} else if recorded[0] != e {
			w.book.fault("event %d was recorded as %+v and shown as %+v", e.Seq, recorded[0], e)
		}
		w.seen, w.cursor = append(w.seen, e), e.Seq
		if left--; left <= 0 {
			return
		}
		if w.slow > 0 {
			sleep(ctx, w.slow)
		}
	}
}

func (b *book) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complain(fmt.Sprintf(format, args...))
}

// missed says what a watcher has not seen exactly once and in order.
func (w *watcher) missed() string {
	events, _, _ := w.book.since(0)
	for i, e := range w.seen {
		if e.Seq != int64(i)+1 {
			return fmt.Sprintf("a watcher saw event %d where %d was due", e.Seq, i+1)
		}
	}
	if len(w.seen) != len(events) {
		return fmt.Sprintf("a watcher saw %d of %d events", len(w.seen), len(events))
	}
	return ""
}
