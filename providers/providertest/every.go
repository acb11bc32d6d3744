package providertest

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// everyDriver are the clauses that hold whatever the service is.
func everyDriver() []clause {
	return []clause{
		{"the spec says what is to be known", nothing, specified},
		{"each scenario is followed to its end", nothing, followsScenarios},
		{"a call in Chinese keeps every character", nothing, followsChinese},
		{"a refused dial rings nothing", nothing, refusedDial},
		{"a dial whose answer is lost is uncertain", nothing, lostDial},
		{"a ref of another process works", nothing, anothersRef},
		{"twenty calls at once are twenty calls", nothing, twentyAtOnce},
		{"an ended context stops everything at once", nothing, endedContext},
	}
}

// rejections are the codes of a dial that surely did not happen.
func rejections() []phone.Code {
	return []phone.Code{phone.Invalid, phone.Refused, phone.Unauthorized, phone.Exhausted, phone.Unsupported, phone.Unavailable}
}

func specified(s *scene) {
	spec := s.h.Spec
	if spec.Name == "" || spec.Name != strings.ToLower(spec.Name) || spec.Title == "" || spec.Open == nil {
		s.Errorf("name %q, title %q, Open there: %v", spec.Name, spec.Title, spec.Open != nil)
	}
	for _, set := range spec.Settings {
		if set.Name == "" || set.Help == "" || set.Env != strings.ToUpper(set.Env) {
			s.Errorf("the setting %+v", set)
		}
		if set.Secret && set.Default != "" {
			s.Errorf("the secret %s has a default", set.Name)
		}
	}
	if (s.h.Stand == nil) != spec.Simulated {
		s.Errorf("simulated: %v, a wire: %v", spec.Simulated, s.h.Stand != nil)
	}
	if !spec.Covers(s.order("00").To.Region()) {
		s.Errorf("the harness's number is of no region that the spec covers")
	}
}

func followsScenarios(s *scene) {
	scenarios := []string{"00", "01", "02", "03", "04", "05", "06"}
	s.each(len(scenarios), func(i int, sub *scene) {
		d := sub.open(Wire{})
		c := sub.place(d, sub.order(scenarios[i]))
		sub.ended(c, sub.follow(d, c))
		if sub.breaker != nil && sub.breaker.count(dialing) != 1 {
			sub.Errorf("%s: %d requests to dial", c.script.Name, sub.breaker.count(dialing))
		}
	})
}

func followsChinese(s *scene) {
	d := s.open(Wire{})
	o := s.order("00")
	o.Language, o.Task, o.CallerName = "zh", "问一下周四上午十点可不可以，“好”就行", "王小明"
	c := s.place(d, o)
	if s.h.Stand == nil && !strings.Contains(c.script.Lines[0].Text, o.Task) {
		s.Errorf("the task is not in %q", c.script.Lines[0].Text)
	}
	s.ended(c, s.follow(d, c))
}

func refusedDial(s *scene) {
	o := s.order("08")
	ref, err := s.over(s.open(Wire{})).Place(context.Background(), o)
	s.fails(o, ref, err, rejections()...)
}

func lostDial(s *scene) {
	o := s.order("09")
	ref, err := s.over(s.open(Wire{})).Place(context.Background(), o)
	s.fails(o, ref, err, phone.Uncertain)
	if s.breaker != nil && s.breaker.count(dialing) != 1 {
		s.Errorf("%d requests to dial", s.breaker.count(dialing))
	}
}

func anothersRef(s *scene) {
	c := s.place(s.open(Wire{}), s.order("00"))
	s.ended(c, s.follow(s.open(Wire{}), c))
}

func twentyAtOnce(s *scene) {
	d := s.open(Wire{})
	var mu sync.Mutex
	refs := map[phone.Ref]bool{}
	var all sync.WaitGroup
	const n = 20
	for i := range n {
		o := s.order(string([]byte{'2' + byte(i/10), '0' + byte(i%10)}))
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), never)
			defer cancel()
			began := time.Now()
			ref, err := s.over(d).Place(ctx, o)
			if err != nil {
				s.Errorf("Place: %v", err)
				return
			}
			mu.Lock()
			refs[ref] = true
			mu.Unlock()
			c := placed{o, ref, began, s.expected(o)}
			s.ended(c, s.follow(d, c))
		})
	}
	all.Wait()
	if len(refs) != n {
		s.Errorf("%d orders have %d names", n, len(refs))
	}
}

// endedContext: what is asked under a context that has ended is answered within a second, by an error.
func endedContext(s *scene) {
	d := s.open(Wire{})
	c := s.place(d, s.order("07"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.within(soon, "Lookup", func() {
		if _, err := d.Lookup(ctx, c.ref); err == nil {
			s.Errorf("Lookup: no error")
		} else {
			s.discreet(c.order, err)
		}
	})
	s.within(soon, "Place", func() {
		ref, err := d.Place(ctx, c.order)
		s.fails(c.order, ref, err, phone.Unavailable, phone.Uncertain)
	})
	if _, ok := d.(providers.Streamer); ok {
		s.within(soon, "Stream", func() { s.listen(ctx, d, c) })
	}
	if h, ok := d.(providers.Hanguper); ok {
		s.within(soon, "Hangup", func() {
			if err := h.Hangup(ctx, c.ref); err == nil {
				s.Errorf("Hangup: no error")
			} else {
				s.discreet(c.order, err)
			}
		})
	}
}
