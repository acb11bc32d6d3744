package upstream

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// sink is a connection that takes everything.
type sink struct {
	net.Conn
	took bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) { return s.took.Write(p) }

// What leaves a wire, and what it says of it: before the hands are shaken nothing counts, after its time nothing leaves.
func TestWire(t *testing.T) {
	var to sink
	w := &wire{Conn: &to}
	write := func(s string) error { _, err := w.Write([]byte(s)); return err }
	carried := func() bool { defer func() { w.shut = false }(); return w.close() }
	if err := write("hello"); err != nil || carried() {
		t.Errorf("a handshake: %v, carried %v", err, carried())
	}
	w.arm(time.Now().Add(-time.Second))
	if err := write("too late"); !errors.Is(err, errTooLate) || carried() {
		t.Errorf("after its time: %v, carried %v", err, carried())
	}
	w.arm(time.Now().Add(time.Minute))
	if err := write("POST"); err != nil || !carried() {
		t.Errorf("in time: %v, carried %v", err, carried())
	}
	w.arm(time.Now().Add(-time.Second))
	if err := write("the rest"); !errors.Is(err, errTooLate) || !carried() {
		t.Errorf("the rest after its time: %v, carried %v", err, carried())
	}
	w.close()
	if err := write("after all"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if to.took.String() != "helloPOST" {
		t.Errorf("%q", to.took.String())
	}
}

// Whether the service may have read something, however the connection ends.
func TestAConnectionThatBreaksWhileItIsWrittenTo(t *testing.T) {
	for name, tt := range map[string]struct {
		connect func(context.Context, string, string) (net.Conn, error)
		want    phone.Code
	}{
		"closed after the first byte": {func(context.Context, string, string) (net.Conn, error) {
			mine, theirs := net.Pipe()
			go func() {
				_, _ = theirs.Read(make([]byte, 1))
				theirs.Close()
			}()
			return mine, nil
		}, phone.Uncertain},
		"refused": {func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }, phone.Unavailable},
		"slower than the dial's time": {func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case <-ctx.Done():
			case <-time.After(60 * time.Millisecond):
			}
			return nil, errors.New("slow")
		}, phone.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, Options{Base: "http://127.0.0.1:1", Connect: tt.connect, DialTimeout: 50 * time.Millisecond})
			if _, err := c.Dial(t.Context(), "/calls", map[string]string{"to": "x"}, http.Header{}); phone.CodeOf(err) != tt.want {
				t.Errorf("%v", err)
			}
		})
	}
}
