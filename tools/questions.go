package tools

import (
	"context"

	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/switchboard"
)

func (b toolbox) addCheckBalance(s *mcpserver.MCPServer) {
	define[schema.CheckBalance, schema.Balances](b, s, tool{
		name: "check_balance", title: "Check the balance", reads: true, repeats: true, world: true,
		description: "Tells what is left on the providers' accounts, or what was used where a provider has no balance.",
	}, func(ctx context.Context, r request[schema.CheckBalance]) (result, error) {
		all, err := b.board.Balances(ctx, r.args.Provider)
		if err != nil {
			return result{}, err
		}
		w := BalancesOf(all)
		return result{structured: w, text: balancesText(w)}, nil
	})
}

// BalancesOf is balances as clients see them.
func BalancesOf(all []switchboard.Balance) schema.Balances {
	w := schema.Balances{Balances: []schema.Balance{}}
	for _, a := range all {
		one := schema.Balance{Provider: a.Provider, Supported: a.Supported, Usage: a.Balance.Usage}
		switch {
		case a.Err != nil:
			one.Note = a.Err.Message
		case a.Supported:
			one.Amount, one.Currency, one.AsOf = a.Balance.Amount.Amount(), a.Balance.Amount.Currency(), schema.Time(a.At)
		case a.Balance.Usage != "":
			one.AsOf = schema.Time(a.At)
		default:
			one.Note = "This provider tells no balance."
		}
		w.Balances = append(w.Balances, one)
	}
	return w
}

func (b toolbox) addCheckNumber(s *mcpserver.MCPServer) {
	define[schema.CheckNumber, schema.Number](b, s, tool{
		name: "check_number", title: "Check a number", reads: true, repeats: true,
		description: "Tells what is known of a number and whether create_call would call it now, with every rule that would refuse. Calls nobody.",
	}, func(ctx context.Context, r request[schema.CheckNumber]) (result, error) {
		c, err := b.board.Check(ctx, r.who, switchboard.Request{To: r.args.To, Provider: r.args.Provider, CanAsk: r.peer.CanAsk(ctx)})
		if err != nil {
			return result{}, err
		}
		w := CheckedOf(c)
		return result{structured: w, text: numberText(w)}, nil
	})
}

// CheckedOf is what is known of a number as clients see it.
func CheckedOf(c switchboard.Checked) schema.Number {
	w := schema.Number{
		E164: c.Number.E164(), Valid: !c.Number.IsZero(), Region: c.Number.Region(), Type: c.Type, TimeZones: c.Zones,
		Provider: c.Provider, Allowed: len(c.Refusals) == 0, Refusals: []schema.Refusal{},
	}
	if !c.Local.IsZero() {
		w.LocalTime = c.Local.Format("2006-01-02T15:04:05Z07:00")
	}
	w.EstimatedPerMinute, w.WorstCaseCost = estimated(c.PerMin), estimated(c.Worst)
	for _, r := range c.Refusals {
		w.Refusals = append(w.Refusals, schema.Refusal{Code: r.Code, Message: r.Message, AllowedAt: schema.Time(r.AllowedAt)})
	}
	return w
}

func estimated(m phone.Money) *schema.Cost {
	if m.Currency() == "" {
		return nil
	}
	return schema.FromCost(&phone.Cost{Money: m, Estimated: true})
}

func (b toolbox) addListProviders(s *mcpserver.MCPServer) {
	define[schema.ListProviders, schema.Providers](b, s, tool{
		name: "list_providers", title: "List providers", reads: true, repeats: true, world: true,
		description: "Lists the telephone services: where each calls, what it can do, its voices and its own options.",
	}, func(ctx context.Context, _ request[schema.ListProviders]) (result, error) {
		w := ServicesOf(b.board.Services(ctx))
		return result{structured: w, text: providersText(w)}, nil
	})
}

// ServicesOf is the providers as clients see them.
func ServicesOf(all []switchboard.Service) schema.Providers {
	w := schema.Providers{Providers: []schema.Provider{}}
	for _, v := range all {
		one := schema.Provider{
			Name: v.Spec.Name, Configured: v.Configured, Simulated: v.Spec.Simulated, Regions: append([]string{}, v.Spec.Regions...),
			Capabilities: append([]string{}, v.Abilities...), Voices: choices(v.Catalog.Voices), Engines: choices(v.Catalog.Engines),
		}
		for _, o := range v.Spec.Options {
			one.Options = append(one.Options, schema.Option{Name: o.Name, Type: string(o.Kind), Description: o.Help})
		}
		switch {
		case !v.Configured:
			one.Note = "Not configured: " + switchboard.ToConfigure(v.Spec)
		case v.CatalogErr != nil:
			one.Note = "Its voices could not be listed now."
		}
		w.Providers = append(w.Providers, one)
	}
	return w
}

func choices(all []switchboard.Choice) []schema.Choice {
	var w []schema.Choice
	for _, c := range all {
		w = append(w, schema.Choice{ID: c.ID, Name: c.Name})
	}
	return w
}
