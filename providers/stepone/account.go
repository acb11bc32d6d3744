package stepone

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"unicode"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

// readBalance is the amount that an answer holds, nil if none.
func readBalance(v any) *phone.Money {
	all := objects(v, "")
	currency := strings.ToUpper(strings.TrimSpace(first(all, "currency", "currency_code")))
	if o, ok := v.(map[string]any); ok {
		v = o["data"]
	}
	for _, name := range []string{
		"balance", "available_balance", "balance_amount", "available", "remaining_balance", "remaining", "remain", "amount", "credit", "credits",
	} {
		if m := money(first(all, name), currency); m != nil {
			return m
		}
	}
	if n, ok := v.(json.Number); ok {
		return money(n.String(), currency)
	}
	return nil
}

// money reads an amount, in yuan unless a currency is told.
func money(amount, currency string) *phone.Money {
	amount = strings.Trim(strings.ReplaceAll(amount, ",", ""), " ¥￥元")
	if currency == "RMB" || len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		currency = "CNY"
	}
	m, err := phone.ParseMoney(amount, currency)
	if err != nil {
		return nil
	}
	return &m
}

// readVersion is the version of the protocol that an answer names, in a field of its own or in the service's message;
// empty if none. It holds nothing but digits and dots.
func readVersion(v any) string {
	if s := first(objects(v, ""), "skill_version", "required_version", "expected_version", "min_version", "latest_version", "server_version", "version"); isVersion(s) {
		return s
	}
	var named []string
	for _, w := range strings.FieldsFunc(said(v), func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) {
		if w = strings.Trim(w, "."); isVersion(w) {
			named = append(named, w)
		}
	}
	if i := slices.IndexFunc(named, func(s string) bool { return s != protocol }); i >= 0 {
		return named[i]
	}
	return ""
}

// isVersion takes nothing that could be a telephone number: it stands in what a model reads.
func isVersion(s string) bool {
	return len(s) <= 20 && strings.Count(s, ".") >= 1 && strings.Count(s, ".") <= 3 &&
		!slices.ContainsFunc(strings.Split(s, "."), func(n string) bool { return n == "" || len(n) > 3 || strings.Trim(n, "0123456789") != "" })
}

// The bounds of a list of voices or models.
const (
	maxChoices = 500
	maxLabel   = 100 // characters
)

// readChoices are the members of the first list of an answer that has any: objects with one of the fields as their name
// in requests, or strings.
func readChoices(v any, ids ...string) []providers.Choice {
	switch v := v.(type) {
	case []any:
		var all []providers.Choice
		for _, one := range v {
			switch one := one.(type) {
			case string:
				all = addChoice(all, one, one)
			case map[string]any:
				if id := upstream.Object(one).Text(ids...); id != "" {
					name := upstream.Object(one).Text("name", "voice_name", "engine_name", "display_name", "title", "label", "description")
					all = addChoice(all, id, cmp.Or(name, id))
				} else {
					all = append(all, readChoices(one, ids...)...)
				}
			}
		}
		return all[:min(len(all), maxChoices)]
	case map[string]any:
		for _, name := range inOrder(v) {
			if all := readChoices(v[name], ids...); len(all) > 0 {
				return all
			}
		}
	}
	return nil
}

func addChoice(all []providers.Choice, id, name string) []providers.Choice {
	if id = label(id); id == "" {
		return all
	}
	return append(all, providers.Choice{ID: id, Name: label(name)})
}

// label is a service's name for something, on one line and short.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.TrimSpace(s))
	if r := []rune(s); len(r) > maxLabel {
		return string(r[:maxLabel])
	}
	return s
}
