package providertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
	"go.uber.org/goleak"
)

// The suite's times. A call of the script that talks lasts about 0.2 s at its speed.
const (
	speed  = 40
	soon   = time.Second      // what ends, ends within it
	never  = 15 * time.Second // nothing in a clause takes as long
	answer = 400 * time.Millisecond
	idle   = 200 * time.Millisecond
)

// scene is what one clause plays in: a stand-in with a breaker before it, and what is known of its calls.
type scene struct {
	T
	h       Harness
	stand   http.Handler // nil without a wire
	breaker *breaker     // likewise
	speed   float64
	drivers []providers.Driver
	running sync.WaitGroup // what within started

	mu     sync.Mutex
	custom func(number, lang, task, caller string) script.Script // in place of script.For
	played map[string]script.Script                              // by the number's last two digits
}

// hold plays one clause, and looks afterwards whether a goroutine is left.
func (h Harness) hold(t T, c clause) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	defer func() {
		if err := goleak.Find(before); err != nil {
			t.Errorf("a goroutine is left behind: %v", err)
		}
	}()
	h.play(t, c)
}

func (h Harness) play(t T, c clause) {
	t.Helper()
	s := h.scene(t, speed)
	defer s.close()
	c.check(s)
}

func (h Harness) scene(t T, speed float64) *scene {
	s := &scene{T: t, h: h, speed: speed, played: map[string]script.Script{}}
	if h.Stand != nil {
		s.stand = h.Stand(Stage{Script: s.script, Speed: speed})
		s.breaker = newBreaker(h.Dial, h.Stream, s.stand)
	}
	return s
}

func (s *scene) close() {
	for _, d := range s.drivers {
		shut(d)
	}
	if s.breaker != nil {
		s.breaker.close()
	}
	shut(s.stand)
	s.running.Wait()
}

func shut(v any) {
	if c, ok := v.(io.Closer); ok {
		_ = c.Close()
	}
}

// script tells the stand-in what to play, and notes it.
func (s *scene) script(number, lang, task, caller string) script.Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	play := script.For
	if s.custom != nil {
		play = s.custom
	}
	sc := play(number, lang, task, caller)
	s.played[number[max(0, len(number)-2):]] = sc
	return sc
}

// plays lets all further dials play one script.
func (s *scene) plays(sc script.Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.custom = func(string, string, string, string) script.Script { return sc }
}

// open opens the adapter in front of the breaker, or wherever the wire says.
func (s *scene) open(w Wire) providers.Driver {
	s.Helper()
	if w.Base == "" && s.breaker != nil {
		w.Base = s.breaker.URL
	}
	w.Speed = s.speed
	d, err := s.h.Open(w)
	if err != nil {
		s.Fatalf("the adapter does not open: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drivers = append(s.drivers, d)
	return d
}

// over puts a Provider over a driver, that loses no time.
func (s *scene) over(d providers.Driver) *providers.Provider {
	return providers.New(s.h.Spec, d, providers.Options{Pace: providers.Pace{
		Poll: 30 * time.Millisecond, RecordEvery: 30 * time.Millisecond, RecordTries: 200, RecordWait: 3 * time.Second, NoTalkWait: 3 * time.Second,
		Reconnect: 40 * time.Millisecond, Streams: 10, Longest: never,
	}})
}

// order is an order to the number with these last digits.
func (s *scene) order(digits string) phone.Order {
	s.Helper()
	to, err := s.h.number(digits)
	if err != nil {
		s.Fatalf("the harness's number: %v", err)
	}
	o := s.h.order(to)
	if err := s.over(s.open(Wire{})).Check(o); err != nil {
		s.Fatalf("the harness's order is refused: %v", err)
	}
	return o
}

// placed is a call that was placed, with what is known of it.
type placed struct {
	order  phone.Order
	ref    phone.Ref
	began  time.Time // before the dial
	script script.Script
}

// place places a call that is expected to go well.
func (s *scene) place(d providers.Driver, o phone.Order) placed {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), never)
	defer cancel()
	began := time.Now()
	ref, err := s.over(d).Place(ctx, o)
	if err != nil {
		s.Fatalf("Place to %v: %v", o.To, err)
	}
	return placed{o, ref, began, s.expected(o)}
}

// expected is the script that a call plays.
func (s *scene) expected(o phone.Order) script.Script {
	number := o.To.E164()
	if s.h.Stand == nil {
		return script.For(number, o.Lang(), o.Task, o.CallerName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.played[number[len(number)-2:]]
}

// fails checks an error of a dial: its code is one of those, and it tells nothing that it must not.
func (s *scene) fails(o phone.Order, ref phone.Ref, err error, codes ...phone.Code) {
	s.Helper()
	if err == nil {
		s.Errorf("no error, and the call's name is %q; want %v", ref, codes)
		return
	}
	s.discreet(o, err)
	for _, c := range codes {
		if phone.CodeOf(err) == c {
			return
		}
	}
	s.Errorf("the code is %s, want one of %v: %v", phone.CodeOf(err), codes, err)
}

// discreet checks what an error tells: it is a *phone.Error with a message for the model, and holds no secret, no number,
// and nothing in the service's own words where a model reads it.
func (s *scene) discreet(o phone.Order, err error) {
	s.Helper()
	var e *phone.Error
	if !errors.As(err, &e) {
		s.Errorf("the error is a %T, not a *phone.Error: %v", err, err)
		return
	}
	if e.Message == "" {
		s.Errorf("the error has no message for the model: %v", err)
	}
	if strings.Contains(e.Message+e.Reason, canary) {
		s.Errorf("the message repeats the service's words: %q", e.Message)
	}
	text := err.Error() + "\n" + e.Error() + "\n" + e.Message + "\n" + e.Reason + "\n" + e.Op + "\n" + fmt.Sprintf("%+v", e.Err)
	for _, secret := range s.h.Secrets {
		if strings.Contains(text, secret) {
			s.Errorf("the error holds a secret: %q", text)
		}
	}
	// The last eight digits are in every way of writing a number.
	if n := o.To.E164(); len(n) > 8 && strings.Contains(text, n[len(n)-8:]) {
		s.Errorf("the error holds the number: %q", text)
	}
}

// within runs f and says whether it ended soon enough. What did not is waited for when the scene closes, since by then
// nothing hangs any more.
func (s *scene) within(d time.Duration, what string, f func()) bool {
	s.Helper()
	done := make(chan struct{})
	s.running.Go(func() {
		defer close(done)
		f()
	})
	select {
	case <-done:
		return true
	case <-time.After(d):
		s.Errorf("%s has not ended after %v", what, d)
		return false
	}
}

// each plays a part several times, some at once, each in a scene of its own.
func (s *scene) each(n int, part func(i int, sub *scene)) {
	s.Helper()
	free := make(chan struct{}, 6)
	var all sync.WaitGroup
	for i := range n {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			sub := s.h.scene(beside{s.T}, s.speed)
			defer sub.close()
			part(i, sub)
		})
	}
	all.Wait()
}

// beside is a test seen from a goroutine beside it: a fatal error ends that goroutine.
type beside struct{ T }

func (b beside) Fatalf(format string, args ...any) {
	b.Helper()
	b.Errorf(format, args...)
	runtime.Goexit()
}

var _ T = (*testing.T)(nil)
