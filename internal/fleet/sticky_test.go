package fleet

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const sessionHeader = "Mcp-Session-Id"

// played is a replica that makes sessions and knows its own.
type played struct {
	name    string
	mu      sync.Mutex
	live    map[string]bool
	leaving atomic.Bool
	dropped atomic.Int64
	more    chan struct{} // lets the second event of a stream out
}

func (p *played) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(sessionHeader)
	p.mu.Lock()
	mine := p.live[id]
	p.mu.Unlock()
	w.Header().Set("Replica", p.name)
	switch {
	case r.URL.Path == "/readyz":
		if p.leaving.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	case r.URL.Path == "/drop":
		_, _ = io.Copy(io.Discard, r.Body)
		p.dropped.Add(1)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	case r.URL.Path == "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-p.more:
			fmt.Fprint(w, "data: second\n\n")
		case <-r.Context().Done():
		}
	case r.URL.Path == "/size":
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	case r.URL.Path == "/begin":
		id = rand.Text()
		p.mu.Lock()
		p.live[id] = true
		p.mu.Unlock()
		w.Header().Set(sessionHeader, id)
	case id != "" && !mine:
		w.WriteHeader(http.StatusNotFound)
	}
}

func play(t *testing.T) (all []*played, port string) {
	t.Helper()
	port = freePort(t)
	for i := range replicas {
		p := &played{name: fmt.Sprint(i + 1), live: map[string]bool{}, more: make(chan struct{})}
		ln, err := net.Listen("tcp", addressOf(i, port))
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: p}
		var serving sync.WaitGroup
		serving.Go(func() { _ = s.Serve(ln) })
		t.Cleanup(func() {
			_ = s.Close()
			serving.Wait()
		})
		all = append(all, p)
	}
	return all, port
}

// answer is what came back: which replica answered how.
type answer struct {
	replica, session string
	status           int
	body             string
}

func ask(t *testing.T, c *http.Client, url, session, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if session != "" {
		r.Header.Set(sessionHeader, session)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.Header.Get("Replica"), resp.Header.Get(sessionHeader), resp.StatusCode, string(b)}
}

func TestProxy(t *testing.T) {
	all, port := play(t)
	url, client := startProxy(t, port)
	within(t, "the proxy answers", func() bool { return ask(t, client, url+"/mcp", "", "").status == 200 })

	makers := map[string]string{} // by session
	t.Run("a session stays with the replica that made it", func(t *testing.T) {
		made := map[string]int{}
		for range 30 {
			a := ask(t, client, url+"/begin", "", "")
			if a.session == "" || a.status != 200 {
				t.Fatalf("%+v", a)
			}
			makers[a.session] = a.replica
			made[a.replica]++
		}
		for i := range replicas {
			if n := made[fmt.Sprint(i+1)]; n < 5 {
				t.Errorf("replica %d made %d sessions of 30", i+1, n)
			}
		}
		var asking sync.WaitGroup
		for session, maker := range makers {
			asking.Go(func() {
				for range 10 {
					if a := ask(t, client, url+"/mcp", session, ""); a.status != 200 || a.replica != maker {
						t.Errorf("a session of replica %s: %+v", maker, a)
					}
				}
			})
		}
		asking.Wait()
	})
	t.Run("requests without a session are spread", func(t *testing.T) {
		by := map[string]int{}
		for range 90 {
			by[ask(t, client, url+"/mcp", "", "").replica]++
		}
		for i := range replicas {
			if n := by[fmt.Sprint(i+1)]; n < 15 {
				t.Errorf("replica %d answered %d requests of 90", i+1, n)
			}
		}
	})
	t.Run("a session that nobody made is told so", func(t *testing.T) {
		for range 3 {
			if a := ask(t, client, url+"/mcp", "nobodys", ""); a.status != 404 {
				t.Errorf("%+v", a)
			}
		}
	})
	t.Run("the operator's side is not there for clients", func(t *testing.T) {
		for _, path := range []string{"/metrics", "/metrics?x=1", "/readyz", "/healthz", "/metrics/x", "/%6detrics", "/ready%7A", "/%68%65%61%6c%74%68%7a"} {
			if a := ask(t, client, url+path, "", ""); a.status != 404 || a.replica != "" {
				t.Errorf("%s: %+v", path, a)
			}
		}
	})
	t.Run("what was sent is not sent again", func(t *testing.T) {
		const n = 10
		for range n { // one after another, as a client that keeps its connection would send them
			if a := ask(t, client, url+"/drop", "", "dial"); a.status != 502 || a.replica != "" {
				t.Errorf("%+v", a)
			}
		}
		if sent := all[0].dropped.Load() + all[1].dropped.Load() + all[2].dropped.Load(); sent != n {
			t.Errorf("%d requests came to the replicas as %d", n, sent)
		}
	})
	t.Run("the largest message passes", func(t *testing.T) {
		if a := ask(t, client, url+"/size", "", strings.Repeat("x", 4<<20)); a.body != fmt.Sprint(4<<20) {
			t.Errorf("%+v", a)
		}
	})
	t.Run("a stream comes as it is written, and outlives a replica's leaving", func(t *testing.T) { streams(t, all, client, url, makers) })
}

// streams reads the first event of a stream before the second is let out, while its replica is on its way out: that replica
// gets nothing new, and takes only its own sessions along.
func streams(t *testing.T, all []*played, client *http.Client, url string, makers map[string]string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != "data: first" {
		t.Fatalf("%q, %v", lines.Text(), lines.Err())
	}
	gone := resp.Header.Get("Replica")
	var leaver *played
	for _, p := range all {
		if p.name == gone {
			leaver = p
		}
	}
	leaver.leaving.Store(true)
	within(t, "nothing goes to replica "+gone, func() bool {
		for session, maker := range makers {
			if maker == gone && ask(t, client, url+"/mcp", session, "").replica == gone {
				return false
			}
		}
		return true
	})
	for range 10 * replicas {
		if a := ask(t, client, url+"/mcp", "", ""); a.replica == gone || a.status != 200 {
			t.Errorf("%+v", a)
		}
	}
	for session, maker := range makers {
		a := ask(t, client, url+"/mcp", session, "")
		if maker == gone && (a.status != 404 || a.replica == gone) || maker != gone && (a.status != 200 || a.replica != maker) {
			t.Errorf("a session of replica %s: %+v", maker, a)
		}
	}
	close(leaver.more)
	last := ""
	for lines.Scan() {
		if lines.Text() != "" {
			last = lines.Text()
		}
	}
	if last != "data: second" || lines.Err() != nil {
		t.Errorf("%q, %v", last, lines.Err())
	}
}
