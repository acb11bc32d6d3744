package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

// Progress is one progress notification.
type Progress struct {
	Progress float64        // must rise from one notification of a request to the next
	Total    float64        // where Progress will end; 0 if that is not known
	Message  string         // for a person to read
	Meta     map[string]any // _meta, under keys with a prefix, such as outdial/turn
}

type progressParams struct {
	Meta     map[string]any `json:"_meta,omitempty"`
	Token    any            `json:"progressToken"`
	Progress float64        `json:"progress"`
	Total    float64        `json:"total,omitempty"`
	Message  string         `json:"message,omitempty"`
}

// TakesProgress says whether the client has asked for progress on this request.
func (p *Peer) TakesProgress() bool { return p.link.Send == nil || len(p.link.Token) > 0 }

// Progress tells the client how far req has come. It does nothing if the client sent no progress token.
//
// Notifications arrive in the order of the calls and before the result of req, as long as the handler makes them
// itself. Progress returns once the notification is written, so a client that reads slowly slows the handler down.
// It fails when ctx has ended, when nobody listens any more ([ErrGone]), and when req has been answered.
func (p *Peer) Progress(ctx context.Context, req mcp.CallToolRequest, progress Progress) error {
	if p.link.Send == nil {
		return throughQueue(ctx, req, progress)
	}
	if len(p.link.Token) == 0 {
		return nil
	}
	if err := p.listening(ctx); err != nil {
		return fmt.Errorf("progress was not sent: %w", err)
	}
	message, err := json.Marshal(struct {
		JSONRPC string         `json:"jsonrpc"`
		Method  string         `json:"method"`
		Params  progressParams `json:"params"`
	}{mcp.JSONRPC_VERSION, string(mcp.MethodNotificationProgress), progressParams{
		Meta: progress.Meta, Token: p.link.Token,
		Progress: progress.Progress, Total: progress.Total, Message: progress.Message,
	}})
	if err != nil {
		return fmt.Errorf("progress was not sent: %w", err)
	}
	if err := p.link.Send(message); err != nil {
		return fmt.Errorf("progress was not sent: %w", errors.Join(err, p.listening(ctx)))
	}
	return nil
}

// listening is an error once there is nobody left to tell.
func (p *Peer) listening(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if p.link.Gone != nil && p.link.Gone.Err() != nil {
		return ErrGone
	}
	return nil
}

// throughQueue is the way back where the transport is not ours (mcptest, an in-process client): mcp-go's queue, waiting
// for room in it, where mcp-go's own functions drop the notification and lose its _meta.
func throughQueue(ctx context.Context, req mcp.CallToolRequest, progress Progress) error {
	session := mcpserver.ClientSessionFromContext(ctx)
	if session == nil || req.Params.Meta == nil || req.Params.Meta.ProgressToken == nil {
		return nil
	}
	fields := map[string]any{"progressToken": req.Params.Meta.ProgressToken, "progress": progress.Progress}
	if progress.Total != 0 {
		fields["total"] = progress.Total
	}
	if progress.Message != "" {
		fields["message"] = progress.Message
	}
	notification := mcp.JSONRPCNotification{
		JSONRPC: mcp.JSONRPC_VERSION,
		Notification: mcp.Notification{
			Method: string(mcp.MethodNotificationProgress),
			Params: mcp.NotificationParams{Meta: progress.Meta, AdditionalFields: fields},
		},
	}
	select {
	case session.NotificationChannel() <- notification:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("progress was not sent: %w", context.Cause(ctx))
	}
}
