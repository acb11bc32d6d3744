package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/outdial/outdial/phone"
)

// job is one write that waits for its group.
type job struct {
	ctx  context.Context
	do   func(*transaction) error
	done chan error
}

const (
	// greatestGroup bounds how many writes share one sync.
	greatestGroup = 256
	// longestGroup bounds how long they take together: other processes wait for them, and on Postgres all of a group is lost
	// if it takes too long. What is left of it then is the next group.
	longestGroup = 250 * time.Millisecond
)

// do hands a write to the writer and returns once it is on disk. A context that ends while it waits for its turn calls it
// off; after that it is carried out.
func (l *Ledger) do(ctx context.Context, op string, write func(*transaction) error) error {
	done, err := l.hand(ctx, write)
	if err == nil {
		err = <-done
	}
	return failed(op, err)
}

// hand hands a write to the writer; done tells once it is on disk.
func (l *Ledger) hand(ctx context.Context, write func(*transaction) error) (done <-chan error, err error) {
	j := job{ctx: ctx, do: write, done: make(chan error, 1)}
	select {
	case l.jobs <- j:
		return j.done, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.closing:
		return nil, phone.Errorf(phone.Unavailable, "outdial is stopping. Nothing was done.")
	}
}

// commitGroups is the one writer. A sync costs far more than a write, so all that came while the last sync ran shares the
// next one.
func (l *Ledger) commitGroups() {
	var left []job
	for {
		if len(left) == 0 {
			select {
			case <-l.closing:
				return
			case first := <-l.jobs:
				left = []job{first}
			}
		}
		left = l.commit(l.gather(left))
	}
}

func (l *Ledger) gather(group []job) []job {
	for len(group) < greatestGroup {
		select {
		case j := <-l.jobs:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

// commit writes a group in one transaction, and gives those for which there was no time. Each write stands or falls by itself,
// and all wait for the same sync.
func (l *Ledger) commit(group []job) (left []job) {
	answers, began := make([]error, len(group)), time.Now()
	err := func() error {
		tx, err := l.write.write()
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
		if err := l.engine.enter(tx); err != nil {
			return err
		}
		writing := time.Now()
		for i, j := range group {
			if i > 0 && time.Since(writing) > longestGroup {
				group, left = group[:i], group[i:]
				break
			}
			if answers[i], err = within(tx, j); err != nil {
				return err
			}
		}
		if err := l.engine.seal(tx); err != nil {
			return err
		}
		return tx.Commit()
	}()
	if unclear := (*unclearError)(nil); errors.As(err, &unclear) {
		err = l.engine.settle(unclear, l.closing)
	}
	if err == nil {
		l.engine.kept()
		l.news.tell()
		if l.committed != nil {
			l.committed(time.Since(began))
		}
	}
	for i, j := range group {
		j.done <- errors.Join(err, answers[i])
	}
	return left
}

// within carries out one write behind a savepoint: answer is its own error, err one that breaks the group.
func within(tx *transaction, j job) (answer, err error) {
	if err := j.ctx.Err(); err != nil {
		return err, nil
	}
	if _, err := tx.Exec(`SAVEPOINT one`); err != nil {
		return nil, err
	}
	answer = guarded(tx, j.do)
	if answer != nil {
		if _, err := tx.Exec(`ROLLBACK TO one`); err != nil {
			return answer, err
		}
	}
	_, err = tx.Exec(`RELEASE one`)
	return answer, err
}

// guarded keeps a panic of one write from taking the others along.
func guarded(tx *transaction, do func(*transaction) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = phone.Errorf(phone.Internal, "Something went wrong inside outdial; nothing was done.")
		}
	}()
	return do(tx)
}
