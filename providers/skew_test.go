package providers_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/providers"
)

// teller is a service that tells the time, some way off.
type teller struct {
	placer
	off   time.Duration
	err   error
	takes time.Duration
	asked int
}

func (c *teller) Clock(ctx context.Context) (time.Time, error) {
	c.asked++
	select {
	case <-time.After(c.takes):
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	return time.Now().Add(c.off), c.err
}

func TestSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &teller{off: 10 * time.Minute}
		p := providers.New(providers.Spec{}, c, providers.Options{})
		for range 3 {
			if got := p.Skew(t.Context()); got != -10*time.Minute {
				t.Errorf("%v", got)
			}
		}
		if c.asked != 1 {
			t.Errorf("asked %d times", c.asked)
		}
		time.Sleep(time.Hour)
		c.off = -time.Minute
		if got := p.Skew(t.Context()); got != time.Minute || c.asked != 2 {
			t.Errorf("an hour later: %v, asked %d times", got, c.asked)
		}
		time.Sleep(time.Hour)
		c.takes = 2 * time.Second // it tells the time at the end of what it takes, and we reckon with half of that
		if got := p.Skew(t.Context()); got != time.Minute-time.Second {
			t.Errorf("a slow answer: %v", got)
		}
		time.Sleep(time.Hour)
		c.err = errors.New("no")
		for range 2 {
			if got := p.Skew(t.Context()); got != 0 {
				t.Errorf("it does not tell any more: %v", got)
			}
		}
	})
}

// A service that does not tell is not waited for long, nor at every call.
func TestSkewUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]*teller{
			"it fails": {off: time.Hour, err: errors.New("no")},
			"it hangs": {off: time.Hour, takes: time.Hour},
		} {
			p := providers.New(providers.Spec{}, c, providers.Options{})
			began := time.Now()
			for range 3 {
				if got := p.Skew(t.Context()); got != 0 {
					t.Errorf("%s: %v", name, got)
				}
			}
			if took := time.Since(began); took > 3*time.Second || c.asked != 1 {
				t.Errorf("%s: asked %d times, took %v", name, c.asked, took)
			}
			time.Sleep(time.Minute)
			if p.Skew(t.Context()); c.asked != 2 {
				t.Errorf("%s: asked %d times", name, c.asked)
			}
		}
		if got := providers.New(providers.Spec{}, &placer{}, providers.Options{}).Skew(t.Context()); got != 0 {
			t.Errorf("a service without a clock: %v", got)
		}
	})
}
