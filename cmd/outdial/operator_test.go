package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever sits at the machine sees every call that goes on, and can end it: the kill switch would otherwise leave those of
// agents with tokens talking.
func TestOperatorEndsAnybodysCall(t *testing.T) {
	t.Parallel()
	p := servePamela(t, 1)
	p.env = append(p.env, "OUTDIAL_TOKENS_FILE="+filepath.Join(p.home, "tokens"))
	token := p.run("token", "new", "ann")
	p.serve()
	carrier := &http.Transport{}
	t.Cleanup(carrier.CloseIdleConnections)
	ann := &load{t: t, url: p.url, token: token, client: &http.Client{Transport: carrier}}
	ann.post(hello)
	answer, _ := ann.tool(2, "create_call", `{"to":"+12125550107","task":"x"}`)
	id := callID.FindString(answer)
	if id == "" {
		t.Fatal(answer)
	}
	if said := p.run("policy", "--dialing", "off"); !strings.Contains(said, "outdial status shows them") {
		t.Error(said)
	}
	if said := p.run("status"); !strings.Contains(said, id) {
		t.Errorf("it does not show the call: %s", said)
	}
	p.run("cancel", id)
	if answer, _ = ann.tool(3, "stream_transcript", fmt.Sprintf(`{"call_id":%q,"max_seconds":20}`, id)); !strings.Contains(answer, `"outcome":"cancelled"`) {
		t.Errorf("it goes on: %s", answer)
	}
}
