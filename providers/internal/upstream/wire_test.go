package upstream

import (
	"net"
	"testing"
	"time"
)

// stuck is a connection that keeps what it is given until it is let go.
type stuck struct {
	net.Conn
	begun, let chan struct{}
}

func (s *stuck) Write([]byte) (int, error) {
	close(s.begun)
	<-s.let
	return 0, net.ErrClosed
}

// While a write goes on nobody knows how much of it has left.
func TestAWriteThatHangsMayHaveLeft(t *testing.T) {
	to := &stuck{begun: make(chan struct{}), let: make(chan struct{})}
	w := &wire{Conn: to}
	w.arm(time.Now().Add(time.Minute))
	written := make(chan error)
	go func() { _, err := w.Write([]byte("POST")); written <- err }()
	<-to.begun
	if !w.close() {
		t.Error("nothing has left, it says")
	}
	close(to.let)
	if err := <-written; err == nil {
		t.Error("written after the end")
	}
}

// Of a connection that is no wire nobody knows what it has carried.
func TestAConnectionThatIsNoWire(t *testing.T) {
	if !wireOf(&sink{}).close() {
		t.Error("it has carried nothing, it says")
	}
}

// The time of a dial goes on while the machine sleeps, which a monotonic reading does not.
func TestTheTimeOfADialIsTheWalls(t *testing.T) {
	w := &wire{}
	w.arm(time.Now().Add(time.Minute))
	if w.by != w.by.Round(0) { //nolint:gocritic // not whether they are one moment
		t.Errorf("%v has a monotonic reading", w.by)
	}
}
