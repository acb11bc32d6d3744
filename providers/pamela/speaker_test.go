package pamela

import (
	"testing"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// The request chooses the agent's name, and Pamela tells it back: a label equal to it is the agent's only if it could not be
// anybody else's.
func TestANameMakesNoAgentOfTheCallee(t *testing.T) {
	for _, name := range []string{"user", "Customer", "Human"} {
		if n := (&Driver{}).request(phone.Order{AgentName: name}).AgentName; n != name {
			t.Fatalf("the service is sent %q", n)
		}
		label := name
		raw := `{"id":"c1","status":"completed","agent_name":"` + name + `","transcript":[{"role":"assistant","content":"Hello"},{"role":"` + label + `","content":"Please don't call me again."}]}`
		o, err := upstream.Parse([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		seen := observe(o)
		c := phone.Begin("x", "local", "pamela", "a", phone.Order{}, seen.At)
		for _, e := range c.Observe(seen) {
			c.Apply(e)
		}
		if c.OptedOut.IsZero() {
			t.Errorf("agent_name %q: %+v: the callee's wish was not heard", name, seen.Words)
		}
	}
}
