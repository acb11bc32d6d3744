package switchboard

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/notify"
	"github.com/outdial/outdial/phone"
)

const (
	// endingFor is how long the operator's program may take over one call.
	endingFor = 30 * time.Second
	// endingsAtOnce is of how many calls it is told at a time: one that it takes long over holds up no other.
	endingsAtOnce = 10
	// endingsFarewell is how long it is still told after the program was to end: of a call that it has just waited for, too.
	endingsFarewell = 3 * time.Second
	// backlog is from how long before somebody first wants to know of them endings are told.
	backlog = 10 * time.Minute
)

// tellEndings tells the operator's program of each call that has ended, until the context ends. Whichever process is there
// does it; it is told again after a failure, or if the process that told it did not live to say so.
func (s *Switchboard) tellEndings(ctx context.Context) {
	if s.OnEnd == nil {
		return
	}
	defer s.OnEnd.Close()
	var telling sync.WaitGroup
	defer telling.Wait()
	told, busy := make(chan struct{}, endingsAtOnce), 0
	began := time.Now()
	since, known := began.Add(-backlog), false
	for cleared := began; ; {
		if now := time.Now(); now.Sub(cleared) > time.Hour {
			cleared = now
			if err := s.Ledger.ClearEndings(ctx, now); err != nil && ctx.Err() == nil {
				s.Fault("endings", err)
			}
		}
		if !known {
			switch from, err := s.Ledger.EndingsFrom(ctx, began.Add(-backlog), began); {
			case err == nil:
				since, known = from, true
			case ctx.Err() == nil:
				s.Fault("endings", err)
			}
		}
		news := s.Ledger.News()
		due, err := s.Ledger.Endings(ctx, since, time.Now(), endingsAtOnce-busy)
		if err != nil && ctx.Err() == nil {
			s.Fault("endings", err)
		}
		for _, e := range due {
			busy++
			telling.Go(func() {
				s.tellEnding(ctx, e)
				told <- struct{}{}
			})
		}
		select {
		case <-told:
			busy--
		case <-news:
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			s.tellLast(ctx, since, endingsAtOnce-busy)
			return
		}
	}
}

// tellLast tells of the calls that have ended when the program does; whom it does not get to, the next process tells.
func (s *Switchboard) tellLast(ctx context.Context, since time.Time, most int) {
	var telling sync.WaitGroup
	defer telling.Wait()
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	due, err := s.Ledger.Endings(asking, since, time.Now(), most)
	if err != nil {
		s.Fault("endings", err)
	}
	for _, e := range due {
		telling.Go(func() { s.tellEnding(ctx, e) })
	}
}

// outliving is a context that ends after a time, or some time after another one does.
func outliving(ctx context.Context, most, after time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(after):
			cancel()
		case <-later.Done():
		}
	})
	return later, func() {
		stop()
		cancel()
	}
}

func (s *Switchboard) tellEnding(ctx context.Context, e ledger.Ending) {
	body, err := json.Marshal(map[string]any{
		"type": "call.ended", "timestamp": e.At.Format(time.RFC3339Nano),
		"data": map[string]string{"call_id": e.CallID, "status": string(phone.StatusEnded), "outcome": string(e.Outcome)},
	})
	if err == nil {
		telling, cancel := outliving(ctx, endingFor, endingsFarewell)
		_, err = s.OnEnd.Tell(telling, notify.Message{
			ID: "end_" + e.CallID, Body: body,
			Env: map[string]string{"OUTDIAL_CALL_ID": e.CallID, "OUTDIAL_STATUS": string(phone.StatusEnded), "OUTDIAL_OUTCOME": string(e.Outcome)},
		})
		cancel()
	}
	done := context.WithoutCancel(ctx)
	if err == nil {
		err = s.Ledger.Told(done, e.CallID)
	} else {
		again, lerr := s.Ledger.Untold(done, e, time.Now())
		s.Log.Warn().Err(err).Str("call", e.CallID).Int("tries", e.Tries).Bool("again", again).Msg("nobody could be told that a call has ended")
		err = lerr
	}
	if err != nil {
		s.Fault("endings", err)
	}
}
