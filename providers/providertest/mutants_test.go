package providertest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/outdial/outdial/providers"
)

// mutant is a driver that breaks the contract in one way, and the clause that must notice.
type mutant struct {
	name, clause string
	make         func(*plain) providers.Driver
}

// leaks says whether what the mutant does wrong is to leave a goroutine behind.
func (m mutant) leaks() bool { return m.clause == "a stream that is left leaves nothing behind" }

// The suite is no better than what it catches: every mutant turns the clause red that is about it.
func TestMutants(t *testing.T) {
	said, names := sync.Map{}, map[string]bool{}
	free := make(chan struct{}, 6) // most of a mutant's time is waiting
	var all sync.WaitGroup
	for _, m := range mutants() {
		c, ok := find(m.clause)
		if !ok {
			t.Fatalf("there is no clause %q", m.clause)
		}
		if names[m.name] {
			t.Fatalf("two mutants are called %q", m.name)
		}
		names[m.name] = true
		if m.leaks() { // alone: others' goroutines would be taken for its own
			said.Store(m.name, record(plainHarness(m.make), c, Harness.hold))
			continue
		}
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			said.Store(m.name, record(plainHarness(m.make), c, Harness.play))
		})
	}
	all.Wait()
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			v, _ := said.Load(m.name)
			complaints, _ := v.([]string)
			if len(complaints) == 0 {
				t.Errorf("%q stays green", m.clause)
			}
			for _, s := range complaints {
				t.Log(short(s))
			}
		})
	}
}

// mutants are all of them, those that leak first.
func mutants() []mutant {
	all := slices.Concat(dialMutants(), errorMutants(), followMutants(), findMutants(), hookMutants(), keepMutants())
	slices.SortStableFunc(all, func(a, b mutant) int {
		rank := map[bool]int{true: 0, false: 1}
		return rank[a.leaks()] - rank[b.leaks()]
	})
	return all
}

// No clause is there that cannot fail.
func TestClausesHaveMutants(t *testing.T) {
	caught := map[string]bool{"the spec says what is to be known": true} // TestSpecified
	for _, m := range mutants() {
		caught[m.clause] = true
	}
	for _, c := range clauses() {
		if !caught[c.name] && c.needs&lists == 0 { // the service of this test lists nothing
			t.Errorf("no mutant shows that %q can fail", c.name)
		}
	}
}

func TestSpecified(t *testing.T) {
	whole := plainHarness(func(p *plain) providers.Driver { return p })
	c, _ := find("the spec says what is to be known")
	for name, spoil := range map[string]func(*providers.Spec){
		"no title":               func(s *providers.Spec) { s.Title = "" },
		"a name in upper case":   func(s *providers.Spec) { s.Name = "Plain" },
		"no way to open it":      func(s *providers.Spec) { s.Open = nil },
		"simulated with a wire":  func(s *providers.Spec) { s.Simulated = true },
		"another region":         func(s *providers.Spec) { s.Regions = []string{"FR"} },
		"a setting without help": func(s *providers.Spec) { s.Settings = []providers.Setting{{Name: "api_key", Env: "PLAIN_API_KEY"}} },
		"a secret with a default": func(s *providers.Spec) {
			s.Settings = []providers.Setting{{Name: "k", Env: "K", Help: "h", Secret: true, Default: "x"}}
		},
	} {
		h := whole
		spoil(&h.Spec)
		if said := record(h, c, Harness.hold); len(said) == 0 {
			t.Errorf("%s stays green", name)
		}
	}
	if said := record(whole, c, Harness.hold); len(said) != 0 {
		t.Errorf("%q", said)
	}
}

// recorder is a T that remembers what is said in place of failing.
type recorder struct {
	mu   sync.Mutex
	said []string
}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// record plays one clause and gives what it complained of.
func record(h Harness, c clause, play func(Harness, T, clause)) []string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		play(h, r, c)
	}()
	<-done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said
}
