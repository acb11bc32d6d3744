package stepone

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/internal/upstream"
)

const (
	pathDial    = "/api/v1/callinfo/initiate_call"
	pathRecord  = "/api/v1/callinfo/search_callinfo"
	pathStream  = "/api/v1/callinfo/stream_chat_history"
	pathBalance = "/api/v1/callinfo/balance"
	pathEngines = "/api/v1/callinfo/engine_list"
	pathVoices  = "/api/v1/callinfo/tts_list"
	pathVersion = "/api/v1/callinfo/skill_version"
)

// dialRequest asks to call. Phones may hold several numbers with commas between them; here it is always one.
type dialRequest struct {
	Phones          string `json:"phones"`
	UserRequirement string `json:"user_requirement"`
	AgentID         *int64 `json:"agent_id,omitempty"`
	ModelEngine     string `json:"model_engine,omitempty"`
	VoiceID         string `json:"voice_id,omitempty"`
	Volume          *int64 `json:"volume,omitempty"`
	Speed           *int64 `json:"speed,omitempty"`
	Emotion         string `json:"emotion,omitempty"`
}

type callRequest struct {
	CallID string `json:"call_id"`
}

// parse reads an answer and takes out what would instruct the model that it is shown to, before anything else is read.
func parse(raw []byte) (any, error) {
	v, err := upstream.ParseAny(raw)
	if err != nil {
		return nil, err
	}
	return withoutInstructions(v), nil
}

// withoutInstructions removes every field whose name says that it instructs a model, however it is spelt.
func withoutInstructions(v any) any {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(name string, _ any) bool { return instructs(name) })
		for name, child := range v {
			v[name] = withoutInstructions(child)
		}
	case []any:
		for i, child := range v {
			v[i] = withoutInstructions(child)
		}
	}
	return v
}

func instructs(name string) bool {
	plain := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && isASCIIAlnum(r) {
			return r
		}
		return -1
	}, strings.ToLower(name))
	return strings.Contains(plain, "instruction") &&
		slices.ContainsFunc([]string{"llm", "system", "assistant", "agent", "prompt"}, func(to string) bool { return strings.Contains(plain, to) })
}

// node is an object of an answer and the one that it stands in.
type node struct {
	upstream.Object
	in *node
}

// The bounds of a look for fields; an answer of the service needs far less.
const (
	maxDepth   = 8
	maxObjects = 2000
)

// objects are all objects of an answer, outer before inner, data before its neighbours. Of a list with the records of
// several calls only the one about ref is taken, if ref says which.
func objects(v any, ref phone.Ref) []*node {
	var all []*node
	var walk func(v any, in *node, depth int)
	walk = func(v any, in *node, depth int) {
		if depth > maxDepth || len(all) >= maxObjects {
			return
		}
		switch v := v.(type) {
		case map[string]any:
			n := &node{v, in}
			all = append(all, n)
			for _, name := range inOrder(v) {
				walk(v[name], n, depth+1)
			}
		case []any:
			for _, child := range about(v, ref) {
				walk(child, in, depth+1)
			}
		}
	}
	walk(v, nil, 0)
	return all
}

// inOrder are the names of an object's fields that can hold more of the answer. What was said, asked for or passed on
// from elsewhere is not the service's answer.
func inOrder(o map[string]any) []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(o)), func(name string) bool {
		return name == "call_content" || name == "provider_response" || name == "user_requirement"
	})
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(btoi(a != "data"), btoi(b != "data")), strings.Compare(a, b))
	})
	return names
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// about are the members of a list that are about a call: all, where it is one or no call is asked for.
func about(list []any, ref phone.Ref) []any {
	if ref == "" || len(list) < 2 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(v any) bool {
		o, _ := v.(map[string]any)
		return !slices.Contains([]string{
			upstream.Object(o).Text("call_id"), upstream.Object(o).Text("provider_call_id"), upstream.Object(o).Text("id"),
		}, string(ref))
	})
}

// first is the first of the named fields that any of the objects has, as text.
func first(all []*node, names ...string) string {
	for _, n := range all {
		if s := n.Text(names...); s != "" {
			return s
		}
	}
	return ""
}

// field is the same for a field of any type that is not empty.
func field(all []*node, names ...string) any {
	for _, n := range all {
		for _, name := range names {
			switch v := n.Object[name].(type) {
			case nil:
			case string:
				if v != "" {
					return v
				}
			default:
				return v
			}
		}
	}
	return nil
}

// refused says whether an answer says no. A status of 200 does not mean yes.
func refused(v any) bool {
	o, _ := v.(map[string]any)
	for _, o := range []upstream.Object{o, upstream.Object(o).Object("data")} {
		if yes, known := o.Bool("success"); known {
			return !yes
		}
		if s, ok := o["success"].(string); ok {
			return strings.EqualFold(strings.TrimSpace(s), "false")
		}
	}
	return false
}

// said is what the service says about its answer. It is for the operator's log, and to tell a few cases apart.
func said(v any) string {
	s := strings.TrimSpace(first(objects(v, ""), "message", "msg", "error", "error_message", "detail", "reason"))
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
		// JSON within a string: what instructs is inside it still.
		if inner, err := parse([]byte(s)); err == nil {
			return strings.TrimSpace(first(objects(inner, ""), "message", "msg", "error", "detail"))
		}
		return ""
	}
	return s
}

func aboutCredit(s string) bool {
	s = strings.ReplaceAll(strings.ToLower(s), "credit card", "")
	return slices.ContainsFunc([]string{"余额", "欠费", "额度", "充值", "balance", "credit", "quota"}, func(w string) bool { return strings.Contains(s, w) })
}

// notYet says whether a refusal to tell of a call means that its record is not there yet.
func notYet(s string) bool {
	s = strings.ToLower(s)
	return s == "" || slices.ContainsFunc([]string{
		"not found", "no record", "not exist", "no data", "not ready", "不存在", "未找到", "未查到", "没有找到", "无记录", "暂无", "尚未", "没有记录",
	}, func(w string) bool { return strings.Contains(s, w) })
}

// withoutEcho takes out what the service was sent, plain or as JSON.
func withoutEcho(s, private string) string {
	if strings.TrimSpace(private) == "" {
		return s
	}
	s = strings.ReplaceAll(s, private, "(…)")
	if quoted, err := json.Marshal(private); err == nil {
		s = strings.ReplaceAll(s, string(quoted[1:len(quoted)-1]), "(…)")
	}
	return s
}

// scrub takes keys and whatever could be a telephone number out of a service's words.
func scrub(s, key string) string {
	if key != "" {
		s = strings.ReplaceAll(s, key, "(key)")
	}
	return withoutNumbers(withoutKeys(s))
}

// withoutKeys takes out every word that has the form of a key.
func withoutKeys(s string) string {
	var out strings.Builder
	inWord := func(r rune) bool { return isASCIIAlnum(r) || r == '_' || r == '-' }
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return !inWord(r) })
		if end < 0 {
			end = len(s)
		}
		word := s[:end]
		if strings.HasPrefix(word, "sk_") || strings.HasPrefix(word, "aicall_") {
			word = "(key)"
		}
		out.WriteString(word)
		s = s[end:]
		next := strings.IndexFunc(s, inWord)
		if next < 0 {
			next = len(s)
		}
		out.WriteString(s[:next])
		s = s[next:]
	}
	return out.String()
}

// withoutNumbers takes out seven digits and more, with whatever people put between them.
func withoutNumbers(s string) string {
	var out, run strings.Builder
	digits := 0
	flush := func() {
		if digits >= 7 {
			out.WriteString("(number)")
		} else {
			out.WriteString(run.String())
		}
		run.Reset()
		digits = 0
	}
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			digits++
			run.WriteRune(r)
		case digits > 0 && strings.ContainsRune(" -.()", r):
			run.WriteRune(r)
		default:
			flush()
			out.WriteRune(r)
		}
	}
	flush()
	return out.String()
}

// callIDs are the names of the calls that an answer tells of: under the field of the greatest weight that is there,
// wherever it stands. Bad says that one of them has no form that a name has.
func callIDs(v any) (ids []string, bad bool) {
	all := objects(v, "")
	for _, name := range []string{"call_ids", "call_id", "provider_call_id"} {
		for _, n := range all {
			found, wrong := idsIn(n.Object[name])
			ids, bad = append(ids, found...), bad || wrong
		}
		if len(ids) > 0 || bad {
			slices.Sort(ids)
			return slices.Compact(ids), bad
		}
	}
	return nil, false
}

func idsIn(v any) (ids []string, bad bool) {
	switch v := v.(type) {
	case nil:
	case []any:
		for _, one := range v {
			found, wrong := idsIn(one)
			ids, bad = append(ids, found...), bad || wrong
		}
	case string:
		switch {
		case v == "":
		case len(v) <= 256 && onlyAlnumOr(v, "_.:^~-"):
			return []string{v}, false
		default:
			return nil, true
		}
	case json.Number:
		return idsIn(v.String())
	case map[string]any:
		// It is walked for its own fields.
	default:
		return nil, true
	}
	return ids, bad
}

func onlyAlnumOr(s, others string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !isASCIIAlnum(r) && !strings.ContainsRune(others, r) })
}

func isASCIIAlnum(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
