package server

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/outdial/outdial/phone"
)

const (
	// standFor is how long what was read from the ledger for one scrape does for the next.
	standFor = 5 * time.Second
	// standWithin bounds that reading.
	standWithin = 2 * time.Second
)

// Standing is how things stand on the ledger, for all principals.
type Standing struct {
	Live        map[string]int // calls that go on, by provider
	Unconfirmed int            // calls of which nobody knows whether they were placed
	Budgets     []BudgetUse
}

// BudgetUse is what counts against one budget.
type BudgetUse struct {
	Period string      // day or month
	Used   phone.Money // spent, and reserved for calls that are not over
	Limit  phone.Money // zero: none
}

// MetricsOptions are what [NewMetrics] is told. The zero value will do.
type MetricsOptions struct {
	Version   string
	Providers []string // those that are there, so that their series begin at 0
	Rules     []string // the codes of the guard's rules; likewise
	Traces    *Traces  // of dials; nil: none
	Log       zerolog.Logger
}

// Metrics counts what happens, for /metrics, in a registry of its own. Label values come out of short lists: no number, no
// principal, no name of a call, nothing that anybody has written.
type Metrics struct {
	o        MetricsOptions
	registry *prometheus.Registry
	handler  http.Handler

	calls, refusals, dials, fragments, webhooks, failures, questions *prometheus.CounterVec
	dialSeconds, fragmentDelay                                       *prometheus.HistogramVec
	commit                                                           prometheus.Histogram
	streams                                                          prometheus.Gauge
}

// NewMetrics makes metrics that have counted nothing yet.
func NewMetrics(o MetricsOptions) *Metrics {
	m := &Metrics{o: o, registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(m.registry, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "outdial_" + name, Help: help}, labels))
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return register(m.registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "outdial_" + name, Help: help, Buckets: buckets}, labels))
	}
	m.calls = counter("calls_total", "Calls whose end this process has recorded.", "provider", "outcome")
	m.refusals = counter("refusals_total", "Requests to call that a rule of the guard refused, by the rule's code.", "code")
	m.dials = counter("dials_total", "Dials that this process has sent, by what came of them.", "provider", "result")
	m.fragments = counter("fragments_total", "Fragments of what was said that this process has recorded.", "provider")
	m.webhooks = counter("webhooks_total", "Webhooks of providers, by what became of them.", "provider", "result")
	m.failures = counter("authentication_failures_total", "Requests that were not let in.", "reason")
	m.questions = counter("questions_total", "Questions of the agent on the line, by who answered.", "answered_by")
	m.dialSeconds = histogram("dial_seconds", "How long a provider took to answer a dial.", []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 15, 20}, "provider")
	m.fragmentDelay = histogram("fragment_delay_seconds", "From the moment a provider's words reached outdial to when they were written to a client that listened.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}, "provider")
	m.commit = register(m.registry, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "outdial_ledger_commit_seconds", Help: "How long a commit to the ledger took, until it was on disk.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
	}))
	m.streams = register(m.registry, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "outdial_open_streams", Help: "Tool calls that wait for what is said in a call.",
	}))
	register(m.registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "outdial_build_info", Help: "Always 1; its label tells the version."}, []string{"version"})).
		WithLabelValues(o.Version).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.begin()
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second, ErrorLog: scrapeLog{o.Log},
	})
	return m
}

// Read adds what is read from the ledger at a scrape: stand tells how things stand, renewed when this process last renewed
// its lease. It is called once.
func (m *Metrics) Read(stand func(ctx context.Context) (Standing, error), renewed func() time.Time) {
	m.registry.MustRegister(newStander(m.o, stand))
	register(m.registry, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "outdial_lease_renewed_timestamp_seconds", Help: "When this process last renewed its lease on its calls, in Unix time.",
	}, func() float64 { return float64(renewed().UnixMicro()) / 1e6 }))
}

func register[C prometheus.Collector](r *prometheus.Registry, c C) C {
	r.MustRegister(c)
	return c
}

// begin has the series that are known beforehand begin at 0: what appears with its first count shows no increase.
func (m *Metrics) begin() {
	for _, code := range append([]string{string(phone.Refused), string(phone.Invalid)}, m.o.Rules...) {
		m.refusals.WithLabelValues(code)
	}
	for _, p := range m.o.Providers {
		for _, o := range []phone.Outcome{
			phone.Completed, phone.NoAnswer, phone.Busy, phone.Declined, phone.Voicemail, phone.Cancelled, phone.Failed, phone.UnknownOutcome,
		} {
			m.calls.WithLabelValues(p, string(o))
		}
		for _, result := range []string{"placed", "rejected", "uncertain"} {
			m.dials.WithLabelValues(p, result)
		}
		for _, result := range []string{"taken", "forged", "invalid", "unavailable"} {
			m.webhooks.WithLabelValues(p, result)
		}
		m.fragments.WithLabelValues(p)
		m.dialSeconds.WithLabelValues(p)
		m.fragmentDelay.WithLabelValues(p)
	}
	for _, reason := range []string{"malformed", "missing", "scope", "invalid", "flood", "unavailable"} {
		m.failures.WithLabelValues(reason)
	}
	for _, by := range []phone.AnsweredBy{phone.ByOperator, phone.ByCaller, phone.ByNobody} {
		m.questions.WithLabelValues(string(by))
	}
}

// Dialing counts a dial and begins its span. It and the methods after it are those of a switchboard.Meter.
func (m *Metrics) Dialing(ctx context.Context, provider string) (answered func(result string)) {
	began, end := time.Now(), m.o.Traces.dialing(ctx, provider)
	return func(result string) {
		m.dials.WithLabelValues(provider, result).Inc()
		m.dialSeconds.WithLabelValues(provider).Observe(time.Since(began).Seconds())
		end(result)
	}
}

// Ended is one of them.
func (m *Metrics) Ended(provider string, outcome phone.Outcome) {
	m.calls.WithLabelValues(provider, string(outcome)).Inc()
}

// Refused is one of them.
func (m *Metrics) Refused(code string) { m.refusals.WithLabelValues(code).Inc() }

// Heard is one of them.
func (m *Metrics) Heard(provider string, fragments int) {
	m.fragments.WithLabelValues(provider).Add(float64(fragments))
}

// Shown is one of them.
func (m *Metrics) Shown(provider string, after time.Duration) {
	m.fragmentDelay.WithLabelValues(provider).Observe(max(0, after.Seconds()))
}

// Watching is one of them.
func (m *Metrics) Watching(more int) { m.streams.Add(float64(more)) }

// Webhook is one of them.
func (m *Metrics) Webhook(provider, result string) {
	m.webhooks.WithLabelValues(provider, result).Inc()
}

// Asked is one of them.
func (m *Metrics) Asked(by phone.AnsweredBy) { m.questions.WithLabelValues(string(by)).Inc() }

// Committed counts a commit to the ledger.
func (m *Metrics) Committed(took time.Duration) { m.commit.Observe(took.Seconds()) }

// notAdmitted counts a request that was not let in. Nil Metrics count nothing.
func (m *Metrics) notAdmitted(reason string) {
	if m != nil {
		m.failures.WithLabelValues(reason).Inc()
	}
}

// metrics answers a scrape. They are of all principals together, and tell whoever has a token no more of the others than
// budgets, limits and balances do, which all share; one whose scope is for them alone sees nothing else.
func (e *Endpoint) metrics(w http.ResponseWriter, r *http.Request) {
	if e.options.Metrics == nil {
		refuse(w, r, http.StatusNotFound, "404 page not found")
		return
	}
	if _, ok := e.admit(w, r, phone.Scopes()...); !ok {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, r, http.StatusMethodNotAllowed, "use GET")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	e.options.Metrics.handler.ServeHTTP(w, r)
}

// scrapeLog is where faults of a scrape go.
type scrapeLog struct{ log zerolog.Logger }

// Println logs one.
func (l scrapeLog) Println(...any) { l.log.Warn().Msg("not all metrics could be served") }

// stander is the metrics that are read from the ledger.
type stander struct {
	o                                      MetricsOptions
	read                                   func(context.Context) (Standing, error)
	live, unconfirmed, budget, budgetLimit *prometheus.Desc

	mu   sync.Mutex
	at   time.Time
	last Standing
	err  error
}

func newStander(o MetricsOptions, read func(context.Context) (Standing, error)) *stander {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("outdial_"+name, help, labels, nil)
	}
	return &stander{
		o: o, read: read, live: desc("live_calls", "Calls on the ledger that go on, whichever process follows them.", "provider"),
		unconfirmed: desc("unconfirmed_calls", "Calls on the ledger of which nobody knows whether they were placed."),
		budget:      desc("budget_spent", "What counts against a budget: spent, and reserved for calls that are not over.", "currency", "period"),
		budgetLimit: desc("budget_limit", "What a budget allows; not there where it has no limit.", "currency", "period"),
	}
}

// Describe lists the metrics.
func (s *stander) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{s.live, s.unconfirmed, s.budget, s.budgetLimit} {
		to <- d
	}
}

// Collect gives them as they stand, or none of them where the ledger cannot be read: an old figure would lie.
func (s *stander) Collect(to chan<- prometheus.Metric) {
	now, err := s.stand()
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	live := map[string]int{}
	for _, p := range s.o.Providers {
		live[p] = 0
	}
	maps.Copy(live, now.Live)
	for p, n := range live {
		gauge(s.live, float64(n), p)
	}
	gauge(s.unconfirmed, float64(now.Unconfirmed))
	for _, b := range now.Budgets {
		gauge(s.budget, units(b.Used), b.Used.Currency(), b.Period)
		if b.Limit.Micros() > 0 {
			gauge(s.budgetLimit, units(b.Limit), b.Used.Currency(), b.Period)
		}
	}
}

// stand reads how things stand, once for all scrapes of a few seconds.
func (s *stander) stand() (Standing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) < standFor {
		return s.last, s.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), standWithin)
	defer cancel()
	s.last, s.err = s.read(ctx)
	s.at = time.Now()
	if s.err != nil {
		s.o.Log.Warn().Err(s.err).Msg("how things stand could not be read for /metrics")
	}
	return s.last, s.err
}

// units is an amount in units of its currency.
func units(m phone.Money) float64 { return float64(m.Micros()) / 1e6 }
