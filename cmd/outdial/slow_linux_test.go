package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/script"
)

var slow = flag.Bool("slow", false, "whether TestSlowConsumer plays with all its clients, which takes minutes and wants the machine for itself")

// crowd is how many clients listen in TestSlowConsumer, and to what.
type crowd struct {
	live, stalled, calls int
	turns                int           // of each call
	every                time.Duration // one
	settled              time.Duration // until all have come, and those that stall do so: what is said from then on is measured
	long                 int           // bytes of each turn of the call that the stalled ones have asked for
	pairs                int
}

// TestSlowConsumer has clients that stop reading beside others that listen, in both eras: they hold nobody up, cost little
// memory, and are cut off (P15).
func TestSlowConsumer(t *testing.T) {
	if !*slow {
		t.Parallel()
	}
	c := crowd{live: 40, stalled: 10, calls: 8, turns: 90, every: 200 * time.Millisecond, settled: 5 * time.Second, long: 16 << 10, pairs: 1}
	if *slow {
		c = crowd{live: 400, stalled: 100, calls: 20, turns: 100, every: 200 * time.Millisecond, settled: 6 * time.Second, long: 16 << 10, pairs: 5}
	}
	var ratios []float64
	var late [2]time.Duration
	var heap [2]int
	var cut time.Duration
	for pair := range c.pairs {
		before := c
		if !*slow {
			before.turns = 40 // it shows little but the memory
		}
		alone, with := before.listen(t, 0), c.listen(t, c.stalled)
		ratio := float64(with.p99) / float64(alone.p99)
		t.Logf("pair %d: from the service's word to the client in 99 of 100: alone %v, beside %d stalled ones %v (%.2f times); heap %d and %d MiB; cut after %v at the most",
			pair+1, alone.p99, c.stalled, with.p99, ratio, alone.heap, with.heap, with.cut)
		if with.p99 < alone.p99+5*time.Millisecond {
			ratio = min(ratio, 1) // of a few milliseconds the machine's own tasks are a part
		}
		ratios = append(ratios, ratio)
		late[0], late[1] = late[0]+alone.p99/time.Duration(c.pairs), late[1]+with.p99/time.Duration(c.pairs)
		heap[0], heap[1] = max(heap[0], alone.heap), max(heap[1], with.heap)
		cut = max(cut, with.cut)
	}
	slices.Sort(ratios)
	if median := ratios[len(ratios)/2]; *slow && median > 1.2 {
		t.Errorf("%.2f times as late", median)
	}
	if most := 2 * min(slower, 2) * time.Second; !*slow && late[1] > most { // less than the 10 s that a stalled one has
		t.Errorf("%v late", late[1])
	}
	if heap[1]-heap[0] > 32 {
		t.Errorf("they cost %d MiB", heap[1]-heap[0])
	}
	if cut > 15*time.Second {
		t.Errorf("one was cut off only after %v", cut)
	}
}

// listened is what came of one run.
type listened struct {
	p99  time.Duration
	heap int // MiB in use after a collection, at most
	cut  time.Duration
}

// chatter is a call of long turns.
func chatter(turns int, every time.Duration, long int) scripted {
	return func(_, _, task, _ string) script.Script {
		s := script.Script{Name: "chatter", Ring: 300 * time.Millisecond, Outcome: phone.Completed, Summary: "They talked."}
		words := "short"
		if strings.Contains(task, "at length") {
			words = strings.Repeat("and so on ", long/10)
		}
		for i := range turns {
			s.Lines = append(s.Lines, script.Line{After: every, Role: phone.Callee, Text: fmt.Sprintf("%d %s", i, words)})
		}
		return s
	}
}

// listen has a server's clients listen to calls from their beginning to their end.
func (c crowd) listen(t *testing.T, stalled int) listened {
	t.Helper()
	s := record(t, steponeService(1, chatter(c.turns, c.every, c.long)))
	var mu sync.Mutex
	began := map[string]time.Time{}
	s.hold(nil, func(d dialed) bool {
		mu.Lock()
		defer mu.Unlock()
		began[d.call] = time.Now()
		return true
	})
	server, url := spawnHTTP(t, append(s.env(s.base), "GODEBUG=gctrace=1")...)
	first := clientOf(t, url, true)
	var ids []string
	for n := range c.calls {
		task := "crash-slow"
		if n == 0 {
			task += " at length"
		}
		said := first.say(t, first.toolCall(1, "create_call", fmt.Sprintf(`{"to":%q,"task":"%s %d"}`, s.number(n), task, n)), false)
		var placed reply
		if err := json.Unmarshal(said[len(said)-1], &placed); err != nil || placed.Result.Call.CallID == "" {
			t.Fatalf("%s, %v", said, err)
		}
		ids = append(ids, placed.Result.Call.CallID)
	}
	before := len(server.stderr.String())
	watch := watchSockets(t, url, ids[0], stalled)
	measured := time.Now().Add(c.settled)
	var late []time.Duration
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	for n := range c.live {
		id, at := ids[0], clientOf(t, url, n%2 == 0)
		if n%20 != 0 { // some listen to the same call as those who stall
			id = ids[1+n%(len(ids)-1)]
		}
		all.Go(func() {
			mine := c.hear(ctx, t, at, id, measured, func() time.Time { mu.Lock(); defer mu.Unlock(); return began[id] })
			mu.Lock()
			defer mu.Unlock()
			late = append(late, mine...)
		})
	}
	all.Wait()
	longest := watch()
	want := c.live * (c.turns - int(c.settled/c.every)) * 4 / 10
	if slower > 1 {
		want /= 4 // most come to the call late
	}
	if len(late) < want {
		t.Fatalf("%d words were heard, not %d", len(late), want)
	}
	slices.Sort(late)
	heap := 0
	for _, m := range regexp.MustCompile(`->(\d+) MB, `).FindAllStringSubmatch(server.stderr.String()[before:], -1) {
		n, _ := strconv.Atoi(m[1])
		heap = max(heap, n)
	}
	_ = server.cmd.Process.Kill()
	return listened{late[len(late)*99/100].Round(10 * time.Microsecond), heap, longest}
}

// hear listens to a call and says how late each word came that was said from a moment on.
func (c crowd) hear(ctx context.Context, t *testing.T, w *httpWire, id string, from time.Time, began func() time.Time) (late []time.Duration) {
	resp, err := w.post(ctx, w.toolCall(1, "stream_transcript", fmt.Sprintf(`{"call_id":%q}`, id)))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(resp.Body, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		now := time.Now()
		for errors := err; errors == bufio.ErrBufferFull; { //nolint:errorlint // as it is documented
			_, errors = lines.ReadSlice('\n')
			err = errors
		}
		if err != nil {
			return late
		}
		_, after, ok := bytes.Cut(line[:min(len(line), 300)], []byte(`"progress":`))
		if !ok {
			continue
		}
		digits := bytes.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
		seq, err := strconv.Atoi(string(after[:max(0, digits)]))
		if err != nil {
			continue
		}
		if i := seq - 3; i >= 0 && i < c.turns { // behind queued and in_progress
			if said := began().Add(300*time.Millisecond + time.Duration(i+1)*c.every); said.After(from) {
				late = append(late, now.Sub(said))
			}
		}
	}
}

// watchSockets has clients ask for a call and then read nothing. The function that it gives waits until each was cut off, and
// says how long that took at the most, from when nothing more went into its connection.
func watchSockets(t *testing.T, url, id string, n int) (longest func() time.Duration) {
	t.Helper()
	var mu sync.Mutex
	changed, queued, cut := map[string]time.Time{}, map[string]string{}, map[string]time.Duration{}
	for i := range n {
		dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) })
		}}
		w := clientOf(t, url, i%2 == 0)
		w.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				changed[fmt.Sprintf(":%04X", conn.LocalAddr().(*net.TCPAddr).Port)] = time.Now()
			}
			return conn, err
		}}}
		resp, err := w.post(t.Context(), w.toolCall(1, "stream_transcript", fmt.Sprintf(`{"call_id":%q}`, id)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	_, port, err := net.SplitHostPort(hostOf(t, url))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf(":%04X", number)
	done := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(3 * patience); len(cut) < n && time.Now().Before(deadline); <-tick.C {
			open := map[string]string{} // what waits in the server's connections, by the client's port
			table, _ := os.ReadFile("/proc/net/tcp")
			for line := range strings.Lines(string(table)) {
				if f := strings.Fields(line); len(f) > 4 && strings.HasSuffix(f[1], local) && f[3] == "01" {
					open[f[2][len(f[2])-5:]] = f[4]
				}
			}
			for client, since := range changed {
				waits, is := open[client]
				switch {
				case !is && cut[client] == 0:
					cut[client] = time.Since(since)
				case is && waits != queued[client]:
					queued[client], changed[client] = waits, time.Now()
				}
			}
		}
		close(done)
	})
	return func() (most time.Duration) {
		t.Helper()
		<-done
		looking.Wait()
		if len(cut) != n {
			t.Errorf("%d of %d that stalled were cut off", len(cut), n)
		}
		for client, d := range cut {
			most = max(most, d)
			if d < time.Second {
				t.Errorf("%s was cut off though it had stalled for %v only", client, d)
			}
		}
		return most.Round(100 * time.Millisecond)
	}
}
