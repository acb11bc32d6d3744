package main

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	stepone "github.com/outdial/outdial/providers/stepone/standin"
)

// A client may leave many requests waiting. The one that hangs up must not wait behind them: somebody is on the telephone.
// Not parallel: what it measures is not the other tests.
func TestCancelBesideManyThatWait(t *testing.T) {
	const cancels = 20
	c := spawnMCP(t, t.TempDir(), "TEST_SPEED=1")
	heard := c.place("+12025550107", "The one that all listen to")
	var ids []string
	for i := range 2 * cancels {
		ids = append(ids, c.place("+12025550107", fmt.Sprint("Talk about ", i)))
	}
	var streams []<-chan answer
	for _, n := range []int{60, 90} {
		for len(streams) < n {
			streams = append(streams, c.tool("stream_transcript", fmt.Sprintf(`{"call_id":%q}`, heard), fmt.Sprint("t", n, "-", len(streams))))
		}
		if n == 60 {
			c.hears(60)
		} else {
			c.hears(30)
		}
		var took []time.Duration
		for range cancels {
			began := time.Now()
			a := c.get(c.tool("cancel_call", fmt.Sprintf(`{"call_id":%q}`, ids[0]), ""))
			took = append(took, a.at.Sub(began))
			if a.Result.IsError {
				t.Errorf("cancel_call: %s", a.raw)
			}
			ids = ids[1:]
		}
		slices.Sort(took)
		t.Logf("%d waiting: cancel_call took %v in the middle, %v at the most", n, took[cancels/2], took[cancels-1])
		// Two of them may fall into a busy moment of the machine; waiting behind others would delay them all.
		if most := took[cancels-3]; most > 100*time.Millisecond {
			t.Errorf("with %d waiting requests cancel_call took %v", n, took)
		}
	}
	if err := c.in.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		if a := c.get(s); a.Result.IsError || a.Result.Call.CallID != heard {
			t.Errorf("a request that waited was answered %s", a.raw)
		}
	}
	if code := c.ends(5 * time.Second); code != 0 {
		t.Errorf("exit code %d:\n%s", code, c.stderr)
	}
}

// counting is StepOne's stand-in, which counts the dials that reach it.
func counting(t *testing.T, x float64) (base string, dials *atomic.Int32) {
	t.Helper()
	h, dials := stepone.New(stepone.Options{Speed: x, NoDedup: true}), &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/initiate_call") {
			dials.Add(1)
			time.Sleep(50 * time.Millisecond) // a service is not that fast: the others ask while this dial is under way
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL, dials
}

// openGuard is a policy without limits, for tests of something else: they place many calls, at any hour.
func openGuard() []string {
	return []string{
		"OUTDIAL_CALLING_HOURS=00:00-24:00", "OUTDIAL_NUMBER_GAP=0", "OUTDIAL_CALLS_PER_NUMBER=0", "OUTDIAL_CALLS_PER_HOUR=0",
		"OUTDIAL_CALLS_PER_DAY=0", "OUTDIAL_NEW_NUMBERS_PER_DAY=0", "OUTDIAL_CONCURRENT_CALLS=0", "OUTDIAL_BUDGET_CALL=0",
		"OUTDIAL_BUDGET_DAY=0", "OUTDIAL_BUDGET_MONTH=0", "OUTDIAL_PAUSE_AFTER_FAILURES=0", "OUTDIAL_PAUSE_AFTER_REFUSALS=0",
		"OUTDIAL_CONFIRM=never",
	}
}

func withStepOne(base string, more ...string) []string {
	return append(append(openGuard(), "STEPONEAI_API_KEY=sk_any", "STEPONEAI_API_BASE="+base, "STEPONEAI_LOOKUP_DELAY=100ms", "STEPONEAI_LOOKUP_TRIES=50"), more...)
}

// A client that sends one request thirty times at once gets one call: one dial, one name.
func TestEqualRequestsDialOnce(t *testing.T) {
	t.Parallel()
	base, dials := counting(t, speed)
	c := spawnMCP(t, t.TempDir(), withStepOne(base)...)
	var asked []<-chan answer
	for range 30 {
		asked = append(asked, c.tool("create_call", `{"to":"13800138000","task":"通知：明天上午九点开会"}`, ""))
	}
	first, ids := 0, map[string]bool{}
	for _, one := range asked {
		a := c.get(one)
		if a.Result.IsError {
			t.Errorf("create_call: %s", a.raw)
		}
		ids[a.Result.Call.CallID] = true
		if !a.Result.Call.Replayed {
			first++
		}
	}
	if n := dials.Load(); n != 1 || len(ids) != 1 || first != 1 {
		t.Errorf("30 equal requests: %d dials, %d calls, %d of them new; all must be 1", n, len(ids), first)
	}
}

// SIGTERM is how hosts and supervisors end a server: whoever waits is answered, the exit code is 0, and the next process
// goes on with the call at once, since the lease has been given up.
func TestTerminated(t *testing.T) {
	t.Parallel()
	base, dials := counting(t, 4)
	home := t.TempDir()
	c := spawnMCP(t, home, withStepOne(base)...)
	id := c.place("13800138000", "通知")
	waits := c.tool("stream_transcript", fmt.Sprintf(`{"call_id":%q}`, id), "t")
	c.hears(1)
	c.signal(syscall.SIGTERM)
	if a := c.get(waits); a.Result.IsError || a.Result.Call.CallID != id {
		t.Errorf("the request that waited was answered %s", a.raw)
	}
	if code := c.ends(5 * time.Second); code != 0 {
		t.Errorf("exit code %d:\n%s", code, c.stderr)
	}
	followed(t, spawnMCP(t, home, withStepOne(base)...), id)
	if n := dials.Load(); n != 1 {
		t.Errorf("%d dials", n)
	}
}

// A client that goes away without a word takes its end of both pipes along. The program must end by itself and in order,
// not by SIGPIPE at its next word, or nobody would follow its calls until the lease is over.
func TestClientGone(t *testing.T) {
	t.Parallel()
	base, _ := counting(t, 4)
	home := t.TempDir()
	c := spawn(t, home, withStepOne(base), "call", "13800138000", "通知", "--json")
	if code := c.ends(patience); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, c.stderr)
	}
	var printed []byte
	for line := range c.out {
		printed = append(printed, line...)
	}
	id := string(callID.Find(printed))

	gone := spawnGone(t, home, withStepOne(base), fmt.Sprintf(
		hello+"\n"+`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stream_transcript","arguments":{"call_id":%q},"_meta":{"progressToken":"t"}}}`+"\n", id))
	if code := gone.ends(5 * time.Second); code != 1 {
		t.Errorf("exit code %d, not 1:\n%s", code, gone.stderr)
	}
	followed(t, spawnMCP(t, home, withStepOne(base)...), id)
}

// followed listens to a call to its end, which must come with the record and nothing missing.
func followed(t *testing.T, c *mcpChild, id string) {
	t.Helper()
	a := c.get(c.tool("stream_transcript", fmt.Sprintf(`{"call_id":%q}`, id), "f"))
	call := a.Result.Call
	if a.Result.IsError || call.Status != "ended" || call.Outcome != "completed" || call.Record != "complete" || len(call.Turns) != 6 {
		t.Errorf("the next process made of the call: %s\n%s", a.raw, c.stderr)
	}
	if n := call.NextSeq; n != 10 { // queued, in_progress, six turns, wrapping_up, ended
		t.Errorf("%d events", n)
	}
}

// A process that is killed while it follows a call leaves it to the next one, which goes on once the lease is over: the
// record is complete, nothing is there twice, and nobody is called again.
func TestKilled(t *testing.T) {
	t.Parallel()
	base, dials := counting(t, 2)
	home := t.TempDir()
	env := withStepOne(base, "TEST_LEASE=1s")
	c := spawnMCP(t, home, env...)
	began := time.Now()
	id := c.place("13800138000", "通知")
	c.get(c.tool("get_call", fmt.Sprintf(`{"call_id":%q,"after_seq":2,"wait_seconds":20}`, id), "")) // the first words
	time.Sleep(time.Until(began.Add(1100 * time.Millisecond)))                                       // until the lease, which such a short life does not renew, is over
	c.signal(syscall.SIGKILL)
	c.ends(time.Second)

	next := spawnMCP(t, home, env...)
	if a := next.get(next.tool("create_call", `{"to":"13800138000","task":"通知"}`, "")); a.Result.Call.CallID != id || !a.Result.Call.Replayed {
		t.Errorf("the same request again: %s", a.raw)
	}
	followed(t, next, id)
	if n := dials.Load(); n != 1 {
		t.Errorf("%d dials", n)
	}
}

var starts = flag.Int("starts", 10, "how many rounds of eight first starts at once TestFirstStarts plays")

// Desktop clients start a server for each window at once, the first time too, when there is no ledger yet. All must start,
// and agree on one ledger: the same request to each of them is one call.
func TestFirstStarts(t *testing.T) {
	t.Parallel()
	for round := range *starts {
		home := t.TempDir()
		var all sync.WaitGroup
		ids := make(chan string, 8)
		for range 8 {
			c := spawn(t, home, nil, "call", "+12025550100", "Say hello", "--json")
			all.Go(func() {
				if code := c.ends(patience); code != 0 {
					t.Errorf("round %d: exit code %d:\n%s", round, code, c.stderr)
				}
				var out bytes.Buffer
				for line := range c.out {
					out.Write(line)
				}
				ids <- string(callID.Find(out.Bytes()))
			})
		}
		all.Wait()
		close(ids)
		calls := map[string]bool{}
		for id := range ids {
			calls[id] = true
		}
		if len(calls) != 1 || calls[""] {
			t.Errorf("round %d: eight equal requests became %d calls", round, len(calls))
		}
	}
}
