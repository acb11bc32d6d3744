// Package stepone is the adapter to StepOne AI, a service whose AI calls mobile numbers of mainland China.
//
// Its one idea: almost nothing of the service's answers is promised, so they are read for what they can only mean. A
// field is taken wherever it may stand, and what cannot be read says nothing: no call is over, and none was placed,
// because something was missing. A dial is known to be refused only where the answer says so, and known to be placed only
// where it names exactly one call.
//
// It cannot end a call, since the service has no way to, and it cannot find a call whose name it was not told. The facts
// are StepOne's public API notes for its protocol 1.0.0, and what its own clients do.
package stepone

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

var (
	_ providers.Driver    = (*Driver)(nil)
	_ providers.Streamer  = (*Driver)(nil)
	_ providers.Balancer  = (*Driver)(nil)
	_ providers.Checker   = (*Driver)(nil)
	_ providers.Cataloger = (*Driver)(nil)
	_ providers.Versioner = (*Driver)(nil)
	_ providers.Clock     = (*Driver)(nil)
	_ providers.Pacer     = (*Driver)(nil)
)

const (
	title    = "StepOne"
	protocol = "1.0.0" // the version of the service's protocol that this adapter speaks
	apiBase  = "https://open-skill-api.steponeai.com"
	console  = "https://open-skill.steponeai.com"
	keysPage = console + "/keys"

	maxRequirement = 20_000 // characters of rules and task together
	maxName        = 100    // characters of a voice or an engine
	maxEmotion     = 20     // characters of the word for a mood

	versionTimeout = 3 * time.Second // for the wanted version, asked beside an error that is known already
	recordWait     = time.Minute     // lets the default's five look-ups ten seconds apart happen
)

// Spec describes StepOne. Its Open refuses a bad setting with invalid, naming it.
func Spec() providers.Spec {
	return providers.Spec{
		Name: "stepone", Title: title, Regions: []string{"CN"}, Home: "CN", KeyFrom: keysPage,
		Settings: []providers.Setting{
			{
				Name: "api_key", Env: "STEPONEAI_API_KEY", Secret: true, Required: true, Elsewhere: clawdKey,
				Help: "StepOne's API key (sk_…); also looked for in ~/.clawd/secrets.json as steponeai_api_key",
			},
			{
				Name: "api_base", Env: "STEPONEAI_API_BASE", Default: apiBase,
				Help: "StepOne's address; plain HTTP for loopback only",
			},
			{
				Name: "lookup_delay", Env: "STEPONEAI_LOOKUP_DELAY", Default: "10s",
				Help: "the time between two look-ups for the record of a call that is over, up to 10m",
			},
			{
				Name: "lookup_tries", Env: "STEPONEAI_LOOKUP_TRIES", Default: "5",
				Help: "how often the record of a call that is over is looked up, 1 to 100 times",
			},
		},
		Options: []providers.Option{
			{
				Name: "agent_id", Kind: providers.Integer, Min: 1, Max: math.MaxInt32,
				Help: "an agent saved in StepOne's console; its own prompt, voice and model then win over this call's task and settings",
			},
			{Name: "model_engine", Kind: providers.Text, Help: "the model that talks, such as stepone-mini"},
			{Name: "speed", Kind: providers.Integer, Min: 0, Max: 100, Help: "how fast the voice speaks, 0 to 100"},
			{Name: "volume", Kind: providers.Integer, Min: 0, Max: 100, Help: "how loud the voice is, 0 to 100"},
			{Name: "emotion", Kind: providers.Text, Help: "the voice's mood, such as neutral"},
		},
		Pace: providers.Pace{RecordEvery: 10 * time.Second, RecordTries: 5, RecordWait: recordWait},
		Open: open,
	}
}

// Driver asks StepOne. It is safe for use by many goroutines.
type Driver struct {
	client *upstream.Client
	key    string // to keep it out of what the service's words may bring into a log
	pace   providers.Pace
	idle   upstream.Idle
}

// Close lets go of idle connections.
func (d *Driver) Close() error {
	d.client.Close()
	return nil
}

// Pace is what lookup_delay and lookup_tries say.
func (d *Driver) Pace() providers.Pace { return d.pace }

// Check refuses what the service would not take: numbers that are no mobile numbers of mainland China (unsupported), and
// tasks and names that are too long (invalid).
func (d *Driver) Check(o phone.Order) error {
	if _, err := national(o.To); err != nil {
		return err
	}
	task, all := utf8.RuneCountInString(o.Task), utf8.RuneCountInString(providers.Brief(o))
	if all > maxRequirement {
		return phone.Errorf(phone.Invalid, "The task has %d characters; %s takes %d, of which the rules for the call need %d, so %d are left for the task.",
			task, title, maxRequirement, all-task, max(0, maxRequirement-(all-task)))
	}
	for _, f := range []struct{ name, value string }{
		{"voice", o.Voice}, {"model_engine", text(o.Options, "model_engine")},
	} {
		if utf8.RuneCountInString(f.value) > maxName {
			return phone.Errorf(phone.Invalid, "%s takes at most %d characters for %s.", title, maxName, f.name)
		}
	}
	if e := text(o.Options, "emotion"); len(e) > maxEmotion || !onlyAlnumOr(e, "") { // no list has it, so that it may be read
		return phone.Errorf(phone.Invalid, "provider_options: emotion must be one word such as neutral.")
	}
	return nil
}

// national is the number as the service wants it: eleven digits.
func national(n phone.Number) (string, error) {
	digits, ok := strings.CutPrefix(n.E164(), "+86")
	if !ok || len(digits) != 11 || digits[0] != '1' || digits[1] < '3' {
		return "", phone.Errorf(phone.Unsupported, "%s calls mobile numbers of mainland China only: +86, then 11 digits that begin with 13 to 19.", title)
	}
	return digits, nil
}

// Place asks StepOne to call one number.
func (d *Driver) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	ref, err := d.place(ctx, o)
	return ref, at("initiate_call", err)
}

func (d *Driver) place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	if err := d.Check(o); err != nil {
		return "", err
	}
	digits, err := national(o.To)
	if err != nil {
		return "", err
	}
	body := dialRequest{
		Phones: digits, UserRequirement: providers.Brief(o), VoiceID: o.Voice,
		AgentID: integer(o.Options, "agent_id"), Volume: integer(o.Options, "volume"), Speed: integer(o.Options, "speed"),
		ModelEngine: text(o.Options, "model_engine"), Emotion: text(o.Options, "emotion"),
	}
	a, err := d.client.Dial(ctx, pathDial, body, http.Header{"Idempotency-Key": {idempotencyKey(o.CallID)}})
	if err != nil {
		return "", err
	}
	if err := d.classify(ctx, a, &o); err != nil {
		return "", err
	}
	v, err := parse(a.Body)
	if err != nil {
		return "", uncertain(fmt.Errorf("status %d, %d bytes: %w", a.Status, len(a.Body), err))
	}
	ids, bad := callIDs(v)
	switch {
	case len(ids) > 1:
		return "", uncertain(fmt.Errorf("ALARM: asked to call one number, the service names %d calls: %s", len(ids), strings.Join(ids[:min(len(ids), 10)], " ")))
	case refused(v) && len(ids) == 1:
		return "", uncertain(fmt.Errorf("the service says that it refused, and names the call %s%s", ids[0], d.words(v, &o)))
	case refused(v):
		return "", d.refusal(v, &o)
	case bad || len(ids) == 0:
		return "", uncertain(fmt.Errorf("the answer names no call that can be asked about%s", d.words(v, &o)))
	}
	return phone.Ref(ids[0]), nil
}

// idempotencyKey is the call's id where it has the form that the service takes, else made from it. A call without one
// gets a key that no other has, lest the service take two calls for one.
func idempotencyKey(callID string) string {
	switch {
	case callID == "":
		return "outdial-" + rand.Text()
	case len(callID) >= 8 && len(callID) <= 128 && onlyAlnumOr(callID, "._:-"):
		return callID
	}
	sum := sha256.Sum256([]byte(callID))
	return "outdial-" + hex.EncodeToString(sum[:])
}

// Lookup asks for the call's record.
func (d *Driver) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	v, err := d.read(ctx, http.MethodPost, pathRecord, callRequest{CallID: string(ref)})
	if err != nil {
		return phone.Observation{}, at("search_callinfo", err)
	}
	if refused(v) {
		if notYet(said(v)) {
			return phone.Observation{}, nil
		}
		return phone.Observation{}, at("search_callinfo", d.refusalToTell(v))
	}
	return readRecord(v, ref, time.Now()), nil
}

// Stream yields the words of one connection. The service marks the end of the call, and gives up on one that nobody
// answers; only the former says that the line has closed.
func (d *Driver) Stream(ctx context.Context, ref phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) {
		opened := true
		for data, err := range d.client.Stream(ctx, pathStream, callRequest{CallID: string(ref)}, d.idle) {
			if err != nil {
				if r, ok := errors.AsType[*upstream.Refused](err); ok {
					err = cmp.Or(d.classify(ctx, &r.Answer, nil), unreadable(err))
				}
				yield(phone.Observation{}, at("stream_chat_history", err))
				return
			}
			for _, l := range readLines(data) {
				switch l.mark {
				case markTimeout:
					return
				case markDone:
					yield(phone.Observation{Opened: opened, Line: phone.WrappingUp}, nil)
					return
				}
				if !yield(phone.Observation{Opened: opened, Words: []phone.Words{l.words}}, nil) {
					return
				}
				opened = false
			}
		}
		yield(phone.Observation{}, at("stream_chat_history", &phone.Error{
			Code: phone.Unavailable, Message: title + "'s live transcript broke off.", Err: errors.New("the stream ended without a mark"),
		}))
	}
}

// Clock tells the time there. Errors: unavailable.
func (d *Driver) Clock(ctx context.Context) (time.Time, error) { return d.client.Date(ctx) }

// Balance asks what is left of the prepaid credit.
func (d *Driver) Balance(ctx context.Context) (phone.Balance, error) {
	v, err := d.told(ctx, pathBalance)
	if err != nil {
		return phone.Balance{}, at("balance", err)
	}
	if m := readBalance(v); m != nil {
		return phone.Balance{Amount: m}, nil
	}
	return phone.Balance{Usage: title + " answered without an amount that can be read; its console at " + console + " shows it."}, nil
}

// Catalog lists voices and models. Where only one of the two lists can be had, it is given.
func (d *Driver) Catalog(ctx context.Context) (providers.Catalog, error) {
	voices, err := d.told(ctx, pathVoices)
	engines, err2 := d.told(ctx, pathEngines)
	if err != nil && err2 != nil {
		return providers.Catalog{}, at("tts_list", err)
	}
	return providers.Catalog{
		Voices:  readChoices(voices, "voice_id", "id", "voice", "voice_code", "code", "value", "name"),
		Engines: readChoices(engines, "model_engine", "engine_id", "id", "engine", "model", "code", "value", "name"),
	}, nil
}

// Version gives the protocol's version here and there.
func (d *Driver) Version(ctx context.Context) (speaks, wants string, err error) {
	v, err := d.read(ctx, http.MethodGet, pathVersion, nil)
	if err != nil {
		return protocol, "", at("skill_version", err)
	}
	if wants = readVersion(v); wants == "" {
		return protocol, "", at("skill_version", unreadable(errors.New("no version in the answer")))
	}
	return protocol, wants, nil
}

// told reads an answer that must not be a refusal.
func (d *Driver) told(ctx context.Context, path string) (any, error) {
	v, err := d.read(ctx, http.MethodGet, path, nil)
	if err == nil && refused(v) {
		return nil, d.refusalToTell(v)
	}
	return v, err
}

// read asks what may be asked again, and takes the instructions out of the answer.
func (d *Driver) read(ctx context.Context, method, path string, body any) (any, error) {
	a, err := d.client.Read(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if err := d.classify(ctx, a, nil); err != nil {
		return nil, err
	}
	v, err := parse(a.Body)
	if err != nil {
		return nil, unreadable(fmt.Errorf("%d bytes: %w", len(a.Body), err))
	}
	return v, nil
}

// classify says what a status means, of the answer to a dial where there is an order. Nil for a 2xx.
func (d *Driver) classify(ctx context.Context, a *upstream.Answer, order *phone.Order) error {
	dial := order != nil
	err := d.client.Classify(a, dial)
	if err == nil {
		return nil
	}
	v, _ := parse(a.Body) // nil where it is not JSON: then nothing of it is quoted
	e := *phone.AsError(err)
	e.Err = fmt.Errorf("status %d%s", a.Status, d.words(v, order))
	switch {
	case dial && e.Reason == "provider_refused" && refused(v) && aboutCredit(said(v)):
		return d.refusal(v, order)
	case e.Code == phone.Unauthorized:
		if dial && refused(v) && aboutCredit(said(v)) {
			return d.refusal(v, order)
		}
		e.Message = title + " does not accept the key: the operator must set STEPONEAI_API_KEY to a valid one, from " + keysPage + "."
	case e.Reason == "rate_limited":
		e.RetryAt = upstream.RetryAt(a, first(objects(v, ""), "retry_after", "retry_after_seconds"), 30*time.Second)
	case e.Reason == "wrong_version":
		e.Message = d.wrongVersion(ctx, v)
	case e.Code == phone.NotFound && dial:
		e.Code, e.Message = phone.Unsupported, title+" takes no calls at this address: the operator must check STEPONEAI_API_BASE."
	}
	return &e
}

// wrongVersion tells which version of the protocol the service wants; it is asked where it did not say.
func (d *Driver) wrongVersion(ctx context.Context, v any) string {
	wants := readVersion(v)
	if wants == "" || wants == protocol {
		ctx, cancel := context.WithTimeout(ctx, versionTimeout)
		defer cancel()
		if a, err := d.client.Read(ctx, http.MethodGet, pathVersion, nil); err == nil && a.Status == http.StatusOK {
			v, _ := parse(a.Body)
			wants = cmp.Or(readVersion(v), wants)
		}
	}
	if wants == "" || wants == protocol {
		return title + " wants another version of its protocol than " + protocol + ", which outdial speaks, and does not say which: the operator must update outdial."
	}
	return fmt.Sprintf("%s wants version %s of its protocol and outdial speaks %s: the operator must update outdial.", title, wants, protocol)
}

// refusal is what an answer means that says no to a dial.
func (d *Driver) refusal(v any, order *phone.Order) error {
	e := &phone.Error{
		Code: phone.Refused, Reason: "provider_refused", Err: fmt.Errorf("success is false%s", d.words(v, order)),
		Message: title + " refused to place the call and nothing was dialed. The operator's log has its reason; check the number, the task and the options.",
	}
	if aboutCredit(said(v)) {
		e.Code, e.Reason = phone.Exhausted, "no_credit"
		e.Message = title + "'s account has no credit left: the operator must top it up at " + console + "."
	}
	return e
}

// refusalToTell is what an answer means that says no to a question.
func (d *Driver) refusalToTell(v any) error {
	return &phone.Error{
		Code: phone.Unavailable, Err: fmt.Errorf("success is false%s", d.words(v, nil)),
		Message: title + " does not tell this now. Try again in a moment; the operator's log has its reason.",
	}
}

func uncertain(err error) error {
	return &phone.Error{
		Code: phone.Uncertain, Err: err,
		Message: title + " was asked to dial and gave no answer that can be read: the phone may ring. Do not ask again; ask about this call instead.",
	}
}

func unreadable(err error) error {
	return &phone.Error{Code: phone.Unavailable, Err: err, Message: title + " gave no answer that can be read. Try again in a moment."}
}

// words are the service's own, for the operator's log alone: short, without the key, telephone numbers and the task.
func (d *Driver) words(v any, order *phone.Order) string {
	s := said(v)
	if s == "" {
		return ""
	}
	if order != nil {
		for _, private := range []string{providers.Brief(*order), order.Task, order.AgentName, order.CallerName} {
			s = withoutEcho(s, private)
		}
	}
	return ": " + upstream.Excerpt(scrub(s, d.key))
}

// at says in the log which request it was.
func at(op string, err error) error {
	if err == nil {
		return nil
	}
	e := *phone.AsError(err)
	e.Op = "stepone: " + op
	return &e
}

// text and integer are options of an order, whose types were checked.
func text(options map[string]any, name string) string {
	s, _ := options[name].(string)
	return strings.TrimSpace(s)
}

func integer(options map[string]any, name string) *int64 {
	f, ok := options[name].(float64)
	if !ok {
		return nil
	}
	n := int64(f)
	return &n
}
