package phone

import (
	"slices"
	"time"
)

// report takes the words of one report. They stand behind the words of every report that was told before it, and what they
// repeat of those is none of what is new.
//
// Words that are known already, in this order, are new only if the report is the latest and nothing but reports has told
// of the call: then a person has said the same again. Otherwise they may be what another source has told meanwhile, and
// wait for the record; so does the repetition of the very last words, which a report of all words until then begins with.
func (l *listener) report(o Observation) {
	l.told = o.Told
	if l.told.IsZero() {
		l.told = o.At
	}
	defer func() { l.told = time.Time{} }()
	before, later := l.call.Turns, l.firstAfter(l.told)
	latest := later < 0
	if !latest {
		before = before[:later]
	}
	known := spoken(before)
	fresh := o.Words[overlap(known, o.Words):]
	again := !latest || slices.ContainsFunc(l.call.Turns, func(t Turn) bool { return t.Told.IsZero() })
	switch {
	case len(known) > 0 && embraces(o.Words, known): // it is of all words until then
		l.merge(o.Words, false)
	case latest && restates(o.Words, known):
		l.restate(before, o.Words)
	case len(fresh) > 0 && again && within(spoken(l.call.Turns), o.Words):
		return
	default:
		l.goOn(before, o.Words[:len(o.Words)-len(fresh)], fresh)
	}
}

// firstAfter is the place of the first turn of the report that was told next after a moment; -1 if none was.
func (l *listener) firstAfter(told time.Time) int {
	first := -1
	for i, t := range l.call.Turns {
		if t.Told.After(told) && (first < 0 || t.Told.Before(l.call.Turns[first].Told)) {
			first = i
		}
	}
	return first
}

// late takes the words of a report that comes when the record is complete. The transcript stays the record's, unless that has
// no words at all: then it lacks them. But whoever asks in them not to be called again has asked so.
func (l *listener) late(o Observation) {
	if len(o.Words) > 0 && len(l.call.Spoken()) == 0 {
		l.report(o)
		l.end(Partial)
		return
	}
	asked := slices.ContainsFunc(o.Words, func(w Words) bool { return w.Role == Callee && w.Final && OptsOut(w.Text) })
	if asked && l.call.OptedOut.IsZero() {
		l.emit(OptedOut{Until: l.at.Add(optedOutFor)})
	}
}

// goOn adds the words of a report behind turns, the last of which may have grown meanwhile.
func (l *listener) goOn(behind []Turn, known, fresh []Words) {
	last := 0
	if len(behind) > 0 {
		last = behind[len(behind)-1].ID
	}
	if len(known) > 0 {
		l.revise(lastSpoken(behind), known[len(known)-1])
	}
	for _, w := range fresh {
		last = l.add(last, w)
	}
}

func spoken(turns []Turn) []Words {
	var all []Words
	for _, t := range turns {
		if !t.Withdrawn {
			all = append(all, words(t))
		}
	}
	return all
}

func lastSpoken(turns []Turn) int {
	for _, t := range slices.Backward(turns) {
		if !t.Withdrawn {
			return t.ID
		}
	}
	return 0
}

// overlap is how many words at the end of what is known are those that a report begins with, at most.
func overlap(known, report []Words) int {
	for n := min(len(known), len(report)); n > 0; n-- {
		if slices.EqualFunc(known[len(known)-n:], report[:n], same) {
			return n
		}
	}
	return 0
}

// within says whether words stand among what is known, one after the other.
func within(known, part []Words) bool {
	for at := range len(known) - len(part) + 1 {
		if slices.EqualFunc(known[at:at+len(part)], part, same) {
			return true
		}
	}
	return false
}

// embraces says whether all words of a part stand in the whole in their order, others among them.
func embraces(whole, part []Words) bool {
	for _, w := range whole {
		if len(part) > 0 && same(part[0], w) {
			part = part[1:]
		}
	}
	return len(part) == 0
}

// restates says whether a report tells all that is known as it is known, but for one utterance of the same side that reads
// otherwise by now, and at least two others are the same, one of them long enough that nobody says it twice by chance.
func restates(report, known []Words) bool {
	const unlikely = 12 // characters
	if len(known) < 3 || len(report) < len(known) || len([]rune(known[0].Text)) < unlikely || !same(known[0], report[0]) {
		return false
	}
	otherwise := 0
	for i, w := range known {
		if w.Role != report[i].Role {
			return false
		}
		if !same(w, report[i]) {
			otherwise++
		}
	}
	return otherwise == 1
}

// restate corrects the turns that a report of all words until then tells otherwise, and adds those that are new.
func (l *listener) restate(before []Turn, report []Words) {
	last := 0
	for _, t := range slices.Clone(before) {
		if t.Withdrawn {
			continue
		}
		l.revise(t.ID, report[0])
		last, report = t.ID, report[1:]
	}
	for _, w := range report {
		last = l.add(last, w)
	}
}
