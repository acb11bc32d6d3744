package phone

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// phrases are what a corpus holds in a language, wishes not to be called ("+") or none ("-").
func phrases(t testing.TB, corpus, kind string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/optout/" + corpus + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		if phrase, ok := strings.CutPrefix(strings.TrimSpace(line), kind+" "); ok {
			found = append(found, phrase)
		}
	}
	return found
}

func TestOptsOut(t *testing.T) {
	for _, tt := range []struct {
		corpus, kind string
		least        int // how many phrases there must be
		wrong        int // how many of a hundred may be judged wrongly
	}{
		{"development", "en+", 120, 0},
		{"development", "zh+", 110, 0},
		{"development", "en-", 100, 0},
		{"development", "zh-", 100, 0},
		{"heldout", "en+", 50, 5},
		{"heldout", "zh+", 50, 5},
		{"heldout", "en-", 50, 5},
		{"heldout", "zh-", 50, 5},
	} {
		t.Run(tt.corpus+" "+tt.kind, func(t *testing.T) {
			all, wrong := phrases(t, tt.corpus, tt.kind), []string(nil)
			for _, phrase := range all {
				if OptsOut(phrase) != strings.HasSuffix(tt.kind, "+") {
					wrong = append(wrong, phrase)
				}
			}
			t.Logf("%d of %d are judged rightly; wrongly %q", len(all)-len(wrong), len(all), wrong)
			if len(all) < tt.least || len(wrong)*100 > tt.wrong*len(all) {
				t.Errorf("of %d phrases %d wrongly: %q", len(all), len(wrong), wrong)
			}
		})
	}
}

func TestOptsOutHearsTraditionalCharacters(t *testing.T) {
	for traditional, plain := range map[rune]rune{'別': '别', '話': '话', '擾': '扰', '屬': '属', '證': '证', '好': '好', 'x': 'x'} {
		if got := simplified(traditional); got != plain {
			t.Errorf("%c is %c", traditional, got)
		}
	}
}

func TestOptsOutTakesLinearTime(t *testing.T) {
	for _, part := range []string{
		"a", "uh. ", "don't call me before ", "stop you ", "again call ", "take me off ",
		"别", "打", "不要再打电话给他", "删我的号码", "别打了明天再", "\xff",
	} {
		text := strings.Repeat(part, 1<<20/len(part))
		start := time.Now()
		OptsOut(text)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%q, over and over: %v", part, took)
		}
	}
	if !OptsOut(strings.Repeat("well you know ", 1<<16) + "don't call me again") {
		t.Error("a wish behind a long text is lost")
	}
}

func FuzzOptsOut(f *testing.F) {
	for _, corpus := range []string{"development", "heldout"} {
		for _, kind := range []string{"en+", "zh+", "en-", "zh-"} {
			for _, phrase := range phrases(f, corpus, kind) {
				f.Add(phrase)
			}
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			OptsOut(s)
			return
		}
		want := OptsOut(s)
		for _, same := range []string{
			strings.Map(unicode.ToUpper, s), strings.Map(unicode.ToLower, s), s + ".", s + "!?", s + "。", s + " … ", "\u200b" + s + "\n",
		} {
			if OptsOut(same) != want {
				t.Errorf("%q is %v, %q not", s, want, same)
			}
		}
	})
}

func BenchmarkOptsOut(b *testing.B) {
	for name, text := range map[string]string{
		"english": "well I was thinking we could move the appointment to next thursday if that is all right with you",
		"chinese": "我看一下，下周四下午三点可以的，到时候你们再打这个电话联系我就行了，谢谢",
		"wish":    "uh please just don't ever call me again okay",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				OptsOut(text)
			}
		})
	}
	b.Run("1 MiB", func(b *testing.B) {
		text := strings.Repeat("well I was thinking we could move the appointment ", 1<<20/50)
		for b.Loop() {
			OptsOut(text)
		}
	})
}
