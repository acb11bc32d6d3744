package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

var _ mcpserver.SessionWithElicitation = (*stdioSession)(nil)

// questions are what a client has been asked and has not answered.
type questions struct {
	mu   sync.Mutex
	last int64
	open map[string]chan clientAnswer // by idKey
}

type clientAnswer struct {
	Result *mcp.ElicitationResult `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// ask opens a question; forget must follow.
func (q *questions) ask() (id int64, answer <-chan clientAnswer, forget func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	id = q.last
	key := idKey(fmt.Appendf(nil, "%d", id))
	open := make(chan clientAnswer, 1)
	if q.open == nil {
		q.open = map[string]chan clientAnswer{}
	}
	q.open[key] = open
	return id, open, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.open, key)
	}
}

// answered takes the client's answer to a question. One to no question, or a second one, is passed over.
func (q *questions) answered(id json.RawMessage, line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := idKey(id)
	open, ok := q.open[key]
	if !ok {
		return
	}
	delete(q.open, key)
	var a clientAnswer
	if err := json.Unmarshal(line, &a); err != nil {
		a = clientAnswer{}
	}
	open <- a
}

// RequestElicitation asks the person at the client something, and waits for the answer until ctx ends.
func (s *stdioSession) RequestElicitation(ctx context.Context, req mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	id, answer, forget := s.questions.ask()
	defer forget()
	question, err := json.Marshal(mcp.JSONRPCRequest{
		JSONRPC: mcp.JSONRPC_VERSION, ID: mcp.NewRequestId(id),
		Request: mcp.Request{Method: string(mcp.MethodElicitationCreate)}, Params: req.Params,
	})
	if err != nil {
		return nil, fmt.Errorf("asking the client: %w", err)
	}
	if err := s.out.write(question); err != nil {
		return nil, fmt.Errorf("asking the client: %w", err)
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("asking the client: %w", context.Cause(ctx))
	case a := <-answer:
		switch {
		case a.Error != nil:
			return nil, fmt.Errorf("the client refused the question: %s", a.Error.Message)
		case a.Result == nil:
			return nil, errors.New("the client's answer to the question could not be read")
		}
		return a.Result, nil
	}
}
