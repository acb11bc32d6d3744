package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/notify"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/switchboard"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// parts are what the program is put together from.
type parts struct {
	specs []providers.Spec // the adapters, in the order in which a number looks for one
	lease time.Duration    // how long a killed process keeps its calls; 0: the ledger's own time

	terminal   func() (io.ReadWriteCloser, error) // where a person is asked; nil: the controlling terminal
	lookAround func() surroundings                // what a container looks like from within; nil: as it is
}

// opened is the program put together.
type opened struct {
	values []value
	board  *switchboard.Switchboard
	ledger *ledger.Ledger
	log    zerolog.Logger

	close func(patience, farewell time.Duration) // waits so long for the dials under way, and for the rest
}

// value gives a general setting.
func (o opened) value(name string) string { return valueOf(o.values, "", name) }

func valueOf(values []value, owner, name string) string { return setting(values, owner, name).Value }

func setting(values []value, owner, name string) value {
	for _, v := range values {
		if v.Owner == owner && v.Name == name {
			return v
		}
	}
	return value{}
}

// wrong is an error about a general setting, which it names as it was set.
func wrong(values []value, name, format string, args ...any) error {
	return phone.Errorf(phone.Invalid, "%s: "+format, append([]any{setting(values, "", name).From}, args...)...)
}

// open reads the settings, opens the ledger and the configured providers, and starts the switchboard's rounds. close ends
// all of it in order.
func (p *program) open(ctx context.Context) (opened, error) {
	values, log, err := p.configure()
	if err != nil {
		return opened{}, err
	}
	return p.start(ctx, values, log)
}

// serve opens what a server needs, which lives long enough to say what its ledger will not. scraped says that its metrics
// can be read.
func (p *program) serve(ctx context.Context, scraped bool) (opened, error) {
	values, log, err := p.configure()
	if err != nil {
		return opened{}, err
	}
	p.observe(ctx, values, log, scraped)
	o, err := p.start(ctx, values, log)
	if err != nil {
		p.traces.Close()
		return o, err
	}
	if warning := p.passing(o.values); warning != "" {
		o.log.Warn().Msg(warning)
	}
	if why, err := o.ledger.WhyOff(ctx); err == nil && why != "" {
		o.log.Warn().Str("why", why).Msg("dialing is off in this ledger: nobody is called until outdial policy --dialing on")
	}
	return o, nil
}

// aDial is how long a dial under way is waited for when the program ends: it is answered within 20 s, and that has to be
// recorded. What comes after takes less than the rest of the 30 s that supervisors allow.
const aDial = 24 * time.Second

// aFarewell is how long the rest may take then, which is quick where the ledger answers. Where it does not, nothing can be
// given up: others take up what was followed here once the lease is over.
const aFarewell = 5 * time.Second

// opened makes a command of what is done with the program put together.
func (p *program) opened(do func(ctx context.Context, o opened, args []string) error) func(*cobra.Command, []string) error {
	return using(p.open, do)
}

// using makes a command of what is done with what open opens.
func using(open func(context.Context) (opened, error), do func(ctx context.Context, o opened, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		o, err := open(c.Context())
		if err != nil {
			return err
		}
		defer o.close(aDial, aFarewell)
		return do(c.Context(), o, args)
	}
}

// configure reads the settings and says on stderr what looks like one and is none.
func (p *program) configure() ([]value, zerolog.Logger, error) {
	if err := p.settings.load(); err != nil {
		return nil, zerolog.Nop(), err
	}
	values, err := p.settings.resolve()
	if err != nil {
		return nil, zerolog.Nop(), err
	}
	level, err := zerolog.ParseLevel(valueOf(values, "", "log_level"))
	if err != nil || level == zerolog.NoLevel {
		return nil, zerolog.Nop(), wrong(values, "log_level", "it must be debug, info, warn or error.")
	}
	log := zerolog.New(p.errs).Level(level).With().Timestamp().Logger()
	for _, k := range p.settings.strangers() {
		log.Warn().Str("variable", k).Msg("no setting of this version has this name")
	}
	return values, log, nil
}

func (p *program) start(ctx context.Context, values []value, log zerolog.Logger) (opened, error) {
	o, err := p.boardOptions(values, log)
	if err != nil {
		return opened{}, err
	}
	if o.Ledger, err = p.openLedger(ctx, values); err != nil {
		return opened{}, err
	}
	if p.metrics != nil {
		o.Meter = p.metrics
	}
	board := switchboard.New(o)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var rounds sync.WaitGroup
	rounds.Go(func() { board.Run(running) })
	return opened{
		values: values, board: board, ledger: o.Ledger, log: log,
		close: func(patience, farewell time.Duration) {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				ending, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := board.Close(ending); err != nil {
					log.Warn().Err(err).Msg("not everything ended in time")
				}
				stop() // only now: a dial that is waited for needs its lease
				rounds.Wait()
				if err := o.Ledger.Close(); err != nil {
					log.Warn().Err(err).Msg("the ledger did not close cleanly")
				}
				p.traces.Close()
			}()
			select {
			case <-ended:
			case <-time.After(patience + farewell):
				log.Error().Msg("the ledger did not answer in time: what was followed here is free once the lease is over")
			}
		},
	}, nil
}

// openLedger opens the ledger that the settings name. Errors: those of ledger.Open.
func (p *program) openLedger(ctx context.Context, values []value) (*ledger.Ledger, error) {
	url := valueOf(values, "", database)
	if url == "" {
		return nil, phone.Errorf(phone.Invalid, "There is no home directory to keep calls in: set OUTDIAL_DATABASE, such as sqlite:/var/lib/outdial/outdial.db.")
	}
	o := ledger.Options{Lease: p.lease}
	if p.metrics != nil {
		o.Committed = p.metrics.Committed
	}
	return ledger.Open(ctx, url, o)
}

// secretVariables are the variables that hold secrets, or say where they are.
func secretVariables(values []value) []string {
	var all []string
	for _, v := range values {
		if v.Secret {
			all = append(all, v.Env, v.Env+"_FILE")
		}
	}
	return append(all, "OUTDIAL_DATABASE", "OUTDIAL_DATABASE_FILE", "PGPASSWORD", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
}

// boardOptions opens the providers that are configured and reads the policy. Errors: invalid.
func (p *program) boardOptions(values []value, log zerolog.Logger) (switchboard.Options, error) {
	o := switchboard.Options{
		Default: valueOf(values, "", "provider"), Region: strings.ToUpper(valueOf(values, "", "region")), Log: log,
	}
	var err error
	if o.Policy, err = p.policyOf(values); err != nil {
		return o, err
	}
	if r := o.Region; r != "" && !guard.IsRegion(r) {
		return o, wrong(values, "region", "%q is not a region such as CN or US.", r)
	}
	if o.Default != "" && !slices.ContainsFunc(p.specs, func(s providers.Spec) bool { return s.Name == o.Default }) {
		return o, wrong(values, "provider", "there is no provider %q. There are: %s.", o.Default, strings.Join(names(p.specs), ", "))
	}
	if o.Keep, err = keeping(values); err != nil {
		return o, err
	}
	if o.CallTools, err = p.callTools(values); err != nil {
		return o, err
	}
	if on := valueOf(values, "", "on_end"); on != "" {
		if o.OnEnd, err = notify.Parse(on, valueOf(values, "", "hook_secret"), secretVariables(values)...); err != nil {
			return o, wrong(values, "on_end", "%s (OUTDIAL_HOOK_SECRET)", phone.AsError(err).Message)
		}
	}
	public, err := publicURL(values)
	if err != nil {
		return o, err
	}
	for _, spec := range p.specs {
		config, ok := configOf(values, spec)
		if !ok {
			o.Missing = append(o.Missing, spec)
			continue
		}
		if public != "" {
			config[providers.WebhookURL] = public + "/webhooks/" + spec.Name
			if len(o.CallTools) > 0 { // else those stay that are set in the service's own settings
				config[providers.ToolWebhookURL] = config[providers.WebhookURL]
			}
		}
		d, err := spec.Open(config, nil)
		if err != nil {
			return o, err
		}
		o.Providers = append(o.Providers, providers.New(spec, d, providers.Options{Account: account(values, spec), Log: log}))
	}
	return o, nil
}

// policyOf reads the guard's settings. Errors: invalid, naming the setting as it was set.
func (p *program) policyOf(values []value) (guard.Policy, error) {
	for _, s := range guard.Settings() {
		if v := setting(values, "", s.Name); v.From != "" && v.Value == "" {
			return guard.Policy{}, wrong(values, s.Name, "it is empty; leave it out for its default.")
		}
	}
	policy, name, err := guard.ReadPolicy(func(name string) string { return valueOf(values, "", name) })
	if err != nil {
		return policy, wrong(values, name, "%s", phone.AsError(err).Message)
	}
	for of := range policy.Rates {
		if !slices.Contains(names(p.specs), of) {
			return policy, wrong(values, "rates", "there is no provider %q. There are: %s.", of, strings.Join(names(p.specs), ", "))
		}
	}
	return policy, nil
}

func names(specs []providers.Spec) []string {
	var all []string
	for _, s := range specs {
		all = append(all, s.Name)
	}
	return all
}

// configOf are the values of a provider's settings; false if one that it needs is missing.
func configOf(values []value, spec providers.Spec) (providers.Config, bool) {
	c := providers.Config{}
	for _, set := range spec.Settings {
		v := valueOf(values, spec.Name, set.Name)
		if set.Required && v == "" {
			return nil, false
		}
		c[set.Name] = v
	}
	return c, true
}

// account is a fingerprint of the key that a provider is opened with, and of the address that it is for: it tells one
// account from another and gives nothing away.
func account(values []value, spec providers.Spec) string {
	h := sha256.New()
	fmt.Fprintf(h, "outdial account %s", spec.Name)
	for _, v := range values {
		if v.Owner == spec.Name && (v.Required || v.Name == "api_base") {
			fmt.Fprintf(h, "\n%s", strings.TrimRight(strings.TrimSpace(v.Value), "/"))
		}
	}
	return spec.Name + ":" + hex.EncodeToString(h.Sum(nil)[:6])
}
