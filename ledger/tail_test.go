package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shy is a database to which no connection can be had at first.
type shy struct {
	of      driver.Driver
	name    string
	refuses atomic.Int32
}

func (s *shy) Connect(context.Context) (driver.Conn, error) {
	if s.refuses.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return s.of.Open(s.name)
}

func (s *shy) Driver() driver.Driver { return s.of }

// News of other processes come also where the connection that looks for them could not be had at first.
func TestNewsAfterAFault(t *testing.T) {
	sqliteAlone(t)
	path := filepath.Join(t.TempDir(), "outdial.db")
	l, other := open(t, path), open(t, path)
	f, ok := l.engine.(*sqliteFile)
	if !ok {
		t.Fatalf("%T", l.engine)
	}
	faulty := &shy{of: f.read.pool.Driver(), name: dsn(path, "deferred", "query_only(1)")}
	faulty.refuses.Store(1)
	pool := sql.OpenDB(faulty)
	defer pool.Close()
	tailing := &sqliteFile{path: f.path, read: &database{pool: pool}, every: f.every}
	ctx, stop := context.WithCancel(t.Context())
	told := make(chan struct{}, 100)
	var looking sync.WaitGroup
	looking.Go(func() { tailing.tail(ctx, func() { told <- struct{}{} }) })
	defer looking.Wait()
	defer stop()
	select {
	case <-told: // of what was there
	case <-time.After(10 * time.Second):
		t.Fatal("nobody looks any more")
	}
	reserve(t, other, wish(t, "+8613800138000", "", "p"))
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Error("another process's commit is not noticed")
	}
}
