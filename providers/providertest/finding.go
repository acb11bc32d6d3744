package providertest

import (
	"context"
	"slices"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// findings are the clauses about finding the call of an uncertain dial again.
func findings() []clause {
	return []clause{
		{"a dial whose answer was lost is found again", wire | finds, foundAgain},
		{"a dial that never happened is not found", wire | finds, notFound},
		{"another call to the same number is not taken for it", wire | finds, notTaken},
		{"a list that cannot be read shows nothing", wire | finds, unreadLists},
	}
}

func (s *scene) find(d providers.Driver, o phone.Order, about time.Time) ([]phone.Listed, error) {
	ctx, cancel := context.WithTimeout(context.Background(), never)
	defer cancel()
	return d.(providers.Finder).Find(ctx, o, about)
}

func foundAgain(s *scene) {
	d, o := s.open(Wire{}), s.order("09")
	began := time.Now()
	if _, err := d.Place(context.Background(), o); phone.CodeOf(err) != phone.Uncertain {
		s.Fatalf("a lost answer: %v", err)
	}
	found, err := s.find(d, o, began)
	if err != nil || len(found) != 1 || found[0].Match == phone.Possible {
		s.Fatalf("%v, %v", found, err)
	}
	c := placed{o, found[0].Ref, began, s.expected(o)}
	s.ended(c, s.follow(d, c))
}

func notFound(s *scene) {
	d, o := s.open(Wire{}), s.order("00")
	other := s.order("01")
	other.CallID = "call_other"
	s.place(d, other)
	if found, err := s.find(d, o, time.Now()); err != nil || len(found) != 0 {
		s.Errorf("%v, %v", found, err)
	}
}

func notTaken(s *scene) {
	d := s.open(Wire{})
	var calls []placed
	for _, id := range []string{"call_one", "call_two"} {
		o := s.order("07")
		o.CallID = id
		calls = append(calls, s.place(d, o))
	}
	for _, c := range calls {
		if found, err := s.find(d, c.order, c.began); err != nil || !slices.Equal(found, []phone.Listed{{Ref: c.ref, Match: phone.Sure}}) {
			s.Errorf("%s is %s, and found is %v, %v", c.order.CallID, c.ref, found, err)
		}
	}
	o := s.order("07")
	o.CallID = "call_three"
	if found, err := s.find(d, o, time.Now()); err != nil || len(found) != 0 {
		s.Errorf("for a third dial, which never happened, %v is found, %v", found, err)
	}
}

func unreadLists(s *scene) {
	d, o := s.open(Wire{}), s.order("00")
	for what, f := range badAnswers() {
		s.breaker.with(reading, -1, f)
		found, err := s.find(d, o, time.Now())
		if err == nil {
			s.Errorf("%s is taken for a list of %v", what, found)
			continue
		}
		s.fails(o, "", err, phone.Unauthorized, phone.Exhausted, phone.Unavailable, phone.NotFound)
	}
}

// badAnswers are answers in which nothing can be read that was asked for.
func badAnswers() map[string]fault {
	return map[string]fault{
		"401": says(401), "404": says(404), "429": says(429), "500": says(500), "a dropped answer": dropped, "a cut answer": truncated(-1),
		"no JSON": answers(200, "text/html", "<html>"+canary+"</html>"), "another object": answers(200, "application/json", `{"ok":true}`),
	}
}
