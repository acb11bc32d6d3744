package server

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// alone is a writer that must not be written to by two at once.
type alone struct {
	t    *testing.T
	busy atomic.Bool
}

func (a *alone) Write(p []byte) (int, error) {
	if !a.busy.CompareAndSwap(false, true) {
		a.t.Error("two writers at once")
	}
	runtime.Gosched()
	a.busy.Store(false)
	if n := strings.Count(string(p), "\n"); n != 1 || p[len(p)-1] != '\n' {
		a.t.Errorf("not one line in one piece: %q", p)
	}
	return len(p), nil
}

func TestLinesAreWrittenOneAtATime(t *testing.T) {
	w := newLineWriter(&alone{t: t})
	var writers sync.WaitGroup
	for range 20 {
		writers.Go(func() {
			for range 100 {
				if err := w.write([]byte("{}")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	w.close()
	if err := w.write([]byte("{}")); !errors.Is(err, errEnded) {
		t.Errorf("after the end: %v", err)
	}
}

func TestLineReader(t *testing.T) {
	long := strings.Repeat("x", 200_000) // more than its buffer
	r := newLineReader(strings.NewReader("a\r\n\n  \n"+long+"\nb\n"+long[:100_000]+"\n"+long), 150_000)
	for _, want := range []any{"a", errLineTooLong, "b", long[:100_000], errLineTooLong, io.EOF, io.EOF} {
		line, err := r.next()
		switch want := want.(type) {
		case string:
			if string(line) != want || err != nil {
				t.Errorf("%.10q, %v, want %.10q", line, err, want)
			}
		case error:
			if !errors.Is(err, want) {
				t.Errorf("%.10q, %v, want %v", line, err, want)
			}
		}
	}
}
