package providers

import (
	"context"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// Spec is what is to be known of an adapter before it is opened.
type Spec struct {
	Name        string   // as in settings, tools and the ledger: "stepone"
	Title       string   // for people: "StepOne"
	Regions     []string // ISO 3166-1 alpha-2, where it can call; empty: everywhere
	Home        string   // the region of national numbers where no default region is set and no other provider could be meant
	Simulated   bool     // it rings nobody
	KeyFrom     string   // where a key is to be had
	Settings    []Setting
	Options     []Option    // what create_call's provider_options take
	MaxDuration bool        // it ends a call after the order's MaxDuration
	Voices      []Choice    // a fixed list of voices, where there is one
	PerMinute   phone.Money // the published price of a started minute; zero where none is published
	Pace        Pace
	Open        func(Config, Connect) (Driver, error) // does no network I/O
}

// Connect makes the connections to a service, as net.Dialer's DialContext does; nil is that.
type Connect func(ctx context.Context, network, address string) (net.Conn, error)

// Setting is one thing that the operator sets. The flag, the line in outdial.toml, the environment variable, the README's
// row and what doctor prints are made from it.
type Setting struct {
	Name     string // in outdial.toml, under the provider's name: "api_key"
	Env      string // "STEPONEAI_API_KEY"
	Help     string
	Default  string
	Secret   bool // never printed; also read from the file that Env_FILE names
	Required bool // without it the provider is not configured
	// Elsewhere is where else the value is looked for, last of all: it gives the value and the place, or nothing.
	Elsewhere func(home string) (value, place string, err error)
}

// Config are the values of a Spec's settings by Name, WebhookURL and ToolWebhookURL.
type Config map[string]string

// Where a service is to send its webhooks, in the Config of one that sends some; empty: nowhere.
const (
	WebhookURL     = "webhook_url"
	ToolWebhookURL = "tool_webhook_url" // and the calls of the operator's tools
)

// Seconds reads a setting that holds a duration ("10s") or a plain number of seconds.
func (c Config) Seconds(name string) (time.Duration, error) {
	v := c[name]
	if v == "" {
		return 0, nil
	}
	if strings.Trim(v, "0123456789.") == "" {
		v += "s"
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, phone.Errorf(phone.Invalid, "%s: %q is not a duration such as 10s.", name, c[name])
	}
	return d, nil
}

// Option is a setting of one call that only this service knows.
type Option struct {
	Name, Help string
	Kind       Kind
	Min, Max   int // of an integer; both 0: any
}

// Kind is the JSON type of an option.
type Kind string

// The kinds.
const (
	Text    Kind = "string"
	Integer Kind = "integer"
	Map     Kind = "object"
)

// takes says what is wrong with a value, or nothing.
func (o Option) takes(v any) string {
	switch o.Kind {
	case Text:
		if _, ok := v.(string); !ok {
			return "must be a string"
		}
	case Integer:
		f, ok := v.(float64)
		if !ok || f != math.Trunc(f) {
			return "must be a whole number"
		}
		if (o.Min != 0 || o.Max != 0) && (f < float64(o.Min) || f > float64(o.Max)) {
			return fmt.Sprintf("must be from %d to %d", o.Min, o.Max)
		}
	case Map:
		if _, ok := v.(map[string]any); !ok {
			return "must be an object"
		}
	}
	return ""
}

// check refuses options that the service does not know. Values are as encoding/json decodes them into any.
func (s Spec) check(options map[string]any) error {
	for name, v := range options {
		i := slices.IndexFunc(s.Options, func(o Option) bool { return o.Name == name })
		if i < 0 {
			return phone.Errorf(phone.Invalid, "provider_options: %s has no option %q. %s", s.Name, name, s.optionNames())
		}
		if wrong := s.Options[i].takes(v); wrong != "" {
			return phone.Errorf(phone.Invalid, "provider_options: %s %s.", name, wrong)
		}
	}
	return nil
}

func (s Spec) optionNames() string {
	if len(s.Options) == 0 {
		return "It has none."
	}
	var names []string
	for _, o := range s.Options {
		names = append(names, o.Name)
	}
	return "It has " + strings.Join(names, ", ") + "."
}

// Pace is how fast and how long a service is asked about a call. Zero fields are the defaults named beside them.
type Pace struct {
	Poll        time.Duration // between look-ups where nothing streams, once a call has lasted a while: 3 s
	RecordEvery time.Duration // between look-ups for the record after the line has closed: 3 s
	RecordTries int           // look-ups for the record; 0: as many as fit into RecordWait
	RecordWait  time.Duration // for the record of a call in which they talked: 60 s
	NoTalkWait  time.Duration // for the record of one in which they did not: 8 s
	Reconnect   time.Duration // the longest pause before a broken stream is opened again: 5 s
	Streams     int           // streams that may break one after the other before only look-ups are left: 10
	Longest     time.Duration // after this a call is given up: 50 min
}

func (p Pace) orDefaults() Pace {
	for d, otherwise := range map[*time.Duration]time.Duration{
		&p.Poll: 3 * time.Second, &p.RecordEvery: 3 * time.Second, &p.RecordWait: time.Minute, &p.NoTalkWait: 8 * time.Second,
		&p.Reconnect: 5 * time.Second, &p.Longest: 50 * time.Minute,
	} {
		if *d == 0 {
			*d = otherwise
		}
	}
	if p.Streams == 0 {
		p.Streams = 10
	}
	return p
}

// over takes from q what q sets.
func (p Pace) over(q Pace) Pace {
	for of, by := range map[*time.Duration]time.Duration{
		&p.Poll: q.Poll, &p.RecordEvery: q.RecordEvery, &p.RecordWait: q.RecordWait, &p.NoTalkWait: q.NoTalkWait,
		&p.Reconnect: q.Reconnect, &p.Longest: q.Longest,
	} {
		if by != 0 {
			*of = by
		}
	}
	if q.RecordTries != 0 {
		p.RecordTries = q.RecordTries
	}
	if q.Streams != 0 {
		p.Streams = q.Streams
	}
	return p
}
