package phone_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/outdial/outdial/phone"
)

// What is logged of a panic says where it was, and nothing that the code has panicked with.
func TestPanicked(t *testing.T) {
	const secret = "sk_secret"
	for name, tt := range map[string]struct {
		do   func()
		says string
	}{
		"a text":    {func() { panic(secret) }, "string"},
		"an error":  {func() { panic(errors.New(secret)) }, "*errors.errorString"},
		"a runtime": {func() { _ = strings.Fields(secret)[len(secret)] }, "index out of range [9] with length 1"},
	} {
		err := func() (err error) {
			defer func() { err = phone.Panicked(recover()) }()
			tt.do()
			return nil
		}()
		if s := err.Error(); strings.Contains(s, secret) || !strings.HasSuffix(s, ": "+tt.says) || !strings.Contains(s, "TestPanicked") {
			t.Errorf("%s: %s", name, s)
		}
	}
}
