package pamela

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
)

func words(lines ...string) []phone.Words {
	var w []phone.Words
	for _, l := range lines {
		role, text, _ := strings.Cut(l, ": ")
		w = append(w, phone.Words{Role: phone.Role(role), Text: text, Final: true})
	}
	return w
}

func TestTranscript(t *testing.T) {
	usual := words("agent: Hello.", "callee: Hi, who is it?")
	for in, want := range map[string][]phone.Words{
		`[{"role":"assistant","content":"Hello."},{"role":"user","content":"Hi, who is it?"}]`:                                                        usual,
		`[{"speaker":"agent","text":"Hello."},{"speaker":"recipient","text":" Hi, who is it?\n"}]`:                                                    usual,
		`[{"sender":"AI","message":"Hello."},{"sender":"Human","message":"Hi, who is it?"}]`:                                                          usual,
		`[{"from":"bot","utterance":"Hello."},{"from":"+12025550143","utterance":"Hi, who is it?"}]`:                                                  usual,
		`[{"participant":"Pamela","body":"Hello."},{"participant":"Dr. Who","body":"Hi, who is it?"}]`:                                                usual,
		`[{"name":"Pam","transcript":"Hello.","timestamp":1.5},{"name":"Joe","transcript":"Hi, who is it?","timestamp":"2026"}]`:                      usual,
		`[{"source":"ai_agent","text":"Hello."},{"source":"stt","text":"Hi, who is it?"}]`:                                                            usual,
		`[{"type":"agent_response","text":"Hello."},{"type":"user_transcript","text":"Hi, who is it?"}]`:                                              usual,
		`[{"role":{"type":"agent"},"content":{"text":"Hello."}},{"speaker":{"name":"customer"},"content":"Hi, who is it?"}]`:                          usual,
		`[{"role":"assistant","content":[{"type":"text","text":"Hello."}]},{"role":"user","content":["Hi,","who is it?"]}]`:                           usual,
		`[{"message":{"role":"assistant","content":"Hello."}},{"message":{"role":"user","content":"Hi, who is it?"}}]`:                                usual,
		`[{"agent":"Hello."},{"user":"Hi, who is it?"}]`:                                                                                              usual,
		`[["assistant","Hello."],["user","Hi, who is it?"]]`:                                                                                          usual,
		`["Agent: Hello.","User: Hi, who is it?"]`:                                                                                                    usual,
		`["[00:01] Pam: Hello.","00:02 - Person: Hi, who is it?"]`:                                                                                    usual,
		`["**Agent:** Hello.","2026-11-20T12:00:00Z Them: Hi, who is it?"]`:                                                                           words("agent: Hello.", "callee: 2026-11-20T12:00:00Z Them: Hi, who is it?"),
		`"Agent: Hello.\n\nUser: Hi,\nwho is it?\r\n"`:                                                                                                usual,
		`{"entries":[{"role":"agent","text":"Hello."},{"role":"callee","text":"Hi, who is it?"}]}`:                                                    usual,
		`{"transcript":[{"role":"agent","text":"Hello."},{"role":"callee","text":"Hi, who is it?"}]}`:                                                 usual,
		`{"text":"AI Assistant: Hello.","messages":null}`:                                                                                             words("callee: AI Assistant: Hello."),
		`[{"role":"assistant","content":"Hello."},{"role":"user","words":[{"word":"Hi,","start":0.1},{"word":"who is it?"}]}]`:                        usual,
		`[{"speaker":"caller","text":"Hello."},{"speaker":"callee","text":"Hi, who is it?"}]`:                                                         usual,
		`[{"speaker":"agent","text":"Hello."},{"speaker":"caller","text":"Hi, who is it?"}]`:                                                          usual,
		`[{"role":"system","content":"[DONE]"},{"role":"agent","text":"Hello."},{"role":"tool","content":"x"},{"speaker":7,"text":"Hi, who is it?"}]`: usual,
		`[null,7,true,[],{},{"role":"user"},{"role":"user","content":""},{"role":"agent","content":null,"tool_calls":[{"function":{"name":"x"}}]}]`:   nil,
		`[{"role":"user","content":"Agent: [DONE]"}]`:                                                                                                 words("callee: Agent: [DONE]"),
		`[{"role":"human agent","content":"Front desk."}]`:                                                                                            words("callee: Front desk."),
		`[{"text":"Who said this?"}]`:               words("callee: Who said this?"),
		`["The agent said: hello"]`:                 words("callee: The agent said: hello"),
		`"Hello there"`:                             words("callee: Hello there"),
		`"System: secret\nand more\nAgent: Hello."`: words("agent: Hello."),
		`[{"role":"assistant","content":[{"type":"tool_call","text":"x"},{"type":"text","text":"Hello."}]}]`: words("agent: Hello."),
		`null`: nil, `{}`: nil, `[]`: nil, `""`: nil, `7`: nil, `true`: nil,
	} {
		v := decode(t, in)
		if diff := cmp.Diff(want, transcript(v, "Pam")); diff != "" {
			t.Errorf("%s\n%s", in, diff)
		}
	}
}

func TestTranscriptIsBounded(t *testing.T) {
	for open, shut := range map[string]string{`[{"content":`: `}]`, `[[`: `]]`, `{"entry":{"turn":`: `}}`} {
		deep := strings.Repeat(open, 4000) + `"x"` + strings.Repeat(shut, 4000)
		if got := transcript(decode(t, deep), ""); len(got) != 0 {
			t.Errorf("%s: %d turns from the depth", open, len(got))
		}
	}
	const n = 3 * maxTurns
	for _, long := range []any{
		decode(t, `["a"`+strings.Repeat(`,"a"`, n)+`]`),
		decode(t, `[{"text":"a"}`+strings.Repeat(`,{"text":"a"}`, n)+`]`),
		strings.Repeat("Agent: a\nand b\n", n),
	} {
		if got := transcript(long, ""); len(got) != maxTurns {
			t.Errorf("%d turns", len(got))
		}
	}
}

func decode(t *testing.T, in string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(in))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", in, err)
	}
	return v
}

func FuzzTranscript(f *testing.F) {
	for _, s := range []string{
		`[{"role":"assistant","content":[{"text":"a"}]},"User: b",{"message":{"from":{"name":"x"},"body":"y"}}]`,
		`{"transcript":"[00:01] Agent: a\nb","name":"Pam"}`, `[["agent","a"],{"user":"b"}]`,
	} {
		f.Add([]byte(s), "Pam")
	}
	f.Fuzz(func(t *testing.T, raw []byte, agentName string) {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			v = string(raw)
		}
		for _, w := range transcript(v, agentName) {
			if w.Role != phone.Agent && w.Role != phone.Callee || w.Text == "" || !w.Final {
				t.Fatalf("%+v", w)
			}
		}
		for _, status := range []string{"in_progress", "completed", "failed"} { // the rest of the decoder
			o, _ := v.(map[string]any)
			if o == nil {
				o = map[string]any{"transcript": v, "summary": v, "error": v, "recording": v, "duration_seconds": v}
			}
			o["status"] = status
			seen := observe(o)
			if seen.Line == phone.WrappingUp != (status != "in_progress") || seen.Duration != nil && *seen.Duration < 0 {
				t.Fatalf("%+v", seen)
			}
		}
		readFault(raw)
		_, _ = parsePage(raw)
	})
}
