package switchboard

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// Receive takes a webhook: it is put into the ledger's inbox, and whoever follows the call, in whatever process, reads it
// there. One that was taken before changes nothing. Where the agent on the line has called a tool, reply is its answer; it
// is waited for as long as the context and the tool allow. Errors: not_found (no such provider, or none whose webhooks are
// taken), unauthorized, invalid; exhausted and unavailable, with which the service may send it again.
func (s *Switchboard) Receive(ctx context.Context, provider string, header http.Header, body []byte) (reply []byte, err error) {
	p, err := s.named(provider)
	if err != nil || !p.Receives() {
		return nil, phone.Errorf(phone.NotFound, "No webhooks are taken here.")
	}
	defer func() { s.meterWebhook(provider, err) }()
	at := time.Now()
	n, err := p.Receive(header, body)
	if err != nil {
		return nil, err
	}
	if n.Ask != nil {
		return s.inquire(ctx, p, n, at)
	}
	_, err = s.Ledger.Post(ctx, ledger.Letter{Digest: p.Account() + " " + n.Digest, Account: p.Account(), Ref: n.Ref, Observation: n.Observation})
	return nil, err
}

// heard is what the provider of a call tells, asked or by itself.
func (s *Switchboard) heard(ctx context.Context, p *providers.Provider, h ledger.Held) iter.Seq[phone.Observation] {
	how := providers.How{Resumed: len(h.Turns) > 0}
	if !p.Tells() {
		return p.Observations(ctx, h.Ref, how)
	}
	return func(yield func(phone.Observation) bool) {
		ctx, stop := context.WithCancel(ctx)
		hints := make(chan struct{}, 1)
		how.Hints = hints
		asked, sent := begin(ctx, p.Observations(ctx, h.Ref, how)), begin(ctx, s.letters(ctx, h, hints))
		end := func() {
			stop()
			asked.drain()
			sent.drain()
			if fault := errors.Join(asked.fault, sent.fault); fault != nil {
				panic(fault) // as if it had been met here
			}
		}
		defer end()
		for from, o := range either(asked, sent) {
			if !yield(o) {
				return
			}
			select {
			case from.heard <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		end() // the service has no more to tell: what it has sent and nobody has read yet is the last
		for {
			letters, err := s.Ledger.Letters(context.WithoutCancel(ctx), h)
			if err != nil || len(letters) == 0 {
				return
			}
			for _, letter := range letters {
				if !yield(letter.Observation) {
					return
				}
			}
		}
	}
}

// either yields what two sources say, until the first has no more.
func either(first, second *source) iter.Seq2[*source, phone.Observation] {
	return func(yield func(*source, phone.Observation) bool) {
		for {
			select {
			case o, more := <-first.said:
				if !more || !yield(first, o) {
					return
				}
			case o, more := <-second.said:
				if !more || !yield(second, o) {
					return
				}
			}
		}
	}
}

// source is a sequence that is read in a goroutine of its own. After each observation it waits until that was heard.
type source struct {
	said  chan phone.Observation
	heard chan struct{}
	fault error // a panic, once said is closed
}

func begin(ctx context.Context, of iter.Seq[phone.Observation]) *source {
	s := &source{said: make(chan phone.Observation), heard: make(chan struct{})}
	go func() {
		defer close(s.said)
		defer func() {
			if p := recover(); p != nil {
				s.fault = fmt.Errorf("panic: %v", p)
			}
		}()
		for o := range of {
			select {
			case s.said <- o:
			case <-ctx.Done():
				return
			}
			select {
			case <-s.heard:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s
}

// drain waits until the goroutine has ended, after its context has.
func (s *source) drain() {
	for range s.said { // what is still said is heard by nobody
	}
}

// letters yields what was sent by itself of a call, each as it is recorded read, and hints at each that the call may be
// looked up.
func (s *Switchboard) letters(ctx context.Context, h ledger.Held, hints chan<- struct{}) iter.Seq[phone.Observation] {
	return func(yield func(phone.Observation) bool) {
		box, done := s.box(h.ID)
		defer done()
		for {
			letters, err := s.Ledger.Letters(ctx, h)
			for _, letter := range letters {
				if !yield(letter.Observation) {
					return
				}
				select {
				case hints <- struct{}{}:
				default:
				}
			}
			if len(letters) > 0 {
				continue
			}
			again := time.Hour
			if err != nil {
				again = time.Second
			}
			select {
			case <-box:
			case <-time.After(again):
			case <-ctx.Done():
				return
			}
		}
	}
}

// box is where the follower of a call is told that there are letters.
func (s *Switchboard) box(id string) (box <-chan struct{}, done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{}, 1)
	s.boxes[id] = c
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.boxes[id] == c {
			delete(s.boxes, id)
		}
	}
}

// deliver tells the followers of this process of letters, whichever process took them, until the context ends.
func (s *Switchboard) deliver(ctx context.Context) {
	var accounts []string
	for _, p := range s.Providers {
		if p.Tells() {
			accounts = append(accounts, p.Account())
		}
	}
	if len(accounts) == 0 {
		return
	}
	var cleared time.Time
	tried := map[string]time.Time{}
	for {
		news := s.Ledger.News()
		if now := time.Now(); now.Sub(cleared) > time.Minute {
			cleared = now
			s.clear(ctx, now)
		}
		followed, over, err := s.Ledger.Addressees(ctx, accounts)
		if err != nil && ctx.Err() == nil {
			s.Fault("addressees", err)
		}
		s.tellOfLetters(followed)
		s.hearOver(ctx, over, tried)
		select {
		case <-news:
		case <-time.After(again(tried)):
		case <-ctx.Done():
			return
		}
	}
}

// again is how long is waited for news before letters are looked for anyway.
func again(tried map[string]time.Time) time.Duration {
	if len(tried) > 0 {
		return 5 * time.Second
	}
	return time.Minute
}

// clear drops what nobody will read, and says of questions whose process died that nobody knows what was answered.
func (s *Switchboard) clear(ctx context.Context, now time.Time) {
	err := s.Ledger.ClearInbox(ctx, now)
	forsaken, ferr := s.Ledger.Forsaken(ctx, now)
	err = errors.Join(err, ferr)
	for _, id := range forsaken {
		_, ferr := s.Ledger.Answered(ctx, id, phone.ByUnknown, "null", now)
		err = errors.Join(err, ferr)
	}
	if err != nil && ctx.Err() == nil {
		s.Fault("inbox", err)
	}
}

// hearOver reads the letters about calls that are over; about one of which they could not be read soon again, and not at once.
func (s *Switchboard) hearOver(ctx context.Context, ids []string, tried map[string]time.Time) {
	maps.DeleteFunc(tried, func(id string, _ time.Time) bool { return !slices.Contains(ids, id) }) // another process has read them
	for _, id := range ids {
		if time.Since(tried[id]) < time.Second {
			continue
		}
		switch c, err := s.hearLate(ctx, id, nil); {
		case err != nil && ctx.Err() == nil:
			s.Fault("late letters", err)
			tried[id] = time.Now()
		case c == nil:
			tried[id] = time.Now()
		default:
			delete(tried, id)
		}
	}
}

// hearLate adds to a call that is over what letters about it tell that came after its end, and what its provider has told
// now, if anything.
func (s *Switchboard) hearLate(ctx context.Context, id string, told *phone.Observation) (*phone.Call, error) {
	defer s.work(id)()
	select {
	case s.late <- struct{}{}: // one at a time: this process may have claimed the call, and have it still
		defer func() { <-s.late }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	claimed, err := s.Ledger.ClaimOne(ctx, id, time.Now())
	for tries := 0; err == nil && len(claimed) == 0 && told != nil && tries < 10; tries++ { // another process is at it
		select {
		case <-time.After(200 * time.Millisecond):
			claimed, err = s.Ledger.ClaimOne(ctx, id, time.Now())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil || len(claimed) == 0 {
		return nil, err
	}
	late := claimed[0]
	defer func() { _ = s.Ledger.Release(context.WithoutCancel(ctx), late.ID, late.Epoch) }()
	letters, err := s.Ledger.Letters(ctx, late)
	if err != nil {
		return nil, err
	}
	var events []phone.Event
	note := func(o phone.Observation) {
		for _, e := range late.Observe(o) {
			late.Apply(e)
			events = append(events, e)
		}
	}
	var read []string
	for _, m := range letters {
		note(m.Observation)
		read = append(read, m.Digest)
	}
	if told != nil {
		note(*told)
	}
	return late.Call, s.Ledger.Append(ctx, late.Call, late.Epoch, events, read...)
}

func (s *Switchboard) tellOfLetters(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		select {
		case s.boxes[id] <- struct{}{}:
		default: // nobody here, or told already
		}
	}
}
