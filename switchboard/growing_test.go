package switchboard

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// growing is a service that streams, and attaches its record in parts once the line has closed.
type growing struct {
	*streaming
	parts [][]phone.Words
	looks int
}

func (s *growing) Lookup(context.Context, phone.Ref) (phone.Observation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: s.parts[min(s.looks, len(s.parts))-1]}, nil
}

// Who takes a call over has heard only the end of it: a record with as much as that is not all there will be.
func TestARecordInPartsAfterATakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &growing{streaming: &streaming{service: newService()}, parts: [][]phone.Words{words("1"), words("1", "2", "3", "4")}}
		p := func() *providers.Provider { return providers.New(spec("test"), s, providers.Options{Account: "acc"}) }
		path := file(t)
		a := newBoard(t, path, nil, p())
		for _, w := range []string{"1", "2", "3"} {
			s.said <- phone.Observation{Words: words(w)}
		}
		placed, err := a.Place(t.Context(), me(), ask("+8613800138000", "x"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // of the bubble's time, in which they are heard
		a.stop()
		b := newBoard(t, path, nil, p())
		s.said <- phone.Observation{Words: words("4")}
		s.said <- phone.Observation{Line: phone.WrappingUp}
		heardTo(t, b, placed.Call.ID)
		c := call(t, b, placed.Call.ID)
		var all []string
		for _, turn := range c.Spoken() {
			all = append(all, turn.Text)
		}
		if len(all) != 4 || c.Record != phone.Complete {
			t.Errorf("%q, the record %s", all, c.Record)
		}
		b.stop()
	})
}
