package phone

import "slices"

// stream aligns the words of one connection with the turns that were there when it opened. A service does not say whether
// a second connection plays the conversation again from its start, from some point, or goes on from now, so the words
// themselves must: they are held against every place at which they could begin (base[at:]), and the first that fits
// counts. While they only repeat what is known nothing is shown; once they go beyond it the place is settled.
//
// After a connection that goes on from now, a new utterance equal to the one heard last before the cut cannot be told
// from its replay. The provider's record settles that.
type stream struct {
	base  []Words // the turns when the connection opened
	ends  int     // the identity of the last of them
	said  []Words // the connection's words so far, while its place is open
	live  bool    // the place is settled: every further word is new
	after int     // once live: the turn that the connection's last word stands at
}

// next takes words of the present connection, or of a new one.
func (l *listener) next(o Observation, closed bool) {
	s := &l.call.hearing.stream
	if o.Opened {
		*s = stream{}
		for _, t := range l.call.Spoken() {
			s.base, s.ends = append(s.base, words(t)), t.ID
		}
		s.live = len(s.base) == 0
	}
	for _, w := range o.Words {
		if s.live {
			l.say(w)
			continue
		}
		if n := len(s.said); n > 0 && grown(s.said[n-1], w) {
			s.said[n-1] = w
		} else {
			s.said = append(s.said, w)
		}
		l.place(false)
	}
	if closed {
		l.place(true)
	}
}

// place looks for the place of the connection's words. At the end of the line a replay would have reached the end of what
// is known: places from which it did not are out.
func (l *listener) place(over bool) {
	s := &l.call.hearing.stream
	if s.live || len(s.said) == 0 {
		return
	}
	for at := range len(s.base) + 1 {
		known := s.base[at:]
		n := min(len(known), len(s.said))
		if over && len(s.said) < len(known) || !slices.EqualFunc(known[:n], s.said[:n], same) {
			continue
		}
		if len(s.said) <= len(known) && !over {
			return // a replay so far
		}
		s.live, s.after = true, s.ends
		if n > 0 {
			l.revise(s.ends, s.said[n-1]) // the last known turn may have grown
		}
		for _, w := range s.said[n:] {
			l.say(w)
		}
		s.base, s.said = nil, nil
		return
	}
}

// say adds a new word of a connection whose place is settled. Another source may have told the same meanwhile.
func (l *listener) say(w Words) {
	s := &l.call.hearing.stream
	i := l.call.turn(s.after)
	if i >= 0 && grown(words(l.call.Turns[i]), w) {
		l.revise(s.after, w)
		return
	}
	for _, t := range l.call.Turns[i+1:] {
		if !t.Withdrawn && same(words(t), w) {
			l.revise(t.ID, w)
			s.after = t.ID
			return
		}
	}
	s.after = l.add(l.call.lastTurn(), w)
}

// add tells of a new turn behind another.
func (l *listener) add(after int, w Words) int {
	id := l.call.nextTurn()
	l.emit(Fragment{Turn: id, After: after, Inserted: after != l.call.lastTurn(), Role: w.Role, Text: w.Text, Final: w.Final, Told: l.told})
	return id
}

// revise tells of a turn's new words, if they are new. What was final stays final, and what is only the beginning of what
// is known says nothing.
func (l *listener) revise(id int, w Words) {
	t := l.call.Turns[l.call.turn(id)]
	if grown(w, words(t)) {
		return
	}
	w.Final = w.Final || t.Final
	if words(t) != w {
		l.emit(Fragment{Turn: id, Role: w.Role, Text: w.Text, Final: w.Final})
	}
}

func words(t Turn) Words { return Words{Role: t.Role, Text: t.Text, Final: t.Final} }

// same says whether b repeats a: the same words, or those that a had not finished yet.
func same(a, b Words) bool { return a.Role == b.Role && a.Text == b.Text || grown(a, b) || grown(b, a) }

// grown says whether b is a, which was not over, further on.
func grown(a, b Words) bool {
	return !a.Final && a.Role == b.Role && len(b.Text) >= len(a.Text) && b.Text[:len(a.Text)] == a.Text
}
