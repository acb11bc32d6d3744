package providertest

import (
	"context"
	"net/http"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// keeping is the adapter that keeps tools in another way.
type keeping struct {
	*plain
	register   func(p *plain, ctx context.Context, t providers.CallTool) (string, error)
	registered func(p *plain, ctx context.Context) ([]providers.RegisteredTool, error)
	deactivate func(p *plain, ctx context.Context, id string) error
}

func (m keeping) Register(ctx context.Context, t providers.CallTool) (string, error) {
	if m.register == nil {
		return m.plain.Register(ctx, t)
	}
	return m.register(m.plain, ctx, t)
}

func (m keeping) Registered(ctx context.Context) ([]providers.RegisteredTool, error) {
	if m.registered == nil {
		return m.plain.Registered(ctx)
	}
	return m.registered(m.plain, ctx)
}

func (m keeping) Deactivate(ctx context.Context, id string) error {
	if m.deactivate == nil {
		return m.plain.Deactivate(ctx, id)
	}
	return m.deactivate(m.plain, ctx, id)
}

func keepMutants() []mutant {
	const (
		kept   = "a tool is listed from when it is registered until it is deactivated"
		unread = "a list of tools that cannot be read shows nothing"
		failed = "a tool that is not surely registered or deactivated is an error"
	)
	type ctx = context.Context
	so := func(k keeping) func(*plain) providers.Driver {
		return func(p *plain) providers.Driver { k.plain = p; return k }
	}
	return []mutant{
		{"registers nothing", kept, so(keeping{register: func(*plain, ctx, providers.CallTool) (string, error) { return "t1", nil }})},
		{"takes the name for the service's", kept, so(keeping{register: func(p *plain, c ctx, t providers.CallTool) (string, error) {
			_, err := p.Register(c, t)
			return t.Name, err
		}})},
		{"lists nothing", kept, so(keeping{registered: func(*plain, ctx) ([]providers.RegisteredTool, error) { return nil, nil }})},
		{"deactivates nothing", kept, so(keeping{deactivate: func(*plain, ctx, string) error { return nil }})},
		{"makes an error of a tool that is gone", kept, so(keeping{deactivate: func(p *plain, c ctx, id string) error {
			_, err := p.read(c, http.MethodDelete, "/tools/"+id)
			return err
		}})},
		{"takes an error for no tools", unread, so(keeping{registered: func(p *plain, c ctx) ([]providers.RegisteredTool, error) {
			all, _ := p.Registered(c)
			return all, nil
		}})},
		{"takes any answer for a registration", failed, so(keeping{register: func(p *plain, c ctx, t providers.CallTool) (string, error) {
			id, err := p.Register(c, t)
			if phone.CodeOf(err) == phone.Unavailable {
				return "t1", nil
			}
			return id, err
		}})},
		{"takes an error for a deactivation", failed, so(keeping{deactivate: func(p *plain, c ctx, id string) error {
			_ = p.Deactivate(c, id)
			return nil
		}})},
	}
}
