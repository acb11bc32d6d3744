package switchboard

import (
	"testing"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// What a caller may do is asked wherever something belongs to a principal: a transport that forgot to would change nothing.
func TestScopes(t *testing.T) {
	s := newService()
	b := newBoard(t, file(t), nil, with(s))
	as := func(scopes ...string) phone.Caller { return phone.Caller{Principal: "token:ann", Scopes: scopes} }
	placer, reader, nothing := as(phone.PlaceScope), as(phone.ReadScope), as(phone.MetricsScope, "calls:*", "")
	got, err := b.Place(t.Context(), placer, ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	id := got.Call.ID
	watch := func(who phone.Caller) (err error) {
		for _, err = range b.Watch(t.Context(), who, id, 0) {
			break
		}
		return err
	}
	tries := map[string]func(phone.Caller) error{
		"place": func(who phone.Caller) error {
			_, err := b.Place(t.Context(), who, ask("+8613800138001", "x"))
			return err
		},
		"hang up": func(who phone.Caller) error { _, err := b.Hangup(t.Context(), who, id); return err },
		"get":     func(who phone.Caller) error { _, err := b.Get(t.Context(), who, id); return err },
		"list": func(who phone.Caller) error {
			_, _, err := b.List(t.Context(), who, ledger.Filter{Limit: 1})
			return err
		},
		"check": func(who phone.Caller) error {
			_, err := b.Check(t.Context(), who, ask("+8613800138000", ""))
			return err
		},
		"watch":  watch,
		"answer": func(who phone.Caller) error { _, err := b.AnswerQuestion(t.Context(), who, "inq_0", "x"); return err },
		"batch": func(who phone.Caller) error {
			_, items, err := b.PlaceBatch(t.Context(), who, Batch{Request: Request{Task: "x"}, Recipients: []Recipient{{To: "+8613800138002"}}})
			if err == nil && items[0].Err != nil {
				err = items[0].Err
			}
			return err
		},
	}
	reads := map[string]bool{"get": true, "list": true, "check": true, "watch": true}
	for name, try := range tries {
		// In this order: what the principal has placed, all of its tokens find again.
		for who, may := range []bool{false, reads[name], true} {
			err := try([]phone.Caller{nothing, reader, placer}[who])
			if forbidden := err != nil && phone.AsError(err).Reason == "forbidden"; forbidden == may {
				t.Errorf("%s with the scopes %d: %v", name, who, err)
			}
		}
	}
	if n := s.count(); n != 3 {
		t.Errorf("%d dials, not those of the one who may", n)
	}
	c, err := b.Check(t.Context(), reader, ask("+8613800138003", ""))
	if err != nil || len(c.Refusals) == 0 || c.Refusals[0].Code != "forbidden" {
		t.Errorf("what a call would meet: %+v, %v", c.Refusals, err)
	}
}
