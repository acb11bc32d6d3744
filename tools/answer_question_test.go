package tools_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
)

// keeper is a service whose agents can ask.
type keeper struct{}

func (keeper) Place(context.Context, phone.Order) (phone.Ref, error) { return "r", nil }

func (keeper) Lookup(context.Context, phone.Ref) (phone.Observation, error) {
	return phone.Observation{}, nil
}
func (keeper) Receives() bool { return true }

func (keeper) Receive(http.Header, []byte) (providers.Notice, error) { return providers.Notice{}, nil }

func (keeper) Register(context.Context, providers.CallTool) (string, error) { return "t", nil }

func (keeper) Registered(context.Context) ([]providers.RegisteredTool, error) { return nil, nil }

func (keeper) Deactivate(context.Context, string) error { return nil }

// board is a switchboard with tools that the agent on the line can call.
func board(t *testing.T) *switchboard.Switchboard {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := switchboard.New(switchboard.Options{
		Ledger: l, Providers: []*providers.Provider{providers.New(providers.Spec{Name: "k"}, keeper{}, providers.Options{Account: "a"})},
		CallTools: []switchboard.CallTool{
			{CallTool: providers.CallTool{Name: "asks"}, AskCaller: true}, {CallTool: providers.CallTool{Name: "tells"}, Answer: []byte(`1`)},
		},
	})
	t.Cleanup(func() {
		if err := errors.Join(b.Close(context.Background()), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func register(t *testing.T, b *switchboard.Switchboard, name string) {
	t.Helper()
	if err := b.Ledger.SaveCallTool(t.Context(), "a", ledger.CallTool{ID: name, Name: name}); err != nil {
		t.Fatal(err)
	}
}

// whereAgentsAsk is a switchboard with all the tools that there can be.
func whereAgentsAsk(t *testing.T) *switchboard.Switchboard {
	t.Helper()
	b := board(t)
	register(t, b, "asks")
	return b
}

// answer_question is there once an agent on the line can ask whoever placed its call, and cannot be called before.
func TestAnswerQuestionIsListed(t *testing.T) {
	b := board(t)
	for _, tt := range []struct {
		registered string
		listed     bool
	}{{"", false}, {"tells", false}, {"asks", true}} {
		if tt.registered != "" {
			register(t, b, tt.registered)
		}
		if _, is := listed(t, b)["answer_question"]; is != tt.listed {
			t.Errorf("with %q registered it is listed: %v", tt.registered, is)
		}
		answer := tools.Server(b, "1").HandleMessage(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"answer_question","arguments":{"question_id":"q","answer":"a"}}}`))
		if _, called := answer.(mcp.JSONRPCResponse); called != tt.listed {
			t.Errorf("with %q registered it is answered %T", tt.registered, answer)
		}
	}
}

// After a call nobody is told to answer what the agent on the line asked in it, though it was never answered.
func TestNoAnswerIsWantedAfterTheCall(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	c := phone.Begin("call_1", "local", "k", "", phone.Order{}, at)
	for i, want := range []string{"2026-11-21T10:00:30.000Z", ""} {
		for _, b := range [][]phone.Body{
			{phone.Progress{State: phone.InProgress}, phone.Asked{ID: "inq_1", Tool: "asks", Deadline: at.Add(30 * time.Second)}}, {phone.Progress{State: phone.WrappingUp}},
		}[i] {
			c.Apply(phone.Event{Seq: c.Seq + 1, At: at, Body: b})
		}
		if q := schema.FromCallSince(c, 0).Questions; len(q) != 1 || q[0].AnswerBy != want {
			t.Errorf("%s: %+v", c.Status, q)
		}
	}
}
