package ledger

import (
	"testing"

	"github.com/outdial/outdial/phone"
)

// A dial of which a person has said that it happened, without its name, could have led to the call on the list as well.
func TestAResolvedDialIsARivalToo(t *testing.T) {
	l := fresh(t)
	first := unknown(t, l, wish(t, "+8613800138000", "a", "p"))
	if _, err := l.Resolve(t.Context(), first.ID, true, "", nil); err != nil {
		t.Fatal(err)
	}
	h := unknown(t, l, wish(t, "+8613800138000", "b", "p"))
	if got, n, err := l.Adopt(t.Context(), h.ID, []phone.Listed{{Ref: "r", Match: phone.Likely}}); err != nil || n != 2 || got.Dial != Unknown {
		t.Errorf("%s, ref %q, %d candidates, %v", got.Dial, got.Ref, n, err)
	}
}
