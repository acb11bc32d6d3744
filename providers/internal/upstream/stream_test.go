package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"pgregory.net/rapid"
)

var patient = Idle{First: 10 * time.Second, Later: 10 * time.Second}

func (c *Client) listened(ctx context.Context, idle Idle) (events []string, err error) {
	for data, e := range c.Stream(ctx, "/words", map[string]any{}, idle) {
		if err = e; err != nil {
			break
		}
		events = append(events, data)
	}
	return events, err
}

func TestEvents(t *testing.T) {
	long := strings.Repeat("x", MaxEvent)
	tests := map[string]struct {
		body string
		cut  bool // the connection dies after it
		want []string
		ok   bool // it ends without an error
	}{
		"one and another":             {"data: a\n\ndata: b\n\n", false, []string{"a", "b"}, true},
		"nothing":                     {"", false, nil, true},
		"with carriage returns":       {"data: a\r\n\r\ndata: b\r\n\r\n", false, []string{"a", "b"}, true},
		"of several lines":            {"event: x\nid: 1\ndata: a\ndata: b\n\n", false, []string{"a\nb"}, true},
		"between comments":            {": hello\n\ndata: a\n\n: keep-alive\n\n\n\ndata: b\n\n", false, []string{"a", "b"}, true},
		"without data":                {"event: x\n\ndata\n\ndata:\n\ndata: a\n\n", false, []string{"a"}, true},
		"half of one":                 {"data: a\n\ndata: b\n", false, []string{"a"}, false},
		"half of a line":              {"data: a\n\ndata: b", false, []string{"a"}, false},
		"half, of two lines":          {"data: a\n\ndata: b\ndata: c\n", true, []string{"a"}, false},
		"cut between two":             {"data: a\n\n", true, []string{"a"}, false},
		"half a character":            {"data: a\n\ndata: \xe5\xa5", true, []string{"a"}, false},
		"as long as one may be":       {"data: " + long[:MaxEvent-8] + "\n\ndata: b\n\n", false, []string{long[:MaxEvent-8], "b"}, true},
		"one that is too long":        {"data: a\n\ndata: " + long + "\n\ndata: b\n\n", false, []string{"a", "b"}, true},
		"too long, of several lines":  {"data: a\n\n" + strings.Repeat("data: "+long[:1000]+"\n", 1200) + "\ndata: b\n\n", false, []string{"a", "b"}, true},
		"one far too long":            {"data: " + strings.Repeat(long, 5) + "\n\ndata: b\n\n", false, []string{"b"}, true},
		"a line of exactly a buffer":  {"data: " + long[:4096-7] + "\n\ndata: b\n\n", false, []string{long[:4096-7], "b"}, true},
		"a buffer's end at a newline": {"data: " + long[:4096-6] + "\n\ndata: b\n\n", false, []string{long[:4096-6], "b"}, true},
		"a line that fills a buffer":  {"data: " + long[:4096-6] + "\ndata: b\n\n", false, []string{long[:4096-6] + "\nb"}, true},
		"a marker as data":            {"data: [DONE]\n\ndata: b\n\n", false, []string{"[DONE]", "b"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.Header.Get("Accept") != "text/event-stream" || r.Header.Get("X-Key") != key {
					t.Errorf("%s %v", r.Method, r.Header)
				}
				_, _ = io.WriteString(w, tt.body)
				_ = http.NewResponseController(w).Flush()
				if tt.cut {
					panic(http.ErrAbortHandler)
				}
			})
			got, err := c.listened(t.Context(), patient)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%d events: %.200q", len(got), got)
			}
			if tt.ok != (err == nil) || err != nil && phone.CodeOf(err) != phone.Unavailable {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}

// Wherever a stream is cut, what was yielded are its first events, whole.
func TestCutAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.StringMatching(`[a-z好 ]{1,6}`), 1, 3)
		var whole []string
		var body strings.Builder
		for _, ls := range rapid.SliceOfN(lines, 1, 5).Draw(t, "events") {
			newline := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "newline")
			for _, l := range ls {
				body.WriteString("data: x" + l + newline)
			}
			body.WriteString(newline + rapid.SampledFrom([]string{"", ": alive\n\n", "\n"}).Draw(t, "between"))
			whole = append(whole, "x"+strings.Join(ls, "\nx"))
		}
		k := rapid.IntRange(0, body.Len()).Draw(t, "cut")
		var got []string
		for block, err := range blocks(strings.NewReader(body.String()[:k]), func() {}) {
			if err != nil {
				break
			}
			var data []string
			for line := range strings.Lines(string(block)) {
				if d, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "data: "); ok {
					data = append(data, d)
				}
			}
			if data != nil {
				got = append(got, strings.Join(data, "\n"))
			}
		}
		if len(got) > len(whole) || !slices.Equal(got, whole[:len(got)]) || k == body.Len() && len(got) != len(whole) {
			t.Fatalf("cut at %d of %q: %q", k, body.String(), got)
		}
	})
}

// endless is a line without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestEndlessLineTakesNoMemory(t *testing.T) {
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	for block, err := range blocks(io.LimitReader(endless{}, 64<<20), func() {}) {
		if err == nil {
			t.Errorf("an event of %d bytes", len(block))
		}
	}
	runtime.ReadMemStats(&now)
	if took := now.TotalAlloc - before.TotalAlloc; took > 16<<20 {
		t.Errorf("%d bytes for a line of 64 MiB", took)
	}
}

func TestSilence(t *testing.T) {
	const (
		idle = 150 * time.Millisecond
		long = 10 * idle // for one that speaks on: the machine may be busy
	)
	say := func(w http.ResponseWriter, s string) {
		_, _ = io.WriteString(w, s)
		_ = http.NewResponseController(w).Flush()
	}
	until := func(r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // net/http sees that the other side has gone only behind the body
		<-r.Context().Done()
	}
	tests := map[string]struct {
		idle   Idle
		serve  http.HandlerFunc
		events int
		ok     bool
	}{
		"from the beginning": {Idle{idle, time.Minute}, func(_ http.ResponseWriter, r *http.Request) { until(r) }, 0, false},
		"after the header":   {Idle{idle, time.Minute}, func(w http.ResponseWriter, r *http.Request) { say(w, ""); until(r) }, 0, false},
		"after an event":     {Idle{time.Minute, idle}, func(w http.ResponseWriter, r *http.Request) { say(w, "data: a\n\n"); until(r) }, 1, false},
		"in mid-event":       {Idle{idle, time.Minute}, func(w http.ResponseWriter, r *http.Request) { say(w, "data: a"); until(r) }, 0, false},
		"a refusal that never ends": {Idle{idle, time.Minute}, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			say(w, "<html>")
			until(r)
		}, 0, false},
		"comments keep it alive": {Idle{long, long}, func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				say(w, ": keep-alive\n\n")
				time.Sleep(long / 20) // a service that speaks now and then
			}
			say(w, "data: a\n\n")
			for range 20 {
				say(w, ":\n\n")
				time.Sleep(long / 20) // a service that speaks now and then
			}
		}, 1, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := served(t, tt.serve)
			began := time.Now()
			events, err := c.listened(t.Context(), tt.idle)
			if len(events) != tt.events || tt.ok != (err == nil) || time.Since(began) > 5*time.Second {
				t.Errorf("%q, %v after %v", events, err, time.Since(began))
			}
			var refused *Refused
			if !tt.ok && !errors.As(err, &refused) && (phone.CodeOf(err) != phone.Unavailable || !errors.Is(err, errSilent)) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestStreamStops(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; r.Context().Err() == nil; i++ {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond) // not to flood the loopback
		}
	}
	c, _ := served(t, endless)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.listened(ctx, patient); err == nil || time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	for range c.Stream(t.Context(), "/words", nil, patient) {
		break // goleak sees what is left
	}
}

func TestRefused(t *testing.T) {
	c, _ := served(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "later")
	})
	events, err := c.listened(t.Context(), patient)
	var refused *Refused
	if !errors.As(err, &refused) || len(events) != 0 || refused.Answer.Status != 429 || string(refused.Answer.Body) != "later" || refused.Answer.Header.Get("Retry-After") != "7" {
		t.Errorf("%q, %v", events, err)
	}
	if strings.Contains(fmt.Sprint(err), "later") {
		t.Errorf("the service's words: %v", err)
	}
}

func TestStreamUnreachable(t *testing.T) {
	c, s := served(t, nil)
	s.Close()
	if _, err := c.listened(t.Context(), patient); phone.CodeOf(err) != phone.Unavailable {
		t.Error(err)
	}
}
