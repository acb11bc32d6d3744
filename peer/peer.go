// Package peer is who asks, and the way back to them.
//
// Its one idea: whatever a tool needs to know about the client behind a request (on whose account it asks, where its
// progress goes, how long it may be kept waiting) is one value, [Peer]. The transport puts it into the request's
// context and the tools lift it out once. Progress is written by the tool's own goroutine to the client's own stream,
// never through mcp-go's notification queue, which drops, reorders and misdirects.
//
// It does not read requests, authenticate anyone or know what a call is.
package peer

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/outdial/outdial/phone"
)

// Why a tool is asked to answer at once with what there is: the [context.Cause] of what [Peer.Waiting] returns.
var (
	ErrEnding = errors.New("the session or the server is ending: answer with what there is")
	ErrFull   = errors.New("too many calls are waiting already: answer with what there is, and ask again in a moment")
	ErrGone   = errors.New("the client is no longer listening")
)

// Link is what a transport knows about one request and the client behind it.
type Link struct {
	// Caller is on whose account the request is.
	Caller phone.Caller

	// Token is the request's progress token, byte for byte as the client wrote it; empty where it asked for no progress.
	Token json.RawMessage

	// Send writes one JSON-RPC message to the client, on this request's own way back, before it returns. It blocks
	// while the client does not read, may be called from several goroutines at once, and fails once the request has
	// been answered. Nil where the transport is none of ours: progress then goes through mcp-go's queue.
	Send func(message []byte) error

	// Room is where this request may wait. Nil for as long as it likes.
	Room *Room

	// Gone ends when nobody listens for the answer any more, though the request itself may go on. Nil if that is not
	// to be known.
	Gone context.Context
}

// Peer is the client behind one request. Its zero value is a local caller without a way back.
type Peer struct {
	link Link
}

type contextKey struct{}

// With returns a context that carries the client behind one request.
func With(ctx context.Context, l Link) context.Context {
	return context.WithValue(ctx, contextKey{}, &Peer{link: l})
}

// From returns the client behind the request that ctx belongs to. It is never nil: where no transport has said who
// asks, it is the local caller, without a way back of our own.
func From(ctx context.Context) *Peer {
	if p, ok := ctx.Value(contextKey{}).(*Peer); ok {
		return p
	}
	return &Peer{link: Link{Caller: phone.Local()}}
}

// Caller is on whose account the client asks.
func (p *Peer) Caller() phone.Caller { return p.link.Caller }
