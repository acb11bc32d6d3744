package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/tools"
	"golang.org/x/term"
)

func (p *program) printJSON(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := p.out.Write(escaped(b.Bytes()))
	return err
}

// printLineJSON prints JSON on one line, for those who read line by line.
func (p *program) printLineJSON(v any) {
	line, err := json.Marshal(v)
	if err == nil {
		fmt.Fprintf(p.out, "%s\n", escaped(line))
	}
}

// escaped is the same JSON without what a terminal may act on and JSON lets stand: DEL, the C1 controls, and what hides
// text or turns it about. All of these stand in strings alone.
func escaped(raw []byte) []byte {
	b := make([]byte, 0, len(raw))
	for _, r := range string(raw) {
		if r < 0x7f || !unicode.In(r, unicode.Cc, unicode.Cf) {
			b = utf8.AppendRune(b, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			b = fmt.Appendf(b, `\u%04x`, unit)
		}
	}
	return b
}

func errorJSON(e *phone.Error) map[string]schema.Error {
	return map[string]schema.Error{"error": schema.FromError(e)}
}

// plain keeps words of others on their line and whatever a terminal may act on away from it.
func plain(s string) string { return tools.Harmless(s) }

// spoken is a turn as a line: the agent's and the callee's mark, then the words.
func spoken(role phone.Role, text string) string {
	if role == phone.Agent {
		return "🤖 " + plain(text)
	}
	return "👤 " + plain(text)
}

// told is a call as one line.
func told(w io.Writer, c *phone.Call) { toldAs(w, c, " (simulated: nobody's phone rings)") }

func toldAs(w io.Writer, c *phone.Call, simulated string) {
	if !c.Simulated {
		simulated = ""
	}
	fmt.Fprintf(w, "%s  %s via %s%s: %s\n", c.ID, cmp.Or(c.Order.To.E164(), numberErased), c.Provider, simulated, standing(c))
}

// numberErased stands where a number was.
const numberErased = "(number erased)"

// standing is how a call stands, in a phrase.
func standing(c *phone.Call) string {
	switch {
	case c.Status == phone.Unconfirmed:
		return "unconfirmed: nobody knows whether the phone rang"
	case !c.Ended():
		return string(c.Status)
	}
	s := "ended, " + string(c.Outcome)
	if c.Duration != nil {
		s += fmt.Sprintf(", %d s", int(c.Duration.Round(time.Second).Seconds()))
	}
	if c.Cost != nil {
		s += ", " + c.Cost.Money.String()
		if c.Cost.Estimated {
			s += " (estimated)"
		}
	}
	if c.Record != phone.Complete {
		s += ", record " + string(c.Record)
	}
	if !c.ErasedAt.IsZero() {
		s += ", erased"
	}
	if !c.OptedOut.IsZero() {
		s += ", asked not to be called again"
	}
	if c.Failure != nil {
		s += ": " + plain(c.Failure.Message)
	}
	return s
}

// live prints lines while something goes on. On a terminal it shows beside them how long it has gone on; piped, nothing.
type live struct {
	mu    sync.Mutex
	out   io.Writer
	clock io.Writer // nil where nobody looks
	what  string
	began time.Time
	stop  chan struct{}
	done  sync.WaitGroup
}

// live begins to show that something goes on.
func (p *program) live(what string) *live {
	l := &live{out: p.out, what: what, began: time.Now(), stop: make(chan struct{})}
	if f, ok := p.errs.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !p.json && p.settings.env["TERM"] != "dumb" {
		l.clock = f
		l.done.Go(l.run)
	}
	return l
}

func (l *live) run() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		l.mu.Lock()
		fmt.Fprintf(l.clock, "\r\x1b[K%c %s %d s", []rune("⠋⠙⠸⠴⠦⠇")[i%6], l.what, int(time.Since(l.began).Seconds()))
		l.mu.Unlock()
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
	}
}

// now says what is waited for.
func (l *live) now(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.what = what
}

func (l *live) print(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	fmt.Fprintln(l.out, line)
}

func (l *live) clear() {
	if l.clock != nil {
		fmt.Fprint(l.clock, "\r\x1b[K")
	}
}

func (l *live) end() {
	close(l.stop)
	l.done.Wait()
	l.clear()
}
