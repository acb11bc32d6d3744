package operator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// ToolState is how a tool stands with a service.
type ToolState string

// The states of a tool.
const (
	ToolRegistered ToolState = "registered"
	ToolMissing    ToolState = "missing" // it is declared, and the service does not know it
	ToolChanged    ToolState = "changed" // it was registered as it was declared before
	ToolTaken      ToolState = "taken"   // the service has one of this name that outdial has not registered
	ToolUndeclared ToolState = "undeclared"
	ToolForeign    ToolState = "foreign" // neither declared nor registered by outdial
)

// Tool is one that is declared, or that a service knows.
type Tool struct {
	Name  string
	ID    string // at the service; empty where it knows none
	State ToolState
}

// CallTools compares the tools that are declared with those that a service knows. Errors: those of the request.
func CallTools(ctx context.Context, l *ledger.Ledger, p *providers.Provider, declared []providers.CallTool) ([]Tool, error) {
	there, err := p.Registered(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := l.CallTools(ctx, p.Account())
	if err != nil {
		return nil, err
	}
	var all []Tool
	for _, d := range declared {
		t := Tool{Name: d.Name, State: ToolMissing}
		for _, r := range there {
			if r.Name != d.Name || t.State == ToolTaken {
				continue
			}
			i := slices.IndexFunc(ours, func(o ledger.CallTool) bool { return o.ID == r.ID })
			switch {
			case i < 0:
				t.ID, t.State = r.ID, ToolTaken
			case ours[i].Digest == digest(d):
				t.ID, t.State = r.ID, ToolRegistered
			default:
				t.ID, t.State = r.ID, ToolChanged
			}
		}
		all = append(all, t)
	}
	for _, r := range there {
		if slices.ContainsFunc(all, func(t Tool) bool { return t.ID == r.ID }) {
			continue
		}
		t := Tool{Name: r.Name, ID: r.ID, State: ToolForeign}
		if slices.ContainsFunc(ours, func(o ledger.CallTool) bool { return o.ID == r.ID }) {
			t.State = ToolUndeclared
		}
		all = append(all, t)
	}
	return all, nil
}

// SyncCallTools registers the tools that are declared and deactivates those of outdial's that are declared no more. What
// others have registered stays, but for a tool of a declared name where replace is set. done is told of each tool as it was
// before, and of what became of it.
//
// Errors: refused with reason name_taken, without replace, before anything is changed; those of the requests.
func SyncCallTools(ctx context.Context, l *ledger.Ledger, p *providers.Provider, declared []providers.CallTool, replace bool, done func(was Tool, now ToolState)) error {
	all, err := CallTools(ctx, l, p, declared)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.State == ToolTaken && !replace {
			return &phone.Error{
				Code: phone.Refused, Reason: "name_taken",
				Message: "The service has a tool " + t.Name + " that outdial does not know for its own: somebody else has registered it, or outdial, and the answer was lost. Nothing was changed. Name yours otherwise, or replace it with --replace.",
			}
		}
	}
	for _, t := range all {
		now := t.State
		i := slices.IndexFunc(declared, func(d providers.CallTool) bool { return d.Name == t.Name })
		switch t.State {
		case ToolMissing, ToolChanged, ToolTaken:
			err = register(ctx, l, p, declared[i], t.ID)
			now = ToolRegistered
		case ToolUndeclared:
			err = deactivate(ctx, l, p, t.ID)
			now = ToolMissing
		}
		if err != nil {
			return err
		}
		done(t, now)
	}
	return forget(ctx, l, p)
}

// register makes a tool known before the one that it replaces goes, so that a call meanwhile finds one of them.
func register(ctx context.Context, l *ledger.Ledger, p *providers.Provider, d providers.CallTool, old string) error {
	id, err := p.Register(ctx, d)
	if err != nil {
		return err
	}
	if err := l.SaveCallTool(ctx, p.Account(), ledger.CallTool{ID: id, Name: d.Name, Digest: digest(d)}); err != nil {
		return err
	}
	if old == "" || old == id {
		return nil
	}
	return deactivate(ctx, l, p, old)
}

func deactivate(ctx context.Context, l *ledger.Ledger, p *providers.Provider, id string) error {
	if err := p.Deactivate(ctx, id); err != nil {
		return err
	}
	return l.DropCallTool(ctx, p.Account(), id)
}

// forget drops what the ledger has of tools that the service does not know any more.
func forget(ctx context.Context, l *ledger.Ledger, p *providers.Provider) error {
	ours, err := l.CallTools(ctx, p.Account())
	if err != nil {
		return err
	}
	now, err := p.Registered(ctx)
	if err != nil {
		return err
	}
	for _, o := range ours {
		if !slices.ContainsFunc(now, func(r providers.RegisteredTool) bool { return r.ID == o.ID }) {
			if err := l.DropCallTool(ctx, p.Account(), o.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// digest tells one declaration from another.
func digest(t providers.CallTool) string {
	b, _ := json.Marshal([]any{t.Name, t.Description, t.Input, t.Timeout}) //nolint:errchkjson // it was read from TOML
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
