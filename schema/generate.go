package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Input is the JSON schema of a tool's arguments. It knows every argument and takes no other.
func Input[T any]() (json.RawMessage, error) {
	s, err := of[T]()
	if err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

// Output is the JSON schema of a tool's structured result. A failure must fit it too, since clients check it even when
// isError is set and throw the message away if it does not: so nothing is required at its top and nothing forbidden, and
// a failure's fields stand beside the result's.
func Output[T any]() (json.RawMessage, error) {
	s, err := of[T]()
	if err != nil {
		return nil, err
	}
	failure, err := of[Error]()
	if err != nil {
		return nil, err
	}
	for _, name := range failure.PropertyOrder {
		if _, has := s.Properties[name]; !has {
			s.Properties[name] = failure.Properties[name]
			s.PropertyOrder = append(s.PropertyOrder, name)
		}
	}
	open(s)
	return json.Marshal(s)
}

// open leaves a schema open to what a later version adds, all the way down.
func open(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	s.Required = nil
	if s.Type == "object" && s.Properties != nil {
		s.AdditionalProperties = nil
	}
	open(s.Items)
	for _, p := range s.Properties {
		open(p)
	}
}

func of[T any]() (*jsonschema.Schema, error) {
	s, err := jsonschema.For[T](nil)
	if err != nil {
		return nil, err
	}
	return s, refine(s, reflect.TypeFor[T]())
}

// refine adds what the library does not know: no field is ever null, and the bounds that stand in tags.
func refine(s *jsonschema.Schema, t reflect.Type) error {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		if s.Items != nil {
			s = s.Items
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		if f.Anonymous {
			if err := refine(s, f.Type); err != nil {
				return err
			}
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := s.Properties[name]
		if p == nil {
			return fmt.Errorf("%s.%s has no property %q", t.Name(), f.Name, name)
		}
		if len(p.Types) == 2 && p.Types[0] == "null" {
			p.Type, p.Types = p.Types[1], nil
		}
		if err := bound(p, f.Tag); err != nil {
			return fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		if f.Tag.Get("brief") != "" && p.Items != nil { // what is rare is described in words: every session pays for the list of tools
			*p.Items = jsonschema.Schema{Type: "object"}
			continue
		}
		if err := refine(p, f.Type); err != nil {
			return err
		}
	}
	return nil
}

func bound(p *jsonschema.Schema, tag reflect.StructTag) error {
	for name, set := range map[string]func(n int){
		"min":      func(n int) { f := float64(n); p.Minimum = &f },
		"max":      func(n int) { f := float64(n); p.Maximum = &f },
		"maxlen":   func(n int) { p.MaxLength = &n },
		"minitems": func(n int) { p.MinItems = &n },
		"maxitems": func(n int) { p.MaxItems = &n },
	} {
		if v, ok := tag.Lookup(name); ok {
			n, err := strconv.Atoi(v)
			if err != nil {
				return err
			}
			set(n)
		}
	}
	if v, ok := tag.Lookup("enum"); ok {
		for one := range strings.SplitSeq(v, ",") {
			p.Enum = append(p.Enum, one)
		}
	}
	return nil
}
