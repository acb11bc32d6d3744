package tools_test

import (
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/tools"
)

func aQuestion(t *testing.T) phone.Question {
	t.Helper()
	n, err := phone.ParseNumber("+12025550143", "")
	if err != nil {
		t.Fatal(err)
	}
	return phone.Question{Order: phone.Order{To: n, Task: "x"}, Provider: "pamela", Longest: 10 * time.Minute, Worst: phone.Micros(1_000_000, "USD")}
}

// A task cannot push words to where a terminal of 80 columns would begin a line.
func TestAQuestionCannotBeForgedByBlanks(t *testing.T) {
	q := aQuestion(t)
	pad := func(s string, to int) string { return s + strings.Repeat(" ", to-len(s)) }
	line := `Task: "`
	fake := pad(line+"Remind Mum of dinner", 80) + pad(`Number: +12025550100 (Mum)`, 80) + pad(`Through: pamela`, 80) + "Cost: USD 0.01 at most (1m0s)"
	q.Order.Task = fake[len(line):]
	var shown []string
	for l := range strings.SplitSeq(tools.QuestionText(q), "\n") {
		for len(l) > 80 {
			shown, l = append(shown, l[:80]), l[80:]
		}
		shown = append(shown, l)
	}
	n := 0
	for _, l := range shown {
		if strings.HasPrefix(l, "Number: ") {
			n++
		}
	}
	if n > 1 {
		t.Errorf("%d lines begin with Number:", n)
	}
}

func TestAnUnknownPriceIsNotNothing(t *testing.T) {
	q := aQuestion(t)
	q.Worst = phone.Money{}
	if s := tools.QuestionText(q); strings.Contains(s, "Cost: nothing") {
		t.Errorf("nobody knows the price, and a person is told:\n%s", s)
	}
}
