package phone

import (
	"strings"
	"time"
)

// Order is what a provider is asked to do: call one number and carry out one task.
type Order struct {
	CallID      string         // ours; services that keep metadata get it, to find the call again
	To          Number         //
	Task        string         // what the caller wants done, in plain words, without any preamble
	Language    string         // BCP 47 tag such as "zh" or "en-US"; empty: Lang decides by the number
	Voice       string         // the service's name of a voice; empty: its default
	AgentName   string         // how the agent on the line calls itself
	CallerName  string         // on whose behalf it calls
	MaxDuration time.Duration  // whole seconds; 0: the service's default
	Options     map[string]any // settings that only this provider knows
}

// Lang is the language of the call as a lower-case primary subtag ("zh", "en"): the one asked for, else the one that is
// spoken where the number belongs, else English.
func (o Order) Lang() string {
	if o.Language != "" {
		primary, _, _ := strings.Cut(strings.ReplaceAll(o.Language, "_", "-"), "-")
		return strings.ToLower(primary)
	}
	switch o.To.Region() {
	case "CN", "TW", "HK", "MO":
		return "zh"
	}
	return "en"
}

// Ref is a provider's name of a call.
type Ref string
