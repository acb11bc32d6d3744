package faultlab

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"pgregory.net/rapid"
)

// TestRequestsAtLedger holds the ledger against a model of what a client may rely on, in drawn histories of two
// processes on one file: the same wish is the same call as long as that call stands for it, a key stands for one request,
// and who lost a call writes nothing more into it.
func TestRequestsAtLedger(t *testing.T) {
	var sum met
	t.Cleanup(func() {
		t.Log(sum.String())
		if sum.conflicts.Load() < 100*requestChecks && !t.Failed() {
			t.Error("keys hardly ever meet other requests: the histories prove little")
		}
	})
	for i := range requestChecks { // a check is 100 histories, and has a file of its own
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			path := "sqlite:" + filepath.Join(t.TempDir(), "outdial.db")
			var ledgers [2]*ledger.Ledger
			for i := range ledgers {
				l, err := ledger.Open(t.Context(), path, ledger.Options{Lease: lease})
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				ledgers[i] = l
			}
			history := 0
			rapid.Check(t, func(t *rapid.T) {
				history++
				m := &requests{ledgers: ledgers, sum: &sum, history: history % 4000, principal: fmt.Sprint("principal ", history), now: time.Now().UTC().Truncate(time.Microsecond)}
				t.Repeat(map[string]func(*rapid.T){
					"":         m.check,
					"ask":      m.ask,
					"ask more": m.ask, // as often as all that can become of it
					"ask on":   m.ask,
					"answer":   m.answer,
					"speak":    m.speak,
					"end":      m.end,
					"hang up":  m.hangUp,
					"claim":    m.claim,
					"wait": func(t *rapid.T) {
						m.now = m.now.Add(time.Duration(rapid.IntRange(1, 700).Draw(t, "seconds")) * time.Second)
					},
				})
			})
		})
	}
}

// met counts what the histories brought.
type met struct{ calls, replayed, conflicts, busy, freed, lost, claimed atomic.Int64 }

func (n *met) String() string {
	return fmt.Sprintf("%d calls, %d replayed, %d keys in conflict, %d repetitions too early, %d freed, %d writes of who had lost the call, %d claimed",
		n.calls.Load(), n.replayed.Load(), n.conflicts.Load(), n.busy.Load(), n.freed.Load(), n.lost.Load(), n.claimed.Load())
}

// requests is the model: the calls of one principal, and what stands for them.
type requests struct {
	sum       *met
	ledgers   [2]*ledger.Ledger
	history   int // each has numbers of its own: those who judge see all calls to one
	principal string
	now       time.Time
	calls     []*placed
	last      *placed // that a step was about
	asked     bool    // in the last step
}

// placed is a call as it should be.
type placed struct {
	id     string
	names  []string          // what was wished
	keys   map[string]string // the client's names of it, each with the params that it came with
	dial   ledger.Dial
	owner  int // the process that follows it; -1: none
	epoch  int64
	hangup bool
	call   *phone.Call
}

const (
	window = 10 * time.Minute
	lease  = 24 * time.Hour // nobody is gone because the machine is slow
)

// stands says whether an equal wish without a key still means this call.
func (p *placed) stands(now time.Time) bool {
	over := p.call.EndedAt
	if over.IsZero() {
		over = p.call.ChangedAt
	}
	return p.dial != ledger.Rejected && (!p.call.Ended() || now.Sub(over) <= window)
}

// newest is the last call that a condition holds for.
func (m *requests) newest(is func(*placed) bool) *placed {
	for _, p := range slices.Backward(m.calls) {
		if is(p) {
			return p
		}
	}
	return nil
}

func (m *requests) byKey(key string) *placed {
	return m.newest(func(p *placed) bool { return p.keys[key] != "" && p.dial != ledger.Rejected })
}

func (m *requests) byName(name string, keyed bool) *placed {
	return m.newest(func(p *placed) bool {
		return slices.Contains(p.names, name) && p.stands(m.now) && !(keyed && len(p.keys) > 0)
	})
}

// name has a call stand for a key, which no longer stands for one that was not placed.
func (m *requests) name(p *placed, key, params string) {
	if key == "" {
		return
	}
	for _, other := range m.calls {
		delete(other.keys, key)
	}
	p.keys[key] = params
}

// ask wishes for a call, as the switchboard does: few numbers, tasks and keys, so that wishes meet.
func (m *requests) ask(t *rapid.T) {
	m.now = m.now.Add(time.Millisecond) // no two are of one moment
	number := fmt.Sprint("+861380013", 1000+2*m.history+rapid.IntRange(0, 1).Draw(t, "number"))
	provider := rapid.SampledFrom([]string{"stepone", "pamela"}).Draw(t, "provider")
	named := rapid.Bool().Draw(t, "named")
	voice := rapid.SampledFrom([]string{"", "v"}).Draw(t, "voice") // of the request, and not of what is wished
	key := rapid.SampledFrom([]string{"", "", "k1", "k2", "k3"}).Draw(t, "key")
	repeat := ""
	if len(m.calls) > 0 && rapid.IntRange(0, 4).Draw(t, "repeats") == 0 {
		repeat = m.calls[rapid.IntRange(0, len(m.calls)-1).Draw(t, "repeated")].id
	}
	to, err := phone.ParseNumber(number, "")
	if err != nil {
		t.Fatal(err)
	}
	in := ledger.Intent{
		Call: phone.Begin(ledger.NewCallID(), m.principal, provider, "acc", phone.Order{To: to, Task: "x", Voice: voice}, m.now),
		Key:  key, Params: fmt.Sprint(number, provider, voice, repeat), Window: window, RepeatOf: repeat,
		Names: []string{fmt.Sprint(provider, number, repeat), fmt.Sprint("any", number, repeat)},
	}
	in.Known = in.Names
	if named {
		in.Known = in.Names[:1]
	}
	var want *placed
	conflict, busy := false, false
	if key != "" {
		want = m.byKey(key)
		conflict = want != nil && want.keys[key] != in.Params
	}
	for _, name := range in.Known {
		if want == nil {
			want = m.byName(name, key != "")
		}
	}
	if want == nil && repeat != "" {
		earlier := m.calls[slices.IndexFunc(m.calls, func(p *placed) bool { return p.id == repeat })]
		busy = !earlier.call.Ended()
	}
	refuse := rapid.IntRange(0, 9).Draw(t, "refused") == 0
	judged := false
	m.asked = true
	who := rapid.IntRange(0, 1).Draw(t, "process")
	h, replayed, err := m.ledgers[who].Reserve(t.Context(), in, func(phone.Facts) error {
		judged = true
		if refuse {
			return phone.Errorf(phone.Refused, "No.")
		}
		return nil
	})
	e := cmp.Or(phone.AsError(err), &phone.Error{})
	switch {
	case conflict:
		m.sum.conflicts.Add(1)
		if e.Code != phone.Invalid || e.Reason != "key_conflict" || e.CallID != want.id || judged {
			t.Fatalf("the key %s stands for %s with other params: %v", key, want.id, err)
		}
	case want != nil:
		m.sum.replayed.Add(1)
		if err != nil || !replayed || h.ID != want.id || judged {
			t.Fatalf("the same wish as %s: %v, replayed %v, %v", want.id, h.Call, replayed, err)
		}
		m.last = want
		m.name(want, key, in.Params)
	case busy:
		m.sum.busy.Add(1)
		if e.Code != phone.Refused || e.Reason != "busy" || e.CallID != repeat || judged {
			t.Fatalf("a repetition of a call that goes on: %v", err)
		}
	case refuse:
		if e.Code != phone.Refused || e.Reason != "" {
			t.Fatalf("judged: %v", err)
		}
	default:
		if err != nil || replayed || h.ID != in.Call.ID {
			t.Fatalf("a new wish: %v, replayed %v, %v", h.Call, replayed, err)
		}
		p := &placed{id: h.ID, names: in.Names, keys: map[string]string{}, dial: ledger.Sending, owner: who, epoch: 1, call: h.Call}
		m.name(p, key, in.Params)
		m.calls, m.last = append(m.calls, p), p
		m.sum.calls.Add(1)
	}
}

// one draws a call; it skips the step where there is none.
func (m *requests) one(t *rapid.T) *placed {
	if len(m.calls) == 0 {
		t.Skip("nobody has called yet")
	}
	m.last = m.calls[rapid.IntRange(0, len(m.calls)-1).Draw(t, "call")]
	return m.last
}

// answer records what the provider said to a dial, also late and also twice.
func (m *requests) answer(t *rapid.T) {
	p, l := m.one(t), m.ledgers[rapid.IntRange(0, 1).Draw(t, "process")]
	d := rapid.SampledFrom([]ledger.Dial{ledger.Placed, ledger.Placed, ledger.Rejected, ledger.Unknown}).Draw(t, "answer")
	var err error
	switch d {
	case ledger.Placed:
		_, err = l.Placed(t.Context(), p.id, "ref")
	case ledger.Rejected:
		_, err = l.Rejected(t.Context(), p.id, &phone.Failure{Code: phone.Refused})
	default:
		_, err = l.Unknown(t.Context(), p.id, &phone.Failure{Code: phone.Uncertain})
	}
	if err != nil {
		t.Fatal(err)
	}
	// That the provider has a call is a fact, whatever was known before; it does not bring one back to life.
	news := p.dial == ledger.Sending || p.dial == ledger.Unknown && d != ledger.Unknown || p.dial == ledger.Rejected && d == ledger.Placed
	if !news {
		return
	}
	was := p.call
	h, err := l.Call(t.Context(), m.principal, p.id)
	if err != nil {
		t.Fatal(err)
	}
	if p.call = h.Call; p.call.Ended() != (d == ledger.Rejected || p.dial == ledger.Rejected) || p.call.Seq != was.Seq+1 { // the event's time is the ledger's own
		t.Fatalf("%s and then %s: the call is %s, with %d events after %d", p.dial, d, p.call.Status, p.call.Seq, was.Seq)
	}
	if p.dial = d; d == ledger.Rejected {
		m.sum.freed.Add(1)
	}
	if d != ledger.Placed || p.call.Ended() {
		p.owner = -1
	}
}

// speak records words, as who follows the call and as who lost it.
func (m *requests) speak(t *rapid.T) {
	text := rapid.SampledFrom([]string{"yes", "no"}).Draw(t, "text")
	m.observe(t, phone.Observation{Words: []phone.Words{{Role: phone.Callee, Text: text, Final: true}}})
}

func (m *requests) end(t *rapid.T) {
	m.observe(t, phone.Observation{Line: phone.WrappingUp, Extent: phone.Whole, Outcome: phone.NoAnswer})
}

func (m *requests) observe(t *rapid.T, o phone.Observation) {
	p, who := m.one(t), rapid.IntRange(0, 1).Draw(t, "process")
	epoch := p.epoch - int64(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "epochs ago"))
	o.At = m.now
	after := p.call.Clone()
	events := after.Clone().Observe(o)
	if len(events) == 0 || p.dial == ledger.Sending {
		t.Skip("nothing is new, or nobody follows it yet")
	}
	if rapid.IntRange(0, 5).Draw(t, "gap") == 0 {
		for i := range events {
			events[i].Seq += int64(rapid.SampledFrom([]int{-1, 1}).Draw(t, "by"))
		}
	}
	gap := events[0].Seq != p.call.Seq+1
	for _, e := range events {
		after.Apply(e)
	}
	err := m.ledgers[who].Append(t.Context(), after, epoch, events)
	if who != p.owner || epoch != p.epoch || gap {
		m.sum.lost.Add(1)
		if !errors.Is(err, ledger.ErrLost) {
			t.Fatalf("process %d writes under epoch %d after event %d, and it is process %d's under %d after %d: %v",
				who, epoch, events[0].Seq-1, p.owner, p.epoch, p.call.Seq, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if p.call = after; after.Ended() {
		p.owner = -1
	}
}

func (m *requests) hangUp(t *rapid.T) {
	p := m.one(t)
	p.hangup = true
	if h, err := m.ledgers[rapid.IntRange(0, 1).Draw(t, "process")].WantHangup(t.Context(), p.id); err != nil || !h.HangupWanted {
		t.Fatalf("%+v, %v", h, err)
	}
}

// claim has one process take over what the other, which is gone, or nobody follows.
func (m *requests) claim(t *rapid.T) {
	p, who := m.one(t), rapid.IntRange(0, 1).Draw(t, "process")
	gone := rapid.Bool().Draw(t, "the other is gone")
	now := time.Now()
	if gone {
		now = now.Add(2 * lease)
	}
	held, err := m.ledgers[who].Claim(t.Context(), ledger.Accounts{Ask: []string{"acc"}}, func(id string) bool { return id != p.id }, now)
	if err != nil {
		t.Fatal(err)
	}
	free := (p.dial == ledger.Sending || p.dial == ledger.Placed) && !p.call.Ended() && (p.owner == who || p.owner < 0 || gone)
	if free != (len(held) == 1) {
		t.Fatalf("%d calls are claimed, and it should be claimed: %v", len(held), free)
	}
	if free {
		p.owner, p.epoch = who, p.epoch+1
		m.sum.claimed.Add(1)
	}
}

// check compares the call that the last step was about with the ledger's, and after a wish the list of all.
func (m *requests) check(t *rapid.T) {
	if m.asked {
		m.asked = false
		m.list(t)
	}
	if m.last != nil {
		m.last.check(t, m)
	}
}

func (m *requests) list(t *rapid.T) {
	calls, _, err := m.ledgers[1].List(t.Context(), m.principal, ledger.Filter{Limit: 200})
	if err != nil || len(calls) != len(m.calls) {
		t.Fatalf("%d calls, want %d, %v", len(calls), len(m.calls), err)
	}
	live := map[string]string{}
	for _, p := range m.calls {
		if !slices.ContainsFunc(calls, func(c *phone.Call) bool { return c.ID == p.id && c.Status == p.call.Status && c.Seq == p.call.Seq }) {
			t.Fatalf("%s, with %d events and %s, is not in the list", p.id, p.call.Seq, p.call.Status)
		}
		if !p.call.Ended() && len(p.keys) == 0 {
			if other := live[p.names[0]]; other != "" {
				t.Fatalf("%s and %s are live for one wish", other, p.id)
			}
			live[p.names[0]] = p.id
		}
	}
}

func (p *placed) check(t *rapid.T, m *requests) {
	h, err := m.ledgers[0].Call(t.Context(), m.principal, p.id)
	if err != nil {
		t.Fatal(err)
	}
	if h.Dial != p.dial || h.Epoch != p.epoch || h.HangupWanted != p.hangup || m.ledgers[0].Follows(h) != (p.owner == 0) || m.ledgers[1].Follows(h) != (p.owner == 1) {
		t.Fatalf("%s is %s under epoch %d, want %s under %d", p.id, h.Dial, h.Epoch, p.dial, p.epoch)
	}
	events, err := m.ledgers[1].Events(t.Context(), p.id, 0)
	if err != nil || int64(len(events)) != p.call.Seq {
		t.Fatalf("%d events of %d, %v", len(events), p.call.Seq, err)
	}
	for i, e := range events {
		if e.Seq != int64(i)+1 {
			t.Fatalf("event %d in place of %d", e.Seq, i+1)
		}
	}
	if a, b := inJSON(h.Call), inJSON(p.call); a != b {
		t.Fatalf("the call is\n%s, want\n%s", a, b)
	}
}
