package peer_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"go.uber.org/goleak"

	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFromNowhereIsTheLocalCaller(t *testing.T) {
	p := peer.From(t.Context())
	if got, want := p.Caller().Principal, phone.Local().Principal; got != want {
		t.Errorf("the caller is %q, want %q", got, want)
	}
	if err := p.Progress(t.Context(), mcp.CallToolRequest{}, peer.Progress{Progress: 1}); err != nil {
		t.Errorf("progress without a way back: %v", err)
	}
	wait, done := p.Waiting(t.Context())
	if wait.Err() != nil {
		t.Errorf("may not wait: %v", context.Cause(wait))
	}
	done()
	done() // does no harm
}

func TestProgress(t *testing.T) {
	type sent struct {
		JSONRPC string
		Method  string
		Params  map[string]json.RawMessage
	}
	send := func(link peer.Link, p peer.Progress) (got []sent, err error) {
		link.Send = func(m []byte) error {
			var s sent
			if err := json.Unmarshal(m, &s); err != nil {
				t.Fatal(err)
			}
			got = append(got, s)
			return nil
		}
		ctx := peer.With(t.Context(), link)
		err = peer.From(ctx).Progress(ctx, mcp.CallToolRequest{}, p)
		return got, err
	}
	got, err := send(peer.Link{Token: json.RawMessage(`9007199254740993`)}, peer.Progress{Progress: 0, Meta: map[string]any{"outdial/turn": 1}})
	if err != nil || len(got) != 1 || got[0].JSONRPC != "2.0" || got[0].Method != "notifications/progress" {
		t.Fatalf("%+v %v", got, err)
	}
	for field, want := range map[string]string{"progressToken": "9007199254740993", "progress": "0", "_meta": `{"outdial/turn":1}`, "total": "", "message": ""} {
		if raw := string(got[0].Params[field]); raw != want {
			t.Errorf("%s is %s, want %s", field, raw, want)
		}
	}
	if got, err := send(peer.Link{}, peer.Progress{Progress: 1}); err != nil || len(got) != 0 {
		t.Errorf("without a token: %+v %v", got, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := send(peer.Link{Token: json.RawMessage(`1`), Gone: gone}, peer.Progress{Progress: 1}); !errors.Is(err, peer.ErrGone) || len(got) != 0 {
		t.Errorf("to a client that has gone: %+v %v", got, err)
	}
	ended := peer.With(gone, peer.Link{Token: json.RawMessage(`1`), Send: func([]byte) error { t.Error("sent"); return nil }})
	if err := peer.From(ended).Progress(ended, mcp.CallToolRequest{}, peer.Progress{}); !errors.Is(err, context.Canceled) {
		t.Errorf("of a request that has ended: %v", err)
	}
	broken := errors.New("broken")
	ctx := peer.With(t.Context(), peer.Link{Token: json.RawMessage(`1`), Send: func([]byte) error { return broken }})
	if err := peer.From(ctx).Progress(ctx, mcp.CallToolRequest{}, peer.Progress{}); !errors.Is(err, broken) {
		t.Errorf("over a broken connection: %v", err)
	}
}

func TestWaiting(t *testing.T) {
	room := peer.NewRoom(2)
	gone, hangUp := context.WithCancel(t.Context())
	link := peer.Link{Room: room, Gone: gone}
	waiting := func(ctx context.Context) (context.Context, func()) {
		return peer.From(ctx).Waiting(ctx)
	}
	open := func(l peer.Link) (ctx context.Context, cancel context.CancelFunc) {
		return context.WithCancel(peer.With(t.Context(), l))
	}
	want := func(what string, wait context.Context, cause error) {
		t.Helper()
		if cause != nil {
			<-wait.Done()
		}
		if got := context.Cause(wait); !errors.Is(got, cause) {
			t.Errorf("%s: %v, want %v", what, got, cause)
		}
	}

	a, cancelA := open(link)
	defer cancelA()
	waitA, doneA := waiting(a)
	waitB, doneB := waiting(peer.With(t.Context(), peer.Link{Room: room}))
	want("with room", waitA, nil)
	want("with room", waitB, nil)
	full, doneFull := waiting(a)
	want("without room", full, peer.ErrFull)
	if a.Err() != nil {
		t.Error("the request itself was cancelled")
	}
	doneFull()
	doneFull() // frees no place that it did not take
	full, doneFull = waiting(a)
	want("still without room", full, peer.ErrFull)
	doneFull()
	doneA()
	doneA()
	again, doneAgain := waiting(a)
	want("with room again", again, nil)

	cancelA()
	want("cancelled", again, context.Canceled)
	doneAgain()
	c, cancelC := open(link)
	defer cancelC()
	waitC, doneC := waiting(c)
	want("before the client goes", waitC, nil)
	hangUp()
	want("the client gone", waitC, peer.ErrGone)
	doneC()
	room.Close()
	room.Close()
	want("at the end", waitB, peer.ErrEnding)
	doneB()
	late, doneLate := waiting(peer.With(t.Context(), peer.Link{Room: room}))
	if late.Err() == nil || !errors.Is(context.Cause(late), peer.ErrEnding) {
		t.Errorf("after the end: %v, at once", context.Cause(late))
	}
	doneLate()
	if c.Err() != nil {
		t.Error("a request was cancelled by the end")
	}
}

// In one process, mcp-go's own transports carry progress: all of it, in order, with its _meta.
func TestProgressThroughMCPGosQueue(t *testing.T) {
	const n = 1000
	s := mcpserver.NewMCPServer("test", "1")
	s.AddTool(mcp.NewTool("burst"), func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i := 1; i <= n; i++ {
			if err := peer.From(ctx).Progress(ctx, req, peer.Progress{Progress: float64(i), Message: "m", Meta: map[string]any{"outdial/turn": i}}); err != nil {
				return nil, err
			}
		}
		return mcp.NewToolResultText("sent"), nil
	})
	c, err := client.NewInProcessClient(s)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make(chan mcp.JSONRPCNotification, 2*n)
	c.OnNotification(func(m mcp.JSONRPCNotification) { got <- m })
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Initialize(t.Context(), mcp.InitializeRequest{}); err != nil {
		t.Fatal(err)
	}
	call := func(meta *mcp.Meta) {
		t.Helper()
		result, err := c.CallTool(t.Context(), mcp.CallToolRequest{Params: mcp.CallToolParams{Name: "burst", Meta: meta}})
		if err != nil || result.IsError {
			t.Fatalf("%+v %v", result, err)
		}
	}
	call(nil)
	call(&mcp.Meta{ProgressToken: "tok"})
	for i := 1; i <= n; i++ {
		m := <-got
		f := m.Params.AdditionalFields
		if f["progressToken"] != "tok" || f["progress"] != float64(i) || f["message"] != "m" || len(m.Params.Meta) != 1 {
			t.Fatalf("notification %d: %+v", i, m.Params)
		}
	}
	if len(got) != 0 {
		t.Errorf("%d too many", len(got))
	}
}
