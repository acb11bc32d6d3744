package main

import (
	"context"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/server"
	"github.com/rs/zerolog"
)

// observe sets up what a server tells of itself: metrics where they can be scraped, traces where they are asked for.
func (p *program) observe(ctx context.Context, values []value, log zerolog.Logger, scraped bool) {
	p.traces = server.NewTraces(ctx, func(name string) string { return p.settings.env[name] }, version(), log)
	if !scraped && p.traces == nil {
		return
	}
	var configured []string
	for _, spec := range p.specs {
		if _, ok := configOf(values, spec); ok {
			configured = append(configured, spec.Name)
		}
	}
	var rules []string
	for _, r := range guard.Rules() {
		rules = append(rules, r.Code)
	}
	p.metrics = server.NewMetrics(server.MetricsOptions{Version: version(), Providers: configured, Rules: rules, Traces: p.traces, Log: log})
}

// standing reads for the metrics how things stand on the ledger.
func (p *program) standing(o opened) func(context.Context) (server.Standing, error) {
	return func(ctx context.Context) (s server.Standing, err error) {
		if s.Live, s.Unconfirmed, err = o.ledger.Going(ctx); err != nil {
			return s, err
		}
		budgets, err := operator.Budgets(ctx, o.ledger, o.board.Policy, time.Now())
		for _, b := range budgets {
			s.Budgets = append(s.Budgets, server.BudgetUse{Period: b.Period, Used: b.Used(), Limit: b.Limit})
		}
		return s, err
	}
}
