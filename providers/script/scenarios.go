package script

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/outdial/outdial/phone"
)

// For is the script that a number plays, by its last two digits, in a language ("zh" or anything else for English). The
// task is what the agent on the line was asked to do; a caller, if known, is named.
//
//	00 talks and ends    03 declined     06 cut in mid-call   09 an uncertain dial
//	01 no answer         04 voicemail    07 a long call       any other talks and ends as 00 does
//	02 busy              05 a menu       08 fails to dial
func For(number, lang, task, caller string) Script {
	tell := english(errand(task, "a small matter", "."), tidy(caller))
	if lang = strings.ToLower(lang); lang == "zh" || strings.HasPrefix(lang, "zh-") {
		tell = chinese(errand(task, "一点小事", "。"), tidy(caller))
	}
	talk := Script{Name: "talk", Ring: time.Second, Lines: tell.talk, Outcome: phone.Completed, Summary: tell.talked}
	switch number[max(0, len(number)-2):] {
	case "01":
		return Script{Name: "no_answer", Ring: 6 * time.Second, Outcome: phone.NoAnswer, Summary: tell.noAnswer}
	case "02":
		return Script{Name: "busy", Ring: 1500 * time.Millisecond, Outcome: phone.Busy, Summary: tell.busy}
	case "03":
		return Script{Name: "declined", Ring: 2500 * time.Millisecond, Outcome: phone.Declined, Summary: tell.declined}
	case "04":
		return Script{Name: "voicemail", Ring: 3 * time.Second, Lines: tell.voicemail, Outcome: phone.Voicemail, Summary: tell.leftMessage}
	case "05":
		return Script{Name: "menu", Ring: time.Second, Lines: tell.menu, Outcome: phone.Completed, Summary: tell.throughMenu}
	case "06":
		return Script{Name: "cut", Ring: time.Second, Lines: tell.cut, Outcome: phone.Failed, Summary: tell.lineDropped}
	case "07":
		return Script{Name: "long", Ring: 2 * time.Second, Lines: tell.long, Outcome: phone.Completed, Summary: tell.talkedLong}
	case "08":
		return Script{Name: "rejected", Dial: Rejected, Ring: time.Second, Outcome: phone.Failed, Summary: tell.notDialed}
	case "09":
		talk.Name, talk.Dial = "lost", Lost
	}
	return talk
}

// telling is what all scenarios say in one language.
type telling struct {
	talk, voicemail, menu, cut, long []Line

	talked, noAnswer, busy, declined, leftMessage, throughMenu, lineDropped, talkedLong, notDialed string // summaries
}

// longest is how many characters of a task are said aloud: a person on the telephone listens to no more at once.
const longest = 120

// errand is a task as the agent says it: on one line, shortened at a word where it is long, and closed as a sentence.
func errand(task, otherwise, stop string) string {
	if task = tidy(task); task == "" {
		task = otherwise
	}
	if r := []rune(task); len(r) > longest {
		task = string(r[:longest])
		if i := strings.LastIndexByte(task, ' '); i > len(task)/2 {
			task = task[:i]
		}
		task += "…"
	}
	if last, _ := utf8.DecodeLastRuneInString(task); strings.ContainsRune(".!?…。！？", last) {
		return task
	}
	return task + stop
}

// tidy puts words from outside on one line.
func tidy(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
}

func agent(seconds float64, text string) Line  { return line(seconds, phone.Agent, text) }
func callee(seconds float64, text string) Line { return line(seconds, phone.Callee, text) }

func line(seconds float64, who phone.Role, text string) Line {
	return Line{After: time.Duration(seconds * float64(time.Second)), Role: who, Text: text}
}
