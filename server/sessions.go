package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/outdial/outdial/peer"
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
// that it ends sessions under a long stream; and it takes any id on GET.) A session is its principal's alone.
type sessions struct {
	max  int
	each int // of one principal; 0: max
	idle time.Duration

	mu   sync.Mutex
	live map[string]*session
}

type session struct {
	owner   string // the principal that began it
	running int
	used    time.Time // when a request of it last started or ended
	over    context.Context
	end     context.CancelFunc
}

var (
	_ mcpserver.SessionIdManagerResolver = (*sessions)(nil)
	_ mcpserver.SessionIdManager         = principalSessions{}
)

func newSessions(limit int, idle time.Duration) *sessions {
	return &sessions{max: limit, idle: idle, live: map[string]*session{}}
}

// begin notes that a request of the session runs, until end is called. Over ends when the session does. It is false
// where the principal has no such session.
func (s *sessions) begin(id, principal string) (over context.Context, end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	this := s.live[id]
	if this == nil || this.owner != principal || this.expired(s.idle) {
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

// superfluous are the sessions to end before a new one of a principal begins: those that have expired and, where there is
// no room otherwise, those that have been idle longest, of the principal's own where it has as many as one may have. That is
// more than one after several began at once. It is false where too many are in use.
func (s *sessions) superfluous(principal string) (ids []string, room bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, idle, idleOwn := 0, []string(nil), []string(nil)
	for id, this := range s.live {
		if this.expired(s.idle) {
			ids = append(ids, id)
			continue
		}
		if this.owner == principal {
			own++
		}
		if this.running > 0 {
			continue
		}
		idle = append(idle, id)
		if this.owner == principal {
			idleOwn = append(idleOwn, id)
		}
	}
	tooMany := len(s.live) - len(ids) + 1 - s.max
	if s.each > 0 && own >= s.each {
		tooMany, idle = own+1-s.each, idleOwn
	}
	if tooMany <= 0 {
		return ids, true
	}
	slices.SortFunc(idle, func(a, b string) int { return s.live[a].used.Compare(s.live[b].used) })
	return append(ids, idle[:min(tooMany, len(idle))]...), tooMany <= len(idle)
}

// ResolveSessionIdManager gives the sessions as the principal behind a request has them.
//
//nolint:revive,staticcheck // mcp-go's name
func (s *sessions) ResolveSessionIdManager(r *http.Request) mcpserver.SessionIdManager {
	if r == nil {
		return principalSessions{s, ""}
	}
	return principalSessions{s, peer.From(r.Context()).Caller().Principal}
}

// principalSessions are the sessions of one principal, for mcp-go.
type principalSessions struct {
	*sessions
	principal string
}

// Generate makes a session, with an id that nobody can guess.
func (s principalSessions) Generate() string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	over, end := context.WithCancel(context.Background())
	s.live[id] = &session{owner: s.principal, used: time.Now(), over: over, end: end}
	return id
}

// Validate fails on an id that is not a session's of the principal, or no longer.
func (s principalSessions) Validate(id string) (terminated bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if this := s.live[id]; this == nil || this.owner != s.principal {
		return false, errNoSession
	}
	return false, nil
}

// Terminate ends a session and its listening streams. Whose it is has been looked at before, or it is superfluous.
func (s principalSessions) Terminate(id string) (notAllowed bool, err error) {
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
