package phone

import (
	"strings"
	"unicode"
)

// Spoken gives the runs of digits that a text holds, in order and in ASCII, so that a telephone number which was said or
// written can be recognised: decimal digits of every script and their circled and raised forms, Chinese numerals, and the
// English words for single digits with "double" and "triple". A run goes on over what people put between the digits of one
// number (spaces, dashes, dots, brackets, slashes, commas, plus signs, tildes, whatever is invisible, "dash" and the like,
// "uh" and the like), however much of it, and ends at everything else: letters, other words, colons, and 十, 百 or
// "hundred", which make the digits before them another number.
//
// Runs of fewer than seven digits are left out, longer ones are not cut: two numbers with only spaces between them are one
// run, and so are a date and a price such as "2026/11/21, 25". Time is linear in the text.
func Spoken(text string) []string {
	var l digits
	for _, r := range text {
		if r >= '！' && r <= '～' {
			r -= '！' - '!'
		}
		switch d := digit(r); {
		case d >= 0:
			l.endWord()
			l.add(byte('0' + d))
		case unseen(r):
			l.veiled = l.veiled || len(l.word) > 0
		case strings.ContainsRune("杠槓呃嗯啊", r): // a dash, as it is said, and hesitation
			l.endWord()
		case unicode.IsLetter(r):
			switch r = unicode.ToLower(unicode.ToUpper(r)); {
			case r < 'a' || r > 'z': // no word of ours has it
				l.endWord()
				l.endRun()
			default:
				l.word = append(l.word, byte(r))
			}
		case joins(r):
			l.endWord()
		default:
			l.endWord()
			l.endRun()
		}
	}
	l.endWord()
	l.endRun()
	return l.runs
}

// shortestRun is how many digits the shortest number has that is worth recognising.
const shortestRun = 7

// digits collects the runs.
type digits struct {
	runs   []string
	run    []byte
	word   []byte // the letters since the last word
	veiled bool   // something invisible stands between them
	times  int    // what "double" or "triple" makes of the next digit; 0 is once
}

func (l *digits) add(d byte) {
	for range max(l.times, 1) {
		l.run = append(l.run, d)
	}
	l.times = 0
}

func (l *digits) endRun() {
	if len(l.run) >= shortestRun {
		l.runs = append(l.runs, string(l.run))
	}
	l.run, l.times = l.run[:0], 0
}

// endWord takes a word for its digit. Where something invisible stood in it, it may be several: "nine" and "zero" with
// nothing but a zero-width space between them.
func (l *digits) endWord() {
	word := string(l.word)
	veiled := l.veiled
	l.word, l.veiled = l.word[:0], false
	if word == "" || l.take(word) == len(word) {
		return
	}
	for veiled && word != "" {
		n := l.takeFirst(word)
		if n == 0 {
			break
		}
		word = word[n:]
	}
	if word != "" {
		l.endRun()
	}
}

// takeFirst takes the longest word that s begins with, and says how long it is.
func (l *digits) takeFirst(s string) int {
	for n := min(len("triple"), len(s)); n > 0; n-- {
		if l.take(s[:n]) > 0 {
			return n
		}
	}
	return 0
}

// take takes one word, and says how long it was: nothing if it is none of ours.
func (l *digits) take(word string) int {
	switch word {
	case "zero", "oh", "o":
		l.add('0')
	case "one":
		l.add('1')
	case "two":
		l.add('2')
	case "three":
		l.add('3')
	case "four":
		l.add('4')
	case "five":
		l.add('5')
	case "six":
		l.add('6')
	case "seven":
		l.add('7')
	case "eight":
		l.add('8')
	case "nine":
		l.add('9')
	case "double":
		l.times = 2
	case "triple", "treble":
		l.times = 3
	case "dash", "hyphen", "minus", "dot", "point", "slash", "space", "plus": // what joins, as it is said
	case "uh", "um", "er", "erm", "ah", "hm", "hmm":
	default:
		return 0
	}
	return len(word)
}

// digit is the value of a digit in any script, or -1.
func digit(r rune) int {
	switch {
	case r >= '0' && r <= '9':
		return int(r - '0')
	case r < 0x80:
		return -1
	case unicode.IsDigit(r): // Unicode keeps them in tens, from nought on
		for _, t := range unicode.Nd.R16 {
			if r >= rune(t.Lo) && r <= rune(t.Hi) {
				return int(r-rune(t.Lo)) % 10
			}
		}
		for _, t := range unicode.Nd.R32 {
			if r >= rune(t.Lo) && r <= rune(t.Hi) {
				return int(r-rune(t.Lo)) % 10
			}
		}
		return -1
	case unicode.Is(unicode.Han, r), r == '○':
		for d, same := range [...]string{"零〇○", "一壹弌", "二贰貳两兩贰弐", "三叁參叄参", "四肆", "五伍", "六陆陸", "七柒", "八捌", "九玖"} {
			if strings.ContainsRune(same, r) {
				return d
			}
		}
		if r == '幺' || r == '么' {
			return 1
		}
		if r >= '〡' && r <= '〩' {
			return int(r-'〡') + 1
		}
		return -1
	}
	switch r {
	case '⁰', '⓪', '⓿', '🄀':
		return 0
	case '¹':
		return 1
	case '²':
		return 2
	case '³':
		return 3
	}
	for _, one := range "①⑴⒈❶➀➊⓵㈠㊀" { // each begins a row from one to nine
		if r >= one && r < one+9 {
			return int(r-one) + 1
		}
	}
	for _, nought := range "⁰₀🄁" { // from nought to nine
		if r >= nought && r < nought+10 {
			return int(r - nought)
		}
	}
	return -1
}

// unseen says whether a character leaves no mark of its own: it parts neither digits nor letters.
func unseen(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u3164', '\uffa0', unicode.ReplacementChar: // letters without a shape, and what was no text
		return true
	case '\t', '\n', '\v', '\f', '\r', '\u0085': // they part words, as spaces do
		return false
	}
	return unicode.In(r, unicode.Cf, unicode.Cc, unicode.Mn, unicode.Me, unicode.Co, unicode.Noncharacter_Code_Point)
}

// joins says whether a character may stand between the digits of one number.
func joins(r rune) bool {
	return strings.ContainsRune("./,+~\\、。·・•‧…−∕⁄⟋_\u2800", r) || unicode.IsSpace(r) || unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp, unicode.Pd, unicode.Ps, unicode.Pe)
}

// SpokenIn says whether a run of digits, as Spoken gives it, holds the number: whole, with whatever was said around it, or
// its last digits, seven or more, as people leave out what is the same for all of a place. Other digits may follow those
// ("555-0143, 24 hours a day").
func (n Number) SpokenIn(run string) bool {
	if n.IsZero() {
		return false
	}
	if strings.Contains(run, n.national) {
		return true
	}
	last := n.e164[max(0, len(n.e164)-shortestRun):]
	before, _, ok := strings.Cut(run, last)
	return ok && strings.HasSuffix(n.e164, before+last)
}
