package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/all"
)

// Nothing is erased before a person has said so in a word that is no slip of the finger.
func TestEraseAsks(t *testing.T) {
	database := "sqlite:" + filepath.Join(t.TempDir(), "outdial.db")
	l, err := ledger.Open(t.Context(), database, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := phone.ParseNumber("+12025550100", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SaveContact(t.Context(), phone.Contact{Number: n, Name: "Ann"}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, answer := range []string{"", "\n", "y\n", "yes\n", "erase it\n", "erase"} {
		tty := &typed{Reader: strings.NewReader(answer)}
		var out, errs bytes.Buffer
		with := parts{specs: all.Specs(), terminal: func() (io.ReadWriteCloser, error) { return tty, nil }}
		code := with.run(context.Background(), []string{"erase", "--number", "+12025550100", "--database", database}, nil, strings.NewReader("erase\n"), &out, &errs)
		if code != 1 || !strings.Contains(errs.String(), "Nothing was erased.") || !strings.Contains(tty.shown.String(), "all calls to +12025550100, and its contact") {
			t.Errorf("%q: exit %d, %s, %s", answer, code, errs.String(), tty.shown.String())
		}
		if contacts, err := l.Contacts(t.Context()); err != nil || len(contacts) != 1 {
			t.Fatalf("%q: %v, %v", answer, contacts, err)
		}
	}
	tty := &typed{Reader: strings.NewReader("erase\n")}
	var out, errs bytes.Buffer
	with := parts{specs: all.Specs(), terminal: func() (io.ReadWriteCloser, error) { return tty, nil }}
	code := with.run(context.Background(), []string{"erase", "--number", "+12025550100", "--database", database}, nil, strings.NewReader(""), &out, &errs)
	contacts, err := l.Contacts(t.Context())
	if code != 0 || err != nil || len(contacts) != 0 || !strings.Contains(out.String(), "The contact was erased.") {
		t.Errorf("exit %d, %v, %v, %s, %s", code, contacts, err, out.String(), errs.String())
	}
}
