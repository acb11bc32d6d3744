package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

// stdioSession is what mcp-go remembers of one stdio client, and its queue for what is not progress: changes of lists and
// log messages, of which it drops what the client is too slow for.
type stdioSession struct {
	id            string
	out           *lineWriter
	questions     questions
	notifications chan mcp.JSONRPCNotification
	initialized   atomic.Bool

	mu           sync.Mutex
	level        mcp.LoggingLevel
	client       mcp.Implementation
	capabilities mcp.ClientCapabilities
}

var (
	_ mcpserver.SessionWithLogging    = (*stdioSession)(nil)
	_ mcpserver.SessionWithClientInfo = (*stdioSession)(nil)
)

func newStdioSession(out *lineWriter) *stdioSession {
	return &stdioSession{
		out:           out,
		id:            "stdio-" + rand.Text(), // its own: several may share one MCPServer
		notifications: make(chan mcp.JSONRPCNotification, 100),
		level:         mcp.LoggingLevelError,
	}
}

// forward writes what is queued until ctx ends, and then what is left.
func (s *stdioSession) forward(ctx context.Context) {
	write := func(n mcp.JSONRPCNotification) {
		if line, err := json.Marshal(n); err == nil {
			_ = s.out.write(line)
		}
	}
	for {
		select {
		case n := <-s.notifications:
			write(n)
		case <-ctx.Done():
			for {
				select {
				case n := <-s.notifications:
					write(n)
				default:
					return
				}
			}
		}
	}
}

func (s *stdioSession) SessionID() string { return s.id }
func (s *stdioSession) Initialize()       { s.initialized.Store(true) }
func (s *stdioSession) Initialized() bool { return s.initialized.Load() }

func (s *stdioSession) NotificationChannel() chan<- mcp.JSONRPCNotification { return s.notifications }

func (s *stdioSession) SetLogLevel(level mcp.LoggingLevel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.level = level
}

func (s *stdioSession) GetLogLevel() mcp.LoggingLevel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.level
}

func (s *stdioSession) SetClientInfo(client mcp.Implementation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = client
}

func (s *stdioSession) GetClientInfo() mcp.Implementation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

func (s *stdioSession) SetClientCapabilities(capabilities mcp.ClientCapabilities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capabilities = capabilities
}

func (s *stdioSession) GetClientCapabilities() mcp.ClientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capabilities
}
