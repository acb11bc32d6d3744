package providertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

// canary is a word of the service's own, which no message may repeat.
const canary = "canary-7f3a"

// served lets the service do what was asked and keeps its answer. A service that gave none is told by nil.
func served(r *http.Request, pass http.Handler) (answer *httptest.ResponseRecorder) {
	defer func() {
		if recover() != nil { // http.ErrAbortHandler
			answer = nil
		}
	}()
	answer = httptest.NewRecorder()
	pass.ServeHTTP(answer, r)
	return answer
}

// dropped: the service reads the request, does what it asks, and the connection dies without an answer.
func dropped(_ *breaker, _ http.ResponseWriter, r *http.Request, pass http.Handler) {
	served(r, pass)
	panic(http.ErrAbortHandler)
}

// answers gives a fixed answer after the service has done what was asked.
func answers(status int, contentType, body string) fault {
	return func(_ *breaker, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		served(r, pass)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// says answers with a status and, as some services do, with everything that it was sent: what of it comes to stand in an
// error is the adapter's doing.
func says(status int) fault {
	return func(_ *breaker, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		sent, _ := io.ReadAll(r.Body)
		all := fmt.Sprintf("%s %s %v %s", canary, r.URL, r.Header, sent)
		body, _ := json.Marshal(map[string]any{"error": all, "message": all, "detail": all, "code": canary})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

// redirects sends the request on to another host.
func redirects(status int, elsewhere string) fault {
	return func(_ *breaker, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Location", elsewhere+r.URL.RequestURI())
		w.WriteHeader(status)
	}
}

// truncated: the service answers, and the connection dies after so many bytes of the body; a negative number counts from
// the body's end.
func truncated(after int) fault {
	return func(_ *breaker, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		a := served(r, pass)
		if a == nil || a.Body.Len() == 0 {
			panic(http.ErrAbortHandler)
		}
		k := after
		if k < 0 {
			k += a.Body.Len()
		}
		maps.Copy(w.Header(), a.Header())
		w.Header().Set("Content-Length", strconv.Itoa(a.Body.Len()))
		w.WriteHeader(a.Code)
		_, _ = w.Write(a.Body.Bytes()[:min(max(k, 0), a.Body.Len()-1)])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// hangs: the service does what was asked, and no answer comes until the other side has gone.
func hangs(b *breaker, _ http.ResponseWriter, r *http.Request, pass http.Handler) {
	served(r, pass)
	select {
	case <-b.closed:
	case <-r.Context().Done():
	case <-time.After(20 * time.Second): // a driver that waits for ever must not hold the suite up for ever
	}
	panic(http.ErrAbortHandler)
}

// cut says after which byte of a body its connection breaks; before is everything up to and with that byte.
type cut func(before []byte) bool

// atByte cuts after the k-th byte.
func atByte(k int) cut { return func(before []byte) bool { return len(before) >= k } }

// betweenLines cuts inside the n-th event, between its first line and what follows.
func betweenLines(n int) cut {
	return func(before []byte) bool {
		k := len(before)
		return k > 1 && before[k-1] == '\n' && before[k-2] != '\n' && bytes.Count(before, []byte("\ndata:"))+1 >= n
	}
}

// inRune cuts after the first byte of the n-th character that is longer than a byte.
func inRune(n int) cut {
	return func(before []byte) bool {
		if before[len(before)-1] < 0xC0 {
			return false
		}
		count := 0
		for _, c := range before {
			if c >= 0xC0 {
				count++
			}
		}
		return count >= n
	}
}

// passes lets a stream through a watching writer.
func passes(w http.ResponseWriter, r *http.Request, pass http.Handler, c *cutter) {
	c.ResponseWriter = w
	ctx, cancel := context.WithCancel(r.Context())
	c.cancel = cancel
	defer func() {
		cancel()
		if c.broken && c.then != nil {
			c.then()
		}
	}()
	pass.ServeHTTP(c, r.WithContext(ctx))
}

// breaks cuts a stream: its connection dies, or, where it is clean, its body just ends.
func breaks(at cut, clean bool) fault {
	return func(_ *breaker, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		passes(w, r, pass, &cutter{at: at, then: func() {
			if !clean {
				panic(http.ErrAbortHandler)
			}
		}})
	}
}

// silences lets a stream run to a point, after which its connection stays and nothing comes any more.
func silences(at cut) fault {
	return func(b *breaker, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		passes(w, r, pass, &cutter{at: at, then: func() { hangs(b, w, r, http.NotFoundHandler()) }})
	}
}

// prefixed puts bytes before the first of a stream.
func prefixed(garbage string) fault {
	return func(_ *breaker, w http.ResponseWriter, r *http.Request, pass http.Handler) {
		passes(w, r, pass, &cutter{prefix: garbage})
	}
}

// cutter watches a body on its way. Once it is cut, every write fails and the request's context ends: the service notices
// either.
type cutter struct {
	http.ResponseWriter
	prefix string
	at     cut
	then   func()
	cancel func()
	sent   []byte
	broken bool
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.prefix != "" {
		_, _ = io.WriteString(c.ResponseWriter, c.prefix)
		c.prefix = ""
	}
	if c.at == nil {
		return c.ResponseWriter.Write(p)
	}
	if c.broken {
		return 0, io.ErrClosedPipe
	}
	for i := range p {
		if c.sent = append(c.sent, p[i]); c.at(c.sent) {
			c.broken = true
			_, _ = c.ResponseWriter.Write(p[:i+1])
			c.Flush()
			c.cancel()
			return i + 1, io.ErrClosedPipe
		}
	}
	return c.ResponseWriter.Write(p)
}

// Flush and FlushError are what http.Flusher and http.ResponseController look for.
func (c *cutter) Flush() { _ = c.FlushError() }

func (c *cutter) FlushError() error { return http.NewResponseController(c.ResponseWriter).Flush() }

// nonsense are events that no service means.
func nonsense() string {
	return ": hello\n\ndata\n\nevent: unheard-of\ndata: {}\n\ndata: <html>bad gateway</html>\n\ndata: {\"role\":\n\ndata: null\n\ndata: []\n\n" +
		"data: 7\n\ndata: \"words\"\n\ndata: {\"role\":7,\"content\":[1],\"text\":{}}\n\ndata: \xff\xfe\x80\n\nid: \x00\nretry: never\n\n" +
		"data: " + strings.Repeat("x", 5<<20) + "\n\n"
}
