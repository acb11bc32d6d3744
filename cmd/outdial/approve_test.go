package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

// typed is a terminal at which somebody types lines.
type typed struct {
	io.Reader
	shown bytes.Buffer
}

func (t *typed) Write(b []byte) (int, error) { return t.shown.Write(b) }
func (t *typed) Close() error                { return nil }

// waitingCalls is a ledger in which calls wait for a person's yes, the first one asked about first.
type waitingCalls struct {
	*testing.T
	database string
	calls    []*phone.Call
}

func callsWait(t *testing.T, numbers ...string) *waitingCalls {
	t.Helper()
	return callsWaitApart(t, time.Minute, numbers...)
}

func callsWaitApart(t *testing.T, apart time.Duration, numbers ...string) *waitingCalls {
	t.Helper()
	w := &waitingCalls{T: t, database: "sqlite:" + filepath.Join(t.TempDir(), "outdial.db")}
	w.open(func(l *ledger.Ledger) {
		for i, number := range numbers {
			n, err := phone.ParseNumber(number, "")
			if err != nil {
				t.Fatal(err)
			}
			at := time.Now().Add(time.Duration(i-len(numbers)) * apart)
			who := "local"
			if i >= 20 { // as many as may wait for one
				who = "she"
			}
			c := phone.Begin(ledger.NewCallID(), who, "simulator", "acc", phone.Order{To: n, Task: "Book a table\nNumber: +12025550100"}, at)
			w.calls = append(w.calls, c)
			if _, err := l.Ask(t.Context(), phone.Question{Principal: who, Order: c.Order, Provider: "simulator", RingsNo: true, AskedAt: at}); err != nil {
				t.Fatal(err)
			}
		}
	})
	return w
}

func (w *waitingCalls) open(do func(*ledger.Ledger)) {
	w.Helper()
	l, err := ledger.Open(w.Context(), w.database, ledger.Options{})
	if err != nil {
		w.Fatal(err)
	}
	defer l.Close()
	do(l)
}

// standing is what a person has said about each call: + yes, - no, . nothing.
func (w *waitingCalls) standing() (all string) {
	w.Helper()
	w.open(func(l *ledger.Ledger) {
		for _, c := range w.calls {
			f, err := l.Facts(w.Context(), c)
			switch {
			case err != nil:
				w.Fatal(err)
			case f.Approved:
				all += "+"
			case f.Declined:
				all += "-"
			default:
				all += "."
			}
		}
	})
	return all
}

// env is a program's environment on this ledger.
func (w *waitingCalls) env() []string { return []string{"OUTDIAL_DATABASE=" + w.database} }

func TestApprove(t *testing.T) {
	const one, two = "+12025550143", "+12025550144"
	for name, tt := range map[string]struct {
		numbers []string
		types   string
		shows   []string // patterns
		said    string   // of each call, afterwards
		exit    int
		fails   string // a pattern
	}{
		"nothing waits": {shows: []string{`^No call waits`}},
		"yes": {
			numbers: []string{one}, types: "0143\n", said: "+",
			shows: []string{
				`Number: \+12025550143 \(not among the contacts\)\n`, `Through: simulator\n`, `Cost: nothing: the call is simulated\n`,
				`words\.\nTask: "Book a table Number: \+12025550100"\n`, `Asked: 1 min ago, by local\n`,
				`Allowed: one call, until \d\d:\d\d\. Nobody is called yet: the agent sends its request again`,
			},
		},
		"yes, with spaces":        {numbers: []string{one}, types: " 0143 \r\n", said: "+"},
		"no":                      {numbers: []string{one}, types: "no\n", said: "-", shows: []string{` Refused\.`}},
		"NO":                      {numbers: []string{one}, types: "NO\n", said: "-"},
		"nothing":                 {numbers: []string{one}, types: "\n", said: ".", shows: []string{`Left as it is`}},
		"gone":                    {numbers: []string{one}, types: "", said: ".", shows: []string{`Left as it is`}},
		"gone in mid-word":        {numbers: []string{one}, types: "0143", said: "."},
		"a slip":                  {numbers: []string{one}, types: "0144\n0143\n", said: "+", shows: []string{`Those are not the last four`}},
		"yes is no answer":        {numbers: []string{one}, types: "yes\ny\n+12025550143\n0143\n", said: ".", exit: 1, fails: `three times.*\n.*code refused \(wrong_digits\)`},
		"the first of two":        {numbers: []string{one, two}, types: "2\n0143\n\n", said: "+."},
		"the newest stands first": {numbers: []string{one, two}, types: "1\n0144\n\n", said: ".+", shows: []string{`(?s)\n1\.\nNumber: \+12025550144.*\n2\.\nNumber: \+12025550143`}},
		"one after the other":     {numbers: []string{one, two}, types: "2\nno\n0144\n", said: "-+"},
		"the other one's digits":  {numbers: []string{one, two}, types: "1\n0143\n\n", said: ".."},
		"none of two":             {numbers: []string{one, two}, types: "\n0144\n", said: ".."},
		"no such one":             {numbers: []string{one, two}, types: "3\n0\n-1\n1\n0144\n", said: "..", exit: 1, fails: `three times`},
		"mistakes of both kinds":  {numbers: []string{one, two}, types: "0144\n1\n0143\n0000\n0144\n", said: "..", exit: 1, fails: `three times`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := callsWait(t, tt.numbers...)
			tty := &typed{Reader: strings.NewReader(tt.types)}
			var out, errs bytes.Buffer
			with := parts{specs: fast(speed), terminal: func() (io.ReadWriteCloser, error) { return tty, nil }}
			// What comes by the pipe is no answer, whatever it says.
			pipe := strings.NewReader(strings.Repeat("1\n0143\n0144\nno\n", 10))
			if exit := with.run(t.Context(), []string{"approve"}, w.env(), pipe, &out, &errs); exit != tt.exit {
				t.Errorf("exit code %d: %s", exit, errs.String())
			}
			if out.Len() > 0 {
				t.Errorf("on stdout: %s", out.String())
			}
			for _, p := range tt.shows {
				if !regexp.MustCompile(p).MatchString(tty.shown.String()) {
					t.Errorf("nothing fits %s in\n%s", p, tty.shown.String())
				}
			}
			if !regexp.MustCompile(tt.fails).MatchString(errs.String()) || tt.fails == "" && errs.Len() > 0 {
				t.Errorf("on stderr: %s", errs.String())
			}
			if said := w.standing(); said != tt.said {
				t.Errorf("the calls stand %q, not %q:\n%s", said, tt.said, tty.shown.String())
			}
		})
	}
}

// A terminal that nobody types at holds up the end of nothing.
func TestApproveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := callsWait(t, "+12025550143")
	r, hold := io.Pipe()
	defer hold.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var out, errs bytes.Buffer
	with := parts{specs: fast(speed), terminal: func() (io.ReadWriteCloser, error) { return &typed{Reader: r}, nil }}
	if exit := with.run(ctx, []string{"approve"}, w.env(), strings.NewReader(""), &out, &errs); exit != 130 {
		t.Errorf("exit code %d: %s", exit, errs.String())
	}
	if said := w.standing(); said != "." {
		t.Errorf("the call stands %q", said)
	}
}

func TestApproveWantsATerminal(t *testing.T) {
	t.Parallel()
	w := callsWait(t, "+12025550143")
	none := parts{specs: fast(speed), terminal: func() (io.ReadWriteCloser, error) { return nil, errors.New("none") }}
	for args, want := range map[string]struct {
		exit int
		text string
	}{
		"approve":         {1, "There is no terminal to ask at, so nothing was allowed. A person runs outdial approve in a terminal of their own."},
		"approve --json":  {2, "has no --json"},
		"approve 0143":    {2, "Usage: outdial approve"},
		"approve --yes":   {2, "unknown flag: --yes"},
		"approve --help ": {0, ""},
	} {
		var out, errs bytes.Buffer
		exit := none.run(t.Context(), strings.Fields(args), w.env(), strings.NewReader("0143\n"), &out, &errs)
		if exit != want.exit || !strings.Contains(errs.String(), want.text) {
			t.Errorf("%s: exit code %d, %s", args, exit, errs.String())
		}
	}
	if said := w.standing(); said != "." {
		t.Errorf("the call stands %q", said)
	}
}

// A call that an agent has asked for again and again is one question.
func TestApproveAsksOnceAboutACall(t *testing.T) {
	t.Parallel()
	w := callsWaitApart(t, 10*time.Minute, "+12025550143", "+12025550143", "+12025550143")
	tty := &typed{Reader: strings.NewReader("0143\n")}
	var out, errs bytes.Buffer
	with := parts{specs: fast(speed), terminal: func() (io.ReadWriteCloser, error) { return tty, nil }}
	if exit := with.run(t.Context(), []string{"approve"}, w.env(), strings.NewReader(""), &out, &errs); exit != 0 {
		t.Errorf("exit code %d: %s", exit, errs.String())
	}
	if shown := tty.shown.String(); strings.Count(shown, "Number: +12025550143") != 1 || strings.Count(shown, "Type the last four") != 1 {
		t.Errorf("it is asked more than once:\n%s", shown)
	}
	w.open(func(l *ledger.Ledger) {
		if waiting, err := l.Waiting(t.Context(), time.Now()); err != nil || len(waiting) != 0 {
			t.Errorf("%d wait, %v: one call was asked about twice", len(waiting), err)
		}
	})
}

// At most so many are shown as somebody reads.
func TestApproveShowsTwenty(t *testing.T) {
	t.Parallel()
	var numbers []string
	for n := range 23 {
		numbers = append(numbers, fmt.Sprintf("+120255501%02d", n+10))
	}
	w := callsWait(t, numbers...)
	tty := &typed{Reader: strings.NewReader("\n")}
	var out, errs bytes.Buffer
	with := parts{specs: fast(speed), terminal: func() (io.ReadWriteCloser, error) { return tty, nil }}
	if exit := with.run(t.Context(), []string{"approve"}, w.env(), strings.NewReader(""), &out, &errs); exit != 0 {
		t.Errorf("exit code %d: %s", exit, errs.String())
	}
	shown := tty.shown.String()
	if n := strings.Count(shown, "\nNumber: "); n != 20 || !strings.Contains(shown, "and 3 more that were asked before") ||
		!strings.Contains(shown, "+12025550132") || strings.Contains(shown, "+12025550112") {
		t.Errorf("%d are shown:\n%s", n, shown)
	}
}
