package pamela

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
	"github.com/outdial/outdial/providers/pamela/internal/signed"
)

// lane is where those webhooks wait whose signature is not that of their bytes: to bring one to its canonical form costs
// time, long ones much, and a sender who has no secret can send any number of them. The short ones do not wait for the long.
type lane struct {
	places chan struct{}
	queue  chan struct{}
}

const (
	shortWebhook = 16 << 10 // bytes
	waitInLane   = 2 * time.Second
)

func newLane(places, queue int) *lane {
	return &lane{make(chan struct{}, places), make(chan struct{}, places+queue)}
}

// enter takes a place, if there is one soon. leave gives it back.
func (l *lane) enter() bool {
	select {
	case l.queue <- struct{}{}:
	default:
		return false
	}
	timer := time.NewTimer(waitInLane)
	defer timer.Stop()
	select {
	case l.places <- struct{}{}:
		return true
	case <-timer.C:
		<-l.queue
		return false
	}
}

func (l *lane) leave() { <-l.places; <-l.queue }

// verified is the content of a webhook that Pamela has signed. Errors: unauthorized, invalid; unavailable, if too many have
// to be brought to their canonical form.
func (d *Driver) verified(header http.Header, body []byte) (v any, err error) {
	given := header.Values(signed.Header)
	if len(given) != 1 {
		given = []string{""}
	}
	v, err = signed.Verbatim(body, given[0], d.secrets[:]...)
	if errors.Is(err, signed.ErrForged) && given[0] != "" {
		way := d.short
		if len(body) > shortWebhook {
			way = d.long
		}
		if !way.enter() {
			return nil, phone.Errorf(phone.Unavailable, "Too many webhooks at once. Send it again.")
		}
		defer way.leave()
		v, err = signed.Verify(body, given[0], d.secrets[:]...)
	}
	switch {
	case errors.Is(err, signed.ErrForged):
		return nil, phone.Errorf(phone.Unauthorized, "The webhook is not signed with the secret that is set.")
	case err != nil:
		return nil, &phone.Error{Code: phone.Invalid, Op: "pamela: webhook", Err: err, Message: "The webhook is signed, and is not the JSON that outdial takes."}
	}
	return v, nil
}

// notice reads what a webhook tells.
func notice(v any) (providers.Notice, error) {
	o, isObject := v.(map[string]any)
	event := upstream.Object(o)
	n := providers.Notice{Ref: phone.Ref(event.Text("call_id"))}
	if n.Ref != "" && event.Text("tool_name") != "" && event.Text("correlation_id") != "" {
		n.Ask = asked(event)
		return n, nil
	}
	if !isObject || n.Ref == "" || event.Text("event") == "" {
		return providers.Notice{}, &phone.Error{Code: phone.Invalid, Op: "pamela: webhook", Message: "A webhook must be a JSON object with call_id and event, or with call_id, tool_name and correlation_id."}
	}
	digest := sha256.Sum256(append([]byte(name+" "), signed.Canonical(v)...))
	n.Digest = hex.EncodeToString(digest[:])
	if words := transcript(event["transcript"], ""); len(words) > 0 {
		n.Observation = phone.Observation{Extent: phone.Update, Told: event.Time("timestamp"), Words: words}
	}
	return n, nil
}
