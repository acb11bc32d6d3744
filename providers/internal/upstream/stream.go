package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/tmaxmax/go-sse"
)

// MaxEvent bounds one event of a stream, in bytes. A longer one is passed over: the service's record has its words.
const MaxEvent = 1 << 20

// Idle says for how long a stream may stay without a byte: until its first event, and then on.
type Idle struct{ First, Later time.Duration }

// errSilent is the cause when a stream is cut because nothing came any more.
var errSilent = errors.New("the stream fell silent")

// Stream opens an event stream and yields the data of its events as they come. It ends without an error where the service
// closes it between two events, and with one (unavailable) where it breaks, falls silent or is refused; Refused tells the
// last. An event cut in half is not yielded.
func (c *Client) Stream(ctx context.Context, path string, body any, idle Idle) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		silence := time.AfterFunc(idle.First, func() { cancel(errSilent) })
		defer silence.Stop()

		req, err := c.request(ctx, http.MethodPost, path, body, http.Header{"Accept": {"text/event-stream"}})
		if err != nil {
			yield("", c.broken(err))
			return
		}
		resp, err := c.read.Do(req)
		if err != nil {
			yield("", c.broken(cause(ctx, err)))
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
			yield("", &Refused{Answer{Status: resp.StatusCode, Header: resp.Header, Body: raw}})
			return
		}
		patience := idle.First
		for block, err := range blocks(resp.Body, func() { silence.Reset(patience) }) {
			if err != nil {
				yield("", c.broken(cause(ctx, err)))
				return
			}
			for e, err := range sse.Read(bytes.NewReader(block), &sse.ReadConfig{MaxEventSize: 2 * MaxEvent}) {
				if err != nil || e.Data == "" {
					continue
				}
				patience = idle.Later
				silence.Reset(patience)
				if !yield(e.Data, nil) {
					return
				}
			}
		}
	}
}

// Refused is the answer of a service that did not open the stream.
type Refused struct{ Answer Answer }

func (r *Refused) Error() string { return fmt.Sprintf("no stream: status %d", r.Answer.Status) }

func (c *Client) broken(err error) error {
	return &phone.Error{Code: phone.Unavailable, Message: c.name + "'s live transcript broke off.", Err: err}
}

// cause prefers why the context ended over how the library noticed.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// blocks cuts an event stream at its blank lines, since the library would take a stream that is cut between two lines of
// an event for one that ended after it. What lies behind the last blank line is dropped, with io.ErrUnexpectedEOF.
func blocks(r io.Reader, alive func()) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReaderSize(tapped{r, alive}, 4<<10)
		var block []byte
		size, fresh := 0, true // fresh: at the beginning of a line
		for {
			part, err := in.ReadSlice('\n')
			if size += len(part); size <= MaxEvent {
				block = append(block, part...)
			}
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				fresh = false
				continue
			case errors.Is(err, io.EOF) && size == 0:
				return
			case errors.Is(err, io.EOF):
				yield(nil, io.ErrUnexpectedEOF)
				return
			case err != nil:
				yield(nil, err)
				return
			}
			if blank := fresh && len(bytes.TrimRight(part, "\r\n")) == 0; blank {
				if size <= MaxEvent && len(block) > len(part) && !yield(block, nil) {
					return
				}
				block, size = block[:0], 0
			}
			fresh = true
		}
	}
}

// tapped tells of every read that brought bytes.
type tapped struct {
	io.Reader
	alive func()
}

func (t tapped) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if n > 0 {
		t.alive()
	}
	return n, err
}
