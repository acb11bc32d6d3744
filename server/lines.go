package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

var (
	errLineTooLong = errors.New("line too long")
	errAnswered    = errors.New("the request has been answered already")
	errEnded       = errors.New("the session has ended")
)

// lineReader reads lines of at most max bytes. A longer one is skipped without being held.
type lineReader struct {
	r   *bufio.Reader
	max int
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), max: limit}
}

// next returns the next line that is not blank, without its end. The line is the caller's. At the end of the input it is
// io.EOF; the last line needs no end. After errLineTooLong the next line follows.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > l.max; tooLong {
			line = nil
		} else {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		switch trimmed := bytes.TrimSpace(line); {
		case tooLong:
			return nil, errLineTooLong // an error of the reader comes again with the next line
		case len(trimmed) > 0:
			return trimmed, nil
		case err != nil:
			return nil, err
		}
		line = nil
	}
}

// lineWriter writes whole lines, one at a time, whoever writes them. After the first failure, and after close, it
// writes nothing more.
type lineWriter struct {
	mu     sync.Mutex
	w      io.Writer
	closed atomic.Bool   // apart from mu, so that close need not wait for a client that does not read
	broken chan struct{} // closed with the first failure
	err    error         // that failure
}

func newLineWriter(w io.Writer) *lineWriter {
	return &lineWriter{w: w, broken: make(chan struct{})}
}

func (l *lineWriter) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return errEnded
	}
	if l.err != nil {
		return l.err
	}
	if _, err := l.w.Write(append(line, '\n')); err != nil { // in one piece: others may share the file
		l.err = err
		close(l.broken)
	}
	return l.err
}

func (l *lineWriter) close() { l.closed.Store(true) }

// failure is what went wrong with writing, once broken is closed.
func (l *lineWriter) failure() error {
	select {
	case <-l.broken:
		return l.err
	default:
		return nil
	}
}

// reply is one request's way back over a line writer: any number of messages, then the answer (if any), then nothing.
type reply struct {
	mu       sync.Mutex
	out      *lineWriter
	answered bool
}

func (r *reply) send(m []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answered {
		return errAnswered
	}
	return r.out.write(m)
}

func (r *reply) answer(m []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = true
	if len(m) == 0 {
		return nil
	}
	return r.out.write(m)
}
