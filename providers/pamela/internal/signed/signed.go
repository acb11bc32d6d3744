// Package signed is the signature of Pamela's webhooks: what is signed, and how.
//
// Its one idea: the message is not the body as it travels but its canonical JSON, byte for byte as Python's json.dumps
// writes it with sorted keys, compact separators and ASCII alone. A sender whose body is its canonical JSON satisfies every
// receiver, whichever of the two it hashes.
//
// The source is the vendor's public Python SDK 1.0.4, and 1.0.0 for the loose form. The signature names no time, so it proves who wrote a body but not
// when: a body can be sent again, and this package cannot tell.
package signed

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Header is the HTTP header that carries the signature.
const Header = "X-Pamela-Signature"

// Sum is the signature of a message: HMAC-SHA256 in lower-case hex, without a prefix.
func Sum(secret string, message []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(message)
	return hex.EncodeToString(h.Sum(nil))
}

// Parse reads exactly one JSON value, whose numbers keep their digits. An object that has a key twice is refused: two
// readers could each see another value, and one of them signed. Half of a surrogate pair becomes U+FFFD.
func Parse(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := parse(d, 0)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// deepest is how many objects and lists may lie within each other.
const deepest = 100

func parse(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > deepest {
		return nil, errors.New("too deep")
	}
	switch t {
	case json.Delim('{'):
		o := map[string]any{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			name, _ := k.(string)
			if _, twice := o[name]; twice {
				return nil, errors.New("a key stands twice in an object")
			}
			if o[name], err = parse(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			e, err := parse(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

// Verbatim is Verify for the bytes as they are alone, which costs little. Errors: likewise.
func Verbatim(body []byte, signature string, secrets ...string) (any, error) {
	given, err := hex.DecodeString(signature)
	if err != nil || len(given) != sha256.Size || strings.ToLower(signature) != signature || !by(given, body, secrets) {
		return nil, ErrForged
	}
	return Parse(body)
}

// Verify says whether a signature of a body was made with one of the secrets, over the bytes as they are or over one of its
// canonical forms, and gives what the body says: what was signed is what is read. Its time tells nothing of a secret, and a
// signature that has not the form of one costs nothing. An empty secret signs nothing.
//
// Errors: ErrForged; another one if a genuine body is none that Parse reads.
func Verify(body []byte, signature string, secrets ...string) (any, error) {
	given, err := hex.DecodeString(signature)
	if err != nil || len(given) != sha256.Size || strings.ToLower(signature) != signature {
		return nil, ErrForged
	}
	if by(given, body, secrets) {
		return Parse(body)
	}
	v, err := Parse(body)
	if err != nil {
		return nil, ErrForged
	}
	compact := form{}
	canonical := compact.value(nil, v)
	if !by(given, canonical, secrets) && !by(given, compact.loose(canonical), secrets) {
		return nil, ErrForged
	}
	return v, nil
}

// ErrForged says that nobody who knows a secret has signed a body.
var ErrForged = errors.New("not signed with a secret that is known")

func by(given, message []byte, secrets []string) bool {
	genuine := false
	for _, s := range secrets {
		if s != "" {
			h := hmac.New(sha256.New, []byte(s))
			h.Write(message)
			genuine = hmac.Equal(h.Sum(nil), given) || genuine
		}
	}
	return genuine
}

// Canonical is the canonical form of a value as Parse reads it.
func Canonical(v any) []byte { return (&form{}).value(nil, v) }

// form writes a canonical form, and remembers where its separators end.
type form struct{ separators []int }

// loose is the canonical form with spaces after its separators, which SDKs before 1.0.4 hash.
func (f *form) loose(canonical []byte) []byte {
	b := make([]byte, 0, len(canonical)+len(f.separators))
	from := 0
	for _, to := range f.separators {
		b = append(append(b, canonical[from:to]...), ' ')
		from = to
	}
	return append(b, canonical[from:]...)
}

func (f *form) separate(b []byte, by byte) []byte {
	f.separators = append(f.separators, len(b)+1)
	return append(b, by)
}

func (f *form) value(b []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = f.separate(b, ',')
			}
			b = f.value(f.separate(text(b, k), ':'), v[k])
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = f.separate(b, ',')
			}
			b = f.value(b, e)
		}
		return append(b, ']')
	case string:
		return text(b, v)
	case json.Number:
		return append(b, number(v.String())...)
	case bool:
		return strconv.AppendBool(b, v)
	}
	return append(b, "null"...)
}

func text(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch short := strings.IndexRune("\"\\\b\f\n\r\t", r); {
		case short >= 0:
			b = append(b, '\\', `"\bfnrt`[short])
		case r >= ' ' && r <= '~':
			b = append(b, byte(r))
		case r <= 0xFFFF:
			b = escaped(b, r)
		default:
			high, low := utf16.EncodeRune(r)
			b = escaped(escaped(b, high), low)
		}
	}
	return append(b, '"')
}

// escaped writes one UTF-16 unit. A forged webhook may hold a million of them.
func escaped(b []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', digits[unit>>12&15], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
}

// number writes a number as Python does: whole ones with all their digits, others as the shortest that reads back the same.
func number(s string) string {
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			return "0"
		}
		return s
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range it gives an infinity, as Python does
	switch size := math.Abs(f); {
	case math.IsInf(f, 0):
		return strings.TrimPrefix(strings.Replace(strconv.FormatFloat(f, 'g', -1, 64), "Inf", "Infinity", 1), "+")
	case size != 0 && (size < 1e-4 || size >= 1e16):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
