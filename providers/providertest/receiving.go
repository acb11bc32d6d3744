package providertest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// receivings are the clauses about webhooks. Those in which the agent on the line asks are no part of them: no stand-in
// has an agent that does.
func receivings() []clause {
	return []clause{
		{"webhooks tell every word of a call, and not how it stands", wire | receives, webhooksTell},
		{"a webhook that comes again is known, and changes nothing", wire | receives, webhooksAgain},
		{"a webhook that is not signed as it is is not taken", wire | receives, forgedWebhooks},
		{"without a secret no webhook is taken", wire | receives, secretless},
	}
}

// delivery is a webhook as it came.
type delivery struct {
	header http.Header
	body   []byte
}

// delivered places a call that talks, and gives its webhooks in the order in which they came, until they have told all of
// it, and the call as they tell it.
func (s *scene) delivered() (providers.Receiver, placed, []delivery, *phone.Call) {
	s.Helper()
	came := make(chan delivery, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		came <- delivery{r.Header.Clone(), body}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	d := s.open(Wire{Webhooks: server.URL + "/webhooks"})
	r := d.(providers.Receiver)
	if !r.Receives() {
		s.Fatalf("no webhooks are taken, though there is a secret")
	}
	c := s.place(d, s.order("00"))
	call := phone.Begin("call_test", "local", s.h.Spec.Name, "", c.order, c.began)
	var all []delivery
	over := time.After(time.Duration(float64(c.script.Length())/s.speed) + 2*soon)
	for len(call.Spoken()) < len(c.script.Lines) {
		select {
		case of := <-came:
			all = append(all, of)
			n, err := s.over(d).Receive(of.header, of.body)
			if err != nil {
				s.Errorf("a genuine webhook: %v\n%s", err, of.body)
				continue
			}
			tell(call, n)
		case <-over:
			s.Errorf("%d webhooks have told %d lines of %d", len(all), len(call.Spoken()), len(c.script.Lines))
			return r, c, all, call
		}
	}
	return r, c, all, call
}

func tell(call *phone.Call, n providers.Notice) {
	for _, e := range call.Observe(n.Observation) {
		call.Apply(e)
	}
}

func webhooksTell(s *scene) {
	r, c, all, call := s.delivered()
	for _, of := range all {
		n, err := r.Receive(of.header, of.body)
		if err != nil {
			continue // delivered has said so
		}
		if n.Ref != c.ref || n.Digest == "" || n.Ask != nil {
			s.Errorf("of the call %s a webhook tells %+v", c.ref, n)
		}
		s.observed(c, n.Observation)
		// Somebody may send an old one again: what it says of the line may not be true any more.
		if o := n.Observation; o.Line != "" || o.Outcome != "" || o.Opened || len(o.Words) > 0 && o.Extent != phone.Update {
			s.Errorf("a webhook says of a call how it stands: %+v", o)
		}
	}
	s.transcribed(c, call)
}

func webhooksAgain(s *scene) {
	r, c, all, call := s.delivered()
	said := map[string]string{}
	for range 2 {
		for _, of := range all {
			n, err := r.Receive(of.header, of.body)
			if err != nil {
				continue
			}
			if other, known := said[n.Digest]; known && other != string(of.body) {
				s.Errorf("two webhooks have one digest:\n%s\n%s", other, of.body)
			}
			said[n.Digest] = string(of.body)
			n.Observation.At = time.Now()
			tell(call, n)
		}
	}
	if bodies := distinct(all); len(said) != bodies {
		s.Errorf("%d webhooks, each read twice, have %d digests", bodies, len(said))
	}
	s.transcribed(c, call)
}

func distinct(all []delivery) int {
	bodies := map[string]bool{}
	for _, of := range all {
		bodies[string(of.body)] = true
	}
	return len(bodies)
}

func forgedWebhooks(s *scene) {
	r, c, all, _ := s.delivered()
	refused := func(what string, h http.Header, body []byte) {
		n, err := r.Receive(h, body)
		if err == nil {
			s.Errorf("%s is taken: %+v", what, n)
			return
		}
		s.fails(c.order, c.ref, err, phone.Unauthorized, phone.Invalid)
	}
	for i, of := range all {
		refused("one without a signature", http.Header{"Content-Type": {"application/json"}}, of.body)
		if next := all[(i+1)%len(all)]; !bytes.Equal(next.body, of.body) {
			refused("one with another's signature", next.header, of.body)
		}
		want, err := r.Receive(of.header, of.body)
		if err != nil {
			continue
		}
		for at := 0; at < len(of.body); at += 1 + len(of.body)/40 {
			altered := bytes.Clone(of.body)
			altered[at] ^= 1
			// The same in other bytes is no forgery: a signature may be that of a canonical form.
			if n, err := r.Receive(of.header, altered); err == nil && n.Digest != want.Digest {
				s.Errorf("one that was altered is taken: %s", altered)
			}
		}
		for what, body := range map[string][]byte{
			"an empty one": nil, "no JSON": []byte(canary), "null": []byte("null"), "half of one": of.body[:len(of.body)/2],
			"one within many": bytes.Repeat([]byte("["), 100_000),
		} {
			refused(what, of.header, body)
		}
	}
}

func secretless(s *scene) {
	_, _, all, _ := s.delivered()
	r := s.open(Wire{Secretless: true}).(providers.Receiver)
	if r.Receives() {
		s.Errorf("webhooks are taken that nothing tells from forged ones")
	}
	for _, of := range all {
		if n, err := r.Receive(of.header, of.body); err == nil {
			s.Errorf("without a secret %+v is taken", n)
		}
	}
}
