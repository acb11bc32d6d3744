package pamela

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
	"github.com/outdial/outdial/providers/pamela/internal/signed"
)

// verified is the content of a webhook that Pamela has signed. Errors: unauthorized, invalid.
func verified(header http.Header, body []byte, secrets ...string) (v any, err error) {
	if given := header.Values(signed.Header); len(given) == 1 {
		v, err = signed.Verify(body, given[0], secrets...)
	} else {
		err = signed.ErrForged
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
	if n.Ref != "" && event.Text("tool_name") != "" {
		n.Ask = asked(event)
		return n, nil
	}
	if !isObject || n.Ref == "" || event.Text("event") == "" {
		return providers.Notice{}, &phone.Error{Code: phone.Invalid, Op: "pamela: webhook", Message: "A webhook must be a JSON object with event and call_id."}
	}
	digest := sha256.Sum256(append([]byte(name+" "), signed.Canonical(v)...))
	n.Digest = hex.EncodeToString(digest[:])
	if words := transcript(event["transcript"], ""); len(words) > 0 {
		n.Observation = phone.Observation{Extent: phone.Update, Told: event.Time("timestamp"), Words: words}
	}
	return n, nil
}
