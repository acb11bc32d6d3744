package phone

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSpoken(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"my number is 202 555 0143", []string{"2025550143"}},
		{"+1 (202) 555-0143", []string{"12025550143"}},
		{"1.202.555.0143 or 1/202/555/0144", []string{"12025550143", "12025550144"}},
		{"202–555—0143", []string{"2025550143"}},
		{"nine zero zero five five five oh one nine nine", []string{"9005550199"}},
		{"it's two oh two, triple five, oh one four three, thanks", []string{"2025550143"}},
		{"Two Zero Two DOUBLE five five o one four three", []string{"2025550143"}},
		{"202 five five five ０１４３", []string{"2025550143"}},
		{"nine hundred five five five oh one nine nine", []string{"5550199"}},
		{"two oh two dash triple five hyphen oh one dot four three", []string{"2025550143"}},
		{"plus one, uh, two oh two, um, five five five er oh one four three", []string{"12025550143"}},
		{"双二零二 杠 五五五，呃，零一四三", []string{"2025550143"}},
		{"202～555~0143", []string{"2025550143"}},
		{"2\ue0000\U000f00002\ufdd05\ufffe550143", []string{"2025550143"}}, // a reader sees one mark for each
		{"double 5 treble 5 double five", []string{"5555555"}},
		{"double double double five five five five five", nil},
		{"one two three and four five six seven", nil},
		{"someone won five hundred", nil},
		{"double trouble 555014", nil},
		{"bone tone 555 0143 throne", []string{"5550143"}},
		{"5550143x12345678", []string{"5550143", "12345678"}},
		{"我的号码是一三八零零一三八零零零", []string{"13800138000"}},
		{"幺三八，零零幺三、八零零〇", []string{"13800138000"}},
		{"壹叁捌 零零壹叁 捌零零零", []string{"13800138000"}},
		{"壹參捌○○兩貳陸陸柒玖", []string{"13800226679"}},
		{"十三万八千零一十三八零零", nil},
		{"一百三十八", nil},
		{"打138-零零一三-eight zero zero zero", []string{"13800138000"}},
		{"१२०२५५५०१४३", []string{"12025550143"}},
		{"١٢٠٢٥٥٥٠١٤٣", []string{"12025550143"}},
		{"𝟏𝟐𝟎𝟐𝟓𝟓𝟓𝟎𝟏𝟒𝟑", []string{"12025550143"}},
		{"𝟷𝟸𝟶𝟸𝟻𝟻𝟻𝟶𝟷𝟺𝟹", []string{"12025550143"}},
		{"①②⓪②⑤⑤⑤⓪①④③", []string{"12025550143"}},
		{"¹²⁰²⁵⁵⁵⁰¹⁴³ ₁₂₀₂₅₅₅", []string{"120255501431202555"}},
		{"1️⃣2️⃣0️⃣2️⃣5️⃣5️⃣5️⃣", []string{"1202555"}},
		{"2\u200b0\u200d2\u202e5\u00ad5\ufeff5\x000\u2066143", []string{"2025550143"}},
		{"ni\u200bne\u200bzero zero five\u2060five five oh one nine nine", []string{"9005550199"}},
		{"2 0\n\n2\t5 \u3000 5 \u00a05\u31640 1    4 \xff 3", []string{"2025550143"}},
		{"call 5550143: 5550144; 5550145", []string{"5550143", "5550144", "5550145"}},
		{"555014", nil},
		{"on 21 November 2026 at 10:30, 25 dollars", nil},
		{"it costs $1,299.99 until 12/31/2026", []string{"12312026"}}, // a date in figures alone is as long as a number
		{"二〇二六年十一月二十一日十点半，二十五块", nil},
		{"we open at nine, two of us, room 1204, 3 nights", nil},
		{"room 1204 order 55 at 10:30", nil},
	} {
		if diff := cmp.Diff(tt.want, Spoken(tt.text)); diff != "" {
			t.Errorf("%q: %s", tt.text, diff)
		}
	}
}

// TestSpokenScripts holds what digit takes for granted: that Unicode's digits come in tens.
func TestSpokenScripts(t *testing.T) {
	for _, table := range unicode.Nd.R16 {
		if table.Stride != 1 || (table.Hi-table.Lo+1)%10 != 0 {
			t.Errorf("digits from %U to %U", table.Lo, table.Hi)
		}
	}
	for _, table := range unicode.Nd.R32 {
		if table.Stride != 1 || (table.Hi-table.Lo+1)%10 != 0 {
			t.Errorf("digits from %U to %U", table.Lo, table.Hi)
		}
	}
}

// ways are the ways to write a country code and a national number.
func ways() []func(code, national string) string {
	grouped := func(with string, size int) func(string, string) string {
		return func(code, national string) string {
			var parts []string
			for part := range slices.Chunk([]byte(national), size) {
				parts = append(parts, string(part))
			}
			return "+" + code + with + strings.Join(parts, with)
		}
	}
	spelt := func(with, names string) func(string, string) string {
		of := strings.Fields(names)
		return func(_, national string) string {
			var said []string
			for _, d := range national {
				said = append(said, of[d-'0'])
			}
			return strings.Join(said, with)
		}
	}
	return []func(code, national string) string{
		func(code, national string) string { return "+" + code + national },
		func(_, national string) string { return "at " + national + "." },
		func(code, national string) string { return "00" + code + " (0) " + national },
		func(code, national string) string { return "(" + code + ") " + national[:3] + "/" + national[3:] },
		grouped(" ", 3), grouped("-", 4), grouped(".", 2), grouped(" – ", 3), grouped("、", 1), grouped("\u200b", 1),
		grouped(" \u202c, ", 2), grouped("\n", 5),
		spelt(" ", "zero one two three four five six seven eight nine"),
		spelt(", ", "Oh ONE Two THREE Four FIVE Six SEVEN Eight NINE"),
		spelt("\u2060", "o one two three four five six seven eight nine"),
		spelt("", "零 一 二 三 四 五 六 七 八 九"),
		spelt(" ", "〇 幺 两 三 四 五 六 七 八 九"),
		spelt("，", "零 壹 贰 叁 肆 伍 陆 柒 捌 玖"),
		spelt("", "０ １ ２ ３ ４ ５ ６ ７ ８ ９"),
		spelt("", "٠ ١ ٢ ٣ ٤ ٥ ٦ ٧ ٨ ٩"),
		spelt(" ", "० १ २ ३ ४ ५ ६ ७ ८ ९"),
		spelt("-", "⓪ ① ② ③ ④ ⑤ ⑥ ⑦ ⑧ ⑨"),
		spelt(" ", "0 one 二 ３ ④ five 陸 ٧ ⁸ nine"),
	}
}

func TestSpokenFindsANumberHoweverItIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.StringMatching(`[1-9][0-9]{0,2}`).Draw(t, "code")
		national := rapid.StringMatching(`[1-9][0-9]{6,11}`).Draw(t, "national")
		around := rapid.SampledFrom([]string{"", "my number is ", "我的电话是", "so: "}).Draw(t, "before")
		for i, write := range ways() {
			text := around + write(code, national) + " thanks"
			if !slices.ContainsFunc(Spoken(text), func(run string) bool { return strings.Contains(run, national) }) {
				t.Fatalf("way %d: %q holds %s: %q", i, text, national, Spoken(text))
			}
		}
	})
}

func TestSpokenTakesLinearTime(t *testing.T) {
	for _, part := range []string{"5", "5 ", "five ", "五", "double ", "five\u200b", "a", "x\u200b", "٣", "⑨", "\u200b", "\xff", " "} {
		text := strings.Repeat(part, 1<<20/len(part))
		start := time.Now()
		Spoken(text)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%q, over and over: %v", part, took)
		}
	}
	if got := Spoken(strings.Repeat("5-", 1<<19)); len(got) != 1 || len(got[0]) != 1<<19 {
		t.Errorf("a long run is cut")
	}
}

func FuzzSpoken(f *testing.F) {
	for _, s := range []string{"202 555 0143", "two oh two triple five oh one four three", "一三八零零一三八零零零", "2\u200b0\xff2٣", "double"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, run := range Spoken(s) {
			if !isDigits(run, 7, 1<<30) {
				t.Errorf("%q: %q", s, run)
			}
		}
		if strings.TrimLeft(s, "0123456789") == "" && len(s) >= 7 && (len(Spoken(s)) != 1 || Spoken(s)[0] != s) {
			t.Errorf("%q: %q", s, Spoken(s))
		}
		if diff := cmp.Diff(Spoken(s), Spoken(s+" and")); diff != "" {
			t.Errorf("%q: a word behind it changes it: %s", s, diff)
		}
	})
}

func BenchmarkSpoken(b *testing.B) {
	for b.Loop() {
		Spoken("yeah sure my number is two oh two triple five oh one four three call me tomorrow")
	}
}

func TestSpokenIn(t *testing.T) {
	n, err := ParseNumber("+12125550143", "")
	if err != nil {
		t.Fatal(err)
	}
	for run, want := range map[string]bool{
		"12125550143": true, "2125550143": true, "0012125550143": true, "99921255501439": true, // whole, whatever is around it
		"5550143": true, "25550143": true, "555014324": true, // its end, and other digits behind it
		"3125550143": false, "9995550143": false, "2125550144": false, "550143": false, "": false,
	} {
		if n.SpokenIn(run) != want {
			t.Errorf("%q: %v", run, !want)
		}
	}
	if (Number{}).SpokenIn("12125550143") {
		t.Error("no number was heard")
	}
}
