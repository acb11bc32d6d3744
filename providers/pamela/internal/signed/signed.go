// Package signed is the signature of Pamela's webhooks: what is signed, and how.
//
// Its one idea: the message is not the body as it travels but its canonical JSON, byte for byte as Python's json.dumps
// writes it with sorted keys, compact separators and ASCII alone. A sender whose body is its canonical JSON satisfies every
// receiver, whichever of the two it hashes.
//
// The source is the vendor's public Python SDK 1.0.4. The signature names no time, so it proves who wrote a body but not
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

// Canonical is the canonical form of one JSON value. Of a key that stands twice the last value counts, and half of a
// surrogate pair becomes U+FFFD. It fails on anything but exactly one JSON value.
func Canonical(raw []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return value(nil, v), nil
}

func value(b []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = value(append(text(b, k), ':'), v[k])
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = value(b, e)
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
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		}
	}
	return append(b, '"')
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
