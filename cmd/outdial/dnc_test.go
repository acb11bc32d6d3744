package main

import (
	"bytes"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/script"
)

// Who asks on the line not to be called again is on the list with that call, and is not called; the operator takes them off.
func TestOptOutIsOnTheList(t *testing.T) {
	t.Parallel()
	const to = "+8613800138010"
	s := httptest.NewServer(steponeService(speed, func(_, _, _, _ string) script.Script {
		return script.Script{Outcome: phone.Completed, Ring: 300e6, Lines: []script.Line{
			{After: 1e9, Role: phone.Agent, Text: "您好，我是AI助手。"},
			{After: 1e9, Role: phone.Callee, Text: "请不要再给我打电话了。"},
		}}
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	env := append(withStepOne(s.URL), "OUTDIAL_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "outdial.db"))
	run := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if exit := (parts{specs: fast(speed)}).run(t.Context(), args, env, strings.NewReader(""), &out, &errs); exit != want {
			t.Fatalf("%s: exit code %d: %s%s", args, exit, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	told := run(0, "call", to, "通知：明天上午九点开会", "--wait", "--json")
	if !strings.Contains(told, `"do_not_call_until": "2`) {
		t.Errorf("the call does not tell of it: %s", told)
	}
	_, id, _ := strings.Cut(told, `"call_id": "`)
	id, _, _ = strings.Cut(id, `"`)
	if list := run(0, "dnc"); !strings.HasPrefix(list, to) || !strings.Contains(list, "they asked for it in "+id) || strings.Contains(list, "for good") {
		t.Errorf("the list is\n%s", list)
	}
	for _, want := range []string{`"from": "call"`, `"call_id": "` + id, `"until": "2`} {
		if list := run(0, "dnc", "--json"); !strings.Contains(list, want) {
			t.Errorf("%s is not in\n%s", want, list)
		}
	}
	if said := run(1, "call", to, "另一件事"); !strings.Contains(said, "do_not_call") {
		t.Errorf("it was refused for another reason: %s", said)
	}
	run(0, "dnc", "remove", to)
	if list := run(0, "dnc"); list != "" {
		t.Errorf("the list is\n%s", list)
	}
	run(0, "call", to, "另一件事")
}
