package ledger

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// What a cutter does to the next commit that goes through it.
const (
	pass      int32 = iota
	before          // the connection ends before the server has it
	after           // the server has it; its answer is lost
	afterDown       // the same, and nobody gets through any more
)

// cutter stands between a ledger and its server.
type cutter struct {
	net.Listener
	to   string
	cut  atomic.Int32
	down atomic.Bool
	cuts atomic.Int32
	all  sync.WaitGroup
}

// cutting gives the URL of a server through a cutter.
func cutting(t *testing.T, of string) (*cutter, string) {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{to: u.Host}
	if c.Listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	u.Host = c.Addr().String()
	c.all.Go(func() {
		for {
			in, err := c.Accept()
			if err != nil {
				return
			}
			c.all.Go(func() { c.carry(in) })
		}
	})
	t.Cleanup(func() { _ = c.Close(); c.all.Wait() })
	return c, u.String()
}

func (c *cutter) carry(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", c.to)
	if err != nil || c.down.Load() {
		return
	}
	defer out.Close()
	var back sync.WaitGroup
	var silent atomic.Bool
	back.Go(func() {
		defer in.Close()
		b := make([]byte, 4096)
		for {
			n, err := out.Read(b)
			if err != nil {
				return
			}
			if silent.Load() { // the server has answered, which nobody will hear
				return
			}
			if _, err := in.Write(b[:n]); err != nil {
				return
			}
		}
	})
	b := make([]byte, 4096)
	for {
		n, err := in.Read(b)
		if err != nil {
			break
		}
		if bytes.Contains(b[:n], []byte("commit\x00")) {
			switch how := c.cut.Swap(pass); how {
			case before:
				c.cuts.Add(1)
				_ = in.Close()
				_ = out.Close()
			case after, afterDown:
				c.cuts.Add(1)
				silent.Store(true)
				c.down.Store(how == afterDown)
				_, _ = out.Write(b[:n])
				back.Wait()
			}
		}
		if _, err := out.Write(b[:n]); err != nil {
			break
		}
	}
	_ = out.Close()
	_, _ = io.Copy(io.Discard, in)
	back.Wait()
}

// A commit of which the answer got lost: the ledger finds out what became of it before it answers, and where it cannot,
// nobody dials and the same request finds its call.
func TestPostgresACommitWithoutAnAnswer(t *testing.T) {
	postgresAlone(t)
	through, address := cutting(t, server.Database(t))
	l := openWith(t, address, Options{})
	l.engine.(*postgres).patient = 300 * time.Millisecond
	rows := func() int {
		t.Helper()
		calls, _, err := l.List(t.Context(), "local", Filter{Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		return len(calls)
	}
	through.cut.Store(before)
	in := wish(t, "+8613800138000", "", "p")
	if _, _, err := l.Reserve(t.Context(), in, yes); phone.CodeOf(err) != phone.Unavailable || rows() != 0 {
		t.Errorf("a commit that did not come to pass: %v, %d rows", err, rows())
	}
	through.cut.Store(after)
	if h, replayed, err := l.Reserve(t.Context(), in, yes); err != nil || replayed || h.ID != in.Call.ID || rows() != 1 {
		t.Errorf("a commit that came to pass: %v, replayed %v, %d rows", err, replayed, rows())
	}
	through.cut.Store(afterDown)
	second := wish(t, "+8613800138001", "", "p")
	_, _, err := l.Reserve(t.Context(), second, yes)
	if e := phone.AsError(err); err == nil || e.Code != phone.Unavailable || e.Reason != "commit_unclear" {
		t.Errorf("a commit that nobody can ask about: %v", err)
	}
	through.down.Store(false)
	if h, replayed, err := l.Reserve(t.Context(), wish(t, "+8613800138001", "", "p"), yes); err != nil || !replayed || h.ID != second.Call.ID || rows() != 2 {
		t.Errorf("asked again: %v, replayed %v, %d rows", err, replayed, rows())
	}
	held, err := l.Claim(t.Context(), Accounts{}, func(id string) bool { return id == in.Call.ID }, now()) // nobody here works on it
	if err != nil || len(held) != 1 || held[0].ID != second.Call.ID || held[0].Dial != Sending {
		t.Errorf("a dial that nobody began is not taken up: %+v, %v", held, err)
	}
	if n := through.cuts.Load(); n != 3 {
		t.Errorf("%d commits were cut", n)
	}
}

// What was said is recorded once, though the answer to its commit got lost.
func TestPostgresAnAppendWithoutAnAnswer(t *testing.T) {
	postgresAlone(t)
	through, address := cutting(t, server.Database(t))
	l := openWith(t, address, Options{})
	h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
	h, err := l.Placed(t.Context(), h.ID, "r")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a", "b", "c"} {
		through.cut.Store(after)
		if err := observe(t, l, &h, phone.Observation{Words: []phone.Words{{Role: phone.Agent, Text: text, Final: true}}}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got, err := l.Call(t.Context(), "local", h.ID); err != nil || len(got.Turns) != 3 || got.Seq != h.Seq || through.cuts.Load() != 3 {
		t.Errorf("%d turns, seq %d of %d, %v", len(got.Turns), got.Seq, h.Seq, err)
	}
}
