package switchboard

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// teller is a service that tells by itself what is said, and knows the whole once a call is over.
type teller struct {
	mu    sync.Mutex
	n     int
	over  map[phone.Ref][]phone.Words
	looks map[phone.Ref]int
	place func(ref phone.Ref) // before the answer to a dial
	slow  bool                // it answers no look-up
}

func newTeller() *teller {
	return &teller{over: map[phone.Ref][]phone.Words{}, looks: map[phone.Ref]int{}}
}

func (s *teller) Place(context.Context, phone.Order) (phone.Ref, error) {
	s.mu.Lock()
	s.n++
	ref := phone.Ref(fmt.Sprintf("ref%d", s.n))
	s.mu.Unlock()
	if s.place != nil {
		s.place(ref)
	}
	return ref, nil
}

func (s *teller) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	if s.slow {
		<-ctx.Done()
		return phone.Observation{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks[ref]++
	if record, ok := s.over[ref]; ok {
		return phone.Observation{Line: phone.WrappingUp, Outcome: phone.Completed, Extent: phone.Whole, Words: record}, nil
	}
	return phone.Observation{Line: phone.InProgress}, nil
}

func (s *teller) end(ref phone.Ref, record []phone.Words) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over[ref] = record
}

func (s *teller) looked(ref phone.Ref) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks[ref]
}

func (s *teller) Receives() bool { return true }

// Receive takes told as JSON.
func (s *teller) Receive(_ http.Header, body []byte) (providers.Notice, error) {
	var n told
	if err := json.Unmarshal(body, &n); err != nil {
		return providers.Notice{}, phone.Errorf(phone.Unauthorized, "forged")
	}
	if n.Tool != "" {
		return providers.Notice{Ref: n.Ref, Ask: &providers.Ask{
			ID: fmt.Sprint(n.At), Tool: n.Tool, Arguments: json.RawMessage(`{"name":"x"}`),
			Reply: func(result json.RawMessage) []byte { return result },
		}}, nil
	}
	o := phone.Observation{}
	if len(n.Words) > 0 {
		o = phone.Observation{Extent: phone.Update, Told: time.UnixMilli(int64(n.At)), Words: n.Words}
	}
	return providers.Notice{Digest: string(body), Ref: n.Ref, Observation: o}, nil
}

// told is one webhook of a teller.
type told struct {
	Ref   phone.Ref
	At    int
	Words []phone.Words
	Tool  string // that the agent on the line calls
}

func (n told) body() []byte {
	b, _ := json.Marshal(n)
	return b
}

func (s *teller) provider(pace providers.Pace) *providers.Provider {
	sp := spec("test")
	sp.Pace = pace
	return providers.New(sp, s, providers.Options{Account: "acc"})
}

// seldom asks so seldom that only a hint makes it look in time.
func seldom() providers.Pace {
	return providers.Pace{Poll: time.Minute, RecordEvery: 10 * time.Millisecond}
}

func send(t *testing.T, b board, n told) {
	t.Helper()
	if _, err := b.Receive(t.Context(), "test", nil, n.body()); err != nil {
		t.Fatal(err)
	}
}

// What a service tells by itself is heard at once, though it answers no look-up.
func TestWebhooksAreHeardAtOnce(t *testing.T) {
	s := newTeller()
	s.slow = true
	b := newBoard(t, file(t), nil, s.provider(seldom()))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	send(t, b, told{Ref: p.Call.Ref, At: 1, Words: words("hello")})
	for e, err := range b.Watch(ctx, me(), p.Call.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := e.Body.(phone.Fragment); ok && f.Text == "hello" {
			return
		}
	}
	t.Fatal("nothing was heard")
}

// Webhooks that come before the dial is answered, and to a process that does not follow the call, are read by the one that
// does. A hint has the call looked up.
func TestWebhooksEarlyAndElsewhere(t *testing.T) {
	s := newTeller()
	path := file(t)
	elsewhere := newBoard(t, path, nil, newTeller().provider(seldom()))
	s.place = func(ref phone.Ref) { send(t, elsewhere, told{Ref: ref, At: 1, Words: words("early")}) }
	b := newBoard(t, path, nil, s.provider(seldom()))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	send(t, elsewhere, told{Ref: p.Call.Ref, At: 2, Words: words("late")})
	s.end(p.Call.Ref, words("early", "late", "bye"))
	send(t, elsewhere, told{Ref: p.Call.Ref, At: 3, Words: nil})
	if diff := cmp.Diff([]string{"early", "late", "bye"}, listen(t, b, p.Call.ID, 0)); diff != "" {
		t.Error(diff)
	}
	c, err := b.Get(t.Context(), me(), p.Call.ID)
	if err != nil || c.Record != phone.Complete || c.Outcome != phone.Completed {
		t.Errorf("%+v, %v", c, err)
	}
}

// A webhook that comes again changes nothing, and does not even have the call looked up; many hints at once are few
// look-ups.
func TestWebhooksAgain(t *testing.T) {
	s := newTeller()
	b := newBoard(t, file(t), nil, s.provider(seldom()))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		send(t, b, told{Ref: p.Call.Ref, At: i, Words: words(fmt.Sprint("word ", i))})
	}
	heard := func() *phone.Call {
		for range 500 {
			c, err := b.Get(t.Context(), me(), p.Call.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Turns) == 50 {
				return c
			}
			time.Sleep(10 * time.Millisecond) // another goroutine records it, and what is recorded is asked for
		}
		t.Fatal("not all was heard")
		return nil
	}
	before := heard()
	for i := range 1000 {
		send(t, b, told{Ref: p.Call.Ref, At: i % 50, Words: words(fmt.Sprint("word ", i%50))})
	}
	if after := heard(); after.Seq != before.Seq {
		t.Errorf("event %d became %d", before.Seq, after.Seq)
	}
	if n := s.looked(p.Call.Ref); n > 8 {
		t.Errorf("%d look-ups", n)
	}
	if n, err := b.Ledger.UnreadLetters(t.Context()); err != nil || n != 0 {
		t.Errorf("%d webhooks are to be read once more, %v", n, err)
	}
}

// A forged webhook, and one for nobody, change nothing.
func TestWebhooksRefused(t *testing.T) {
	b := newBoard(t, file(t), nil, newTeller().provider(seldom()), with(newService()))
	if _, err := b.Receive(t.Context(), "test", nil, []byte("forged")); phone.CodeOf(err) != phone.Unauthorized {
		t.Errorf("forged: %v", err)
	}
	if _, err := b.Receive(t.Context(), "no such", nil, told{Ref: "ref1"}.body()); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("for nobody: %v", err)
	}
	send(t, b, told{Ref: "a call that is not known", Words: words("x")})
	if err := b.Ledger.ClearInbox(t.Context(), time.Now().Add(11*time.Minute)); err != nil {
		t.Fatal(err)
	}
	left, err := b.Ledger.Letters(t.Context(), ledger.Held{Call: &phone.Call{Account: "acc", Ref: "a call that is not known"}})
	if err != nil || len(left) > 0 {
		t.Errorf("a letter about a call that never came is kept: %v, %v", left, err)
	}
}

// Words that come when a call counts as over, and its record never came, are heard all the same, also where the call stayed
// claimed by this process after a fault: one of them may be a wish not to be called again.
func TestWebhooksAfterTheEnd(t *testing.T) {
	for name, claimed := range map[string]bool{"let go": false, "still claimed": true} {
		t.Run(name, func(t *testing.T) {
			s := newTeller()
			s.slow = true
			pace := seldom()
			pace.Longest = 300 * time.Millisecond
			b := newBoard(t, file(t), nil, s.provider(pace))
			p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
			if err != nil {
				t.Fatal(err)
			}
			listen(t, b, p.Call.ID, 0)
			if claimed {
				if held, err := b.Ledger.ClaimOne(t.Context(), p.Call.ID, time.Now()); err != nil || len(held) != 1 {
					t.Fatalf("%+v, %v", held, err)
				}
			}
			send(t, b, told{Ref: p.Call.Ref, At: 1, Words: words("please don't call me again")})
			stands(t, b, p.Call.ID, func(c *phone.Call) bool { return len(c.Turns) == 1 && !c.OptedOut.IsZero() })
		})
	}
}

// A wish not to be called again that comes after a record which lacks it is heard.
func TestWebhooksAfterTheRecord(t *testing.T) {
	s := newTeller()
	b := newBoard(t, file(t), nil, s.provider(seldom()))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	s.end(p.Call.Ref, words("hello"))
	send(t, b, told{Ref: p.Call.Ref, At: 1})
	listen(t, b, p.Call.ID, 0)
	send(t, b, told{Ref: p.Call.Ref, At: 2, Words: words("please don't call me again")})
	c := stands(t, b, p.Call.ID, func(c *phone.Call) bool { return !c.OptedOut.IsZero() })
	if len(c.Turns) != 1 || c.Record != phone.Complete {
		t.Errorf("%d turns, %s", len(c.Turns), c.Record)
	}
}

// stands waits until a call is recorded as it should be, without asking the service.
func stands(t *testing.T, b board, id string, is func(c *phone.Call) bool) *phone.Call {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		h, err := b.Ledger.Call(t.Context(), me().Principal, id)
		if err != nil {
			t.Fatal(err)
		}
		if is(h.Call) {
			return h.Call
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s, %s, %d turns, opted out %v", h.Status, h.Record, len(h.Turns), h.OptedOut)
		}
		select {
		case <-b.Ledger.News():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// What was tried in vain, and another process has read since, is tried no more.
func TestLettersThatAnotherProcessHasRead(t *testing.T) {
	b := newBoard(t, file(t), nil, newTeller().provider(seldom()))
	tried := map[string]time.Time{"call_1": time.Now(), "call_2": time.Now()}
	b.hearOver(t.Context(), []string{"call_2"}, tried)
	if _, waits := tried["call_2"]; !waits || len(tried) != 1 {
		t.Errorf("%v", tried)
	}
}

// Two accounts at one service may name their calls alike: a webhook of the one says nothing of the other's call.
func TestWebhooksOfAnotherAccount(t *testing.T) {
	path := file(t)
	b := newBoard(t, path, nil, newTeller().provider(seldom()))
	p, err := b.Place(t.Context(), me(), ask("+8613800138000", "x"))
	if err != nil {
		t.Fatal(err)
	}
	sp := spec("test")
	sp.Pace = seldom()
	other := newBoard(t, path, func(o *Options) {
		static := tool("static", time.Second)
		static.Answer = json.RawMessage(`1`)
		o.CallTools = []CallTool{static}
	}, providers.New(sp, newTeller(), providers.Options{Account: "another"}))
	send(t, other, told{Ref: p.Call.Ref, At: 1, Words: words("foreign")})
	send(t, other, told{Ref: p.Call.Ref, At: 2, Words: words("own")}) // word for word the same
	if _, err := other.Receive(t.Context(), "test", nil, told{Ref: p.Call.Ref, Tool: "static"}.body()); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("a tool's call: %v", err)
	}
	send(t, b, told{Ref: p.Call.Ref, At: 2, Words: words("own")})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for e, err := range b.Watch(ctx, me(), p.Call.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := e.Body.(phone.Fragment); ok {
			if f.Text != "own" {
				t.Errorf("heard %q", f.Text)
			}
			return
		}
	}
	t.Error("its own was not heard")
}

var orders = flag.Int("orders", 24, "how many of the 720 orders of six webhooks are tried (0: all)")

// Six webhooks in any order, each of them one to five times: one final state.
func TestWebhookOrders(t *testing.T) {
	s := newTeller()
	b := newBoard(t, file(t), nil, s.provider(seldom()))
	record := words("one", "two", "three")
	six := func(ref phone.Ref) []told {
		return []told{{Ref: ref, At: 0, Words: nil}, {Ref: ref, At: 1, Words: nil}, {Ref: ref, At: 2, Words: record[:1]}, {Ref: ref, At: 3, Words: record[1:2]}, {Ref: ref, At: 4, Words: record[2:]}, {Ref: ref, At: 5, Words: record}}
	}
	all := permutations(6)
	if n := *orders; n > 0 && n < len(all) {
		var some [][]int
		for i := range n {
			some = append(some, all[i*31%len(all)]) // 31 and 720 have nothing in common: none twice
		}
		all = some
	}
	var running sync.WaitGroup
	for i, order := range all {
		p, err := b.Place(t.Context(), me(), ask(fmt.Sprintf("+86138%08d", i), "x"))
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			for k, which := range order {
				for range 1 + (i+k)%5 {
					if _, err := b.Receive(t.Context(), "test", nil, six(p.Call.Ref)[which].body()); err != nil {
						t.Error(err)
					}
				}
			}
			s.end(p.Call.Ref, record)
			if _, err := b.Receive(t.Context(), "test", nil, told{Ref: p.Call.Ref, At: 6, Words: nil}.body()); err != nil {
				t.Error(err)
			}
			heard := slices.Sorted(slices.Values(listen(t, b, p.Call.ID, 0)))
			c, err := b.Get(t.Context(), me(), p.Call.ID)
			if err != nil {
				t.Error(err)
				return
			}
			var said []phone.Words
			for _, turn := range c.Spoken() {
				said = append(said, phone.Words{Role: turn.Role, Text: turn.Text, Final: turn.Final})
			}
			if diff := cmp.Diff(record, said); diff != "" || c.Status != phone.StatusEnded || c.Outcome != phone.Completed || c.Record != phone.Complete {
				t.Errorf("%v: %s, %s, %s; %s", order, c.Status, c.Outcome, c.Record, diff)
			}
			if diff := cmp.Diff([]string{"one", "three", "two"}, heard); diff != "" {
				t.Errorf("%v: not each was heard once: %s", order, diff)
			}
		})
		if i%20 == 19 {
			running.Wait()
		}
	}
	running.Wait()
	t.Logf("%d orders", len(all))
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			all = append(all, slices.Insert(slices.Clone(p), at, n-1))
		}
	}
	return all
}
