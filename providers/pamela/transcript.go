package pamela

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/internal/upstream"
)

const (
	maxTurns = 2000 // of a transcript: an hour's call has some hundreds, and to merge two takes their product
	maxDepth = 8    // of objects within objects
)

// speaker is who said something, as far as a label tells.
type speaker int

const (
	unknown speaker = iota
	agent
	callee
	caller  // whoever calls: in some vocabularies the agent, in others the person on the line
	machine // no one on the line: instructions, tools
)

type utterance struct {
	by   speaker
	text string
}

// reader gathers the utterances of a transcript.
type reader struct {
	agentName string         // lower case
	timestamp *regexp.Regexp // before the label of a line
	said      []utterance
}

// transcript reads a transcript in whatever form: a list of objects or of strings, an object around one, or text with a
// line for each utterance. agentName is how the agent calls itself, if known. Whoever is not known to be the agent is the
// person called; instructions and tools are left out, and so is what cannot be read.
func transcript(v any, agentName string) []phone.Words {
	r := &reader{
		agentName: strings.ToLower(strings.TrimSpace(agentName)),
		timestamp: regexp.MustCompile(`^[\[(]?\d[\d:.,/+-]*(?:[T ]\d[\d:.+-]*Z?)?[\])]?[\s-]*`),
	}
	r.read(v, 0)
	said := func(by speaker) bool {
		return slices.ContainsFunc(r.said, func(u utterance) bool { return u.by == by })
	}
	callerIsAgent := said(callee) && !said(agent)
	var words []phone.Words
	for _, u := range r.said {
		w := phone.Words{Role: phone.Callee, Text: u.text, Final: true}
		if u.by == agent || u.by == caller && callerIsAgent {
			w.Role = phone.Agent
		}
		if u.by != machine && u.text != "" {
			words = append(words, w)
		}
	}
	return words
}

func (r *reader) add(by speaker, text string) { r.said = append(r.said, utterance{by, text}) }

func (r *reader) full() bool { return len(r.said) >= maxTurns }

func (r *reader) read(v any, depth int) {
	if depth > maxDepth || r.full() {
		return
	}
	switch v := v.(type) {
	case string:
		r.lines(v)
	case []any:
		if by, words, ok := r.pair(v); ok && depth > 0 {
			r.add(by, words)
			return
		}
		for _, e := range v {
			r.read(e, depth+1)
		}
	case map[string]any:
		r.entry(v, depth)
	}
}

// pair reads ["agent", "Hello."].
func (r *reader) pair(v []any) (by speaker, words string, ok bool) {
	if len(v) != 2 {
		return unknown, "", false
	}
	label, isLabel := v[0].(string)
	words, isText := v[1].(string)
	by = r.speaker(label)
	return by, strings.TrimSpace(words), isLabel && isText && by != unknown
}

// entry reads one object: an utterance, or an object around others.
func (r *reader) entry(o upstream.Object, depth int) {
	by, labelled := r.who(o)
	for _, n := range contents() {
		switch inner := o[n].(type) {
		case map[string]any:
			if _, has := r.who(inner); has && !labelled {
				r.read(inner, depth+1)
				return
			}
		case []any:
			if r.hasTurns(inner) && !labelled {
				r.read(inner, depth+1)
				return
			}
		}
		if t := text(o[n], depth); t != "" {
			r.add(by, t)
			return
		}
	}
	if labelled {
		return
	}
	for _, n := range []string{"entries", "messages", "turns", "items", "segments", "utterances", "conversation", "entry", "turn", "item"} {
		if o[n] != nil {
			r.read(o[n], depth+1)
			return
		}
	}
	for _, n := range slices.Sorted(maps.Keys(o)) { // {"agent": "Hello."}
		if s, ok := o[n].(string); ok && r.speaker(n) != unknown {
			r.add(r.speaker(n), strings.TrimSpace(s))
		}
	}
}

// contents are the fields that may hold what was said, the likelier first.
func contents() []string {
	return []string{"content", "text", "message", "transcript", "utterance", "body", "value", "sentence", "words", "word", "parts", "data"}
}

// who finds the speaker of an utterance among the fields that may name one, and whether there is such a field at all.
func (r *reader) who(o upstream.Object) (by speaker, labelled bool) {
	for _, n := range []string{"role", "speaker", "sender", "participant", "author", "from", "speaker_name", "speaker_label", "name"} {
		label := o.Text(n)
		if inner := o.Object(n); inner != nil {
			label = inner.Text("role", "type", "name", "identity", "id")
		}
		labelled = labelled || label != ""
		if by = r.speaker(label); by != unknown {
			return by, true
		}
	}
	for _, n := range []string{"source", "channel", "type"} { // they may as well name something else
		if by = r.speaker(o.Text(n)); by != unknown {
			return by, true
		}
	}
	return unknown, labelled
}

// hasTurns says whether a list is one of utterances and not one of the parts of an utterance.
func (r *reader) hasTurns(list []any) bool {
	return slices.ContainsFunc(list, func(e any) bool {
		o, _ := e.(map[string]any)
		_, labelled := r.who(o)
		return labelled
	})
}

// speaker tells who a label names. "human agent" is a person, and so is a "customer service agent".
func (r *reader) speaker(label string) speaker {
	if l := strings.TrimSpace(label); l == "" || len(l) > 60 {
		return unknown
	}
	has := func(some ...string) bool {
		return slices.ContainsFunc(letters(label), func(w string) bool { return slices.Contains(some, w) })
	}
	switch {
	case has("user", "recipient", "callee", "human", "customer", "person", "contact", "client", "called", "party", "lead"):
		return callee
	case has("system", "tool", "function", "developer", "debug"):
		return machine
	case has("assistant", "agent", "ai", "bot", "chatbot", "voicebot", "robot", "pamela", "model"):
		return agent
	case has("caller"):
		return caller
	case strings.ToLower(strings.TrimSpace(label)) == r.agentName: // last: a name that the request gives must not make an agent of the callee
		return agent
	}
	return unknown
}

// text is what was said in a value of any form; empty if it holds no words.
func text(v any, depth int) string {
	if depth > maxDepth {
		return ""
	}
	switch v := v.(type) {
	case string:
		return strings.Trim(v, " \t\r\n")
	case json.Number:
		return v.String()
	case []any:
		var parts []string
		for _, e := range v {
			if t := text(e, depth+1); t != "" {
				parts = append(parts, t)
			}
		}
		return strings.Join(parts, " ")
	case map[string]any:
		if kind, _ := v["type"].(string); (&reader{}).speaker(kind) == machine {
			return ""
		}
		for _, n := range contents() {
			if t := text(v[n], depth+1); t != "" {
				return t
			}
		}
	}
	return ""
}

// lines reads text in which each utterance begins with its speaker ("Agent: Hello."). A line without one goes on with the
// utterance before it.
func (r *reader) lines(s string) {
	first := true
	for line := range strings.SplitSeq(s, "\n") {
		if r.full() {
			return
		}
		line = strings.TrimSpace(line)
		by, words := r.labelled(line)
		switch {
		case line == "":
		case by != unknown:
			r.add(by, words)
			first = false
		case first:
			r.add(unknown, line)
			first = false
		default:
			last := &r.said[len(r.said)-1]
			last.text = strings.TrimSpace(last.text + " " + line)
		}
	}
}

// labelled cuts the speaker off a line. A label is a word or two: "The agent said: hello" is somebody's words.
func (r *reader) labelled(line string) (by speaker, words string) {
	rest := line[len(r.timestamp.FindString(line)):]
	label, words, found := strings.Cut(rest, ":")
	if !found || strings.ToLower(strings.TrimSpace(label)) != r.agentName && len(letters(label)) > 2 {
		return unknown, line
	}
	if by = r.speaker(label); by == unknown {
		return unknown, line
	}
	return by, strings.TrimSpace(strings.TrimLeft(words, "*_ \t")) // a label may be printed bold
}
