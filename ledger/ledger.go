package ledger

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outdial/outdial/phone"
)

// Ledger is one open ledger, and this process's place in it.
type Ledger struct {
	read, write *database
	engine      engine
	jobs        chan job
	closing     chan struct{}
	stopped     sync.WaitGroup
	once        sync.Once // closes
	process     string
	lease       time.Duration
	secret      []byte
	committed   func(took time.Duration)
	renewed     atomic.Int64 // when the lease was last renewed, in microseconds
	news        news
}

// Options of a ledger. The zero value works.
type Options struct {
	Lease time.Duration // how long a process that says nothing keeps its calls: 30 s
	Look  time.Duration // between two looks for what other processes have recorded: 50 ms; on Postgres between two times it is told
	Deaf  bool          // for tests: no notification of Postgres's is heard

	Committed func(took time.Duration) // is told of each commit, from its begin until it is on disk; nil: nobody is
}

// Open opens the ledger at a URL, "sqlite:" and a path or one of Postgres's, and brings it up to date. Many processes may
// open the same one, also for the first time at once.
//
// Errors: invalid (no such kind of ledger, or a URL that cannot be read), unavailable (the file cannot be had, or the
// server not be reached), unauthorized (the server lets outdial not in), internal; refused with reason ledger_newer if a
// newer outdial has written to it, network_disk if the file lies where SQLite does not hold, not_durable, clock_wrong,
// server_old or server_pooled if the server does not keep what a ledger promises. No error holds a password.
func Open(ctx context.Context, url string, o Options) (*Ledger, error) {
	o.Lease, o.Look = cmp.Or(o.Lease, usualLease), cmp.Or(o.Look, 50*time.Millisecond)
	l := &Ledger{jobs: make(chan job), closing: make(chan struct{}), process: "proc_" + newID(), lease: o.Lease, committed: o.Committed}
	if IsServer(url) {
		p, err := openPostgres(ctx, url, l.process, o)
		if err != nil {
			return nil, failed("open", err)
		}
		l.engine, l.read, l.write = p, p.read, p.write
	} else {
		f, err := openFile(ctx, url, o)
		if err != nil {
			return nil, err
		}
		l.engine, l.read, l.write = f, f.read, f.write
	}
	if err := l.read.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'secret'`).Scan((*hexBytes)(&l.secret)); err != nil {
		return nil, failed("open", errors.Join(err, l.write.Close(), l.read.Close()))
	}
	l.stopped.Go(l.commitGroups)
	if err := l.Renew(ctx, time.Now()); err != nil { // before anything is reserved: what a process without a lease follows is up for claim
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func openFile(ctx context.Context, url string, o Options) (*sqliteFile, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		kind, _, _ := strings.Cut(url, ":")
		return nil, phone.Errorf(phone.Invalid, "OUTDIAL_DATABASE: %q is not a kind of ledger that this version knows; use sqlite: and a path, or postgres://.", kind)
	}
	if path == "" || strings.HasPrefix(path, "~") || strings.HasPrefix(path, ":") || strings.HasPrefix(path, "//") {
		return nil, phone.Errorf(phone.Invalid, "OUTDIAL_DATABASE: %q is not the path of a file: write it whole, such as sqlite:/var/lib/outdial/outdial.db.", path)
	}
	if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
		if file, err := filepath.EvalSymlinks(path); err == nil {
			path = file // by whatever name it is opened, there is one lock and one count beside it
		}
	}
	write, read, err := openSQLite(ctx, path)
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		return nil, &phone.Error{Code: phone.Unavailable, Op: "ledger: open", Err: err, Message: fmt.Sprintf("The ledger's file cannot be had: %v.", file)}
	}
	if err != nil {
		return nil, failed("open", err)
	}
	opened, err := os.Stat(path)
	if err != nil {
		return nil, failed("open", errors.Join(err, write.Close(), read.Close()))
	}
	return &sqliteFile{path: path, opened: opened, read: &database{pool: read, read: &sql.TxOptions{ReadOnly: true}}, write: &database{pool: write}, every: o.Look}, nil
}

// Close gives up this process's calls and ends the writer. A second Close does nothing.
func (l *Ledger) Close() (err error) {
	l.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = l.Leave(ctx)
		close(l.closing)
		l.stopped.Wait()
		err = errors.Join(err, l.read.Close(), l.write.Close())
	})
	return err
}

// Renewed is when this process last renewed its lease, by its own clock.
func (l *Ledger) Renewed() time.Time { return moment(l.renewed.Load()) }

// Ready says whether the ledger can be written, and whether this process keeps its place in it: one that has not renewed
// its lease for a whole one may lose its calls to another. Errors: unavailable; refused with reason ledger_moved.
func (l *Ledger) Ready(ctx context.Context) error {
	if late := time.Since(l.Renewed()); late > l.lease {
		return phone.Errorf(phone.Unavailable, "The lease was last renewed %s ago: others may take over this process's calls.", late.Round(time.Second))
	}
	if err := l.engine.present(); err != nil {
		return err
	}
	done, err := l.hand(ctx, func(*transaction) error { return nil })
	if err == nil {
		select {
		case err = <-done:
		case <-ctx.Done(): // whoever asks does not wait for a ledger that another holds
			err = ctx.Err()
		}
	}
	return failed("ready", err)
}

// Digest is a name for what the parts say, the same in every process on this ledger and of no use elsewhere.
func (l *Ledger) Digest(parts ...string) string {
	m := hmac.New(sha256.New, l.secret)
	for _, p := range parts {
		fmt.Fprintf(m, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// NewCallID makes an id that nobody can guess: 128 random bits.
func NewCallID() string { return "call_" + newID() }

func newID() string { return strings.ToLower(rand.Text()) }

// hexBytes scans a hexadecimal text.
type hexBytes []byte

func (h *hexBytes) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("no text but %T", v)
	}
	b, err := hex.DecodeString(s)
	*h = b
	return err
}

const busyMessage = "The ledger is busy. Nothing was done; try again in a moment."

// failed wraps what the database said. What this package says itself passes through.
func failed(op string, err error) error {
	var e *phone.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	e = &phone.Error{Code: phone.Internal, Op: "ledger: " + op, Message: "The ledger cannot be used; outdial's log says why.", Err: err}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || busy(err) || cutOff(err) {
		e.Code, e.Message = phone.Unavailable, busyMessage
	}
	return e
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
