package stepone

import (
	"encoding/json"
	"strings"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// line is what one line of the event stream says: a mark of the service, or words.
type line struct {
	mark  mark
	words phone.Words
}

type mark int

const (
	markNone mark = iota
	markDone
	markTimeout
)

// readLines reads the data of one event: a JSON object, or several with line breaks between them. What is anything else
// says nothing.
func readLines(data string) []line {
	if !json.Valid([]byte(data)) && strings.Contains(data, "\n") {
		var all []line
		for part := range strings.Lines(data) {
			all = append(all, readLines(strings.TrimSpace(part))...)
		}
		return all
	}
	if !json.Valid([]byte(data)) {
		return nil
	}
	v, err := parse([]byte(data))
	o, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil
	}
	if role(o) == "system" {
		// Only the service speaks as system: what the people on the line say ends nothing.
		switch text(o, "content") {
		case "[DONE]":
			return []line{{mark: markDone}}
		case "[TIMEOUT]":
			return []line{{mark: markTimeout}}
		}
		return nil
	}
	if w, ok := readWords(o); ok {
		return []line{{words: w}}
	}
	return nil
}

func role(o upstream.Object) string { return strings.ToLower(text(o, "role")) }

// readWords is one utterance. Nobody but the agent and the person called has any.
func readWords(o upstream.Object) (phone.Words, bool) {
	said, _ := o["content"].(string)
	w := phone.Words{Text: strings.Trim(said, " \t\r\n"), Final: true}
	switch role(o) {
	case "assistant":
		w.Role = phone.Agent
	case "user":
		w.Role = phone.Callee
	}
	return w, w.Role != "" && w.Text != ""
}
