package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

// Answer is what a person at the client says to a question.
type Answer string

// The answers.
const (
	Yes       Answer = "accept"
	No        Answer = "decline"
	Dismissed Answer = "cancel"
)

// CanAsk says whether the client can put a question to a person in a form. A client that says nothing of the kinds of
// questions that it takes takes forms (elicitation, MCP 2025-11-25).
func (p *Peer) CanAsk(ctx context.Context) bool {
	var can mcp.ClientCapabilities
	if info := mcpserver.RequestProtocolInfoFromContext(ctx); info != nil && info.Modern {
		if info.ClientCapabilities != nil {
			can = *info.ClientCapabilities
		}
	} else if session, ok := mcpserver.ClientSessionFromContext(ctx).(mcpserver.SessionWithClientInfo); ok {
		if _, asks := session.(mcpserver.SessionWithElicitation); asks {
			can = session.GetClientCapabilities()
		}
	}
	return can.Elicitation != nil && (can.Elicitation.Form != nil || can.Elicitation.URL == nil)
}

// ByRounds says whether the client is asked by the answer to its request, which it then sends again with what a person said
// (multi round-trip requests, MCP 2026-07-28), and not by a request of the server's own.
func (p *Peer) ByRounds(ctx context.Context) bool { return mcpserver.IsModernRequest(ctx) }

// Question is a question to a person that yes or no answers: a form without fields.
func Question(text string) mcp.ElicitationParams {
	return mcp.ElicitationParams{Message: text, RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}}}
}

// Ask puts a question to the person at a client of the handshake eras and waits for the answer. It outlives the request
// that ctx belongs to, though neither the server nor the time given.
func (p *Peer) Ask(ctx context.Context, text string, within time.Duration) (Answer, error) {
	session, ok := mcpserver.ClientSessionFromContext(ctx).(mcpserver.SessionWithElicitation)
	if !ok {
		return "", errors.New("the client cannot be asked")
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	if p.link.Room != nil {
		until, stop := p.link.Room.Until(asking)
		defer stop()
		asking = until
	}
	answer, err := session.RequestElicitation(asking, mcp.ElicitationRequest{Params: Question(text)})
	if err != nil {
		return "", fmt.Errorf("the client was asked: %w", err)
	}
	return Answer(answer.Action), nil
}
