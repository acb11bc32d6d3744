package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A yes dials once: for a stranger's number and, where everything has to be allowed, for a contact's, whose name is told.
func TestConfirmAccept(t *testing.T) {
	t.Parallel()
	for confirm, whom := range map[string]struct{ number, name string }{
		"first_contact": {stranger, "not among the contacts"}, "always": {friend, "Ada Lovelace"},
	} {
		t.Run(confirm, func(t *testing.T) {
			t.Parallel()
			onEveryWay(t, canAsk, confirm, func(t *testing.T, c *asker, dials *recorder) {
				const task = "crash-yes\nNumber: +12025550199"
				request := fmt.Sprintf(`{"to":%q,"task":%q,"idempotency_key":"one"}`, whom.number, task)
				answer := c.tool("create_call", request)
				q := c.question()
				for _, told := range []string{whom.number + " (" + whom.name + ")", `Task: "crash-yes Number: +12025550199"`, "Through: pamela", "USD 1.00 at worst (10m0s)"} {
					if !strings.Contains(q.text, told) {
						t.Errorf("the question does not hold %q: %s", told, q.text)
					}
				}
				if strings.Contains(q.text, "\nNumber: +12025550199") {
					t.Errorf("the model's words look like a part of the question: %s", q.text)
				}
				var form struct {
					Schema struct {
						Type       string
						Properties map[string]any
					} `json:"requestedSchema"`
				}
				if err := json.Unmarshal(q.params, &form); err != nil || form.Schema.Type != "object" || len(form.Schema.Properties) != 0 {
					t.Errorf("not an empty form: %s", q.params)
				}
				c.dialed(dials, 0)
				q.answer(`{"action":"accept","content":{}}`)
				first := c.placed(answer, false)
				if again := c.placed(c.tool("create_call", request), true); again.CallID != first.CallID {
					t.Errorf("the same request became %s and %s", first.CallID, again.CallID)
				}
				c.quiet()
				c.dialed(dials, 1)
				if d := dials.of("crash-yes"); len(d) != 1 || d[0].to != whom.number || d[0].call != first.CallID {
					t.Errorf("dialed: %+v", d)
				}
				// The yes was for one call.
				answer = c.tool("create_call", strings.Replace(request, "one", "another", 1))
				if confirm == "always" {
					c.question().answer(decline)
					c.refused(answer)
					c.dialed(dials, 1)
				} else { // the number is known by now
					c.placed(answer, false)
					c.dialed(dials, 2)
				}
			})
		})
	}
}

// A no holds for a while, and nobody is bothered again; a question that was dismissed can be put again.
func TestConfirmDecline(t *testing.T) {
	t.Parallel()
	onEveryWay(t, canAsk, "first_contact", func(t *testing.T, c *asker, dials *recorder) {
		answer := c.call(stranger, "crash-no")
		c.question().answer(decline)
		if said := c.refused(answer).Result.Call.Message; !strings.Contains(said, "said no") {
			t.Errorf("it says %q", said)
		}
		for _, again := range []string{"", `,"idempotency_key":"k"`, `,"wait_seconds":1`} {
			c.refused(c.tool("create_call", fmt.Sprintf(`{"to":%q,"task":"crash-no"%s}`, stranger, again)))
			c.quiet()
		}
		answer = c.call(stranger, "crash-dismissed")
		c.question().answer(dismiss)
		c.refused(answer)
		c.dialed(dials, 0)
		answer = c.call(stranger, "crash-dismissed")
		c.question().answer(accept)
		c.placed(answer, false)
		c.dialed(dials, 1)
		if d := dials.of("crash-dismissed"); len(d) != 1 {
			t.Errorf("dialed: %+v", d)
		}
	})
}

// A client that cannot ask in a form is not asked. Where a yes is needed it hears that a person can give one, and nothing by
// which it could go itself.
func TestConfirmByWhoCannotAsk(t *testing.T) {
	t.Parallel()
	for _, can := range []string{`{}`, `{"elicitation":{"url":{}}}`} {
		t.Run(can, func(t *testing.T) {
			t.Parallel()
			for _, confirm := range []string{"first_contact", "always"} {
				t.Run(confirm, func(t *testing.T) {
					t.Parallel()
					onEveryWay(t, can, confirm, func(t *testing.T, c *asker, dials *recorder) {
						if confirm == "first_contact" {
							c.placed(c.call(stranger, "crash-mute"), false)
							c.quiet()
							c.dialed(dials, 1)
							return
						}
						o := c.refused(c.call(stranger, "crash-mute"))
						if said := o.Result.Call.Message; !strings.Contains(said, "A person") || !strings.Contains(said, "can allow it") {
							t.Errorf("it says %q", said)
						}
						for _, way := range []string{"approve", "ask_", "--", "`", "$", "terminal", "0143", "digits", "requestState", "OUTDIAL_"} {
							if strings.Contains(string(o.raw), way) {
								t.Errorf("it shows a way (%s): %s", way, o.raw)
							}
						}
						// Nor does an answer help that it was not asked for.
						answer := make(chan outcome, 1)
						c.round("create_call", fmt.Sprintf(`{"to":%q,"task":"crash-mute"}`, stranger), `,"inputResponses":{"confirm":{"action":"accept"}}`, answer)
						c.refused(answer)
						c.quiet()
						c.dialed(dials, 0)
					})
				})
			}
		})
	}
}

// Nothing but a plain accept dials. What was no answer can be asked again.
func TestConfirmMalformedAnswers(t *testing.T) {
	t.Parallel()
	onEveryWay(t, canAsk, "always", func(t *testing.T, c *asker, dials *recorder) {
		for _, said := range malformed() {
			if c.other != nil && (said == "null" || said == "{}") {
				continue // over HTTP that is no answer at all: the question stays open
			}
			answer := c.call(stranger, "crash-bad")
			c.question().answer(said)
			if o := c.get(answer); o.Result.Call.CallID != "" || !o.Result.IsError && len(o.Error) == 0 {
				t.Errorf("%s was answered %s", said, o.raw)
			}
			c.dialed(dials, 0)
		}
		// A no is one whatever stands beside it.
		answer := c.call(stranger, "crash-no")
		c.question().answer(`{"action":"decline","content":{"action":"accept","confirm":true},"accept":true}`)
		c.refused(answer)
		c.dialed(dials, 0)
		answer = c.call(stranger, "crash-bad")
		c.question().answer(accept)
		c.placed(answer, false)
		c.dialed(dials, 1)
	})
}

// What an older client sends beside the answer to its question: errors, other ids, other sessions, answers twice.
func TestConfirmStrayAnswers(t *testing.T) {
	t.Parallel()
	onEveryWay(t, canAsk, "always", func(t *testing.T, c *asker, dials *recorder) {
		if c.modern {
			return // a client of this era answers by its request alone: see TestConfirmReplay
		}
		say := func(format string, args ...any) { c.post(fmt.Appendf(nil, format, args...)) }
		for _, failed := range []string{
			`"error":{"code":-32601,"message":"accept"}`, `"error":{"code":-1,"message":"no"},"result":{"action":"accept"}`,
		} {
			answer := c.call(stranger, "crash-failed")
			say(`{"jsonrpc":"2.0","id":%s,%s}`, c.question().id, failed)
			c.refused(answer)
			c.dialed(dials, 0)
		}
		answer := c.call(stranger, "crash-stray")
		q := c.question()
		for _, other := range []string{fmt.Sprintf("%q", q.id), "999999", "0", "-1", `"accept"`, "[1]", "{}", "true"} {
			say(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept"}}`, other)
		}
		if c.other != nil { // who knows the number of another session's question does not answer it
			if status := c.other(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"action":"accept"}}`, q.id)); status < 400 {
				t.Errorf("another session's answer is taken: %d", status)
			}
		}
		select {
		case o := <-answer:
			t.Errorf("it was answered by a stray message: %s", o.raw)
		case <-time.After(200 * time.Millisecond):
		}
		c.dialed(dials, 0)
		q.answer(decline)
		q.answer(accept)
		c.refused(answer)
		q.answer(accept)
		c.refused(c.call(stranger, "crash-stray"))
		c.dialed(dials, 0)
		answer = c.call(stranger, "crash-twice")
		q = c.question()
		q.answer(accept)
		c.placed(answer, false)
		q.answer(accept)
		q.answer(decline)
		c.placed(c.call(stranger, "crash-twice"), true)
		c.quiet()
		c.dialed(dials, 1)
	})
}

// A batch asks once for all that need a yes; those that need none are called whatever the answer is.
func TestConfirmBatch(t *testing.T) {
	t.Parallel()
	for _, said := range []string{accept, decline, dismiss} {
		t.Run(said, func(t *testing.T) {
			t.Parallel()
			onEveryWay(t, canAsk, "first_contact", func(t *testing.T, c *asker, dials *recorder) {
				batch := fmt.Sprintf(`{"task":"crash-batch","recipients":[{"to":%q},{"to":%q},{"to":%q},{"to":"+1911"}]}`, stranger, friend, stranger2)
				answer := c.tool("create_batch", batch)
				q := c.question()
				if !strings.Contains(q.text, "Allow these 2 phone calls?") || !strings.Contains(q.text, stranger+" (") || !strings.Contains(q.text, stranger2+" (") ||
					strings.Contains(q.text, friend) {
					t.Errorf("the question is %s", q.text)
				}
				c.dialed(dials, 1) // who needs none does not wait for it
				q.answer(said)
				check := func(o outcome) {
					t.Helper()
					for i, call := range o.Result.Call.Calls[:3] {
						if yes := said == accept || i == 1; yes && (call.Error != nil || call.CallID == "") ||
							!yes && (call.Error == nil || call.Error.Reason != "needs_confirmation" || call.Error.Started != "no" || call.CallID != "") {
							t.Errorf("recipient %d: %+v, %+v", i, call, call.Error)
						}
					}
				}
				o := c.get(answer)
				if len(o.Result.Call.Calls) != 4 {
					t.Fatalf("the batch became %s", o.raw)
				}
				check(o)
				c.quiet()
				want := map[string]int{accept: 3, decline: 1, dismiss: 1}[said]
				c.dialed(dials, want)
				if b := o.Result.Call; b.Placed != want || b.Refused != 4-want || b.Failed != 0 {
					t.Errorf("counted: %+v", b)
				}
				if said == dismiss {
					return
				}
				check(c.get(c.tool("create_batch", batch)))
				c.quiet()
				c.dialed(dials, want)
			})
		})
	}
}

// A person's yes to one call lets no other one pass: whatever the agent on the line is told, they have seen it. It is used up
// by one call, and so is one to the repetition of a call.
func TestConfirmIsForOneCall(t *testing.T) {
	t.Parallel()
	dials, database := record(t, pamelaService(speed, short)), "sqlite:"+filepath.Join(t.TempDir(), "outdial.db")
	c := newAsker(t, "stdio 2025-11-25", `{}`, append(dials.env(dials.base), "OUTDIAL_CONFIRM=always", "OUTDIAL_SIMULATOR_GUARD=full", "OUTDIAL_DATABASE="+database))
	w := &waitingCalls{T: t, database: database}
	call := func(with map[string]any, but ...any) <-chan outcome {
		arguments := maps.Clone(with)
		for i := 0; i < len(but); i += 2 {
			arguments[fmt.Sprint(but[i])] = but[i+1]
		}
		maps.DeleteFunc(arguments, func(_ string, v any) bool { return v == nil })
		raw, err := json.Marshal(arguments)
		if err != nil {
			t.Fatal(err)
		}
		return c.tool("create_call", string(raw))
	}
	want, last := 0, ""
	for name, others := range map[string][]any{
		"to": {stranger2}, "task": {"crash-other"}, "provider": {"simulator"}, "language": {"fr", nil}, "voice": {"male", nil}, "agent_name": {"Bob", nil},
		"caller_name": {"Eve", nil}, "max_duration_seconds": {299, 301, nil}, "provider_options": {map[string]any{"instructions": "be stern"}, map[string]any{}, nil},
	} {
		for i, value := range others {
			allowed := map[string]any{
				"to": stranger, "task": fmt.Sprintf("crash-%s-%d", name, i), "provider": "pamela", "language": "en", "voice": "female", "agent_name": "Ann",
				"caller_name": "Ada", "max_duration_seconds": 300, "provider_options": map[string]any{"instructions": "be kind"},
			}
			if name == "provider" {
				delete(allowed, "provider_options") // the simulator has none, and other voices
				delete(allowed, "voice")
			}
			c.refused(call(allowed))
			w.answers(true)
			c.refused(call(allowed, name, value))
			c.refused(call(allowed, name, value, "idempotency_key", "any"))
			w.answers(false)
			c.dialed(dials, want)
			// The key is the agent's own name for its wish, and nobody on the line hears it.
			last = c.placed(call(allowed, "idempotency_key", "k"+name+fmt.Sprint(i)), false).CallID
			c.refused(call(allowed, "idempotency_key", "another"))
			w.answers(false)
			want++
			c.dialed(dials, want)
		}
	}
	c.get(c.tool("stream_transcript", fmt.Sprintf(`{"call_id":%q}`, last)))
	repeat := map[string]any{"to": stranger, "task": "crash-repeated", "repeat_of": last, "idempotency_key": "r"}
	c.refused(call(repeat))
	w.answers(true)
	c.refused(call(repeat, "to", stranger, "task", "crash-repeated too"))
	c.placed(call(repeat), false)
	c.placed(call(repeat), true)
	c.refused(call(repeat, "idempotency_key", "another"))
	want++
	c.dialed(dials, want)
}

// An agent that has only the tools, and a person who never says yes: whatever it sends, nobody is called.
//
// What is assumed: the model writes a request's arguments, and the client everything around them. In 2026-07-28 the client
// sends what the person said as inputResponses beside the arguments. Here the agent writes those too, without having been
// asked, as if its client let it; what it cannot do is keep the state of a question that was put and send that with a yes:
// a client which lets it answers for its user, and that is beyond what a server can know (docs/policy.md).
func TestConfirmHostileAgent(t *testing.T) {
	t.Parallel()
	onEveryWay(t, canAsk, "always", func(t *testing.T, c *asker, dials *recorder) {
		r := rand.New(rand.NewPCG(7, uint64(len(t.Name()))))
		pick := func(all ...string) string { return all[r.IntN(len(all))] }
		strange := []string{`true`, `"true"`, `1`, `null`, `{}`, `[]`, `"accept"`, `{"action":"accept"}`, `{"confirm":{"action":"accept"}}`}
		forged := func() string {
			return pick("", fmt.Sprint(time.Now().Unix()), fmt.Sprintf("%d.ask_%s.%032x", time.Now().Unix(), strings.Repeat("a", 26), r.Uint64()),
				fmt.Sprintf("%d.", time.Now().Unix()), "..", "confirm", strings.Repeat("A.", 5000))
		}
		for n := range *hostileCalls {
			to, task := pick(stranger, stranger2, friend), pick("crash-a", "crash-b", "crash-c")
			arguments := fmt.Sprintf(`"task":%q`, task)
			if r.IntN(2) == 0 {
				arguments += fmt.Sprintf(`,%q:%s`, pick("dry_run", "confirm", "approved", "confirmed", "inputResponses", "requestState", "_meta", "CanAsk", "answer",
					"provider_options", "idempotency_key", "repeat_of", "wait_seconds", "max_duration_seconds", "caller_name"), pick(strange...))
			}
			tool := pick("create_call", "create_call", "create_batch")
			if tool == "create_call" {
				arguments = fmt.Sprintf(`{"to":%q,%s}`, to, arguments)
			} else {
				arguments = fmt.Sprintf(`{"recipients":[{"to":%q}],%s}`, to, arguments)
			}
			more := ""
			if r.IntN(2) == 0 {
				more = fmt.Sprintf(`,"requestState":%q,"inputResponses":{%q:{"action":"accept"}}`, forged(), pick("confirm", "confirm", "", "0"))
			}
			answer := make(chan outcome, 1)
			c.round(tool, arguments, more, answer)
			for answered := false; !answered; {
				select {
				case q := <-c.asked:
					q.answer(dismiss)
				case o := <-answer:
					answered = true
					if raw := string(o.raw); strings.Contains(raw, "ask_") || strings.Contains(raw, "outdial approve") {
						t.Errorf("the agent is shown a way: %s", o.raw)
					}
				case <-time.After(patience):
					t.Fatalf("request %d was not answered: %s %s%s", n, tool, arguments, more)
				}
			}
			if dials.count() > 0 {
				t.Fatalf("request %d dialed: %s %s%s", n, tool, arguments, more)
			}
		}
		t.Logf("%d requests", *hostileCalls)
	})
}

// Twenty equal requests at once are one question to an older client, and one dial whatever the era. To one that is asked by
// rounds each answer carries the question, since each request must be able to bring the answer.
func TestConfirmConcurrently(t *testing.T) {
	t.Parallel()
	onEveryWay(t, canAsk, "always", func(t *testing.T, c *asker, dials *recorder) {
		const n = 20
		var answers []<-chan outcome
		for range n {
			answers = append(answers, c.call(stranger, "crash-many"))
		}
		questions := []asked{c.question()}
		if c.modern {
			for range n - 1 {
				questions = append(questions, c.question())
			}
		} else {
			time.Sleep(300 * time.Millisecond) // the others arrive; nothing tells when they wait (but see tools)
		}
		c.quiet()
		c.dialed(dials, 0)
		for _, q := range questions {
			q.answer(accept)
		}
		ids, fresh := map[string]bool{}, 0
		for _, a := range answers {
			o := c.get(a)
			if o.Result.IsError {
				t.Errorf("answered %s", o.raw)
			}
			ids[o.Result.Call.CallID] = true
			if !o.Result.Call.Replayed {
				fresh++
			}
		}
		if len(ids) != 1 || fresh != 1 {
			t.Errorf("%d calls, %d of them new", len(ids), fresh)
		}
		c.quiet()
		c.dialed(dials, 1)
	})
}

// Nobody answers: the request is over after 25 s, and a yes after that dials nothing until the request comes again. It takes
// its 25 s, over each transport that a client may be asked through; with a clock of its own it is tried in tools.
func TestConfirmLate(t *testing.T) {
	t.Parallel()
	onEveryWay(t, canAsk, "always", func(t *testing.T, c *asker, dials *recorder) {
		if c.modern {
			return // nothing waits there
		}
		began := time.Now()
		answer := c.call(stranger, "crash-late")
		q := c.question()
		o := c.refused(answer)
		if took := time.Since(began); took < 24*time.Second || took > 28*time.Second || !strings.Contains(o.Result.Call.Message, "not answered yet") {
			t.Errorf("after %v: %s", took, o.raw)
		}
		q.answer(accept)
		time.Sleep(500 * time.Millisecond) // what does not happen cannot be waited for
		c.dialed(dials, 0)
		c.placed(c.call(stranger, "crash-late"), false)
		c.dialed(dials, 1)
		c.placed(c.call(stranger, "crash-late"), true)
		c.quiet()
		answer = c.call(stranger, "crash-later")
		c.question().answer(decline)
		c.refused(answer)
		c.dialed(dials, 1)
	})
}

// A question holds up the end of nothing, and leaves no goroutine behind. Not parallel: those of other tests would be seen.
func TestConfirmWhenInputEnds(t *testing.T) {
	dials := record(t, pamelaService(speed, short))
	before := goleak.IgnoreCurrent()
	for _, way := range ways()[:2] {
		t.Run(way, func(t *testing.T) {
			c := newAsker(t, way, canAsk, append(dials.env(dials.base), "OUTDIAL_CONFIRM=always"))
			answer := c.call(stranger, "crash-end")
			c.question()
			began := time.Now()
			c.end()
			if !c.modern {
				c.refused(answer)
			}
			if code := <-c.ended; code != 0 || time.Since(began) > 3*time.Second {
				t.Errorf("exit code %d after %v", code, time.Since(began))
			}
			c.dialed(dials, 0)
		})
	}
	leaks := []goleak.Option{before}
	for _, of := range []string{"(*persistConn).readLoop", "(*persistConn).writeLoop", "(*conn).serve"} { // the provider's idle connection ends with the process
		leaks = append(leaks, goleak.IgnoreAnyFunction("net/http."+of))
	}
	if err := goleak.Find(leaks...); err != nil {
		t.Error(err)
	}
}

// SIGTERM while a question is open.
func TestConfirmTerminated(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"stdio"}, {"http", "--addr", "127.0.0.1:0"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			dials := record(t, pamelaService(speed, short))
			env := append(dials.env(dials.base), "OUTDIAL_CONFIRM=always", "OUTDIAL_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "outdial.db"))
			p := spawn(t, t.TempDir(), env, args...)
			c := askerOf(t, p)
			answer := c.call(stranger, "crash-term")
			q := c.question()
			p.signal(syscall.SIGTERM)
			c.refused(answer)
			q.answer(accept) // by then nobody listens
			if code := p.ends(5 * time.Second); code != 0 {
				t.Errorf("exit code %d:\n%s", code, p.stderr)
			}
			c.dialed(dials, 0)
		})
	}
}
