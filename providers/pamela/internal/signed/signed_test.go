package signed

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// The expected forms are what Python 3's json.dumps(json.loads(in), sort_keys=True, separators=(",", ":")) writes.
func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"b":1,"a":{"d":[],"c":{}}}`:           `{"a":{"c":{},"d":[]},"b":1}`,
		`[ true , false , null ]`:               `[true,false,null]`,
		`"<a href='/x'>&</a>"`:                  `"<a href='/x'>&</a>"`,
		`"\u0000\u001f\u007f\/\b\f\n\r\t\""`:    `"\u0000\u001f\u007f/\b\f\n\r\t\""`,
		`"é 对 😀 \ud83d\ude00"`:                  `"\u00e9 \u5bf9 \ud83d\ude00 \ud83d\ude00"`,
		`{"é":1,"z":2,"😀":3,"\uffff":4}`:        `{"z":2,"\u00e9":1,"\uffff":4,"\ud83d\ude00":3}`,
		`[1.0,1e5,1.5e300,-0,-0.0,1E400]`:       `[1.0,100000.0,1.5e+300,0,-0.0,Infinity]`,
		`[0.0001,0.00001,9999999999999998.0]`:   `[0.0001,1e-05,9999999999999998.0]`,
		`[1e16,123456789012345678901234567890]`: `[1e+16,123456789012345678901234567890]`,
	} {
		v, err := Parse([]byte(in))
		got := Canonical(v)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{
		``, `{`, `{} {}`, `{}x`, `nil`, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a" 1}`, `{1:2}`, `[}`, strings.Repeat("[", 200) + strings.Repeat("]", 200),
		`{"a":1,"a":2}`, `{"a":1,"\u0061":1}`, `[{"b":{"a":1,"c":2,"a":1}}]`,
	} {
		if got, err := Parse([]byte(in)); err == nil {
			t.Errorf("%q was taken for JSON: %s", in, got)
		}
	}
}

// The vectors come from the vendor's algorithm, outside this program.
func TestSum(t *testing.T) {
	for _, tt := range []struct{ secret, body, want string }{
		{"test_secret_123", `{ "event": "call.completed", "call_id": "call_123" }`, "6795ac375839ffb9d1bb5d327ac3cc3e743bb85bbe07728835f6c69e621ddabd"},
		{"test_secret", `{"test":"value"}`, "4b1fcc26e74e39c39b660ac40ac3cdfb401beaa9aa606ba9af1ba742cded02d7"},
		{
			"whsec_test", `{"transcript":[],"timestamp":"2026-02-01T00:00:00Z","status":"completed","event":"call.completed","call_id":"call_é"}`,
			"53193a7217210442616ee06e3b15f4631a2ad3ca5170811a0bb77aa9dfca943c",
		},
	} {
		v, err := Parse([]byte(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		message := Canonical(v)
		if got := Sum(tt.secret, message); got != tt.want {
			t.Errorf("%s: %s, want %s", message, got, tt.want)
		}
	}
	unescaped := `{"call_id":"call_é","event":"call.completed","status":"completed","timestamp":"2026-02-01T00:00:00Z","transcript":[]}`
	if got := Sum("whsec_test", []byte(unescaped)); got != "9418c9d6b11acbcde90587e706ff60637815dee4b87ddf6ec5423714b65da322" {
		t.Errorf("the bytes as they are: %s", got)
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add([]byte(`{"b":[1.5,"\u00e9"],"a":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := Parse(raw)
		if err != nil {
			return
		}
		once := Canonical(v)
		for _, c := range once {
			if c < ' ' || c > '~' {
				t.Fatalf("%q is not plain ASCII", once)
			}
		}
		if !json.Valid(once) {
			if bytes.Contains(once, []byte("Infinity")) {
				return // Python writes it so, and reads it again
			}
			t.Fatalf("%s is not JSON", once)
		}
		again, err := Parse(once)
		if err != nil || !bytes.Equal(once, Canonical(again)) {
			t.Fatalf("%s, and again %s, %v", once, Canonical(again), err)
		}
	})
}
