package faultlab

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/script"
)

// answerBy is how long a client may wait for the answer to create_call.
const answerBy = 26 * time.Second

// judge compares what rang with what was told and what is recorded, once everything has ended. What rang is what the
// service recorded; nobody else's word counts.
func (w *world) judge() {
	w.t.Helper()
	rang := map[string][]dial{} // by call
	for _, d := range w.service.recorded() {
		rang[d.callID] = append(rang[d.callID], d)
	}
	rows, intents := w.rows(), map[string]int{} // dials by intent
	for id, dials := range rang {
		row, known := rows[id]
		switch {
		case !known:
			w.t.Errorf("%s rang for %s, which no ledger knows", dials[0].number, id)
			continue
		case len(dials) > 1:
			w.t.Errorf("%s rang %d times for %s", dials[0].number, len(dials), id)
		case dials[0].number != row.Order.To.E164():
			w.t.Errorf("%s rang for %s, which is to another number", dials[0].number, id)
		case row.Dial == ledger.Rejected:
			w.t.Errorf("%s rang for %s, of which it is recorded that nobody was called: %+v", dials[0].number, id, row.Failure)
		}
		intents[dials[0].number+row.Order.Task]++
	}
	w.judgeBlocked(rows)
	for intent, n := range intents {
		if n > 1 {
			w.t.Errorf("%q rang %d times", intent, n)
		}
	}
	if w.strays.n > 0 {
		w.t.Errorf("%d requests to a host that is nobody's business", w.strays.n)
	}
	for _, a := range w.told {
		w.judgeAnswer(a, rows, rang)
	}
	for id, row := range rows {
		w.judgeRow(row, len(rang[id]) > 0)
	}
}

// judgeAnswer compares one answer with what rang.
func (w *world) judgeAnswer(a told, rows map[string]ledger.Held, rang map[string][]dial) {
	w.t.Helper()
	if a.lost != nil || a.tool != "create_call" {
		return
	}
	_, known := rows[a.CallID]
	dialed := len(rang[a.CallID]) > 0 && !rang[a.CallID][0].at.After(a.at)
	switch {
	case a.took > answerBy:
		w.t.Errorf("an answer after %v: %+v", a.took, a)
	case a.CallID != "" && !known:
		w.t.Errorf("a client was told of %s, which no ledger knows: %+v", a.CallID, a)
	case a.failed && a.CallStarted == "no" && a.Code != "refused" && len(rang[a.CallID]) > 0:
		w.t.Errorf("a client was told that nobody was called, and it rang: %+v", a)
	case a.failed && a.CallStarted == "yes", a.failed && a.CallStarted == "":
		w.t.Errorf("a failure that is none: %+v", a)
	case a.Code == "uncertain" && (a.CallStarted != "unknown" || a.RetrySafe || a.CallID == ""):
		w.t.Errorf("an uncertain dial was not told as one: %+v", a)
	case a.Code == "internal":
		w.t.Errorf("a fault of ours: %+v", a)
	case !a.failed && a.Status != string(phone.Dialing) && a.Status != string(phone.Unconfirmed) && !dialed:
		w.t.Errorf("a client was told of a call that nobody placed: %+v", a)
	}
}

// judgeRow compares what stands in the end with what rang.
func (w *world) judgeRow(row ledger.Held, dialed bool) {
	w.t.Helper()
	fail := func(what string) { w.t.Errorf("%s (dialed: %v): %s: %+v", row.ID, dialed, what, row.Call) }
	switch {
	case row.Status == phone.Unconfirmed:
		if w.service.finds {
			fail("it could have been found out")
		} else if row.Dial != ledger.Unknown || row.Failure == nil || row.Failure.Code != phone.Uncertain {
			fail("it does not say why")
		}
	case !row.Ended():
		fail("it is not over")
	case dialed != (row.Dial == ledger.Placed):
		fail("it is recorded otherwise")
	case !dialed:
		if row.Outcome != phone.Failed || row.Failure == nil {
			fail("it does not say why")
		}
	case w.cancels(row.ID):
		if all := said(row.Call); len(all) > len(w.script(row)) || !slices.Equal(w.script(row)[:len(all)], all) {
			fail("it was cancelled, and more is recorded than was said")
		}
	case row.Outcome != phone.Completed || row.Record != phone.Complete:
		fail("its record is not complete")
	default:
		if diff := cmp.Diff(w.script(row), said(row.Call)); diff != "" {
			w.t.Errorf("%s: what was said and what is recorded: %s", row.ID, diff)
		}
	}
}

// script is what the service says that was said.
func (w *world) script(row ledger.Held) []string {
	o := row.Order
	number := o.To.E164()
	if w.service.name == "stepone" {
		number = strings.TrimPrefix(number, "+86")
	}
	var all []string
	for _, l := range script.For(number, o.Lang(), o.Task, o.CallerName).Lines {
		all = append(all, string(l.Role)+": "+l.Text)
	}
	return all
}

func said(c *phone.Call) []string {
	var all []string
	for _, t := range c.Spoken() {
		all = append(all, string(t.Role)+": "+t.Text)
	}
	return all
}

// rows reads the ledger as it was left, each call with its events, which must be whole.
func (w *world) rows() map[string]ledger.Held {
	w.t.Helper()
	ctx := context.Background()
	l, err := ledger.Open(ctx, "sqlite:"+filepath.Join(w.dir, "outdial.db"), ledger.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	listed, _, err := l.List(ctx, phone.Local().Principal, ledger.Filter{Limit: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]ledger.Held{}
	for _, c := range listed {
		h, err := l.Call(ctx, c.Principal, c.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		events, err := l.Events(ctx, c.ID, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		if i := slices.IndexFunc(events, func(e phone.Event) bool { return e.Seq < 1 }); i >= 0 || int64(len(events)) != h.Seq {
			w.t.Errorf("%s: %d events, the last of which is %d", c.ID, len(events), h.Seq)
		}
		for i, e := range events {
			if e.Seq != int64(i+1) {
				w.t.Errorf("%s: event %d has the number %d", c.ID, i+1, e.Seq)
			}
		}
		all[c.ID], w.events[c.ID] = h, events
	}
	return all
}

// cancels says whether a client wanted a call ended.
func (w *world) cancels(id string) bool {
	return slices.ContainsFunc(w.told, func(a told) bool { return a.tool == "cancel_call" && a.intent == id })
}

// judgeBlocked finds dials to a number at which another one was uncertain at the time.
func (w *world) judgeBlocked(rows map[string]ledger.Held) {
	w.t.Helper()
	for _, d := range w.service.recorded() {
		for id, row := range rows {
			from, to := w.uncertain(row)
			if id != d.callID && row.Order.To.E164() == d.number && !from.IsZero() && d.at.After(from.Add(time.Second)) && d.at.Before(to) && d.at.Before(row.CreatedAt.Add(30*time.Minute)) {
				w.t.Errorf("%s rang at %v, while nobody knew what had become of %s", d.number, d.at, id)
			}
		}
	}
}

// uncertain is the time in which nobody knew what had become of a dial.
func (w *world) uncertain(row ledger.Held) (from, to time.Time) {
	to = time.Now()
	for _, e := range w.events[row.ID] {
		if p, ok := e.Body.(phone.Progress); ok && p.State == phone.Unconfirmed {
			from = e.At
		} else if !from.IsZero() {
			return from, e.At
		}
	}
	return from, to
}
