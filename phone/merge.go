package phone

import "slices"

// merge brings the turns in line with what the provider has of the conversation, from its first word on. Turns that both
// have keep their identity, what is missing is put in its place, and a turn that reads differently where both have one of
// the same role is corrected. Only the final record withdraws what it does not have.
func (l *listener) merge(record []Words, final bool) {
	if len(record) == 0 {
		return
	}
	have := l.call.Spoken()
	heard := make([]Words, len(have))
	for i, t := range have {
		heard[i] = words(t)
	}
	after, i, j := 0, 0, 0
	for _, m := range append(common(heard, record), match{len(heard), len(record)}) {
		tail := m.heard == len(heard)
		after = l.gap(have[i:m.heard], record[j:m.record], after, final, tail)
		if !tail {
			l.revise(have[m.heard].ID, record[m.record])
			after = have[m.heard].ID
		}
		i, j = m.heard+1, m.record+1
	}
}

// gap settles a stretch that has nothing in common, turn by turn, and returns the last turn of it. Behind the last common
// turn a snapshot may simply not reach as far as what was heard, so there only growth counts as the same turn.
func (l *listener) gap(have []Turn, record []Words, after int, final, tail bool) int {
	for _, w := range record {
		i := slices.IndexFunc(have, func(t Turn) bool { return t.Role == w.Role })
		if tail && !final && (i != 0 || !grown(words(have[0]), w)) {
			i = -1
		}
		if i < 0 {
			after = l.add(l.behind(after), w)
			continue
		}
		l.pass(have[:i], final)
		l.revise(have[i].ID, w)
		after, have = have[i].ID, have[i+1:]
	}
	l.pass(have, final)
	if !final && len(have) > 0 {
		after = have[len(have)-1].ID
	}
	return after
}

// pass leaves turns behind that the record does not have.
func (l *listener) pass(have []Turn, final bool) {
	for _, t := range have {
		if final {
			l.emit(Withdrawn{Turn: t.ID})
		}
	}
}

// behind is where a new turn goes that follows another: past the withdrawn ones that follow it too.
func (l *listener) behind(after int) int {
	for i := l.call.turn(after) + 1; i < len(l.call.Turns) && l.call.Turns[i].Withdrawn; i++ {
		after = l.call.Turns[i].ID
	}
	return after
}

type match struct{ heard, record int }

// mostCompared bounds the work on two conversations that have little in common: beyond it what lies between their common
// beginning and end is corrected turn by turn.
const mostCompared = 1 << 22

// common is a longest common subsequence of two conversations, after their common beginning and end are taken off.
func common(a, b []Words) []match {
	var head, tail []match
	i := 0
	for i < len(a) && i < len(b) && same(a[i], b[i]) {
		head = append(head, match{i, i})
		i++
	}
	n, m := len(a), len(b)
	for n > i && m > i && same(a[n-1], b[m-1]) {
		n, m = n-1, m-1
		tail = append(tail, match{n, m})
	}
	if (n-i)*(m-i) > mostCompared {
		slices.Reverse(tail)
		return append(head, tail...)
	}
	longest := make([][]int, n-i+1)
	for k := range longest {
		longest[k] = make([]int, m-i+1)
	}
	for x := n - 1; x >= i; x-- {
		for y := m - 1; y >= i; y-- {
			if same(a[x], b[y]) {
				longest[x-i][y-i] = longest[x-i+1][y-i+1] + 1
			} else {
				longest[x-i][y-i] = max(longest[x-i+1][y-i], longest[x-i][y-i+1])
			}
		}
	}
	for x, y := i, i; x < n && y < m; {
		switch {
		case same(a[x], b[y]):
			head = append(head, match{x, y})
			x, y = x+1, y+1
		case longest[x-i+1][y-i] >= longest[x-i][y-i+1]:
			x++
		default:
			y++
		}
	}
	slices.Reverse(tail)
	return append(head, tail...)
}
