package ledger

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/outdial/outdial/phone"
)

// BenchmarkWrites is what a write costs with as many at once as CPUs times parallelism, over three ledgers on one database:
// with OUTDIAL_TEST_DIALECT=postgres and OUTDIAL_TEST_SYNC=on those of a server that syncs.
func BenchmarkWrites(b *testing.B) {
	for _, parallel := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(parallel), func(b *testing.B) {
			path := b.TempDir() + "/outdial.db"
			var all [3]*Ledger
			for i := range all {
				l, err := Open(b.Context(), address(b, path), Options{})
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				all[i] = l
			}
			var n atomic.Int64
			b.SetParallelism(parallel)
			b.RunParallel(func(pb *testing.PB) {
				l := all[n.Add(1)%3]
				in := wish(b, fmt.Sprintf("+861380%07d", n.Load()), "", "p")
				h, _, err := l.Reserve(b.Context(), in, yes)
				if err != nil {
					b.Error(err)
					return
				}
				if h, err = l.Placed(b.Context(), h.ID, phone.Ref(h.ID)); err != nil {
					b.Error(err)
					return
				}
				for pb.Next() {
					if err := observe(b, l, &h, phone.Observation{Words: []phone.Words{{Role: phone.Agent, Text: fmt.Sprint(h.Seq), Final: true}}}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
