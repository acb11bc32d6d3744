package operator

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
)

func openLedger(t *testing.T) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestContacts(t *testing.T) {
	l, now := openLedger(t), time.Now()
	for name, e := range map[string]Entry{
		"no name":               {Number: "+8613800138000"},
		"a name of spaces":      {Number: "+8613800138000", Name: " \t"},
		"a name on two lines":   {Number: "+8613800138000", Name: "Li\nWei"},
		"a name without end":    {Number: "+8613800138000", Name: strings.Repeat("a", longestText+1)},
		"a consent that clears": {Number: "+8613800138000", Name: "Li", Consent: "yes\x1b[2J"},
		"no such zone":          {Number: "+8613800138000", Name: "Li", Zone: "Asia/Atlantis"},
		"the machine's zone":    {Number: "+8613800138000", Name: "Li", Zone: "Local"},
		"a zone of the disk":    {Number: "+8613800138000", Name: "Li", Zone: "../../etc/passwd"},
		"no window":             {Number: "+8613800138000", Name: "Li", Hours: "8-22"},
		"national, no region":   {Number: "13800138000", Name: "Li"},
		"spaces":                {Number: "+86 138 0013 8000", Name: "Li"},
		"no such number":        {Number: "+861", Name: "Li"},
		"an emergency number":   {Number: "110", Region: "CN", Name: "Li"},
	} {
		if _, _, err := AddContact(t.Context(), l, e, now); phone.CodeOf(err) != phone.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := l.Contacts(t.Context()); err != nil || len(all) > 0 {
		t.Fatalf("%v, %v", all, err)
	}

	first, before, err := AddContact(t.Context(), l, Entry{
		Number: "13800138000", Region: "CN", Name: " Li Wei ", Zone: "Asia/Shanghai", Hours: "08:00-22:00", Consent: "by mail",
	}, now)
	if err != nil || before != nil || first.Number.E164() != "+8613800138000" || first.Name != "Li Wei" || first.Window.String() != "08:00-22:00" {
		t.Fatalf("%+v, %v, %v", first, before, err)
	}
	// The consent was Li Wei's: whoever has the number now has given none.
	second, before, err := AddContact(t.Context(), l, Entry{Number: "+8613800138000", Name: "Wang Fang"}, now)
	if err != nil || before == nil || before.Consent != "by mail" || second.Consent != "" {
		t.Fatalf("%+v, %+v, %v", second, before, err)
	}
	if all, err := l.Contacts(t.Context()); err != nil || len(all) != 1 || all[0].Name != "Wang Fang" || all[0].Consent != "" {
		t.Fatalf("%+v, %v", all, err)
	}
	if n, err := RemoveContact(t.Context(), l, "13800138000", "CN"); err != nil || n.E164() != "+8613800138000" {
		t.Errorf("%v, %v", n.E164(), err)
	}
	if _, err := RemoveContact(t.Context(), l, "+8613800138000", ""); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("%v", err)
	}
}

func TestDoNotCallList(t *testing.T) {
	l, now := openLedger(t), time.Now()
	// Also numbers that no rule would let through: the list is the operator's.
	for _, number := range []string{"+8613800138000", "+442079460000", "+19005550100", "+864008123123"} {
		if _, err := Block(t.Context(), l, number, "", "a note", time.Time{}, now); err != nil {
			t.Errorf("%s (%v): %v", number, guard.Type(parse(t, number)), err)
		}
	}
	if _, err := Block(t.Context(), l, "13900139000", "CN", "", now.AddDate(0, 0, 2), now); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"no number":  blockErr(Block(t.Context(), l, "nobody", "", "", time.Time{}, now)),
		"over":       blockErr(Block(t.Context(), l, "+8613800138000", "", "", now, now)),
		"two lines":  blockErr(Block(t.Context(), l, "+8613800138000", "", "a\nb", time.Time{}, now)),
		"no region":  blockErr(Block(t.Context(), l, "13900139000", "", "", time.Time{}, now)),
		"to unblock": func() error { _, err := Unblock(t.Context(), l, "nobody", "", now); return err }(),
	} {
		if phone.CodeOf(err) != phone.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := l.Blocks(t.Context(), now); err != nil || len(all) != 5 {
		t.Fatalf("%v, %v", all, err)
	}
	// One of its days after, it holds no more; the others hold for good.
	if all, err := l.Blocks(t.Context(), now.AddDate(0, 0, 2)); err != nil || len(all) != 4 {
		t.Fatalf("%v, %v", all, err)
	}

	// A number that they have asked for themselves, too, may be called once the operator says so.
	n := parse(t, "+12025550143")
	if err := l.DoNotCall(t.Context(), phone.Block{Number: n, Until: now.AddDate(0, 0, 30), CallID: "call_x", AddedAt: now}); err != nil {
		t.Fatal(err)
	}
	if _, err := Unblock(t.Context(), l, "+12025550143", "", now); err != nil {
		t.Error(err)
	}
	c := phone.Begin("call_y", "local", "pamela", "acc", phone.Order{To: n, Task: "x"}, now)
	if f, err := l.Facts(t.Context(), c); err != nil || f.DoNotCall != nil {
		t.Errorf("%+v, %v", f.DoNotCall, err)
	}
	if _, err := Unblock(t.Context(), l, "+12025550143", "", now); phone.CodeOf(err) != phone.NotFound {
		t.Errorf("%v", err)
	}

	// What newer tables do not know any more is taken off the list as it stands there.
	gone, err := phone.RestoreNumber("+10000000000")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.DoNotCall(t.Context(), phone.Block{Number: gone, AddedAt: now}); err != nil {
		t.Fatal(err)
	}
	if n, err := Unblock(t.Context(), l, "+10000000000", "", now); err != nil || n.E164() != "+10000000000" {
		t.Errorf("%v, %v", n.E164(), err)
	}
}

func blockErr(_ phone.Block, err error) error { return err }

func parse(t *testing.T, number string) phone.Number {
	t.Helper()
	n, err := phone.ParseNumber(number, "")
	if err != nil {
		t.Fatal(err)
	}
	return n
}
