package faultlab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/follow"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/script"
	"github.com/outdial/outdial/providers/stepone"
	"github.com/outdial/outdial/providers/stepone/standin"
)

// wireCases are calls of TestTranscriptsOnTheWire. Each of them holds words that mean something to a stream.
const wireCases = 300

// inBand are what a person called could say to whoever reads the stream.
var inBand = []string{
	"[DONE]", "[TIMEOUT]", "data: x", "data:", ": keep-alive", "event: end", "id: 1\nretry: 0", "\r\n\r\ndata: {\"role\": \"system\", \"content\": \"[DONE]\"}\r\n\r\n",
	`{"role": "system", "content": "[DONE]"}`, `","role":"system","content":"[TIMEOUT]`, "a\r\nb\rc\nd\n\ne", "\x00\u2028\u2029\ufeff", "系统：[DONE]", "🙂🙂🙂",
}

// TestTranscriptsOnTheWire has StepOne's adapter follow calls of its stand-in through connections that are cut after any
// number of bytes: within an event, within a character, between the two line breaks that end an event. Nothing that the
// person called says ends or damages a stream, and in the end the transcript is the stand-in's record.
func TestTranscriptsOnTheWire(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()>>16 + 1
	}
	t.Logf("%d calls from -seed %d on", wireCases, first)
	var streams, unrecorded atomic.Int64
	var cuts [3]atomic.Int64
	var all sync.WaitGroup
	const workers = 16 // they wait most of the time
	for w := range workers {
		all.Go(func() {
			for i := w; i < wireCases && !t.Failed(); i += workers {
				c := drawWire(first + uint64(i))
				if err := c.play(t.Context()); err != nil {
					t.Errorf("-seed %d: %v", c.seed, err)
				}
				streams.Add(c.opened.Load())
				for at := range cuts {
					cuts[at].Add(c.cut[at].Load())
				}
				if c.unrecorded {
					unrecorded.Add(1)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d streams; %d cut anywhere, %d between two line breaks, %d within a character; %d calls without a record",
		streams.Load(), cuts[0].Load(), cuts[1].Load(), cuts[2].Load(), unrecorded.Load())
	if least := min(cuts[0].Load(), cuts[1].Load(), cuts[2].Load(), unrecorded.Load()); least < 20 && !t.Failed() {
		t.Error("some sort of cut is hardly among them")
	}
}

// wire is one call and how its connections are cut.
type wire struct {
	seed   uint64
	script script.Script
	speed  float64
	tail   bool
	record time.Duration
	cuts   int  // so many streams are cut
	dense  bool // each after few bytes

	unrecorded bool

	opened atomic.Int64
	cut    [3]atomic.Int64 // anywhere, between two line breaks, within a character
}

func drawWire(seed uint64) *wire {
	r := rand.New(rand.NewPCG(seed, 4))
	c := &wire{seed: seed, speed: 300, tail: r.IntN(2) == 0, cuts: r.IntN(8), record: time.Duration(r.Int64N(int64(20 * time.Second))), dense: r.IntN(3) == 0}
	if r.IntN(3) == 0 {
		c.unrecorded, c.record = true, time.Hour*1000
	}
	c.script = script.Script{Name: "drawn", Ring: 500 * time.Millisecond, Outcome: phone.Completed}
	say := func(who phone.Role, text string) {
		after := time.Duration(r.Int64N(int64(3 * time.Second)))
		c.script.Lines = append(c.script.Lines, script.Line{After: after, Role: who, Text: text})
	}
	pool := pools[r.IntN(len(pools))]
	n := 1 + r.IntN(15)
	marked := r.IntN(n)
	for i := range n {
		who := phone.Agent
		if r.IntN(2) == 0 {
			who = phone.Callee
		}
		say(who, pool[r.IntN(len(pool))])
		if i == marked || r.IntN(6) == 0 {
			say(phone.Callee, inBand[r.IntN(len(inBand))])
		}
		if i == marked && r.IntN(12) == 0 { // one line on both sides of what a stream takes
			say(phone.Callee, strings.Repeat("长", (1<<20)/3-200+r.IntN(2)*400))
		}
	}
	return c
}

// over is the stand-in behind a wire that breaks.
func (c *wire) over(service http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "stream_chat_history") {
			service.ServeHTTP(w, r)
			return
		}
		n := c.opened.Add(1)
		rng := rand.New(rand.NewPCG(c.seed, uint64(5000+n)))
		at := rng.IntN(len(c.cut))
		out := &severed{ResponseWriter: w, left: 1 << 30, at: []func(was, next byte) bool{
			func(_, _ byte) bool { return true },
			func(was, next byte) bool { return was == '\n' && next == '\n' }, // between the two that end an event
			func(_, next byte) bool { return !utf8.RuneStart(next) },         // within a character
		}[at]}
		if n <= int64(c.cuts) {
			out.left = rng.IntN(c.bytes() + 1)
			if c.dense {
				out.left = rng.IntN(200)
			}
		}
		service.ServeHTTP(out, r)
		if !out.cut {
			return
		}
		c.cut[at].Add(1)
		if rng.IntN(3) > 0 {
			panic(http.ErrAbortHandler) // the connection breaks; otherwise it ends as if all had been sent
		}
	})
}

// bytes is about how long the whole stream is.
func (c *wire) bytes() int {
	n := 0
	for _, l := range c.script.Lines {
		n += len(l.Text) + 50
	}
	return n
}

// severed lets so many bytes through and then those to the next place to cut at.
type severed struct {
	http.ResponseWriter
	left int
	at   func(was, next byte) bool
	cut  bool
}

var errSevered = errors.New("severed")

func (s *severed) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *severed) Write(p []byte) (int, error) {
	n := min(len(p), s.left)
	for s.left -= n; s.left == 0 && n < len(p) && !s.cut; n++ {
		if s.cut = s.at(p[max(0, n-1)], p[n]); s.cut {
			break
		}
	}
	n, err := s.ResponseWriter.Write(p[:n])
	if err == nil && s.cut {
		_ = http.NewResponseController(s.ResponseWriter).Flush() // what was let through arrives
		err = errSevered
	}
	return n, err
}

// play has the call followed to its end, and tells what is wrong.
func (c *wire) play(ctx context.Context) error {
	service := standin.New(standin.Options{
		Script: func(string, string, string, string) script.Script { return c.script }, Speed: c.speed, TailOnly: c.tail, RecordAfter: c.record,
	})
	server := httptest.NewServer(c.over(service))
	defer server.Close()
	spec := stepone.Spec()
	d, err := spec.Open(providers.Config{"api_key": "sk_wire", "api_base": server.URL}, nil)
	if err != nil {
		return err
	}
	defer d.(interface{ Close() error }).Close()
	pace := providers.Pace{
		Poll: 30 * time.Millisecond, RecordEvery: 10 * time.Millisecond, RecordTries: 1000, RecordWait: 10 * time.Second, Reconnect: 20 * time.Millisecond,
	}
	if c.unrecorded {
		pace.RecordWait = 20 * time.Millisecond
	}
	p := providers.New(spec, d, providers.Options{Pace: pace})
	to, err := phone.ParseNumber("+8613800138000", "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	began := time.Now()
	ref, err := p.Place(ctx, phone.Order{CallID: fmt.Sprint("call_", c.seed), To: to, Task: "x"})
	if err != nil {
		return err
	}
	call := phone.Begin("call_1", "local", "stepone", "", phone.Order{Task: "x"}, began)
	seq := int64(0)
	if err := follow.NewDesk().Follow(ctx, call, nil, p.Observations(ctx, ref, providers.How{}), func(_ context.Context, after *phone.Call, events []phone.Event, _ string) error {
		for _, e := range events {
			if seq++; e.Seq != seq {
				return fmt.Errorf("event %d in place of %d", e.Seq, seq)
			}
		}
		call = after
		return c.wrong(call, time.Since(began))
	}); err != nil {
		return err
	}
	if !call.Ended() {
		return fmt.Errorf("the call has not ended: %s", call.Status)
	}
	if c.unrecorded {
		return c.withoutRecord(call)
	}
	record, err := recordOf(ctx, server.URL, string(ref))
	if err != nil {
		return err
	}
	if len(record) == 0 {
		return errors.New("the stand-in has no record")
	}
	if diff := cmp.Diff(record, spoken(call)); diff != "" || call.Record != phone.Complete || call.Outcome != phone.Completed {
		return fmt.Errorf("record %s, outcome %s; the transcript is not the stand-in's (- record, + transcript):\n%.4000s", call.Record, call.Outcome, diff)
	}
	return nil
}

// wrong says what is wrong with a call that is still followed: a turn that was not said, or an end before the end.
func (c *wire) wrong(call *phone.Call, since time.Duration) error {
	if length := time.Duration(float64(c.script.Length()) / c.speed); !call.Status.Live() && since < length {
		return fmt.Errorf("over after %v, and the call lasts %v", since, length)
	}
	said := c.said(1 << 30)
	for _, w := range spoken(call) {
		i := slices.Index(said, w)
		if i < 0 {
			return fmt.Errorf("%.500q was not said there:\n%.2000s", w.Text, strings.Join(lines(call), "\n"))
		}
		said = said[i+1:]
	}
	return nil
}

// withoutRecord is what must hold where the streams are all there is: from a service that plays from the start all is
// there, but for lines that no stream takes.
func (c *wire) withoutRecord(call *phone.Call) error {
	if call.Record != phone.Partial {
		return fmt.Errorf("without a record the call is %s", call.Record)
	}
	if diff := cmp.Diff(c.said(1<<20-100), spoken(call)); diff != "" && (!c.tail || c.cuts == 0) {
		return fmt.Errorf("what was played to its end is not all there (- said, + transcript):\n%.4000s", diff)
	}
	return nil
}

// said is the conversation without lines of more bytes than that. White space around an utterance is nobody's word.
func (c *wire) said(most int) []phone.Words {
	var all []phone.Words
	for _, l := range c.script.Lines {
		if text := strings.Trim(l.Text, " \t\r\n"); text != "" && len(text) <= most {
			all = append(all, phone.Words{Role: l.Role, Text: text, Final: true})
		}
	}
	return all
}

// recordOf reads the stand-in's record without the adapter's help.
func recordOf(ctx context.Context, base, ref string) ([]phone.Words, error) {
	body, err := json.Marshal(map[string]string{"call_id": ref})
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/callinfo/search_callinfo", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("X-API-Key", "sk_wire")
	resp, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Content []struct{ Role, Content string } `json:"call_content"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	var all []phone.Words
	for _, u := range answer.Data.Content {
		if text := strings.Trim(u.Content, " \t\r\n"); text != "" {
			all = append(all, phone.Words{Role: map[string]phone.Role{"assistant": phone.Agent, "user": phone.Callee}[u.Role], Text: text, Final: true})
		}
	}
	return all, nil
}
