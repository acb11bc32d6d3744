package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Thirty equal requests at three replicas on Postgres at once, with a key and without, are one call and one dial (P2).
func TestEqualRequestsAtThreeReplicas(t *testing.T) {
	s := record(t, steponeService(1, steady(600, time.Second)))
	s.hold(nil, slowly)
	url := postgres.Database(t)
	var all []*life
	for range 3 {
		all = append(all, begin(t, t.TempDir(), append(s.env(s.base), "OUTDIAL_DATABASE="+url)...))
	}
	for n, key := range []string{"", "k"} {
		w := errand{word: fmt.Sprint("crash-equal-", n), to: s.number(n), key: key}
		var asked []<-chan reply
		for i := range 30 {
			asked = append(asked, all[i%3].tool("create_call", w.arguments()))
		}
		fresh, ids := 0, map[string]bool{}
		for i, from := range asked {
			a := all[i%3].answer(from)
			if ids[a.CallID] = true; a.Code != "" {
				t.Errorf("%+v", a)
			}
			if !a.Replayed {
				fresh++
			}
		}
		if dials := len(s.of(w.word)); dials != 1 || len(ids) != 1 || fresh != 1 {
			t.Errorf("key %q: %d dials, %d new calls, %v", key, dials, fresh, ids)
		}
	}
}

// deafened is a database in which every notification gets lost: what announces one finds a function that does nothing.
func deafened(t *testing.T) string {
	t.Helper()
	url := postgres.Database(t)
	postgres.SQL(t, url, `CREATE FUNCTION pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'`)
	return url + "%2Cpg_catalog" // which otherwise comes first
}

// What one replica hears is seen by who watches at another one: soon, and where every notification of Postgres's gets lost
// not much later (P11). Not beside others, nor one of the two beside the other: all ledgers of one database hear all
// notifications in it. A busy machine may spoil a round: the best of three counts.
func TestSeenAtAnotherReplica(t *testing.T) {
	for name, c := range map[string]struct {
		url  func(*testing.T) string
		most time.Duration
	}{
		"normally":                {func(t *testing.T) string { t.Helper(); return postgres.Database(t) }, 250 * time.Millisecond},
		"every notification lost": {deafened, 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			var late []time.Duration
			for range 3 {
				if late = lateness(t, c.url(t)); late[len(late)*99/100] <= c.most {
					break
				}
			}
			p99 := late[len(late)*99/100]
			t.Logf("%d events, seen at the other replica after %v in the middle, %v in 99 of 100", len(late), late[len(late)/2], p99)
			if p99 > c.most {
				t.Errorf("that is more than %v", c.most)
			}
			if most := late[len(late)/2]; c.most > time.Second && most < 100*time.Millisecond {
				t.Errorf("notifications come: %v", most)
			}
		})
	}
}

// lateness is how much later than the one that follows a call another replica shows each event, the smallest first.
func lateness(t *testing.T, url string) (late []time.Duration) {
	t.Helper()
	const turns = 45
	s := record(t, steponeService(1, steady(turns, 130*time.Millisecond)))
	env := append(s.env(s.base), "OUTDIAL_DATABASE="+url)
	follower, other := begin(t, t.TempDir(), env...), begin(t, t.TempDir(), env...)
	a := follower.answer(follower.tool("create_call", fmt.Sprintf(`{"to":%q,"task":"Count"}`, s.number(0))))
	here, there := follower.watch(a.CallID, "here"), other.watch(a.CallID, "there")
	follower.answer(here)
	other.answer(there)
	first := map[int]time.Time{}
	for _, p := range follower.pushes() {
		first[p.seq] = p.at
	}
	for _, p := range other.pushes() {
		if at, ok := first[p.seq]; ok {
			late = append(late, p.at.Sub(at))
		}
	}
	if len(late) < turns {
		t.Fatalf("only %d events were seen by both", len(late))
	}
	slices.Sort(late)
	return late
}

// spawnHTTP starts outdial http and gives its address.
func spawnHTTP(t *testing.T, env ...string) (*child, string) {
	t.Helper()
	c := spawn(t, t.TempDir(), env, "http", "--addr", "127.0.0.1:0")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { // a buffer cannot be waited for
		if _, after, ok := strings.Cut(c.stderr.String(), "outdial: http://"); ok && strings.Contains(after, "\n") {
			at, _, _ := strings.Cut(after, "\n")
			return c, "http://" + at
		}
	}
	t.Fatalf("it does not listen:\n%s", c.stderr)
	return nil, ""
}

// clientOf is a client of either era.
func clientOf(t *testing.T, url string, modern bool) *httpWire {
	t.Helper()
	carrier := &http.Transport{}
	t.Cleanup(carrier.CloseIdleConnections)
	w := &httpWire{url: url, modern: modern, client: &http.Client{Transport: carrier}}
	if !modern {
		w.say(t, []byte(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`), false)
		w.say(t, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`), false)
	}
	return w
}

// toolCall is the message that calls a tool with a progress token, which is the request's number too.
func (w *httpWire) toolCall(n int, name, arguments string) []byte {
	meta := fmt.Sprintf(`"progressToken":%d`, n)
	if w.modern {
		meta += `,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}`
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{%s}}}`, n, name, arguments, meta)
}

// hears streams a call after an event until each says that it is enough, its answer is there, or the replica is gone.
func (w *httpWire) hears(t *testing.T, id string, after int, each func(seq int) (enough bool)) *toldCall {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	resp, err := w.post(ctx, w.toolCall(1, "stream_transcript", fmt.Sprintf(`{"call_id":%q,"after_seq":%d}`, id, after)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReaderSize(resp.Body, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil
		}
		line, _ = bytes.CutPrefix(line, []byte("data: "))
		var m struct {
			Method string
			Params struct{ Progress int }
			reply
		}
		if json.Unmarshal(line, &m) != nil {
			continue
		}
		if m.Method == "" {
			return &m.Result.Call
		}
		if each(m.Params.Progress) {
			return nil
		}
	}
}

// A client whose stream is cut, because it leaves or its replica dies, goes on at another replica after what it has: it
// misses nothing and gets nothing twice, in both eras.
func TestStreamGoesOnElsewhere(t *testing.T) {
	for name, modern := range map[string]bool{"handshake": false, "2026-07-28": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := record(t, steponeService(1, steady(24, 200*time.Millisecond)))
			env := append(s.env(s.base), "TEST_LEASE=2s", "OUTDIAL_DATABASE="+postgres.Database(t))
			first, at := spawnHTTP(t, env...)
			_, elsewhere := spawnHTTP(t, env...)
			a, b := clientOf(t, at, modern), clientOf(t, elsewhere, modern)
			var placed reply
			said := a.say(t, a.toolCall(1, "create_call", fmt.Sprintf(`{"to":%q,"task":"crash-elsewhere"}`, s.number(0))), false)
			if err := json.Unmarshal(said[len(said)-1], &placed); err != nil || placed.Result.Call.CallID == "" {
				t.Fatalf("%s, %v", said, err)
			}
			id, got := placed.Result.Call.CallID, []int(nil)
			last := func() int {
				if len(got) == 0 {
					return 0
				}
				return got[len(got)-1]
			}
			until := func(n int) func(int) bool {
				return func(seq int) bool { got = append(got, seq); return seq >= n }
			}
			a.hears(t, id, last(), until(5))
			b.hears(t, id, last(), until(10))
			a.hears(t, id, last(), func(seq int) bool {
				got = append(got, seq)
				if seq == 14 {
					_ = first.cmd.Process.Kill() // who follows the call
				}
				return false
			})
			end := b.hears(t, id, last(), until(1<<30))
			for i, seq := range got {
				if seq != i+1 {
					t.Fatalf("the events came as %v", got)
				}
			}
			if end == nil || end.Status != "ended" || end.NextSeq != len(got) {
				t.Fatalf("%+v after %v", end, got)
			}
			c := b.hears(t, id, 0, func(int) bool { return false })
			record, err := s.record(s.Handler, s.of("crash-elsewhere")[0])
			if diff := cmp.Diff(record, c.Turns); diff != "" || err != nil || s.count() != 1 {
				t.Errorf("%d dials, the transcript is not the service's: %v\n%s", s.count(), err, diff)
			}
		})
	}
}
