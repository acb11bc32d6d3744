package tools_test

import (
	"strings"
	"testing"
	"testing/synctest"
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

// A person sees everything that the agent on the line is told, and where the number comes from.
func TestAQuestionTellsEverything(t *testing.T) {
	q := aQuestion(t)
	plain := tools.QuestionText(q)
	for _, unwanted := range []string{"Careful", "On behalf of", "Option"} {
		if strings.Contains(plain, unwanted) {
			t.Errorf("%s:\n%s", unwanted, plain)
		}
	}
	q.Heard, q.Whom = true, "Ann"
	q.Order.CallerName, q.Order.AgentName, q.Order.Voice, q.Order.Language = "The Tax Office", "Bo", "deep", "fr"
	q.Order.Options = map[string]any{"mood": "stern", "goals": []string{"money"}}
	all := tools.QuestionText(q)
	for _, wanted := range []string{
		"+12025550143 (Ann)", "given by somebody on a phone call", "Through: pamela", "USD 1.00 at worst (10m0s)",
		`On behalf of: "The Tax Office"`, `Its name: "Bo"`, `Voice: "deep"`, `Language: "fr"`, `Option mood: "\"stern\""`, `Option goals: "[\"money\"]"`, `Task: "x"`,
	} {
		if !strings.Contains(all, wanted) {
			t.Errorf("no %s:\n%s", wanted, all)
		}
	}
}

// A question that was dismissed is not answered: it waits, and a person at the machine can still say yes. One that was
// answered waits no longer.
func TestADismissedQuestionWaits(t *testing.T) {
	for action, waiting := range map[string]int{"cancel": 1, "ACCEPT": 1, "accept": 0, "decline": 0} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			c := h.older()
			c.call(1, "a")
			asked, _ := c.heard()
			if len(asked) != 1 {
				t.Fatalf("%d questions", len(asked))
			}
			c.answer(asked[0], action)
			c.heard()
			if all, err := h.ledger.Waiting(t.Context(), time.Now()); err != nil || len(all) != waiting {
				t.Errorf("%s: %d wait, %v", action, len(all), err)
			}
			h.ends(c)
		})
	}
}
