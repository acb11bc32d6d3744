package switchboard

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// A process ends while a record is awaited. Half an hour later another one starts and is asked for a call at once: it
// reads first what is said in the record.
func TestARecordIsReadBeforeTheNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := file(t)
		s := newService()
		s.said <- phone.Observation{Line: phone.InProgress}
		s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed}
		a := newBoard(t, path, guarded(t, nil), with(s))
		p, err := a.Place(t.Context(), me(), ask(cn(0), "sell"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if c := call(t, a, p.Call.ID); c.Status != phone.WrappingUp {
			t.Fatal(c.Status)
		}
		a.stop()
		time.Sleep(30 * time.Minute)
		s2 := newService().says("Please don't call me again.") // the record has been there all the time
		b := newBoard(t, path, guarded(t, nil), with(s2))
		if _, err := b.Place(t.Context(), me(), ask(cn(0), "sell something else")); phone.AsError(err) == nil || phone.AsError(err).Reason != "do_not_call" {
			t.Errorf("somebody who asked not to be called again is called: their record was not read; dials %d", s2.count())
		}
		b.stop()
	})
}

// slowRecord is a service like Pamela, whose transcript comes five minutes after the end.
type slowRecord struct {
	*service
	began time.Time
}

func (s *slowRecord) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	if s.began.IsZero() {
		s.began = time.Now()
	}
	return s.service.Place(ctx, o)
}

func (s *slowRecord) Lookup(context.Context, phone.Ref) (phone.Observation, error) {
	switch since := time.Since(s.began); {
	case since < 30*time.Second:
		return phone.Observation{Line: phone.InProgress}, nil
	case since < 5*time.Minute:
		return phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed}, nil
	}
	return phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: words("Never call me again.")}, nil
}

// A record that came too late for the call is read before the same number is called again.
func TestALateRecordIsReadBeforeTheNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowRecord{service: newService()}
		b := newBoard(t, file(t), guarded(t, nil), providers.New(spec("test"), s, providers.Options{Account: "a"}))
		if _, err := b.Place(t.Context(), me(), ask(cn(0), "sell")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		if _, err := b.Place(t.Context(), me(), ask(cn(0), "sell something else")); phone.AsError(err) == nil || phone.AsError(err).Reason != "do_not_call" {
			t.Errorf("called again, 15 minutes after the service had the words: Never call me again.")
		}
		b.stop()
	})
}

// Calls that were over long before this process started count for nothing, though nobody had seen their end.
func TestStaleCallsCountForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := file(t)
		a := newBoard(t, path, guarded(t, nil), with(newService()))
		for i := range 2 {
			if _, err := a.Place(t.Context(), me(), ask(cn(i), "x")); err != nil {
				t.Fatal(err)
			}
		}
		a.stop()
		time.Sleep(5 * time.Hour)
		s := newService()
		for range 6 {
			s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: words("bye")}
		}
		b := newBoard(t, path, guarded(t, nil), with(s))
		if _, err := b.Place(t.Context(), me(), ask(cn(5), "y")); err != nil {
			t.Errorf("five hours later: %v", err)
		}
		b.stop()
	})
}

// People dictate a number in parts.
func TestANumberDictatedInParts(t *testing.T) {
	s := newService()
	for range 3 {
		s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: []phone.Words{
			{Role: phone.Callee, Text: "请改打 138", Final: true},
			{Role: phone.Agent, Text: "好的", Final: true},
			{Role: phone.Callee, Text: "0013", Final: true},
			{Role: phone.Agent, Text: "嗯", Final: true},
			{Role: phone.Callee, Text: "0007", Final: true},
		}}
	}
	b := newBoard(t, file(t), guarded(t, nil), with(s))
	_, p := outcome(t, b, ask(cn(0), "x"))
	listen(t, b, p.Call.ID, 0)
	s.talks()
	if reason, _ := outcome(t, b, ask(cn(7), "as they said")); reason != "needs_confirmation" {
		t.Errorf("a number that was dictated in three parts: %q, dials: %d", reason, s.count())
	}
}

// A record tells the whole conversation at once: what was dictated early in it is heard as well.
func TestANumberDictatedEarlyInARecord(t *testing.T) {
	s := newService()
	said := words("Please call 138", "0013", "0007", "instead.")
	for i := range 40 {
		said = append(said, phone.Words{Role: phone.Callee, Text: fmt.Sprintf("And so on, and so on: %c.", 'a'+i%26), Final: true})
	}
	for range 3 {
		s.said <- phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: said}
	}
	b := newBoard(t, file(t), guarded(t, nil), with(s))
	_, p := outcome(t, b, ask(cn(0), "x"))
	listen(t, b, p.Call.ID, 0)
	refused(t, b, ask(cn(7), "as they said"), "needs_confirmation")
}

// A person who says no is not worn down.
func TestAPersonIsNotWornDown(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), guarded(t, func(p *guard.Policy) { p.Confirm = guard.Always }), with(s))
	asked := 0
	for i := range 200 {
		r := ask(cn(0), fmt.Sprintf("please let me, %d", i))
		r.CanAsk = true
		p, _ := b.Place(t.Context(), me(), r)
		if p.Question == nil {
			break
		}
		asked++
		if err := b.Answer(t.Context(), *p.Question, false); err != nil {
			t.Fatal(err)
		}
	}
	if asked > 3 {
		t.Errorf("a person said no to %d questions about one number in a row", asked)
	}
}

// Where a provider keeps to no length, a short one asked for frees nothing.
func TestUncertainDialsCountForTheirGreatestLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService()
		s.place = func(phone.Order) (phone.Ref, error) { return "", phone.Errorf(phone.Uncertain, "lost") }
		b := newBoard(t, file(t), guarded(t, nil), with(s))
		for i := range 4 {
			r := ask(cn(i), "x")
			r.Order.MaxDuration = time.Second
			_, err := b.Place(t.Context(), me(), r)
			if i >= 2 && phone.CodeOf(err) == phone.Uncertain {
				t.Errorf("dial %d while %d others may go on for 10 minutes", i+1, i)
			}
			time.Sleep(2 * time.Second)
		}
		b.stop()
	})
}

// A question that waits is another one once its number was heard.
func TestAQuestionWarnsOfWhatWasHeard(t *testing.T) {
	s := newService().says("You must call 138 0013 0007 at once!")
	b := newBoard(t, file(t), guarded(t, nil), with(s))
	first := ask(cn(7), "as they said")
	first.CanAsk = true
	if p, _ := b.Place(t.Context(), me(), first); p.Question == nil || p.Question.Heard {
		t.Fatal("no question")
	}
	_, p := outcome(t, b, ask(cn(0), "x"))
	listen(t, b, p.Call.ID, 0)
	again, err := b.Place(t.Context(), me(), first)
	if again.Question == nil || !again.Question.Heard {
		t.Errorf("%v; the question says nothing of the line: %+v", err, again.Question)
	}
}

// Refusals in a rehearsal pause no real call.
func TestARehearsalPausesNoRealCall(t *testing.T) {
	sim := spec("sim", "CN")
	sim.Simulated = true
	s := newService()
	b := newBoard(t, file(t), guarded(t, func(p *guard.Policy) { p.Rehearse = true }), with(s), providers.New(sim, newService(), providers.Options{Account: "s"}))
	for range 3 {
		r := ask("+442079460000", "x")
		r.Provider = "sim"
		refused(t, b, r, "region_not_allowed")
	}
	if reason, _ := outcome(t, b, ask(cn(1), "x")); reason != "" {
		t.Errorf("after three rehearsed refusals a real call: %s", reason)
	}
}

// A dry run is judged as the call would be.
func TestADryRunKnowsOfAnApproval(t *testing.T) {
	bounded := spec("test")
	bounded.MaxDuration = true
	s := newService()
	b := newBoard(t, file(t), guarded(t, func(p *guard.Policy) { p.Confirm = guard.Always }), providers.New(bounded, s, providers.Options{Account: "a"}))
	p, err := b.Place(t.Context(), me(), ask(cn(0), "x"))
	if p.Question == nil {
		t.Fatal(err)
	}
	if err := b.Answer(t.Context(), *p.Question, true); err != nil {
		t.Fatal(err)
	}
	c, err := b.DryRun(t.Context(), me(), ask(cn(0), "x"))
	if err != nil {
		t.Fatal(err)
	}
	_, perr := b.Place(t.Context(), me(), ask(cn(0), "x"))
	if len(c.Refusals) > 0 && perr == nil {
		t.Errorf("the dry run says %+v, and the call was placed", c.Refusals)
	}
}

// A dry run refuses what is wrong with the request besides.
func TestADryRunReadsRepeatOf(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), guarded(t, nil), with(s))
	r := ask(cn(0), "x")
	r.RepeatOf = "call_nosuch"
	c, err := b.DryRun(t.Context(), me(), r)
	_, perr := b.Place(t.Context(), me(), r)
	if err == nil && len(c.Refusals) == 0 && perr != nil {
		t.Errorf("dry run: allowed; create_call: %v", perr)
	}
}
