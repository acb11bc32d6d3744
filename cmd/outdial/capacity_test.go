package main

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	stepone "github.com/outdial/outdial/providers/stepone/standin"
)

var capacity = flag.Bool("capacity", false, "whether TestCapacity runs, which takes a minute and wants the machine for itself")

// TestCapacity has one process follow two hundred calls at once, each watched, with a hundred utterances a second (P16).
func TestCapacity(t *testing.T) {
	if !*capacity {
		t.Skip("its figures want a machine for themselves: -capacity")
	}
	const calls, turns, every = 200, 12, 2 * time.Second
	stand := stepone.New(stepone.Options{Script: steady(turns, every)})
	var mu sync.Mutex
	dialed := map[string]time.Time{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("Idempotency-Key"); id != "" {
			mu.Lock()
			dialed[id] = time.Now()
			mu.Unlock()
		}
		stand.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	l := begin(t, t.TempDir(), withStepOne(s.URL)...)
	var overhead []time.Duration
	var watches []<-chan reply
	ids := map[string]string{} // by progress token
	for n := range calls {
		began := time.Now()
		c := l.answer(l.tool("create_call", fmt.Sprintf(`{"to":"+861380%07d","task":"Count to %d"}`, 10_000+n, n)))
		overhead = append(overhead, time.Since(began))
		token := fmt.Sprint("t", n)
		ids[token] = c.CallID
		watches = append(watches, l.watch(c.CallID, token))
	}
	most := memory(t, l.cmd.Process.Pid)
	for _, w := range watches {
		if c := l.answer(w); c.Status != "ended" && c.Status != "wrapping_up" {
			t.Errorf("%+v", c)
		}
	}
	most = max(most, memory(t, l.cmd.Process.Pid))
	var late []time.Duration
	for _, p := range l.pushes() {
		if i := p.seq - 3; i >= 0 && i < turns { // behind queued and in_progress
			mu.Lock()
			said := dialed[ids[p.token]].Add(300*time.Millisecond + time.Duration(i+1)*every)
			mu.Unlock()
			late = append(late, p.at.Sub(said))
		}
	}
	slices.Sort(late)
	slices.Sort(overhead)
	if len(late) != calls*turns {
		t.Fatalf("%d utterances of %d were pushed", len(late), calls*turns)
	}
	at := func(d []time.Duration, percent int) time.Duration {
		return d[min(len(d)-1, len(d)*percent/100)].Round(10 * time.Microsecond)
	}
	t.Logf("%d calls: create_call %v in the middle, %v in 99 of 100; from the provider's word to the client %v in the middle, %v in 99 of 100; %d MiB",
		calls, at(overhead, 50), at(overhead, 99), at(late, 50), at(late, 99), most>>20)
	if at(overhead, 99) > 20*time.Millisecond || at(late, 99) > 250*time.Millisecond || most > 150<<20 {
		t.Error("that is more than 20 ms, 250 ms or 150 MiB")
	}
	if err := l.in.Close(); err != nil {
		t.Fatal(err)
	}
	l.ends(5 * time.Second)
}

// memory is what a process has in memory, in bytes.
func memory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Skip("this system does not tell what a process has in memory: ", err)
	}
	kib, err := strconv.Atoi(strings.TrimSpace(regexp.MustCompile(`VmRSS:\s*(\d+)`).FindStringSubmatch(string(status))[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
