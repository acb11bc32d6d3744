//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// An intent is on disk before the provider hears of it: in a trace of the system calls of a hundred dials, the pages of the
// write-ahead log that hold the call's id are written, and the log is synced, before the first byte of the request that
// carries the same id. A kill cannot show that, since the pages that a process has written outlive it.
func TestSyncBeforeDial(t *testing.T) {
	t.Parallel()
	const dials = 100
	strace(t, "-o", os.DevNull, "true")
	r := record(t, pamelaService(speed, short))
	home := t.TempDir()
	file := filepath.Join(home, "trace")
	env := append(r.env(r.base), "OUTDIAL_DATABASE=sqlite:"+filepath.Join(home, "outdial.db"))
	l := lifeOf(t, spawnTraced(t, home, file, env))
	for n := 0; n < dials; {
		var asked []<-chan reply
		for range 5 { // some at once, which share transactions
			asked = append(asked, l.tool("create_call", fmt.Sprintf(`{"to":%q,"task":"Say crash-sync-%d"}`, r.number(n), n)))
			n++
		}
		for _, from := range asked {
			if a := l.answer(from); a.CallID == "" || a.Code != "" || a.Status == "dialing" {
				t.Fatalf("create_call: %+v", a)
			}
		}
	}
	if err := l.in.Close(); err != nil {
		t.Fatal(err)
	}
	if code := l.ends(patience); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, l.stderr)
	}
	tr := readTrace(t, file)
	good := 0
	for id, sent := range tr.posts {
		switch written, synced := tr.written[id], 0; {
		case written == 0 || written > sent:
			t.Errorf("%s: the request went out in line %d of the trace, its row was written in line %d (0: never)", id, sent, written)
		default:
			for _, s := range tr.syncs {
				if s.began > written && s.done < sent {
					synced = s.done
				}
			}
			if synced == 0 {
				t.Errorf("%s: written in line %d, sent in line %d, and not synced between", id, written, sent)
				continue
			}
			good++
		}
	}
	if good != dials || r.count() != dials {
		t.Errorf("%d of %d dials, of which the provider saw %d, were synced before", good, dials, r.count())
	}
	t.Logf("%d of %d: written and synced before the first byte", good, dials)
}

// strace says whether system calls can be traced here; where they cannot the test is skipped.
func strace(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "strace", args...).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("strace: %v\n%s", err, out)
		}
		t.Skipf("NOT RUN: it needs strace: %v\n%s", err, out)
	}
}

// spawnTraced starts outdial stdio with its writes, sends and syncs traced into a file.
func spawnTraced(t *testing.T, home, file string, env []string) *child {
	t.Helper()
	c := &child{t: t, stderr: &text{}}
	c.cmd = exec.CommandContext(t.Context(), "strace", "-f", "-yy", "-s", "100000", "-o", file,
		"-e", "trace=write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync", "outdial", "stdio")
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GORACE=" + raceOptions}, env...)
	c.cmd.Stderr = c.stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.cmd.Stdout = in, w
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	c.out = lines(r)
	t.Cleanup(func() {
		_ = c.in.Close() // it ends by itself; killing strace would leave it running
		c.ends(patience)
		_ = r.Close()
	})
	return c
}

// trace is what matters of one, by its lines: of two calls that overlap, the one that began later came later.
type trace struct {
	written map[string]int // where the first page of the log with an id had been written
	posts   map[string]int // where the first byte of an id's request was sent
	syncs   []synced       // those of the log that succeeded
}

type synced struct{ began, done int }

// readTrace reads lines such as
//
//	7 pwrite64(8</home/outdial.db-wal>, "…", 4096, 56) = 4096
//	7 fdatasync(8</home/outdial.db-wal> <unfinished ...>
//	7 <... fdatasync resumed>) = 0
func readTrace(t *testing.T, file string) trace {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	call := regexp.MustCompile(`^(\d+) +([a-z0-9]+)\((\d+<.*?>)((?:,|\)| <unfinished).*)$`)
	resumed := regexp.MustCompile(`^(\d+) +<\.\.\. ([a-z0-9]+) resumed>(.*)$`)
	ended := regexp.MustCompile(`\) += (-?\d+)[^"]*$`)
	type open struct {
		name, on, rest string
		began          int
	}
	tr := trace{written: map[string]int{}, posts: map[string]int{}}
	sending := map[string]int{} // where a connection's request began
	under := map[string]open{}  // by thread
	lines := bufio.NewReaderSize(f, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			return tr
		}
		line = strings.TrimSuffix(line, "\n")
		var c open
		if m := call.FindStringSubmatch(line); m != nil {
			c = open{m[2], m[3], m[4], n}
			if strings.Contains(c.on, "<TCP:") {
				if strings.HasPrefix(c.rest, `, "POST /api/b2b/v1/calls HTTP`) {
					sending[c.on] = n
				}
				for _, id := range regexp.MustCompile(`intent_id\\":\\"(call_[a-z2-7]{26})`).FindAllStringSubmatch(c.rest, -1) {
					tr.posts[id[1]] = sending[c.on]
				}
			}
			if strings.HasSuffix(line, "<unfinished ...>") {
				under[m[1]] = c
				continue
			}
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			c = under[m[1]]
			c.rest += m[3]
		}
		result := ended.FindStringSubmatch(c.rest)
		if result == nil || !strings.HasSuffix(c.on, "-wal>") || strings.HasPrefix(result[1], "-") {
			continue
		}
		if strings.HasSuffix(c.name, "sync") {
			tr.syncs = append(tr.syncs, synced{c.began, n})
			continue
		}
		for _, id := range callID.FindAllString(c.rest, -1) {
			if tr.written[id] == 0 {
				tr.written[id] = n
			}
		}
	}
}
