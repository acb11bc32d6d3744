package switchboard

import (
	"context"
	"time"
)

// keep has what is kept too long erased, until the context ends. It looks often, which is cheap: whichever process is there
// does it when it is time.
func (s *Switchboard) keep(ctx context.Context) {
	const look = 5 * time.Minute
	for {
		done, err := s.Ledger.Keep(ctx, s.Keep, time.Now())
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.Fault("keep", err)
		case done.Transcripts+done.Numbers+done.Calls > 0:
			s.Log.Info().Int("transcripts", done.Transcripts).Int("numbers", done.Numbers).Int("calls", done.Calls).Msg("what was kept long enough was erased")
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return
		}
	}
}
