package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/server"
	"github.com/outdial/outdial/tools"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (p *program) demo() *cobra.Command {
	number, task, language := "+12025550100", "Book a table for two tomorrow at seven, in the name of Alex.", ""
	c := &cobra.Command{
		Use:   "demo",
		Short: "Place a simulated call over a real MCP connection and print it as it happens; needs nothing",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.showDemo(c.Context(), map[string]any{
				"to": number, "task": task, "language": language, "caller_name": "Alex", "provider": "simulator", "wait_seconds": 45,
			})
		},
	}
	c.Flags().StringVar(&number, "number", number, "its last two digits choose the scenario: 00 talks, 01 no answer, 02 busy, 03 declined, 04 voicemail, 05 a menu, 06 cut off")
	c.Flags().StringVar(&task, "task", task, "what the agent on the line is to do")
	c.Flags().StringVar(&language, "language", language, "zh or en; by default the language of the number's country")
	return c
}

// showDemo runs the whole path with a ledger of its own, which it throws away: an MCP client and the server of `outdial
// stdio`, with two pipes between them.
func (p *program) showDemo(ctx context.Context, args map[string]any) error {
	dir, err := os.MkdirTemp("", "outdial-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	log := zerolog.New(p.errs).Level(zerolog.WarnLevel).With().Timestamp().Logger() // no setting matters here, nor one that is wrong
	o, err := p.start(ctx, []value{
		{Setting: providers.Setting{Name: "database"}, Value: "sqlite:" + filepath.Join(dir, "demo.db")},
		{Setting: providers.Setting{Name: "simulator_guard"}, Value: "form"},
	}, log)
	if err != nil {
		return err
	}
	defer o.close(aDial, aFarewell)

	clientIn, serverOut := io.Pipe()
	serverIn, clientOut := io.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- server.Stdio(ctx, tools.Server(o.board, version()), serverIn, serverOut, server.StdioOptions{Log: log})
		_ = serverOut.Close()
	}()
	c := client.NewClient(transport.NewIO(clientIn, clientOut, io.NopCloser(eof{})))
	err = p.converse(ctx, c, args)
	_ = clientOut.Close()
	if e := <-served; err == nil {
		err = e
	}
	_ = c.Close()
	return err
}

// eof is an input without anything in it.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// converse is what an MCP client does: it calls create_call and prints what comes back meanwhile and in the end.
func (p *program) converse(ctx context.Context, c *client.Client, args map[string]any) error {
	l := p.live("connecting")
	defer l.end()
	if p.json {
		l.out = io.Discard // the answer alone
	}
	turns := transcript{print: l.print}
	c.OnNotification(func(n mcp.JSONRPCNotification) {
		if n.Method == string(mcp.MethodNotificationProgress) {
			p.showProgress(l, &turns, n)
		}
	})
	if err := c.Start(ctx); err != nil {
		return err
	}
	hello := mcp.InitializeRequest{}
	hello.Params.ClientInfo = mcp.Implementation{Name: "outdial demo", Version: version()}
	hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	if _, err := c.Initialize(ctx, hello); err != nil {
		return err
	}
	l.print("This is a simulated call over a real MCP connection. Nobody's phone rings.")
	l.print(fmt.Sprintf("create_call to %s: %s", args["to"], args["task"]))
	call := mcp.CallToolRequest{}
	call.Params.Name, call.Params.Arguments = "create_call", args
	call.Params.Meta = &mcp.Meta{ProgressToken: "demo"}
	answer, err := c.CallTool(ctx, call)
	if err != nil {
		return err
	}
	turns.flush()
	return p.showAnswer(l, answer)
}

func (p *program) showProgress(l *live, turns *transcript, n mcp.JSONRPCNotification) {
	message, _ := n.Params.AdditionalFields["message"].(string)
	if _, words := n.Params.Meta["outdial/turn"]; !words && message != "" {
		l.now(strings.TrimPrefix(message, "status: "))
		l.print("   " + plain(message))
	}
	raw, err := json.Marshal(n.Params.Meta["outdial/turn"])
	var t schema.Turn
	if err == nil && json.Unmarshal(raw, &t) == nil && t.Text != "" {
		turns.hear(phone.Fragment{Turn: t.Turn, Role: phone.Role(t.Role), Text: t.Text, Final: t.Final != nil && *t.Final})
	}
}

func (p *program) showAnswer(l *live, answer *mcp.CallToolResult) error {
	raw, err := json.Marshal(answer.StructuredContent)
	if err != nil {
		return err
	}
	if answer.IsError {
		var e schema.Error
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		return &phone.Error{Code: phone.Code(e.Code), Reason: e.Reason, Message: e.Message, CallID: e.CallID, Started: phone.Started(e.CallStarted)}
	}
	var call schema.Call
	if err := json.Unmarshal(raw, &call); err != nil {
		return err
	}
	if p.json {
		return p.printJSON(call)
	}
	seconds := 0
	if call.DurationSeconds != nil {
		seconds = *call.DurationSeconds
	}
	l.print(fmt.Sprintf("— %s: %s after %d s, %d turns, record %s. Simulated: nobody was called.", call.Status, call.Outcome, seconds, len(call.Turns), call.Record))
	if call.Summary != "" {
		l.print("  " + plain(call.Summary))
	}
	l.print("Next: outdial providers says what calls real phones and where keys come from; an MCP client starts outdial stdio.")
	return nil
}
