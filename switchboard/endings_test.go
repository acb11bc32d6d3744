package switchboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/notify"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// operatorsProgram is what is told of ends, as one process and another have it.
func operatorsProgram(t *testing.T, hear func(ctx context.Context, id, outcome string)) func() *notify.Target {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var told struct{ Data map[string]string }
		if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
			t.Error(err)
		}
		hear(r.Context(), told.Data["call_id"], told.Data["outcome"])
	}))
	t.Cleanup(web.Close)
	return func() *notify.Target {
		t.Helper()
		target, err := notify.Parse(web.URL, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
}

// Of each call it is told once that it has ended, and one that whoever hears it takes long over holds up no other.
func TestEndingsAreTold(t *testing.T) {
	const calls = 2*endingsAtOnce + 1
	heard, slow := make(chan string, 2*calls), make(chan struct{})
	first := make(chan struct{}, 1)
	target := operatorsProgram(t, func(_ context.Context, id, outcome string) {
		if outcome != "completed" {
			t.Errorf("%s ended as %s", id, outcome)
		}
		heard <- id
		select {
		case first <- struct{}{}:
			<-slow
		default:
		}
	})()
	s := newTeller()
	b := newBoard(t, file(t), func(o *Options) { o.OnEnd = target }, s.provider(seldom()))
	t.Cleanup(func() { close(slow) })
	missing := map[string]bool{}
	for i := range calls {
		p, err := b.Place(t.Context(), me(), ask(fmt.Sprintf("+86138%08d", i), "x"))
		if err != nil {
			t.Fatal(err)
		}
		missing[p.Call.ID] = true
		s.end(p.Call.Ref, words("bye"))
		send(t, b, told{Ref: p.Call.Ref, At: 1})
	}
	for late := time.After(10 * time.Second); len(missing) > 0; {
		select {
		case id := <-heard:
			if !missing[id] {
				t.Errorf("of %s it is told again", id)
			}
			delete(missing, id)
		case <-late:
			t.Fatalf("of %d calls it is not told, while one is being told of", len(missing))
		}
	}
}

// A call that ended while the one who tells of it was away, such as one that somebody else's process followed, is told when it
// is back; one from before anybody wanted to know is not.
func TestEndsAreToldAfterAnOutage(t *testing.T) {
	told := make(chan string, 10)
	program := operatorsProgram(t, func(_ context.Context, id, outcome string) { told <- id + " " + outcome })
	onEnd := func(o *Options) { o.OnEnd = program() }
	path := file(t)
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := func(to string, ago time.Duration) (id string) {
		t.Helper()
		n, err := phone.ParseNumber(to, "")
		if err != nil {
			t.Fatal(err)
		}
		c := phone.Begin(ledger.NewCallID(), "local", "test", "acc", phone.Order{To: n, Task: "x"}, time.Now().Add(-ago))
		if _, _, err = l.Reserve(t.Context(), ledger.Intent{Call: c}, func(phone.Facts) error { return nil }); err != nil {
			t.Fatal(err)
		}
		h, err := l.Placed(t.Context(), c.ID, phone.Ref(to))
		if err != nil {
			t.Fatal(err)
		}
		after := h.Clone()
		events := h.Settle(time.Now().Add(-ago))
		for _, e := range events {
			after.Apply(e)
		}
		if err := l.Append(t.Context(), after, h.Epoch, events); err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	hear := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want+" unknown" {
				t.Errorf("told %s, not %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s was told to nobody", want)
		}
	}
	ended("+8613800138000", 3*time.Hour) // nobody wanted to know
	if _, err := l.EndingsFrom(t.Context(), time.Now().Add(-2*time.Hour), time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err) // a process that told them began then, and is away
	}
	away := ended("+8613800138001", time.Hour)
	newBoard(t, path, onEnd)
	hear(away)
	hear(ended("+8613800138002", 0))
	if len(told) > 0 {
		t.Errorf("told too: %s", <-told)
	}
}

// Who ends a moment after a call still tells that it has ended.
func TestEndingsAreToldOnTheWayOut(t *testing.T) {
	heard := make(chan string, 1)
	target := operatorsProgram(t, func(ctx context.Context, id, _ string) {
		select {
		case <-time.After(300 * time.Millisecond): // so long it takes, if it is let
			heard <- id
		case <-ctx.Done():
			t.Error("whoever told has gone")
		}
	})()
	s := newTeller()
	b := newBoard(t, file(t), func(o *Options) { o.OnEnd = target }, s.provider(providers.Pace{Poll: 10 * time.Millisecond, RecordEvery: 10 * time.Millisecond}))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	s.end(p.Call.Ref, words("bye"))
	listen(t, b, p.Call.ID, 0)
	b.stop()
	select {
	case id := <-heard:
		if id != p.Call.ID {
			t.Errorf("it is told of %s, not of %s", id, p.Call.ID)
		}
	default:
		t.Error("it is not told")
	}
}
