package switchboard

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/rs/zerolog"
)

// tally keeps what a meter is told.
type tally struct {
	mu  sync.Mutex
	all map[string]int
}

func (m *tally) add(n int, format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[string]int{}
	}
	m.all[fmt.Sprintf(format, args...)] += n
}

func (m *tally) told() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.all)
}

func (m *tally) Dialing(_ context.Context, provider string) func(string) {
	return func(result string) { m.add(1, "dial %s %s", provider, result) }
}
func (m *tally) Ended(provider string, o phone.Outcome) { m.add(1, "ended %s %s", provider, o) }
func (m *tally) Refused(code string)                    { m.add(1, "refused %s", code) }
func (m *tally) Heard(provider string, n int)           { m.add(n, "heard %s", provider) }
func (m *tally) Shown(provider string, _ time.Duration) { m.add(1, "shown %s", provider) }
func (m *tally) Watching(more int)                      { m.add(more, "watching") }
func (m *tally) Webhook(provider, result string)        { m.add(1, "webhook %s %s", provider, result) }
func (m *tally) Asked(by phone.AnsweredBy)              { m.add(1, "asked %s", by) }

func TestMeter(t *testing.T) {
	s := newService().talks()
	s.place = func(o phone.Order) (phone.Ref, error) {
		switch o.Task {
		case "no":
			return "", phone.Errorf(phone.Exhausted, "No credit is left.")
		case "who knows":
			return "", phone.Errorf(phone.Uncertain, "It may ring.")
		}
		return "ref", nil
	}
	m := &tally{}
	b := newBoard(t, file(t), func(o *Options) {
		o.Meter = m
		o.Policy = guard.Policy{Regions: []string{"CN"}}
	}, with(s))
	for _, r := range []Request{
		ask("+8613800138000", "talk"), ask("+8613800138000", "talk"), ask("+8613800138001", "no"), ask("+8613800138002", "who knows"),
		ask("+12025550143", "abroad"), ask("110", "an emergency"), ask("+8613800138003 or so", "nobody"),
		{To: "+8613800138004", Task: " "},
	} {
		_, err := b.Place(t.Context(), me(), r)
		if r.Task == "talk" && err != nil {
			t.Fatal(err)
		}
		if r.Task == "talk" {
			all, _, err := b.List(t.Context(), me(), Filter{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			listen(t, b, all[0].ID, 0)
		}
	}
	_, _ = b.Receive(t.Context(), "test", http.Header{}, nil) // which takes none
	b.stop()
	if diff := cmp.Diff(map[string]int{
		"dial test placed": 1, "dial test rejected": 1, "dial test uncertain": 1,
		"ended test completed": 1, "ended test failed": 1, "heard test": 2, "watching": 0,
		"refused region_not_allowed": 1, "refused emergency_number": 1, "refused bad_number": 1, "refused invalid": 1,
	}, m.told()); diff != "" {
		t.Error(diff)
	}
}

// A reason that is no rule's is counted as what it is, however a provider has worded it.
func TestMeterTakesNoWordsOfOthers(t *testing.T) {
	m := &tally{}
	s := New(Options{Meter: m})
	s.meterRefusal(&phone.Error{Code: phone.Refused, Reason: "ask for +8613800138000"})
	s.meterRefusal(&phone.Error{Code: phone.Unavailable, Reason: "too_soon"})
	if diff := cmp.Diff(map[string]int{"refused refused": 1}, m.told()); diff != "" {
		t.Error(diff)
	}
}

// A dial is logged with its number masked, and so that the same number is known again in this ledger's log alone.
func TestDialsAreLoggedMasked(t *testing.T) {
	tag := func(path, task string) string {
		var log bytes.Buffer
		s := newService()
		s.place = func(phone.Order) (phone.Ref, error) { return "", phone.Errorf(phone.Exhausted, "No credit.") }
		b := newBoard(t, path, func(o *Options) { o.Log = zerolog.New(&log) }, providers.New(spec("test"), s, providers.Options{Account: "acc"}))
		if _, err := b.Place(t.Context(), me(), ask("+8613800138000", task)); phone.CodeOf(err) != phone.Exhausted {
			t.Fatal(err)
		}
		b.stop()
		said := log.String()
		_, after, ok := strings.Cut(said, `"to":"+86…00#`)
		if !ok || len(after) < 7 || after[6] != '"' || strings.Contains(said, "138001") || strings.Contains(said, "secret") {
			t.Fatalf("logged: %s", said)
		}
		return after[:6]
	}
	one, other := file(t), file(t)
	first, again, elsewhere := tag(one, "a secret task"), tag(one, "another secret"), tag(other, "a secret task")
	if first != again || first == elsewhere {
		t.Errorf("one number: %s and %s in one ledger, %s in another", first, again, elsewhere)
	}
}
