package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/rs/zerolog"

	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
)

const (
	// maxRunning bounds the requests of one stdio client that run at once.
	maxRunning = 10_000
	// stdioPlaces is how many of them may wait. It is far below maxRunning, so that one which hangs up always runs.
	stdioPlaces = 1_000

	stdioGrace = 4500 * time.Millisecond
)

// StdioOptions are the choices of [Stdio]. The zero value will do.
type StdioOptions struct {
	Grace time.Duration  // how long running requests have when the input or the context ends; 0 is 4.5 s
	Log   zerolog.Logger // for the operator: a handler's panic; never what anybody said
}

// Stdio serves the one client at the other end of in and out, one JSON-RPC message a line, until the input ends (nil),
// ctx ends (nil), or reading or writing fails. A message of more than 4 MiB is skipped and answered with an error.
//
// Every request runs on its own goroutine, so a waiting one is in nobody's way. At the end whatever waits is told to
// answer with what there is, and whatever runs has the grace to answer; then its context is cancelled and Stdio
// returns, half a second later at most. Nothing is written to out after that. A read of in that is under way by then
// ends when in does.
//
// mcp-go has a stdio server too. It gives all requests one context, so that none has its own way back, and all servers
// of a process one session; it drops what runs and what is queued at the end of input, and cannot cancel what is queued.
func Stdio(ctx context.Context, s *mcpserver.MCPServer, in io.Reader, out io.Writer, o StdioOptions) error {
	o.Grace = cmp.Or(o.Grace, stdioGrace)
	lines := newLineWriter(out)
	defer lines.close()
	session := newStdioSession(lines)
	if err := s.RegisterSession(ctx, session); err != nil {
		return fmt.Errorf("stdio session: %w", err)
	}
	defer s.UnregisterSession(context.WithoutCancel(ctx), session.SessionID())

	// Requests outlive ctx: they have the grace to answer.
	life, cut := context.WithCancel(s.WithContext(context.WithoutCancel(ctx), session))
	defer cut()
	c := &conversation{
		mcp: s, session: session, life: life, out: lines, room: peer.NewRoom(stdioPlaces), log: o.Log,
		running: make(map[string]*running),
	}
	var writing sync.WaitGroup
	writing.Go(func() { session.forward(life) })

	read := make(chan error, 1)
	go func() { read <- c.read(newLineReader(in, maxMessage)) }()
	var err error
	select {
	case err = <-read:
	case <-ctx.Done():
	case <-c.out.broken:
	}

	c.gate.shut()
	c.room.Close()
	if !c.gate.finish(o.Grace, cut, c.out.broken) && c.out.failure() == nil {
		c.log.Warn().Dur("grace", o.Grace).Msg("requests still ran when the grace was over, and were cut short")
	}
	within(lastWords, writing.Wait, c.out.broken)
	return errors.Join(err, c.out.failure())
}

// conversation is one stdio client, from the first line to the last answer.
type conversation struct {
	mcp     *mcpserver.MCPServer
	session *stdioSession
	life    context.Context // what every request's context is made from
	out     *lineWriter
	room    *peer.Room
	log     zerolog.Logger

	gate    gate
	mu      sync.Mutex
	running map[string]*running // by request id
}

// running is a request that has not been answered.
type running struct{ cancel context.CancelFunc }

// read serves line after line, until the input ends (nil) or fails.
func (c *conversation) read(lines *lineReader) error {
	for {
		line, err := lines.next()
		switch {
		case errors.Is(err, errLineTooLong):
			_ = c.out.write(errorMessage(nil, mcp.INVALID_REQUEST, fmt.Sprintf(
				"a line of more than %d bytes was skipped: send less in one message", maxMessage)))
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the client's messages: %w", err)
		default:
			c.receive(line)
		}
	}
}

func (c *conversation) receive(line []byte) {
	m, err := parseMessage(line)
	switch {
	case err != nil:
		_ = c.out.write(errorMessage(nil, mcp.PARSE_ERROR,
			"this line is not a JSON object: send one JSON-RPC message a line, without batches"))
	case m.isCancel():
		c.cancel(m.Params.RequestID)
	case m.isNotification():
		c.handle(c.life, m, line)
	case m.isRequest():
		c.start(m, line)
	case m.isAnswer():
		c.session.questions.answered(m.ID, line)
	default:
		_ = c.out.write(errorMessage(m.ID, mcp.INVALID_REQUEST, "a JSON-RPC message has a method, or an id and a result or an error"))
	}
}

// start runs a request. It is known by its id before the next line is read, so that no cancel comes too early.
func (c *conversation) start(m message, line []byte) {
	if !c.gate.enter() {
		_ = c.out.write(errorMessage(m.ID, mcp.INTERNAL_ERROR, "not started: the server is stopping"))
		return
	}
	ctx, forget, ok := c.remember(m.ID)
	if !ok {
		c.gate.leave()
		_ = c.out.write(errorMessage(m.ID, mcp.INTERNAL_ERROR, fmt.Sprintf(
			"not started: %d requests are running already; wait for their answers and ask again", maxRunning)))
		return
	}
	run := func() {
		defer c.gate.leave()
		defer forget()
		c.serve(ctx, m, line)
	}
	if m.Method == string(mcp.MethodInitialize) {
		run() // what comes after it may depend on what it settles
		return
	}
	go run()
}

// serve runs one request to its answer.
func (c *conversation) serve(ctx context.Context, m message, line []byte) {
	back := &reply{out: c.out}
	ctx = peer.With(ctx, peer.Link{Caller: phone.Local(), Token: m.token, Send: back.send, Room: c.room})
	if m.Method == string(mcp.MethodSubscriptionsListen) { // it ends by nothing else
		until, stop := c.room.Until(ctx)
		defer stop()
		ctx = until
	}
	_ = back.answer(c.handle(ctx, m, line))
}

// handle has mcp-go read the message and returns its answer: none for a notification.
func (c *conversation) handle(ctx context.Context, m message, line []byte) (answer []byte) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error().Err(phone.Panicked(p)).Bytes("stack", debug.Stack()).Msg("a handler panicked")
			answer = errorMessage(m.ID, mcp.INTERNAL_ERROR, "internal error")
		}
	}()
	response := c.mcp.HandleMessage(ctx, line)
	if response == nil {
		return nil
	}
	answer, err := json.Marshal(response)
	if err != nil {
		c.log.Error().Err(err).Str("method", m.Method).Msg("an answer cannot be written as JSON")
		return errorMessage(m.ID, mcp.INTERNAL_ERROR, "internal error")
	}
	return answer
}

// remember makes the context of a request, which cancel ends. It is false where too many run.
func (c *conversation) remember(id json.RawMessage) (ctx context.Context, forget func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.running) >= maxRunning {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(c.life)
	key, this := idKey(id), &running{cancel}
	c.running[key] = this
	return ctx, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.running[key] == this { // and not another one that was given the same id
			delete(c.running, key)
		}
	}, true
}

// cancel ends the context of the request with that id, if it still runs. It is answered all the same.
func (c *conversation) cancel(id json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.running[idKey(id)]; ok {
		r.cancel()
	}
}

// idKey is the same for one id however it is written, and another for the string "1" than for the number 1.
func idKey(id json.RawMessage) string {
	var v any
	_ = json.Unmarshal(id, &v)
	return fmt.Sprintf("%T %v", v, v)
}
