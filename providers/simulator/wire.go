package simulator

import (
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/script"
)

// call is what a ref holds: which script, and since when.
type call struct {
	Digits string `json:"d"` // the number's last two: no more of it is needed, or told
	Lang   string `json:"l"`
	Task   string `json:"t"`
	Caller string `json:"c,omitempty"`
	Start  int64  `json:"s"`           // UTC, in nanoseconds since 1970
	Most   int64  `json:"m,omitempty"` // seconds of talk after which it is ended
	Nonce  uint32 `json:"n"`           // two calls of one moment are two
}

// version stands before every ref; one of another form is no ref.
const version = "sim1."

// longest is how many characters of a task a ref keeps: more than any script says of it.
const longest = 200

func callOf(o phone.Order, now time.Time) call {
	number := o.To.E164()
	task := []rune(strings.Join(strings.Fields(o.Task), " "))
	return call{
		Digits: number[max(0, len(number)-2):], Lang: o.Lang(), Task: string(task[:min(len(task), longest)]), Caller: o.CallerName,
		Start: now.UnixNano(), Most: int64(o.MaxDuration / time.Second), Nonce: rand.Uint32(),
	}
}

func (c call) ref() phone.Ref {
	raw, _ := json.Marshal(c) // strings and numbers always can be
	return phone.Ref(version + base64.RawURLEncoding.EncodeToString(raw))
}

// parse reads a ref. Errors: not_found.
func parse(ref phone.Ref) (call, error) {
	var c call
	raw, ok := strings.CutPrefix(string(ref), version)
	plain, err := base64.RawURLEncoding.DecodeString(raw)
	if !ok || err != nil || json.Unmarshal(plain, &c) != nil || len(c.Digits) != 2 || c.Start <= 0 || c.Most < 0 || c.Most > 86400 {
		return call{}, phone.Errorf(phone.NotFound, "The simulator knows no such call.")
	}
	return c, nil
}

func (c call) start() time.Time { return time.Unix(0, c.Start) }

// script is what the call plays, ended where it lasts longer than it may.
func (c call) script() script.Script {
	s := script.For(c.Digits, c.Lang, c.Task, c.Caller)
	talked := time.Duration(0)
	for i, l := range s.Lines {
		if talked += l.After; c.Most > 0 && talked > time.Duration(c.Most)*time.Second {
			s.Lines = s.Lines[:max(i, 1)]
			break
		}
	}
	return s
}

// cancelled is the summary of a call that was hung up.
func (c call) cancelled() string {
	if c.Lang == "zh" {
		return "通话被取消。"
	}
	return "The call was cancelled."
}
