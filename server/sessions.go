package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"sync"
	"time"

	mcpserver "github.com/mark3labs/mcp-go/server"
)

const (
	// maxSessions bounds the memory that clients which come and never say good-bye can take: mcp-go keeps some 10 KB for each.
	maxSessions = 4096
	// sessionIdle is how long a session lives in which nothing runs.
	sessionIdle = 2 * time.Hour
)

var errNoSession = errors.New("no such session")

// sessions are those of the handshake eras: which ids are ours, and which of them are still in use. A session lives while
// a request or a stream of it runs, and for a while after. (mcp-go's own idle clock sees only the starts of requests, so
// that it ends sessions under a long stream; and it takes any id on GET.)
type sessions struct {
	max  int
	idle time.Duration

	mu   sync.Mutex
	live map[string]*session
}

type session struct {
	running int
	used    time.Time // when a request of it last started or ended
	over    context.Context
	end     context.CancelFunc
}

var _ mcpserver.SessionIdManager = (*sessions)(nil)

func newSessions(limit int, idle time.Duration) *sessions {
	return &sessions{max: limit, idle: idle, live: map[string]*session{}}
}

// begin notes that a request of the session runs, until end is called. Over ends when the session does. It is false
// where there is no such session.
func (s *sessions) begin(id string) (over context.Context, end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	this := s.live[id]
	if this == nil || this.expired(s.idle) {
		return nil, nil, false
	}
	this.running++
	this.used = time.Now()
	return this.over, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		this.running--
		this.used = time.Now()
	}, true
}

func (s *session) expired(idle time.Duration) bool {
	return s.running == 0 && time.Since(s.used) > idle
}

// superfluous are the sessions to end before a new one begins: those that have expired and, where there is no room
// otherwise, the one that has been idle longest. It is false where all are in use.
func (s *sessions) superfluous() (ids []string, room bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for id, this := range s.live {
		switch {
		case this.running > 0:
		case this.expired(s.idle):
			ids = append(ids, id)
		case oldest == "" || this.used.Before(s.live[oldest].used):
			oldest = id
		}
	}
	if len(s.live)-len(ids) < s.max {
		return ids, true
	}
	if oldest == "" {
		return ids, false
	}
	return append(ids, oldest), true
}

// Generate makes a session, with an id that nobody can guess.
func (s *sessions) Generate() string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	over, end := context.WithCancel(context.Background())
	s.live[id] = &session{used: time.Now(), over: over, end: end}
	return id
}

// Validate fails on an id that is not a session's, or no longer.
func (s *sessions) Validate(id string) (terminated bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[id] == nil {
		return false, errNoSession
	}
	return false, nil
}

// Terminate ends a session and its listening streams.
func (s *sessions) Terminate(id string) (notAllowed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if this := s.live[id]; this != nil {
		this.end()
		delete(s.live, id)
	}
	return false, nil
}

// nobody is a response that is not read.
type nobody struct{ header http.Header }

var _ mcpserver.HTTPResponseWriter = nobody{}

func (n nobody) Header() http.Header       { return n.header }
func (nobody) WriteHeader(int)             {}
func (nobody) Write(p []byte) (int, error) { return len(p), nil }
func (nobody) Flush()                      {}
func (nobody) CanStream() bool             { return false }
