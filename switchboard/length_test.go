package switchboard

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// How long a phone may ring, and how long they may talk whenever they begin: what goes on beyond that is hung up, once.
func TestHungUpWhenItIsTime(t *testing.T) {
	ringing := phone.Observation{Line: phone.Ringing}
	for name, tt := range map[string]struct {
		talk, end time.Duration // 0: never
		hungup    time.Duration
		slow      bool // its record does not come
	}{
		"rings for ever":     {hungup: 13*time.Minute + 30*time.Second},
		"is answered late":   {talk: 2 * time.Minute, hungup: 12*time.Minute + 30*time.Second},
		"is answered lately": {talk: 12 * time.Minute, hungup: 22*time.Minute + 30*time.Second},
		"ends in time":       {talk: time.Minute, end: 5 * time.Minute},
		"is never answered":  {end: time.Minute},
		"has a slow record":  {talk: time.Minute, end: 11 * time.Minute, slow: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newService()
				s.said <- ringing
				b := newBoard(t, file(t), guarded(t, nil), with(s))
				began := time.Now()
				if _, err := b.Place(t.Context(), me(), ask(cn(0), "x")); err != nil {
					t.Fatal(err)
				}
				until := func(after time.Duration) { time.Sleep(time.Until(began.Add(after))) }
				if tt.talk > 0 {
					until(tt.talk)
					s.said <- phone.Observation{Line: phone.InProgress, Extent: phone.SoFar, Words: words("hello")}
				}
				switch {
				case tt.slow:
					until(tt.end)
					s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed}
				case tt.end > 0:
					until(tt.end)
					s.talks()
				}
				if tt.hungup > 0 {
					until(tt.hungup - 5*time.Second)
					if n := s.hangups(); n != 0 {
						t.Errorf("hung up before its time")
					}
					until(tt.hungup + 5*time.Second)
					if n := s.hangups(); n != 1 {
						t.Errorf("hung up %d times in time", n)
					}
				}
				until(time.Hour)
				if n := s.hangups(); n > 1 || n > 0 && tt.hungup == 0 {
					t.Errorf("hung up %d times", n)
				}
				b.stop()
			})
		})
	}
}

// A person's no in a rehearsal counts for rehearsals.
func TestANoInARehearsalPausesNoRealCall(t *testing.T) {
	sim := spec("sim", "CN")
	sim.Simulated = true
	always := func(p *guard.Policy) {
		p.Rehearse, p.Confirm, p.Rates["sim"] = true, guard.Always, phone.Micros(100_000, "USD")
	}
	for _, where := range []string{"sim", "test"} {
		b := newBoard(t, file(t), guarded(t, always), with(newService()), providers.New(sim, newService(), providers.Options{Account: "s"}))
		for i := range 3 {
			r := ask(cn(i), "x")
			r.Provider = where
			p, _ := b.Place(t.Context(), me(), r)
			if p.Question == nil {
				t.Fatal("no question")
			}
			if err := b.Answer(t.Context(), *p.Question, false); err != nil {
				t.Fatal(err)
			}
		}
		for _, by := range []string{"sim", "test"} {
			r := ask(cn(5), "x")
			r.Provider = by
			c, err := b.Check(t.Context(), me(), r)
			if err != nil {
				t.Fatal(err)
			}
			paused := false
			for _, one := range c.Refusals {
				paused = paused || one.Code == "paused"
			}
			if paused != (by == where) {
				t.Errorf("after three times no to %s: %s is paused: %v", where, by, paused)
			}
		}
	}
}

// A contact is named to the person who is asked, and it is as late there as the operator says.
func TestAContactIsNamed(t *testing.T) {
	b := newBoard(t, file(t), guarded(t, func(p *guard.Policy) { p.Confirm = guard.Always }), with(newService()))
	if err := b.Ledger.SaveContact(t.Context(), phone.Contact{Number: mustParse(t, cn(0)), Name: "Ann", Zone: "America/New_York"}); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string][2]string{cn(0): {"Ann", "America/New_York"}, cn(1): {"", "Asia/Shanghai"}} {
		if p, err := b.Place(t.Context(), me(), ask(to, "x")); p.Question == nil || p.Question.Whom != want[0] {
			t.Errorf("%s: %+v, %v", to, p.Question, err)
		}
		c, err := b.Check(t.Context(), me(), ask(to, "x"))
		if err != nil || len(c.Zones) != 1 || c.Zones[0] != want[1] || c.Local.Location().String() != want[1] {
			t.Errorf("%s: %v, %v, %v", to, c.Zones, c.Local, err)
		}
	}
}

// To ask again and again for whom the list forbids is what pauses, too.
func TestWhoAsksForTheForbiddenIsPaused(t *testing.T) {
	b := newBoard(t, file(t), guarded(t, nil), with(newService()))
	for i := range 3 {
		if err := b.Ledger.DoNotCall(t.Context(), phone.Block{Number: mustParse(t, cn(i)), AddedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		refused(t, b, ask(cn(i), "x"), "do_not_call")
	}
	refused(t, b, ask(cn(5), "x"), "paused")
}
