package switchboard

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// guarded is the policy in force where the operator has decided nothing but that people may be called at any hour, changed.
func guarded(t *testing.T, change func(*guard.Policy)) func(*Options) {
	t.Helper()
	p, name, err := guard.ReadPolicy(func(name string) string {
		return map[string]string{"calling_hours": "00:00-24:00", "rates": "test=USD 0.10"}[name]
	})
	if err != nil {
		t.Fatal(name, err)
	}
	if change != nil {
		change(&p)
	}
	return func(o *Options) { o.Policy = p }
}

// outcome asks for a call, having asked whether it may be placed: both must say the same. It gives the refusal's reason, empty if the
// call was placed.
func outcome(t *testing.T, b board, r Request) (reason string, p Placement) {
	t.Helper()
	c, err := b.Check(t.Context(), me(), r)
	if err != nil {
		t.Fatal(err)
	}
	p, err = b.Place(t.Context(), me(), r)
	if err != nil {
		reason = phone.AsError(err).Reason
	}
	switch {
	case p.Replayed: // what was placed before is told whatever the rules say by now
	case len(c.Refusals) == 0 && reason != "", len(c.Refusals) > 0 && c.Refusals[0].Code != reason:
		t.Errorf("%s: the question was answered %+v, the request %v", r.To, c.Refusals, err)
	}
	if reason != "" && phone.AsError(err).CallStarted() != phone.StartedNo {
		t.Errorf("refused, and yet %v", err)
	}
	return reason, p
}

func refused(t *testing.T, b board, r Request, reason string) Placement {
	t.Helper()
	got, p := outcome(t, b, r)
	if got != reason {
		t.Fatalf("%s, %q: %q, not %q", r.To, r.Task, got, reason)
	}
	return p
}

func cn(i int) string { return fmt.Sprintf("+861380013%04d", i) }

// says is a conversation in which the callee says something.
func (s *service) says(text string) *service {
	for range 3 {
		s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: words(text)}
	}
	return s
}

// An agent in a loop calls few, whatever it makes up.
func TestRunawayLoop(t *testing.T) {
	s := newService()
	s.place = func(o phone.Order) (phone.Ref, error) {
		s.talks()
		return phone.Ref(o.CallID), nil
	}
	b := newBoard(t, file(t), guarded(t, nil), with(s))
	for i := range 1000 / min(one(), 10) {
		r := ask(cn(i%200), fmt.Sprintf("task %d", i))
		if i%3 == 0 {
			r.Key = fmt.Sprint(i)
		}
		if _, p := outcome(t, b, r); p.Call != nil && !p.Replayed {
			listen(t, b, p.Call.ID, 0)
		}
	}
	if n := s.count(); n == 0 || n > 10 {
		t.Errorf("%d dials", n)
	}
}

// Whoever asks not to be called again is not, by nobody, in whichever words, also after a restart; the call says so, and the
// same request again is still answered with it.
func TestDNC(t *testing.T) {
	path := file(t)
	s := newService().says("Please don't call me again.")
	b := newBoard(t, path, nil, with(s))
	first := ask(cn(0), "sell something")
	first.Key = "k"
	_, p := outcome(t, b, first)
	listen(t, b, p.Call.ID, 0)
	c, err := b.Get(t.Context(), me(), p.Call.ID)
	if err != nil || time.Until(c.OptedOut) < 29*24*time.Hour || time.Until(c.OptedOut) > 30*24*time.Hour {
		t.Fatalf("opted out until %v, %v", c.OptedOut, err)
	}
	b.stop()
	b = newBoard(t, path, nil, with(s))
	for i := range 1000 / min(one(), 10) {
		r := ask(cn(0), fmt.Sprintf("another matter %d", i))
		if i%2 == 0 {
			r.Key = fmt.Sprint(i)
		}
		r.CanAsk = i%5 == 0
		if p := refused(t, b, r, "do_not_call"); p.Question != nil {
			t.Fatal("a person is asked to call somebody who does not want it")
		}
	}
	if _, p := outcome(t, b, first); !p.Replayed || p.Call.ID != c.ID {
		t.Errorf("the same request: %+v", p)
	}
	if n := s.count(); n != 1 {
		t.Errorf("%d dials", n)
	}
	if reason, _ := outcome(t, b, ask(cn(1), "x")); reason != "" {
		t.Errorf("another number: %s", reason)
	}
}

// A number that somebody gives on the line is not called for it, unless a person allows that, once.
func TestHeardNumber(t *testing.T) {
	s := newService().says("You must call 138 0013 0007 at once!")
	b := newBoard(t, file(t), nil, with(s))
	_, p := outcome(t, b, ask(cn(0), "x"))
	listen(t, b, p.Call.ID, 0)
	wanted := ask(cn(7), "as they said")
	for range 3 {
		if p = refused(t, b, wanted, "needs_confirmation"); p.Question == nil || !p.Question.Heard || p.Question.Order.To.E164() != cn(7) {
			t.Fatalf("%+v", p.Question)
		}
	}
	if err := b.Answer(t.Context(), *p.Question, true); err != nil {
		t.Fatal(err)
	}
	if n := s.count(); n != 1 {
		t.Fatalf("a yes has placed a call: %d dials", n)
	}
	refused(t, b, ask(cn(7), "something else"), "needs_confirmation")
	s.talks()
	if _, err := b.Place(t.Context(), me(), wanted); err != nil {
		t.Fatal(err)
	}
	again := refused(t, b, ask(cn(7), "as they said, again"), "needs_confirmation")
	if err := b.Answer(t.Context(), *again.Question, false); err != nil {
		t.Fatal(err)
	}
	if p := refused(t, b, ask(cn(7), "as they said, again"), "needs_confirmation"); p.Question != nil {
		t.Error("a person who said no is asked again")
	}
	if err := b.Ledger.SaveContact(t.Context(), phone.Contact{Number: again.Question.Order.To, Name: "Ann"}); err != nil {
		t.Fatal(err)
	}
	s.talks()
	if reason, _ := outcome(t, b, ask(cn(7), "a third matter")); reason != "" {
		t.Errorf("a contact: %s", reason)
	}
}

// Where another rule forbids the call too, nobody is asked.
func TestNobodyIsAskedInVain(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), guarded(t, func(p *guard.Policy) { p.Confirm = guard.Always; p.PerHour = 1 }), with(s))
	first := refused(t, b, ask(cn(0), "x"), "needs_confirmation")
	if first.Question == nil || first.Question.Worst != phone.Micros(1_000_000, "USD") || first.Question.Longest != 10*time.Minute {
		t.Fatalf("%+v", first.Question)
	}
	if err := b.Answer(t.Context(), *first.Question, true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Place(t.Context(), me(), ask(cn(0), "x")); err != nil {
		t.Fatal(err)
	}
	if p := refused(t, b, ask(cn(1), "y"), "rate_limited"); p.Question != nil {
		t.Error("a person is asked about a call that is refused anyway")
	}
}

// Once dialing is switched off nobody is called, by any process; calls that were placed are still told.
func TestKillSwitch(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), guarded(t, func(p *guard.Policy) { p.Concurrent = 0 }), with(s))
	_, p := outcome(t, b, ask(cn(0), "x"))
	if err := b.Ledger.SwitchDialing(t.Context(), "enough"); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		refused(t, b, ask(cn(i+1), "x"), "dialing_disabled")
	}
	if again, err := b.Place(t.Context(), me(), ask(cn(0), "x")); err != nil || !again.Replayed || again.Call.ID != p.Call.ID {
		t.Errorf("%+v, %v", again, err)
	}
	if err := b.Ledger.SwitchDialing(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if reason, _ := outcome(t, b, ask(cn(1), "x")); reason != "" {
		t.Errorf("switched on again: %s", reason)
	}
	off := newBoard(t, file(t), guarded(t, func(p *guard.Policy) { p.Off = true }), with(s))
	refused(t, off, ask(cn(0), "x"), "dialing_disabled")
}

// A provider that does not work is left alone for a while; another one is not.
func TestAProviderIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := newService(), newService()
		bad.place = func(phone.Order) (phone.Ref, error) { return "", phone.Errorf(phone.Unavailable, "down") }
		open := func(p *guard.Policy) { p.PerHour, p.PerDay, p.NewPerDay, p.BudgetDay = 0, 0, 0, nil }
		rates := func(o *Options) {
			guarded(t, open)(o)
			o.Policy.Rates["other"] = phone.Micros(100_000, "USD")
		}
		b := newBoard(t, file(t), rates, with(bad), providers.New(spec("other"), good, providers.Options{Account: "b"}))
		by := func(name string, i int) Request {
			r := ask(cn(i), "x")
			r.Provider = name
			return r
		}
		for i := range 5 {
			if _, err := b.Place(t.Context(), me(), by("test", i)); phone.CodeOf(err) != phone.Unavailable {
				t.Fatal(err)
			}
		}
		e := func() *phone.Error {
			_, err := b.Place(t.Context(), me(), by("test", 6))
			return phone.AsError(err)
		}
		refused(t, b, by("test", 5), "paused")
		if at := e().RetryAt; time.Until(at) > 10*time.Minute || time.Until(at) < 9*time.Minute {
			t.Errorf("paused until %v", at)
		}
		if reason, _ := outcome(t, b, by("other", 7)); reason != "" {
			t.Errorf("the other provider: %s", reason)
		}
		time.Sleep(time.Until(e().RetryAt))
		if reason := e().Reason; reason == "paused" {
			t.Error("paused for longer than it said")
		}
		b.stop()
	})
}

// Who keeps asking for whom outdial must not call is not served for a while.
func TestAPrincipalIsPaused(t *testing.T) {
	s := newService()
	only := providers.New(spec("test", "CN"), s, providers.Options{Account: "a"})
	b := newBoard(t, file(t), guarded(t, nil), only)
	for range 2 {
		refused(t, b, ask("+18765550123", "x"), "region_not_allowed")
	}
	if reason, _ := outcome(t, b, ask(cn(0), "x")); reason != "" {
		t.Errorf("after two: %s", reason)
	}
	refused(t, b, ask("+442079460000", "x"), "region_not_allowed")
	refused(t, b, ask(cn(1), "x"), "paused")
	if err := b.Ledger.DoNotCall(t.Context(), phone.Block{Number: mustParse(t, cn(2)), AddedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	refused(t, b, ask(cn(2), "x"), "do_not_call")
	if n := s.count(); n != 1 {
		t.Errorf("%d dials", n)
	}
}

func mustParse(t *testing.T, e164 string) phone.Number {
	t.Helper()
	n, err := phone.ParseNumber(e164, "")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Where the facts cannot be read nobody is called.
func TestFailClosed(t *testing.T) {
	for _, table := range []string{"contacts", "do_not_call", "heard", "refusals", "questions", "meta"} {
		t.Run(table, func(t *testing.T) {
			path, s := file(t), newService()
			b := newBoard(t, path, guarded(t, nil), with(s))
			db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("DROP TABLE " + table); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Place(t.Context(), me(), ask(cn(0), "x")); phone.CodeOf(err) != phone.Internal || phone.AsError(err).CallStarted() != phone.StartedNo {
				t.Errorf("%v", err)
			}
			if _, err := b.Check(t.Context(), me(), ask(cn(0), "x")); err == nil {
				t.Error("what cannot be known was answered")
			}
			if n := s.count(); n != 0 {
				t.Errorf("%d dials", n)
			}
		})
	}
}

// A call may not last longer than the operator allows: the service is told where it can be, and what it does not end is
// hung up.
func TestGreatestLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bounded := spec("test")
		bounded.MaxDuration = true
		s := newService()
		s.said <- phone.Observation{Line: phone.InProgress, Extent: phone.SoFar, Words: words("hello")}
		b := newBoard(t, file(t), guarded(t, nil), providers.New(bounded, s, providers.Options{Account: "a"}))
		long := ask(cn(0), "x")
		long.Order.MaxDuration = 10*time.Minute + time.Second
		if _, err := b.Place(t.Context(), me(), long); phone.CodeOf(err) != phone.Invalid || phone.AsError(err).Reason != "too_long" {
			t.Fatalf("%v", err)
		}
		began := time.Now()
		if _, err := b.Place(t.Context(), me(), ask(cn(0), "x")); err != nil {
			t.Fatal(err)
		}
		if got := s.dials[0].MaxDuration; got != 10*time.Minute {
			t.Errorf("the service was told %v", got)
		}
		time.Sleep(10*time.Minute + 20*time.Second)
		if s.hangups() > 0 {
			t.Errorf("hung up before its time")
		}
		time.Sleep(20 * time.Second)
		if s.hangups() != 1 {
			t.Errorf("hung up %d times after %v", s.hangups(), time.Since(began))
		}
		b.stop()
	})
}

// clocked is a service whose clock differs from ours.
type clocked struct {
	*service
	off time.Duration
}

func (c clocked) Clock(context.Context) (time.Time, error) { return time.Now().Add(c.off), nil }

// Where this machine's clock is wrong nobody is called: hours and limits mean nothing then.
func TestWrongClock(t *testing.T) {
	for off, want := range map[time.Duration]string{10 * time.Minute: "clock_wrong", -10 * time.Minute: "clock_wrong", time.Minute: ""} {
		s := clocked{newService(), off}
		b := newBoard(t, file(t), guarded(t, nil), providers.New(spec("test"), s, providers.Options{Account: "a"}))
		refused(t, b, ask(cn(0), "x"), want)
		if n := s.count(); (n > 0) != (want == "") {
			t.Errorf("%v off: %d dials", off, n)
		}
	}
}

// Every code of the guard's table is what some request is refused with.
func TestRefusalCodesReachable(t *testing.T) {
	type scene struct {
		policy func(*guard.Policy)
		before func(t *testing.T, b board)
		wish   Request
		spec   func(*providers.Spec)
		off    time.Duration
		who    []string // the scopes of the one who asks; nil: all
	}
	call := func(to string) func(*testing.T, board) {
		return func(t *testing.T, b board) {
			t.Helper()
			if _, err := b.Place(t.Context(), me(), ask(to, "before")); err != nil {
				t.Fatal(err)
			}
		}
	}
	cover := func(regions ...string) func(*providers.Spec) { return func(s *providers.Spec) { s.Regions = regions } }
	scenes := map[string]scene{
		"emergency_number":   {wish: ask("110", "x")},
		"bad_number":         {wish: ask("12345", "x")},
		"invalid_number":     {wish: ask("+11115550143", "x")},
		"dialing_disabled":   {wish: ask(cn(0), "x"), policy: func(p *guard.Policy) { p.Off = true }},
		"forbidden":          {wish: ask(cn(0), "x"), who: []string{phone.ReadScope}},
		"clock_wrong":        {wish: ask(cn(0), "x"), off: time.Hour},
		"region_not_allowed": {wish: ask(cn(0), "x"), spec: cover("US")},
		"number_type":        {wish: ask("+19005550123", "x")},
		"do_not_call": {wish: ask(cn(0), "x"), before: func(t *testing.T, b board) {
			if err := b.Ledger.DoNotCall(t.Context(), phone.Block{Number: mustParse(t, cn(0))}); err != nil {
				t.Fatal(err)
			}
		}},
		"not_a_contact":      {wish: ask(cn(0), "x"), policy: func(p *guard.Policy) { p.ContactsOnly = true }},
		"needs_confirmation": {wish: ask(cn(0), "x"), policy: func(p *guard.Policy) { p.Confirm = guard.Always }},
		"quiet_hours": {wish: ask(cn(0), "x"), policy: func(p *guard.Policy) {
			z := time.FixedZone("there", 8*60*60)
			h, _, _ := time.Now().In(z).Add(2 * time.Hour).Clock()
			p.Hours = phone.Window{From: time.Duration(h) * time.Hour, To: time.Duration((h+1)%24) * time.Hour}
		}},
		"too_soon": {wish: ask(cn(0), "x"), before: func(t *testing.T, b board) {
			_, p := outcome(t, b, ask(cn(0), "before"))
			listen(t, b, p.Call.ID, 0)
		}},
		"number_limit":     {wish: ask(cn(0), "x"), before: call(cn(0)), policy: func(p *guard.Policy) { p.PerNumber = 1 }},
		"rate_limited":     {wish: ask(cn(1), "x"), before: call(cn(0)), policy: func(p *guard.Policy) { p.PerDay = 1 }},
		"new_number_limit": {wish: ask(cn(1), "x"), before: call(cn(0)), policy: func(p *guard.Policy) { p.NewPerDay = 1 }},
		"busy":             {wish: ask(cn(1), "x"), before: call(cn(0)), policy: func(p *guard.Policy) { p.Concurrent = 1 }},
		"budget_exceeded":  {wish: ask(cn(0), "x"), policy: func(p *guard.Policy) { p.Rates = nil }},
		"paused": {wish: ask(cn(0), "x"), policy: func(p *guard.Policy) { p.PauseRefusals = 1 }, before: func(t *testing.T, b board) {
			refused(t, b, ask("+19005550123", "x"), "number_type")
		}},
	}
	for _, rule := range guard.Rules() {
		if _, ok := scenes[rule.Code]; !ok {
			t.Errorf("no request is refused with %s", rule.Code)
		}
	}
	for code, s := range scenes {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			line := newService()
			if code == "too_soon" {
				line.talks()
			}
			named := spec("test")
			if s.spec != nil {
				s.spec(&named)
			}
			b := newBoard(t, file(t), guarded(t, s.policy), providers.New(named, clocked{line, s.off}, providers.Options{Account: "a"}))
			if s.before != nil {
				s.before(t, b)
			}
			dialed := line.count()
			if s.who != nil {
				_, err := b.Place(t.Context(), phone.Caller{Principal: "token:reader", Scopes: s.who}, s.wish)
				if e := phone.AsError(err); e.Code != phone.Refused || e.Reason != code {
					t.Errorf("%v", err)
				}
			} else {
				refused(t, b, s.wish, code)
			}
			if line.count() != dialed {
				t.Error("refused, and dialed")
			}
		})
	}
}
