package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// pollEvery is how often a process looks for other processes' commits, whatever it is told of them.
const pollEvery = time.Second

// tail is told of commits by notifications, which may get lost, and looks for itself. It tells at most once in look.
func (p *postgres) tail(ctx context.Context, tell func()) {
	heard := make(chan struct{}, 1)
	hint := func() {
		select {
		case heard <- struct{}{}:
		default:
		}
	}
	var all sync.WaitGroup
	defer all.Wait()
	if !p.deaf {
		all.Go(func() { p.listen(ctx, hint) })
	}
	all.Go(func() { p.poll(ctx, hint) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-heard:
			tell()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.look):
		}
	}
}

// poll looks at the mark of the last commit.
func (p *postgres) poll(ctx context.Context, hint func()) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for seen := int64(-1); ; {
		var last int64
		if err := p.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(last), 0) FROM writers WHERE process <> ?`, p.process).Scan(&last); err == nil && last != seen {
			seen = last
			hint() // at the first look too: a commit may have come before it
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// listen hears notifications, on one connection after the other.
func (p *postgres) listen(ctx context.Context, hint func()) {
	for ctx.Err() == nil {
		if conn, err := pgx.ConnectConfig(ctx, p.config); err == nil {
			if _, err = conn.Exec(ctx, `LISTEN outdial`); err == nil {
				hint()
				p.hear(ctx, conn, hint)
			}
			leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			_ = conn.Close(leave)
			cancel()
			<-conn.PgConn().CleanupDone()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

func (p *postgres) hear(ctx context.Context, conn *pgx.Conn, hint func()) {
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return
		}
		if n.Payload != p.process {
			hint()
		}
	}
}

// now asks the server: processes on several machines share its clock alone.
func (p *postgres) now(ctx context.Context, _ time.Time) (time.Time, error) {
	var server int64
	err := p.read.QueryRowContext(ctx, `SELECT `+serverClock).Scan(&server)
	return time.UnixMicro(server).UTC(), err
}
