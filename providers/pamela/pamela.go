// Package pamela places calls with Pamela (thisispamela.com), which calls numbers in the United States and Canada.
//
// Its one idea: read leniently, write strictly. Of Pamela's answers only a part is documented, and the form of a
// transcript not at all; so an answer may come in any form that its words can be told from, and what cannot be told is
// left out rather than guessed. A request holds documented fields alone, and of those only the ones that are set.
//
// Pamela has no stream: a call is looked up until it is over, and its transcript comes some seconds after that. Its signed
// webhooks tell what is said meanwhile, and that a call is worth looking up. Its list
// of calls shows our own identifier among a call's metadata, so a dial whose answer was lost is found again.
//
// What is known of the service stands in its public SDKs (Python 1.0.4, JavaScript 1.1) and its published documentation.
package pamela

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

const (
	name    = "Pamela"
	origin  = "https://api.thisispamela.com"
	prefix  = "/api/b2b/v1"
	portal  = "developer.thisispamela.com"
	longest = time.Hour // of max_duration_seconds

	// intentKey is ours among a call's metadata: the call's identifier here.
	intentKey = "intent_id"
)

// Spec is what is to be known of Pamela before it is opened.
func Spec() providers.Spec {
	return providers.Spec{
		Name: "pamela", Title: name, MaxDuration: true, Regions: []string{"US", "CA"}, KeyFrom: portal,
		Settings: []providers.Setting{
			{Name: "api_key", Env: "PAMELA_API_KEY", Help: "the key, which begins with pk_live_", Secret: true, Required: true},
			{Name: "api_base", Env: "PAMELA_API_BASE", Help: "the address of the service", Default: origin},
			{Name: "webhook_secret", Env: "PAMELA_WEBHOOK_SECRET", Help: "the secret that webhooks are signed with; without one none are taken", Secret: true},
			{Name: "webhook_secret_old", Env: "PAMELA_WEBHOOK_SECRET_OLD", Help: "the secret before it, while both are in use", Secret: true},
		},
		Options: []providers.Option{
			{Name: "instructions", Help: "further guidance for the agent on the line", Kind: providers.Text},
			{Name: "country", Help: "the country that is called, as ISO 3166-1 alpha-2; the number's own if it is missing", Kind: providers.Text},
			{Name: "end_user_id", Help: "for whom the call is, where one account serves many", Kind: providers.Text},
			{Name: "metadata", Help: "kept with the call; the key " + intentKey + " is taken", Kind: providers.Map},
		},
		Voices:    []providers.Choice{{ID: "male", Name: "male"}, {ID: "female", Name: "female"}, {ID: "auto", Name: "the service chooses"}},
		PerMinute: perMinute(),
		Open: func(c providers.Config, connect providers.Connect) (providers.Driver, error) {
			return open(options{
				key: c["api_key"], base: c["api_base"], connect: connect,
				secrets: [2]string{c["webhook_secret"], c["webhook_secret_old"]}, webhooks: webhooks{c[providers.WebhookURL], c[providers.ToolWebhookURL]},
			})
		},
	}
}

// options are what a driver is made from.
type options struct {
	key, base                string    // an empty base is the service's own
	secrets                  [2]string // of webhooks; empty ones sign nothing
	webhooks                 webhooks
	dialTimeout, readTimeout time.Duration // 0: upstream's
	connect                  providers.Connect
}

func open(o options) (*Driver, error) {
	if o.base == "" {
		o.base = origin
	}
	if unfit := func(r rune) bool { return r <= ' ' || r > '~' }; o.key == "" || strings.ContainsFunc(o.key, unfit) {
		return nil, phone.Errorf(phone.Invalid, "Pamela's api_key is empty or holds characters that no key has. Keys are made at %s.", portal)
	}
	c, err := upstream.New(upstream.Options{
		Name: name, Base: o.base, DialTimeout: o.dialTimeout, ReadTimeout: o.readTimeout, Connect: o.connect,
		Header: http.Header{"Authorization": {"Bearer " + o.key}, "Accept": {"application/json"}},
	})
	if err != nil {
		return nil, err
	}
	d := &Driver{client: c, key: o.key, secrets: o.secrets, short: newLane(2, 200), long: newLane(1, 8)}
	if d.Receives() { // what could not be told from what others forge is not sent for
		d.webhooks = o.webhooks
	}
	return d, nil
}

// Driver speaks to one account at Pamela.
type Driver struct {
	client *upstream.Client
	key    string // to keep it out of the log, should the service repeat it

	secrets  [2]string
	short    *lane // of webhooks
	long     *lane
	webhooks webhooks
}

var (
	_ providers.Driver   = (*Driver)(nil)
	_ providers.Checker  = (*Driver)(nil)
	_ providers.Hanguper = (*Driver)(nil)
	_ providers.Balancer = (*Driver)(nil)
	_ providers.Finder   = (*Driver)(nil)
	_ providers.Clock    = (*Driver)(nil)
	_ providers.Receiver = (*Driver)(nil)
	_ providers.Pacer    = (*Driver)(nil)

	_ providers.Toolkeeper = (*Driver)(nil)
)

// Close lets go of idle connections.
func (d *Driver) Close() error {
	d.client.Close()
	return nil
}

// Check refuses a length that is not 1 to 3600 whole seconds, a country that is not two letters, and metadata under the
// key that is ours. Errors: invalid.
func (d *Driver) Check(o phone.Order) error {
	if m := o.MaxDuration; m < 0 || m > longest || m%time.Second != 0 {
		return phone.Errorf(phone.Invalid, "Pamela's calls last 1 to %d whole seconds at most: max_duration_seconds must be one of them.", int(longest.Seconds()))
	}
	if c := option(o, "country"); c != "" && (len(c) != 2 || strings.ContainsFunc(c, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) })) {
		return phone.Errorf(phone.Invalid, "provider_options: country must be two letters such as US.")
	}
	if m, _ := o.Options["metadata"].(map[string]any); m != nil {
		if _, taken := m[intentKey]; taken {
			return phone.Errorf(phone.Invalid, "provider_options: metadata must not hold %q, which is outdial's own.", intentKey)
		}
	}
	return nil
}

// Place asks Pamela to call. Errors: invalid, unauthorized, exhausted, unsupported, unavailable; uncertain.
func (d *Driver) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	a, err := d.client.Dial(ctx, prefix+"/calls", d.request(o), nil)
	if err != nil {
		return "", during("create call", err)
	}
	if err := d.classify(a, true); err != nil {
		return "", during("create call", err)
	}
	created, err := upstream.Parse(a.Body)
	if ref := reference(created); ref != "" {
		return ref, nil
	}
	if err == nil {
		err = fmt.Errorf("status %d without an id", a.Status)
	}
	return "", &phone.Error{
		Code: phone.Uncertain, Op: "pamela: create call", Err: err,
		Message: "Pamela took the request and did not name the call: the phone may ring. Do not ask again; ask about this call instead.",
	}
}

// Receives says whether there is a secret to tell genuine webhooks by.
func (d *Driver) Receives() bool { return d.secrets[0] != "" || d.secrets[1] != "" }

// Receive reads a webhook. Its signature names no time, so it may be an old one that somebody sends again: of what it
// says only the words are taken, and whether they are new the call's conversation tells. Errors: unauthorized, invalid.
func (d *Driver) Receive(header http.Header, body []byte) (providers.Notice, error) {
	v, err := d.verified(header, body)
	if err != nil {
		return providers.Notice{}, err
	}
	return notice(v)
}

// Register makes a tool known to the project that the key belongs to. Errors: invalid, unauthorized, exhausted, unavailable.
func (d *Driver) Register(ctx context.Context, t providers.CallTool) (id string, err error) {
	a, err := d.client.Read(ctx, http.MethodPost, prefix+"/tools", registration(t))
	if err == nil {
		err = d.classify(a, false)
	}
	if err != nil {
		return "", during("register tool", err)
	}
	o, err := upstream.Parse(a.Body)
	if id = toolID(o); id == "" {
		return "", during("register tool", unreadable(err))
	}
	return id, nil
}

// Registered lists the project's tools. Errors: unauthorized, exhausted, unavailable.
func (d *Driver) Registered(ctx context.Context) ([]providers.RegisteredTool, error) {
	a, err := d.read(ctx, "list tools", prefix+"/tools")
	if err != nil {
		return nil, err
	}
	all, err := toolList(a.Body)
	if err != nil {
		return nil, during("list tools", unreadable(err))
	}
	return all, nil
}

// Deactivate has a tool called no more. Errors: unauthorized, exhausted, unavailable.
func (d *Driver) Deactivate(ctx context.Context, id string) error {
	a, err := d.client.Read(ctx, http.MethodDelete, prefix+"/tools/"+url.PathEscape(id), nil)
	if err == nil {
		err = d.classify(a, false)
	}
	if err == nil || phone.CodeOf(err) == phone.NotFound {
		return nil
	}
	return during("delete tool", err)
}

// Pace asks less often where Pamela tells by itself.
func (d *Driver) Pace() providers.Pace {
	if d.webhooks.URL == "" {
		return providers.Pace{}
	}
	return providers.Pace{Poll: 10 * time.Second}
}

// Lookup asks how a call stands. Errors: not_found, unauthorized, exhausted, unavailable.
func (d *Driver) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	o, err := d.ask(ctx, "get call", callPath(ref))
	if err != nil {
		return phone.Observation{}, err
	}
	return observe(unwrap(o)), nil
}

// Hangup ends a call that goes on, and takes one out of the queue that has not been answered: to Pamela these are two
// requests, so it asks first how the call stands, and again where Pamela refuses, since the call may have moved on meanwhile.
// Errors: not_found, unauthorized, exhausted, unavailable.
func (d *Driver) Hangup(ctx context.Context, ref phone.Ref) error {
	var refused error
	for range 3 { // queued, then answered, then over: more a call cannot change
		now, err := d.Lookup(ctx, ref)
		if err != nil {
			return err
		}
		verb := "hangup"
		switch now.Line {
		case phone.WrappingUp:
			return nil
		case phone.Queued, phone.Ringing:
			verb = "cancel"
		}
		a, err := d.client.Read(ctx, http.MethodPost, callPath(ref)+"/"+verb, nil)
		if err != nil {
			return during(verb, err)
		}
		err = d.classify(a, false)
		if err == nil && !deniesSuccess(a.Body) {
			return nil
		}
		switch phone.CodeOf(err) {
		case "", phone.Invalid, phone.NotFound, phone.Unsupported: // about the call, and not about the account or the service
		default:
			if a.Status != http.StatusConflict {
				return during(verb, err)
			}
		}
		refused = &phone.Error{Code: phone.Unavailable, Op: "pamela: " + verb, Message: "Pamela did not end the call. Try again in a moment.", Err: err}
	}
	return refused
}

// Clock tells the time there. Errors: unavailable.
func (d *Driver) Clock(ctx context.Context) (time.Time, error) { return d.client.Date(ctx) }

// Balance tells the usage of the present month: Pamela is paid afterwards and knows no balance. Errors: unauthorized,
// exhausted, unavailable.
func (d *Driver) Balance(ctx context.Context) (phone.Balance, error) {
	o, err := d.ask(ctx, "usage", prefix+"/usage")
	if err != nil {
		return phone.Balance{}, err
	}
	return phone.Balance{Usage: usage(o)}, nil
}

// The bounds of a search.
const (
	pageSize  = 100 // the most that Pamela lists at once
	leastPage = 50  // what it lists at once where it is not asked for a number: less is the end of the list
	maxPages  = 10
	before    = 5 * time.Second
	after     = 2 * time.Minute
)

// Find looks through the list of calls, newest first, for those that carry the order's CallID; where the list does not show
// what calls carry, for those to its number, created from 5 s before a time to 120 s after it, and for those that it tells
// too little of. A search that could not reach back so far and found none that carries the CallID is an error: it shows
// nothing. Errors: unauthorized, exhausted, unavailable.
func (d *Driver) Find(ctx context.Context, o phone.Order, about time.Time) ([]phone.Listed, error) {
	s := newSearch(o, about)
	for range maxPages {
		path := prefix + "/calls?limit=" + strconv.Itoa(pageSize)
		if s.listed > 0 {
			path += "&offset=" + strconv.Itoa(s.listed)
		}
		a, err := d.read(ctx, "list calls", path)
		if err != nil {
			return nil, err
		}
		page, err := parsePage(a.Body)
		if err != nil {
			return nil, during("list calls", unreadable(err))
		}
		if s.listed == 0 {
			s.clocks(a.Header, time.Now())
		}
		if s.add(page) {
			return s.result(), nil
		}
	}
	if all := s.result(); len(all) > 0 && all[0].Match == phone.Sure {
		return all, nil
	}
	return nil, &phone.Error{
		Code: phone.Unavailable, Op: "pamela: list calls", Err: fmt.Errorf("not found among the newest %d calls, which do not reach back far enough", s.listed),
		Message: "Pamela lists too many calls to tell whether this one is among them. Try again in a moment.",
	}
}

// read asks for what may be asked again. That Pamela refuses the question says nothing of what was asked for.
// Errors: not_found, unauthorized, exhausted, unavailable.
func (d *Driver) read(ctx context.Context, op, path string) (*upstream.Answer, error) {
	a, err := d.client.Read(ctx, http.MethodGet, path, nil)
	if err == nil {
		err = d.classify(a, false)
	}
	switch phone.CodeOf(err) {
	case "":
		return a, nil
	case phone.Invalid, phone.Unsupported:
		err = unreadable(err)
	}
	return nil, during(op, err)
}

// ask reads one JSON object.
func (d *Driver) ask(ctx context.Context, op, path string) (upstream.Object, error) {
	a, err := d.read(ctx, op, path)
	if err != nil {
		return nil, err
	}
	o, err := upstream.Parse(a.Body)
	if err != nil {
		return nil, during(op, unreadable(err))
	}
	return o, nil
}

func callPath(ref phone.Ref) string { return prefix + "/calls/" + url.PathEscape(string(ref)) }

func unreadable(err error) error {
	return &phone.Error{Code: phone.Unavailable, Message: "Pamela gave an answer that outdial cannot use. Try again in a moment; if that does not help, the operator must check PAMELA_API_BASE.", Err: err}
}

// during adds to an error what was being done.
func during(op string, err error) error {
	e := *phone.AsError(err)
	e.Op = "pamela: " + op
	return &e
}

// classify says what an answer means: nil for a 2xx. dial is as for upstream's Classify. Pamela's own codes say more than
// the status, but only beside a status that says that the request was refused.
func (d *Driver) classify(a *upstream.Answer, dial bool) error {
	s := a.Status
	open := dial && (s == http.StatusRequestTimeout || s == http.StatusConflict || s == http.StatusTooEarly)
	if s < 400 || s >= 500 || open {
		return d.client.Classify(a, dial)
	}
	f := readFault(a.Body)
	e := explain(f.code, s, dial)
	if e == nil {
		e = phone.AsError(d.client.Classify(a, dial))
	}
	if e.Code == phone.Exhausted && (e.Reason == "rate_limited" || f.retryAfter != "") {
		e.RetryAt = upstream.RetryAt(a, f.retryAfter, 30*time.Second)
	}
	e.Err = fmt.Errorf("status %d, code %d, %s", s, f.code, upstream.Excerpt(d.redact(f.words)))
	return e
}

// explain is what one of Pamela's codes means, or a status without one; nil where upstream knows as much.
func explain(code, status int, dial bool) *phone.Error {
	switch code {
	case 1001, 1002, 1003:
		return phone.Errorf(phone.Unauthorized, "Pamela does not accept the key: the operator must check PAMELA_API_KEY, or make a new key at %s.", portal)
	case 1005, 7008:
		return phone.Errorf(phone.Unauthorized, "Pamela asks for an active API subscription: the operator must start or renew it at %s.", portal)
	case 7001, 7002:
		return phone.Errorf(phone.Unauthorized, "Pamela does not know the project that the key belongs to: the operator must check it at %s.", portal)
	case 2001:
		return &phone.Error{Code: phone.Invalid, Reason: "provider_refused", Message: "Pamela refused the request as malformed. Check the number and the options."}
	case 2002:
		return &phone.Error{Code: phone.Invalid, Reason: "bad_number", Message: "Pamela does not take this number. Check its digits."}
	case 6001:
		return &phone.Error{Code: phone.Exhausted, Reason: "rate_limited", Message: "Pamela takes no more requests for now. Ask again later."}
	case 6002:
		return &phone.Error{Code: phone.Exhausted, Reason: "quota_exceeded", Message: "The quota of the account at Pamela is used up: the operator must raise it at " + portal + "."}
	case 7004, 7005:
		return &phone.Error{Code: phone.Unsupported, Reason: "country", Message: "Pamela cannot call this country. Use another provider for it."}
	case 7003:
		if !dial {
			return phone.Errorf(phone.NotFound, "Pamela does not know this call.")
		}
	}
	switch {
	case status == http.StatusUnauthorized:
		return explain(1002, 0, dial)
	case status == http.StatusForbidden:
		return explain(1005, 0, dial)
	case status == http.StatusTooManyRequests:
		return explain(6001, 0, dial)
	case status == http.StatusNotFound && dial:
		return phone.Errorf(phone.Unsupported, "There is no service of Pamela's at the address that is set: the operator must check PAMELA_API_BASE.")
	}
	return nil
}

// redact takes out of a service's words what it may have repeated of a request: the key and every digit, as a number can be
// written in many ways.
func (d *Driver) redact(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return '#'
		}
		return r
	}, strings.ReplaceAll(s, d.key, "[key]"))
}
