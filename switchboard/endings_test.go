package switchboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/outdial/outdial/notify"
)

// Of each call it is told once that it has ended, and one that whoever hears it takes long over holds up no other.
func TestEndingsAreTold(t *testing.T) {
	const calls = 2*endingsAtOnce + 1
	heard, slow := make(chan string, 2*calls), make(chan struct{})
	first := make(chan struct{}, 1)
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var told struct{ Data map[string]string }
		if err := json.NewDecoder(r.Body).Decode(&told); err != nil || told.Data["outcome"] != "completed" {
			t.Errorf("%+v, %v", told, err)
		}
		heard <- told.Data["call_id"]
		select {
		case first <- struct{}{}:
			<-slow
		default:
		}
	}))
	t.Cleanup(web.Close)
	target, err := notify.Parse(web.URL, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	s := newTeller()
	b := newBoard(t, file(t), func(o *Options) { o.OnEnd = target }, s.provider(seldom()))
	t.Cleanup(func() { close(slow) })
	missing := map[string]bool{}
	for i := range calls {
		p, err := b.Place(t.Context(), me(), ask(fmt.Sprintf("+86138%08d", i), "x"))
		if err != nil {
			t.Fatal(err)
		}
		missing[p.Call.ID] = true
		s.end(p.Call.Ref, words("bye"))
		send(t, b, told{Ref: p.Call.Ref, At: 1})
	}
	for late := time.After(10 * time.Second); len(missing) > 0; {
		select {
		case id := <-heard:
			if !missing[id] {
				t.Errorf("of %s it is told again", id)
			}
			delete(missing, id)
		case <-late:
			t.Fatalf("of %d calls it is not told, while one is being told of", len(missing))
		}
	}
}
