package script_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/script"
	"pgregory.net/rapid"
)

const task = "Book a table for two at seven"

func TestScenarios(t *testing.T) {
	tests := []struct {
		digits, name      string
		dial              script.Dial
		outcome           phone.Outcome
		lines             [2]int        // fewest and most
		shortest, longest time.Duration // from the dial to the end
	}{
		{"00", "talk", script.Accepted, phone.Completed, [2]int{5, 7}, 6 * time.Second, 9 * time.Second},
		{"01", "no_answer", script.Accepted, phone.NoAnswer, [2]int{}, 3 * time.Second, 30 * time.Second},
		{"02", "busy", script.Accepted, phone.Busy, [2]int{}, time.Second, 4 * time.Second},
		{"03", "declined", script.Accepted, phone.Declined, [2]int{}, time.Second, 4 * time.Second},
		{"04", "voicemail", script.Accepted, phone.Voicemail, [2]int{2, 3}, 5 * time.Second, 15 * time.Second},
		{"05", "menu", script.Accepted, phone.Completed, [2]int{5, 10}, 8 * time.Second, 15 * time.Second},
		{"06", "cut", script.Accepted, phone.Failed, [2]int{3, 5}, 4 * time.Second, 9 * time.Second},
		{"07", "long", script.Accepted, phone.Completed, [2]int{20, 60}, 4*time.Minute + 30*time.Second, 5*time.Minute + 30*time.Second},
		{"08", "rejected", script.Rejected, phone.Failed, [2]int{}, 0, 4 * time.Second},
		{"09", "lost", script.Lost, phone.Completed, [2]int{5, 7}, 6 * time.Second, 9 * time.Second},
		{"10", "talk", script.Accepted, phone.Completed, [2]int{5, 7}, 6 * time.Second, 9 * time.Second},
		{"43", "talk", script.Accepted, phone.Completed, [2]int{5, 7}, 6 * time.Second, 9 * time.Second},
	}
	for _, tt := range tests {
		for _, lang := range []string{"en", "zh"} {
			t.Run(tt.digits+" "+lang, func(t *testing.T) {
				s := script.For("+120255501"+tt.digits, lang, task, "Lin")
				if s.Name != tt.name || s.Dial != tt.dial || s.Outcome != tt.outcome || s.Summary == "" {
					t.Errorf("%q, dial %d, %s, summary %q", s.Name, s.Dial, s.Outcome, s.Summary)
				}
				if n := len(s.Lines); n < tt.lines[0] || n > tt.lines[1] {
					t.Errorf("%d lines", n)
				}
				if d := s.Length(); d < tt.shortest || d > tt.longest {
					t.Errorf("lasts %v", d)
				}
				consistent(t, s)
				courteous(t, s, lang)
			})
		}
	}
}

// courteous holds a scenario to the rules of providers.Preamble: the agent's first sentence (a key pressed is none) says
// what it is, on whose behalf it calls, that a transcript is kept, and why.
func courteous(t *testing.T, s script.Script, lang string) {
	t.Helper()
	i := slices.IndexFunc(s.Lines, func(l script.Line) bool {
		return l.Role == phone.Agent && !strings.HasPrefix(l.Text, "(") && !strings.HasPrefix(l.Text, "（")
	})
	if i < 0 {
		return
	}
	must := []string{"AI assistant", "Lin", "transcript", task}
	if lang == "zh" {
		must = []string{"AI助手", "Lin", "文字记录", task}
	}
	for _, m := range must {
		if !strings.Contains(s.Lines[i].Text, m) {
			t.Errorf("the agent's first words lack %q: %s", m, s.Lines[i].Text)
		}
	}
	for _, l := range s.Lines {
		if l.Role != phone.Agent && l.Role != phone.Callee || l.Text == "" || l.Text != strings.TrimSpace(l.Text) || strings.Contains(l.Text, "[") {
			t.Errorf("an odd line: %+v", l)
		}
		if han := strings.ContainsFunc(l.Text, func(r rune) bool { return r >= 0x4e00 && r <= 0x9fff }); han != (lang == "zh") {
			t.Errorf("not in %s: %s", lang, l.Text)
		}
	}
}

// consistent walks a script from moment to moment: they rise strictly, nothing changes between two of them, the line never
// goes back, nothing is un-said, and behind the last one the call is over.
func consistent(t interface {
	Helper()
	Fatalf(string, ...any)
}, s script.Script,
) {
	t.Helper()
	was := s.At(0)
	at, order := time.Duration(0), []phone.Status{phone.Queued, phone.Ringing, phone.InProgress, phone.WrappingUp}
	for range 4 + len(s.Lines) {
		next, more := s.Next(at)
		if !more {
			break
		}
		if next <= at {
			t.Fatalf("after %v comes %v", at, next)
		}
		before, is := s.At(next-1), s.At(next)
		if !same(was, before) {
			t.Fatalf("between %v and %v something changed:\n%s", at, next, cmp.Diff(was, before))
		}
		if slices.Index(order, is.Line) < slices.Index(order, was.Line) || len(is.Said) < len(was.Said) || !slices.Equal(is.Said[:len(was.Said)], was.Said) {
			t.Fatalf("at %v: %+v after %+v", next, is, was)
		}
		if (is.Outcome != "") != (is.Line == phone.WrappingUp) || was.Line == phone.WrappingUp {
			t.Fatalf("at %v: %+v after %+v", next, is, was)
		}
		was, at = is, next
	}
	end := s.At(at + time.Hour)
	if !same(was, end) || end.Line != phone.WrappingUp || end.Outcome != s.Outcome || len(end.Said) != len(s.Lines) || s.Length() != at {
		t.Fatalf("at the end (%v): %+v", at, end)
	}
	if end.Talked != s.At(at).Talked || end.Answered != (len(s.Lines) > 0) {
		t.Fatalf("afterwards it goes on: %+v", end)
	}
}

func same(a, b script.State) bool {
	return a.Line == b.Line && a.Answered == b.Answered && a.Outcome == b.Outcome && slices.Equal(a.Said, b.Said)
}

// Whatever a test's own script is like, it plays from its beginning to its end.
func TestAnyScriptIsConsistent(t *testing.T) {
	pause := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
	})
	rapid.Check(t, func(t *rapid.T) {
		s := script.Script{Ring: pause.Draw(t, "ring"), Outcome: phone.Completed}
		for range rapid.IntRange(0, 6).Draw(t, "lines") {
			s.Lines = append(s.Lines, script.Line{After: pause.Draw(t, "after"), Role: phone.Agent, Text: "x"})
		}
		consistent(t, s)
	})
}

func TestTaskAndCaller(t *testing.T) {
	first := func(lang, task, caller string) string {
		return script.For("+12025550100", lang, task, caller).Lines[0].Text
	}
	for _, tt := range []struct{ lang, task, caller, want string }{
		{"en", "Is it open?", "", "It is about this: Is it open?"},
		{"en", " two\nlines ", "", "It is about this: two lines."},
		{"en", "", "", "a small matter."},
		{"en", "x", "", "on behalf of someone who asked me"},
		{"en", strings.Repeat("word ", 100), "", "word…"},
		{"en", "bad \xff byte", "", "bad \uFFFD byte."},
		{"zh", strings.Repeat("好", 200), "", strings.Repeat("好", 120) + "…"},
		{"zh-CN", "订位。", "小王", "受小王委托"},
		{"zh-CN", "订位。", "小王", "订位。"},
		{"ZH", "订位", "", "订位。"},
		{"fr", "x", "Lin", "on behalf of Lin."},
	} {
		got := first(tt.lang, tt.task, tt.caller)
		if !strings.Contains(got, tt.want) || strings.Contains(got, "。。") || strings.Contains(got, "?.") {
			t.Errorf("%s %q %q: %q lacks %q", tt.lang, tt.task, tt.caller, got, tt.want)
		}
	}
	if s := script.For("", "en", "x", ""); s.Name != "talk" {
		t.Errorf("no number at all plays %s", s.Name)
	}
}
