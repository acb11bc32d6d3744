package main

import (
	"bytes"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// link is the network between one process and one server: it carries bytes until it is told otherwise.
type link struct {
	net.Listener
	to string

	mu     sync.Mutex
	held   [2]chan struct{} // there, back: closed while bytes pass
	refuse bool             // whoever connects is turned away
	snare  func()           // is called as the next commit is about to be carried
	open   map[*carried]bool
	all    sync.WaitGroup
}

const there, back = 0, 1

// carried is one connection.
type carried struct {
	ends [2]*net.TCPConn
	done chan struct{}
	once sync.Once
}

// lay lays a link to an address.
func lay(t *testing.T, to string) *link {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{Listener: ln, to: to, open: map[*carried]bool{}}
	for way := range l.held {
		l.held[way] = make(chan struct{})
		close(l.held[way])
	}
	l.all.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			l.all.Go(func() { l.carry(in.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		l.cut()
		l.heal()
		l.all.Wait()
	})
	return l
}

// through is a URL with the link in place of the server.
func (l *link) through(t *testing.T, of string) string {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = l.Addr().String()
	return u.String()
}

func (l *link) carry(in *net.TCPConn) {
	l.mu.Lock()
	refuse := l.refuse
	l.mu.Unlock()
	out, err := net.Dial("tcp", l.to)
	if err != nil || refuse {
		_ = in.SetLinger(0)
		_ = in.Close()
		if err == nil {
			_ = out.Close()
		}
		return
	}
	c := &carried{ends: [2]*net.TCPConn{in, out.(*net.TCPConn)}, done: make(chan struct{})}
	l.mu.Lock()
	l.open[c] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.open, c)
		l.mu.Unlock()
	}()
	var both sync.WaitGroup
	for way := range c.ends {
		both.Go(func() { l.move(c, way) })
	}
	both.Wait()
}

// move carries bytes one way, and then the end of them: neither passes while that way is held.
func (l *link) move(c *carried, way int) {
	b := make([]byte, 32<<10)
	for {
		n, err := c.ends[way].Read(b)
		if way == there && bytes.Contains(b[:n], []byte("commit\x00")) {
			l.mu.Lock()
			sprung := l.snare
			l.snare = nil
			l.mu.Unlock()
			if sprung != nil {
				sprung()
			}
		}
		l.mu.Lock()
		pass := l.held[way]
		l.mu.Unlock()
		select {
		case <-pass:
		case <-c.done:
		}
		if _, werr := c.ends[1-way].Write(b[:n]); err != nil || werr != nil {
			c.close(false)
			return
		}
	}
}

func (c *carried) close(hard bool) {
	c.once.Do(func() {
		close(c.done)
		for _, end := range c.ends {
			if hard {
				_ = end.SetLinger(0)
			}
			_ = end.Close()
		}
	})
}

// cut ends all connections and turns new ones away, until heal.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = true
	for c := range l.open {
		c.close(true)
	}
}

// hold keeps what is sent, either way or one, until heal. Nobody is told.
func (l *link) hold(ways ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, way := range ways {
		select {
		case <-l.held[way]:
			l.held[way] = make(chan struct{})
		default:
		}
	}
}

// atCommit does something as the next commit is about to be carried: its transaction has written, and holds the ledger's
// lock.
func (l *link) atCommit(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.snare = do
}

// heal lets everything pass again, first of all what was kept.
func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse, l.snare = false, nil
	for way := range l.held {
		select {
		case <-l.held[way]:
		default:
			close(l.held[way])
		}
	}
}

// A link carries, holds, cuts and heals, and nothing that was held is lost.
func TestLink(t *testing.T) {
	t.Parallel()
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	l := lay(t, far.Addr().String())
	meet := func() (near, other net.Conn) {
		t.Helper()
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		other, err = far.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return near, other
	}
	hears := func(c net.Conn, want string) {
		t.Helper()
		b := make([]byte, len(want))
		if n, err := c.Read(b); string(b[:n]) != want {
			t.Fatalf("%q, %v, and not %q", b[:n], err, want)
		}
	}
	say := func(c net.Conn, s string) {
		t.Helper()
		if _, err := strings.NewReader(s).WriteTo(c); err != nil {
			t.Fatal(err)
		}
	}
	near, other := meet()
	say(near, "a")
	hears(other, "a")
	sprung := make(chan struct{})
	l.atCommit(func() { l.hold(there); close(sprung) })
	say(near, "commit\x00")
	<-sprung
	say(other, "b") // this way all passes
	hears(near, "b")
	_ = near.Close() // and its end stays behind what it said
	l.heal()
	hears(other, "commit\x00")
	hears(other, "")
	near, other = meet()
	l.cut()
	hears(near, "")
	hears(other, "")
	refused, err := net.Dial("tcp", l.Addr().String())
	if err == nil {
		hears(refused, "")
	}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
