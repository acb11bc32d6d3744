package providers_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// Words may have been lost between two streams: a record is not believed for being as long as what they brought together.
func TestARecordAfterABrokenStreamIsReadTwice(t *testing.T) {
	t.Run("", bubble(func(t *testing.T) {
		d := &streamed{polled: polled{began: time.Now()}}
		d.lookup = func(n int, _ time.Duration) (phone.Observation, error) {
			if n == 1 {
				return goesOn, nil
			}
			o := words([]string{"a", "b", "c"}[:min(n, 3)]...)
			o.Line, o.Extent, o.Outcome = phone.WrappingUp, phone.Whole, phone.Completed
			return o, nil
		}
		d.stream = func(_ context.Context, n int, say func(phone.Observation) bool) error {
			if n == 1 {
				say(words("a"))
				return errBroken
			}
			say(words("c"))
			say(closed)
			return nil
		}
		seen := observe(t, d, providers.Pace{})
		if last := seen[len(seen)-1]; last.Extent != phone.Whole || !slices.Equal(last.Words, words("a", "b", "c").Words) {
			t.Errorf("in the end %+v", last)
		}
	}))
}

// Who stops following in the middle of a record that grows has not seen the whole of it.
func TestARecordIsNotWholeBecauseSomebodyStops(t *testing.T) {
	t.Run("", bubble(func(t *testing.T) {
		d := &polled{began: time.Now()}
		d.lookup = func(n int, _ time.Duration) (phone.Observation, error) {
			o := words(slices.Repeat([]string{"a"}, n)...)
			o.Line, o.Extent, o.Outcome = phone.WrappingUp, phone.Whole, phone.Completed
			return o, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for o := range providers.New(providers.Spec{Name: "fake"}, d, providers.Options{}).Observations(ctx, "ref", providers.How{}) {
			if o.Extent == phone.Whole {
				t.Errorf("%+v", o)
			}
		}
	}))
}
