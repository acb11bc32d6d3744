package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait of these tests: only a test that fails reaches it.
const patience = 20 * time.Second

// wire is one client's end of a transport.
type wire interface {
	// say sends a message and gives what comes back for it, up to its answer. One that waits is given up to its first
	// notification; the rest comes with end.
	say(t *testing.T, message []byte, waits bool) [][]byte
	// end ends the input and gives what still comes.
	end(t *testing.T) [][]byte
}

// startProgram runs outdial in this process until the test ends, with a home of its own. SPEED in env is the simulator's.
func startProgram(t *testing.T, args, env []string, in io.Reader, out, errs io.Writer) (ended <-chan int, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	code, home := make(chan int, 1), t.TempDir() // which is removed after the program has ended
	var running sync.WaitGroup
	running.Go(func() {
		x := float64(speed)
		for _, e := range env {
			if s, ok := strings.CutPrefix(e, "SPEED="); ok {
				x, _ = strconv.ParseFloat(s, 64)
			}
		}
		with := parts{specs: fast(x)}
		code <- with.run(ctx, args, append([]string{"HOME=" + home}, env...), in, out, errs)
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return code, cancel
}

// lines hands on the lines of r one by one, and closes when it ends.
func lines(r io.Reader) <-chan []byte {
	all := make(chan []byte, 10_000)
	go func() {
		defer close(all)
		b := bufio.NewReaderSize(r, 1<<20)
		for {
			line, err := b.ReadBytes('\n')
			if len(line) > 0 {
				all <- bytes.TrimRight(line, "\n")
			}
			if err != nil {
				return
			}
		}
	}()
	return all
}

func next(t *testing.T, from <-chan []byte) ([]byte, bool) {
	t.Helper()
	select {
	case line, ok := <-from:
		return line, ok
	case <-time.After(patience):
		t.Fatalf("nothing came in %v", patience)
		return nil, false
	}
}

// id is a message's id as written; empty for a notification.
func id(t *testing.T, message []byte) string {
	t.Helper()
	var m struct{ ID json.RawMessage }
	if err := json.Unmarshal(message, &m); err != nil {
		return ""
	}
	return string(m.ID)
}

type stdioWire struct {
	in    io.WriteCloser
	out   <-chan []byte
	ended <-chan int
}

func dialStdio(t *testing.T, env []string) wire {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	code, _ := startProgram(t, []string{"stdio"}, env, inR, outW, t.Output())
	ended := make(chan int, 1)
	go func() {
		ended <- <-code
		_ = outW.Close()
	}()
	t.Cleanup(func() { _ = inW.Close() })
	return &stdioWire{inW, lines(outR), ended}
}

func (w *stdioWire) say(t *testing.T, message []byte, waits bool) (back [][]byte) {
	t.Helper()
	if _, err := w.in.Write(append(message, '\n')); err != nil {
		t.Fatal(err)
	}
	want := id(t, message)
	if want == "" && json.Valid(message) && message[0] == '{' {
		return nil // a notification
	}
	for {
		line, ok := next(t, w.out)
		if !ok {
			t.Fatalf("the output ended before the answer to %s", message)
		}
		back = append(back, line)
		if got := id(t, line); waits || got == want || got == "null" {
			return back
		}
	}
}

func (w *stdioWire) end(t *testing.T) (back [][]byte) {
	t.Helper()
	began := time.Now()
	if err := w.in.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		line, ok := next(t, w.out)
		if !ok {
			break
		}
		back = append(back, line)
	}
	if code := <-w.ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v from the end of input to the end of the program", took)
	}
	return back
}

type httpWire struct {
	url, session string
	modern       bool
	client       *http.Client
}

func dialHTTP(t *testing.T, env []string, modern bool) wire {
	t.Helper()
	r, w := io.Pipe()
	code, _ := startProgram(t, []string{"http", "--addr", "127.0.0.1:0"}, env, strings.NewReader(""), t.Output(), w)
	url := ""
	told := lines(r)
	for url == "" {
		line, ok := next(t, told)
		if !ok {
			t.Fatalf("the program ended with %d", <-code)
		}
		url, _ = strings.CutPrefix(string(line), "outdial: ")
	}
	go func() {
		for range told { // a log that nobody reads would hold it up
			continue
		}
	}()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &httpWire{url: url, modern: modern, client: &http.Client{Transport: transport}}
}

// post sends one message, with the headers of its era.
func (w *httpWire) post(ctx context.Context, message []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(message))
	if err != nil {
		return nil, err
	}
	var m struct {
		Method string
		Params struct{ Name string }
	}
	_ = json.Unmarshal(message, &m)
	set := map[string]string{
		"Accept": "application/json, text/event-stream", "Content-Type": "application/json", "Mcp-Session-Id": w.session,
	}
	if w.modern {
		set["Mcp-Protocol-Version"], set["Mcp-Method"], set["Mcp-Name"] = "2026-07-28", m.Method, m.Params.Name
	} else if m.Method != "initialize" {
		set["Mcp-Protocol-Version"] = "2025-11-25"
	}
	for k, v := range set {
		if v != "" {
			r.Header.Set(k, v)
		}
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	if s := resp.Header.Get("Mcp-Session-Id"); s != "" {
		w.session = s
	}
	return resp, nil
}

func (w *httpWire) say(t *testing.T, message []byte, _ bool) (back [][]byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := w.post(ctx, message)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	b := bufio.NewReaderSize(resp.Body, 1<<20)
	for {
		line, err := b.ReadBytes('\n')
		data, isData := bytes.CutPrefix(line, []byte("data: "))
		if data = bytes.TrimSpace(data); len(data) > 0 && (isData || !events) {
			back = append(back, data)
		}
		if errors.Is(err, io.EOF) {
			return back
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (w *httpWire) end(t *testing.T) [][]byte {
	t.Helper()
	t.Fatal("HTTP has no end of input")
	return nil
}
