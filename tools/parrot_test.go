package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/peer"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/switchboard"
	"github.com/outdial/outdial/tools"
)

// parrot is a service that says one thing, wherever it has words of its own.
type parrot struct {
	mu      sync.Mutex
	says    string
	asleep  bool // it refuses, and says the same in the cause of its errors
	dials   int
	hangups int
}

func (p *parrot) saying() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asleep {
		return p.says, errors.New(p.says)
	}
	return p.says, nil
}

func (p *parrot) set(says string, asleep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.says, p.asleep, p.dials, p.hangups = says, asleep, 0, 0
}

func (p *parrot) counts() (dials, hangups int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials, p.hangups
}

func (p *parrot) Place(context.Context, phone.Order) (phone.Ref, error) {
	says, err := p.saying()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	if err != nil {
		return "", &phone.Error{Code: phone.Unavailable, Message: "The parrot is asleep. Nobody was called; ask again.", Err: err}
	}
	return phone.Ref("ref " + says), nil
}

// words are what agent and callee say in one call; the record knows nothing of the last.
func (p *parrot) words(says string) []phone.Words {
	return []phone.Words{
		{Role: phone.Agent, Text: says, Final: true},
		{Role: phone.Callee, Text: says[:len(says)/2]},
		{Role: phone.Callee, Text: says, Final: true},
		{Role: phone.Agent, Text: "never said: " + says, Final: true},
	}
}

func (p *parrot) closed(says string) phone.Observation {
	took, cost := 7*time.Second, phone.Micros(600_000, "CNY")
	return phone.Observation{
		Line: phone.WrappingUp, Outcome: phone.Completed, Duration: &took, Cost: &phone.Cost{Money: cost},
		Summary: says, Recording: "https://recordings.example/" + says,
	}
}

func (p *parrot) Lookup(context.Context, phone.Ref) (phone.Observation, error) {
	says, err := p.saying()
	o := p.closed(says)
	o.Extent = phone.Whole
	w := p.words(says)
	o.Words = []phone.Words{w[0], w[2]}
	return o, err
}

func (p *parrot) Stream(context.Context, phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) {
		says, err := p.saying()
		if err != nil || !yield(phone.Observation{Opened: true, Line: phone.InProgress}, nil) {
			return
		}
		for _, w := range p.words(says) {
			if !yield(phone.Observation{Words: []phone.Words{w}}, nil) {
				return
			}
		}
		yield(p.closed(says), nil)
	}
}

func (p *parrot) Hangup(context.Context, phone.Ref) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangups++
	return nil
}

func (p *parrot) Balance(context.Context) (phone.Balance, error) {
	says, err := p.saying()
	return phone.Balance{Usage: says}, err
}

func (p *parrot) Catalog(context.Context) (providers.Catalog, error) {
	says, err := p.saying()
	return providers.Catalog{
		Voices: []providers.Choice{{ID: says, Name: "named " + says}, {ID: "v2" + says}}, Engines: []providers.Choice{{ID: says, Name: says}},
	}, err
}

func newParrot(t *testing.T) (*parrot, *mcpserver.MCPServer) {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &parrot{}
	p := providers.New(providers.Spec{Name: "parrot", Title: "The parrot", Simulated: true}, d, providers.Options{
		Account: "p", Pace: providers.Pace{RecordEvery: time.Millisecond},
	})
	b := switchboard.New(switchboard.Options{Ledger: l, Providers: []*providers.Provider{p}})
	t.Cleanup(func() {
		if err := errors.Join(b.Close(context.Background()), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return d, tools.Server(b, "test")
}

// decoy is a real service, as far as the guard knows, whose calls say what it is given.
type decoy struct {
	words   []phone.Words
	summary string
	usage   string

	mu      sync.Mutex
	dials   []string
	hangups int
}

func (d *decoy) Place(_ context.Context, o phone.Order) (phone.Ref, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dials = append(d.dials, o.To.E164())
	return phone.Ref(fmt.Sprint("ref", len(d.dials))), nil
}

func (d *decoy) Lookup(context.Context, phone.Ref) (phone.Observation, error) {
	return phone.Observation{Line: phone.WrappingUp, Extent: phone.Whole, Outcome: phone.Completed, Summary: d.summary, Words: d.words}, nil
}

func (d *decoy) Stream(context.Context, phone.Ref) iter.Seq2[phone.Observation, error] {
	return func(yield func(phone.Observation, error) bool) {
		if !yield(phone.Observation{Opened: true, Line: phone.InProgress}, nil) {
			return
		}
		for _, w := range d.words {
			if !yield(phone.Observation{Words: []phone.Words{w}}, nil) {
				return
			}
		}
		yield(phone.Observation{Line: phone.WrappingUp}, nil)
	}
}

func (d *decoy) Hangup(context.Context, phone.Ref) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangups++
	return nil
}

func (d *decoy) Balance(context.Context) (phone.Balance, error) {
	return phone.Balance{Usage: d.usage}, nil
}

func (d *decoy) done() (dials []string, hangups int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.dials), d.hangups
}

// newDecoy puts a decoy behind a guard that keeps all rules and has no limits but the time between two calls to one number:
// what then stands between a number that was heard and a call is rule 10.
func newDecoy(t *testing.T, d *decoy, contacts ...string) *mcpserver.MCPServer {
	t.Helper()
	l, err := ledger.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "outdial.db"), ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range contacts {
		n, err := phone.ParseNumber(c, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.SaveContact(t.Context(), phone.Contact{Number: n, Name: "Ann", AddedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	p := providers.New(providers.Spec{Name: "decoy", Title: "The decoy"}, d, providers.Options{
		Account: "d", Pace: providers.Pace{RecordEvery: time.Millisecond},
	})
	b := switchboard.New(switchboard.Options{Ledger: l, Providers: []*providers.Provider{p}, Policy: guard.Policy{Gap: 10 * time.Minute, Confirm: guard.Never}})
	running, stop := context.WithCancel(context.Background())
	var rounds sync.WaitGroup
	rounds.Go(func() { b.Run(running) })
	t.Cleanup(func() {
		stop()
		rounds.Wait()
		if err := errors.Join(b.Close(context.Background()), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return tools.Server(b, "test")
}

// spoken are turns of one role, with a word of the other between them, as in a conversation.
func spoken(role phone.Role, turns ...string) []phone.Words {
	other := map[phone.Role]phone.Role{phone.Agent: phone.Callee, phone.Callee: phone.Agent}[role]
	var all []phone.Words
	for _, s := range turns {
		all = append(all, phone.Words{Role: other, Text: "Go on.", Final: true}, phone.Words{Role: role, Text: s, Final: true})
	}
	return all
}

// answer is what a tool gives a client.
type answer struct {
	of         string
	text       string
	structured map[string]any
	progress   []map[string]any
}

// conversation is all that a client can be told around one call.
type conversation struct {
	t       *testing.T
	server  *mcpserver.MCPServer
	to, id  string
	answers []answer
}

// ask asks a tool and keeps what it answers.
func (c *conversation) ask(of, tool, args string) answer {
	c.t.Helper()
	a := askTool(c.t, c.server, tool, args)
	a.of = of
	c.answers = append(c.answers, a)
	return a
}

func askTool(t *testing.T, server *mcpserver.MCPServer, tool, args string) (a answer) {
	t.Helper()
	ctx := peer.With(t.Context(), peer.Link{Caller: phone.Local(), Token: json.RawMessage(`"t"`), Send: func(m []byte) error {
		var n struct{ Params map[string]any }
		err := json.Unmarshal(m, &n)
		a.progress = append(a.progress, n.Params)
		return err
	}})
	request := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"progressToken":"t"}}}`, tool, args)
	raw, err := json.Marshal(server.HandleMessage(ctx, json.RawMessage(request)))
	if err != nil {
		t.Fatal(err)
	}
	var message struct {
		Result *struct {
			Content           []mcp.TextContent
			StructuredContent map[string]any
		}
	}
	if err := json.Unmarshal(raw, &message); err != nil || message.Result == nil {
		t.Fatalf("%s: %s, %v", tool, raw, err)
	}
	a.text, a.structured = message.Result.Content[0].Text, message.Result.StructuredContent
	return a
}

var (
	moment = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}Z|-0\d:00)`)
	cursor = regexp.MustCompile(`\b(seq|after_seq|next_seq:) \d+`)
)

// plain takes out of a text what differs from call to call.
func (c *conversation) plain(s string) string {
	for from, to := range map[string]string{c.to: "NUMBER", c.id: "ID"} {
		s = strings.ReplaceAll(s, from, to)
	}
	s = moment.ReplaceAllString(s, "TIME")
	return cursor.ReplaceAllString(s, "$1 N")
}

// converse has a call in which one thing is said by everybody, and asks every tool about it.
func converse(t *testing.T, d *parrot, server *mcpserver.MCPServer, says string, n int) *conversation {
	t.Helper()
	c := &conversation{t: t, server: server, to: fmt.Sprintf("+1202555%04d", 2*n)}
	order := func() string {
		return fmt.Sprintf(`{"to":%q,"task":"Ask for the opening hours","wait_seconds":45}`, c.to)
	}
	d.set(says, false)
	c.id, _ = c.ask("create_call", "create_call", order()).structured["call_id"].(string)
	about := func(more string) string { return fmt.Sprintf(`{"call_id":%q%s}`, c.id, more) }
	c.ask("get_call", "get_call", about(""))
	c.ask("get_call after", "get_call", about(`,"after_seq":2`))
	c.ask("stream_transcript", "stream_transcript", about(""))
	c.ask("list_calls", "list_calls", fmt.Sprintf(`{"to":%q}`, c.to))
	c.ask("cancel_call", "cancel_call", about(""))
	c.ask("replay", "create_call", order())
	c.ask("check_balance", "check_balance", `{}`)
	c.ask("list_providers", "list_providers", `{}`)
	c.ask("check_number", "check_number", fmt.Sprintf(`{"to":%q}`, c.to))
	if dials, hangups := d.counts(); dials != 1 || hangups != 0 {
		t.Fatalf("%d dials, %d hang-ups", dials, hangups)
	}
	return c
}

// refuse has a call that the service refuses, and asks about it.
func refuse(t *testing.T, d *parrot, server *mcpserver.MCPServer, says string, n int) *conversation {
	t.Helper()
	c := &conversation{t: t, server: server, to: fmt.Sprintf("+1202555%04d", 2*n+1)}
	d.set(says, true)
	c.id, _ = c.ask("create_call", "create_call", fmt.Sprintf(`{"to":%q,"task":"Ask for the opening hours"}`, c.to)).structured["call_id"].(string)
	c.ask("get_call", "get_call", fmt.Sprintf(`{"call_id":%q}`, c.id))
	c.ask("list_calls", "list_calls", fmt.Sprintf(`{"to":%q}`, c.to))
	c.ask("check_balance", "check_balance", `{}`)
	c.ask("list_providers", "list_providers", `{}`)
	return c
}
