package fleet

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
)

// node is a piece of YAML: a scalar, a list or a map.
type node struct {
	text string
	list []*node
	keys map[string]*node
}

// at is what lies at a path of keys; an empty scalar if nothing does.
func (n *node) at(path ...string) *node {
	for _, key := range path {
		if n = n.keys[key]; n == nil {
			return &node{}
		}
	}
	return n
}

func (n *node) texts() []string {
	var all []string
	for _, one := range n.list {
		all = append(all, one.text)
	}
	return all
}

// reader reads the part of YAML that deploy/compose.yaml keeps to: maps in blocks by two spaces, scalars and lists of them
// in one line, anchors on maps and merges of them. Whatever else it finds is an error.
type reader struct {
	lines   []yamlLine
	anchors map[string]*node
}

type yamlLine struct {
	number, indent int
	key, value     string
}

func parseYAML(text string) (*node, error) {
	r := &reader{anchors: map[string]*node{}}
	form := regexp.MustCompile(`^( *)([\w.<-]+):(?: +(.*))?$`)
	for i, line := range strings.Split(text, "\n") {
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		m := form.FindStringSubmatch(line)
		if m == nil || len(m[1])%2 != 0 {
			return nil, fmt.Errorf("line %d: %q is not of the form that is read here", i+1, line)
		}
		r.lines = append(r.lines, yamlLine{i + 1, len(m[1]), m[2], strings.TrimSpace(m[3])})
	}
	n, err := r.block(0)
	if err == nil && len(r.lines) > 0 {
		err = fmt.Errorf("line %d: it belongs to nothing", r.lines[0].number)
	}
	return n, err
}

func (r *reader) block(indent int) (*node, error) {
	n, own := &node{keys: map[string]*node{}}, map[string]bool{}
	for len(r.lines) > 0 && r.lines[0].indent == indent {
		l := r.lines[0]
		r.lines = r.lines[1:]
		if own[l.key] {
			return nil, fmt.Errorf("line %d: %s is there already", l.number, l.key)
		}
		own[l.key] = true
		value, err := r.value(l)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
		if l.key != "<<" {
			n.keys[l.key] = value
			continue
		}
		merged := maps.Clone(value.keys)
		maps.Copy(merged, n.keys)
		n.keys = merged
	}
	return n, nil
}

func (r *reader) value(l yamlLine) (*node, error) {
	anchor, named := strings.CutPrefix(l.value, "&")
	switch v := l.value; {
	case v == "" || named:
		if len(r.lines) == 0 || r.lines[0].indent != l.indent+2 {
			return nil, fmt.Errorf("%s has no value", l.key)
		}
		n, err := r.block(l.indent + 2)
		if named {
			r.anchors[anchor] = n
		}
		return n, err
	case v == "{}":
		return &node{keys: map[string]*node{}}, nil
	case v[0] == '*':
		if r.anchors[v[1:]] == nil {
			return nil, fmt.Errorf("there is no anchor %s", v[1:])
		}
		return r.anchors[v[1:]], nil
	case v[0] == '[':
		inner, ok := strings.CutSuffix(v[1:], "]")
		n := &node{}
		for item := range strings.SplitSeq(inner, ", ") {
			s, err := scalar(item)
			if err != nil || !ok {
				return nil, fmt.Errorf("%s is no list: %w", v, err)
			}
			n.list = append(n.list, &node{text: s})
		}
		return n, nil
	}
	s, err := scalar(l.value)
	return &node{text: s}, err
}

// scalar takes the quotes off. What YAML would read as something else than the text that stands there is an error.
func scalar(s string) (string, error) {
	if inner, ok := strings.CutPrefix(s, `"`); ok {
		if inner, ok = strings.CutSuffix(inner, `"`); ok && !strings.ContainsAny(inner, `"\`) {
			return inner, nil
		}
		return "", fmt.Errorf("%s: quotes that are not read here", s)
	}
	if s == "" || strings.ContainsAny(s[:1], `&*!|>'%@{[,#`+"`") || strings.Contains(s, " #") || strings.HasSuffix(s, ":") || strings.Contains(s, ": ") {
		return "", fmt.Errorf("%q needs quotes", s)
	}
	return s, nil
}
