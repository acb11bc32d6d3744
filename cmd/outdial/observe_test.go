package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outdial/outdial/guard"
)

const observed = "../../deploy/observe"

// promtool is Debian's, of the package prometheus.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("NOT RUN: there is no promtool to try the alerts and the dashboard with")
	}
	return path
}

// alert is one of alerts.yaml.
type alert struct{ name, expr string }

// alerts reads the rules line by line: their file is written so.
func alerts(t *testing.T) (all []alert) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(observed, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)\n +expr: (.+)\n`).FindAllStringSubmatch(string(raw), -1) {
		all = append(all, alert{m[1], m[2]})
	}
	if len(all) != strings.Count(string(raw), "- alert:") || len(all) == 0 {
		t.Fatalf("%d alerts could be read", len(all))
	}
	return all
}

// panels are the queries of the dashboard, by panel and number.
func panels(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(observed, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range d.Panels {
		for i, q := range p.Targets {
			all[fmt.Sprintf("%s %d", p.Title, i+1)] = strings.ReplaceAll(q.Expr, "$__rate_interval", "5m")
		}
	}
	return all
}

// series are the samples of an exposition as promtool's tests take them: counters grow by what they hold and one more in each
// minute, all else stays.
func series(exposition string) (all []string) {
	kinds := map[string]string{}
	for line := range strings.Lines(exposition) {
		f := strings.Fields(line)
		if len(f) == 4 && f[1] == "TYPE" {
			kinds[f[2]] = f[3]
		}
		if strings.HasPrefix(line, "#") || len(f) < 2 {
			continue
		}
		at := strings.LastIndex(strings.TrimRight(line, "\n"), " ")
		name, labels, _ := strings.Cut(line[:at], "{")
		labels = strings.TrimSuffix(labels, "}")
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil || value != value || value > 1e15 || value < -1e15 { // NaN, and bounds of what has none
			continue
		}
		for _, more := range []string{`job="outdial"`, `instance="a:8757"`} {
			labels = strings.TrimPrefix(labels+","+more, ",")
		}
		grows := kinds[name] == "counter"
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			grows = grows || strings.HasSuffix(name, suffix) && kinds[strings.TrimSuffix(name, suffix)] == "histogram"
		}
		values := fmt.Sprintf("%gx30", value)
		if grows {
			values = fmt.Sprintf("%g+%gx30", value, value+1)
		}
		all = append(all, fmt.Sprintf("      - series: '%s{%s}'\n        values: '%s'\n", name, labels, values))
	}
	return append(all, "      - series: 'up{job=\"outdial\",instance=\"a:8757\"}'\n        values: '1x30'\n")
}

// selectors are the series that a query reads, each as a query of its own.
func selectors(expr string) []string {
	return regexp.MustCompile(`\b(?:outdial_\w+|process_\w+|go_\w+|up\b)(?:\{[^}]*\})?`).FindAllString(expr, -1)
}

// The first refusal by a rule shows as an increase: its series was there before, at 0.
func TestRefusalsBeginAtZero(t *testing.T) {
	t.Parallel()
	p := servePamela(t, 4)
	p.serve()
	text := metricsOf(t, p)
	for _, r := range guard.Rules() {
		if line := fmt.Sprintf("\noutdial_refusals_total{code=%q} 0\n", r.Code); !strings.Contains(text, line) {
			t.Errorf("missing: %s", line)
		}
	}
}

// eventful is what /metrics serves after some of everything has happened.
func eventful(t *testing.T) string {
	t.Helper()
	p := servePamela(t, 4)
	p.env = append(p.env, "OUTDIAL_BUDGET_DAY=USD 5, CNY 50", "OUTDIAL_BUDGET_MONTH=USD 50, CNY 500", "OUTDIAL_BUDGET_CALL=USD 5, CNY 50")
	p.run("dnc", "add", "+12125550199")
	p.serve()
	c := p.client(nil)
	for to, seconds := range map[string]int{"+12125550100": 30, "+12125550101": 30, "+12125550199": 0, "+12125550108": 0} {
		use(t, c, "create_call", map[string]any{"to": to, "task": "x", "wait_seconds": seconds}, "p")
	}
	p.post("whsec_forged", `{"call_id":"x","event":"call.started"}`)
	return metricsOf(t, p)
}

func metricsOf(t *testing.T, p *withPamela) string {
	t.Helper()
	resp, err := http.Get(p.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v", resp.Status, err)
	}
	return string(raw)
}

// Every query of the dashboard has an answer on the metrics that a server really serves, and every alert reads series that are
// there, with the labels that it groups by.
func TestDashboardAndAlerts(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	exposition := eventful(t)
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files:\n  - %s\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n", absolute(t, "alerts.yaml"))
	for _, s := range series(exposition) {
		b.WriteString(s)
	}
	b.WriteString("    promql_expr_test:\n")
	ask := func(expr string) {
		fmt.Fprintf(&b, "      - expr: %s\n        eval_time: 20m\n        exp_samples:\n          - labels: '{}'\n            value: 1\n", strconv.Quote("count("+expr+") > bool 0"))
	}
	asked := 0
	for _, expr := range panels(t) {
		ask(expr)
		asked++
	}
	for _, a := range alerts(t) {
		for _, s := range selectors(a.expr) {
			ask(s)
			asked++
			for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(a.expr, -1) {
				for label := range strings.SplitSeq(by[1], ",") {
					name, matchers, has := strings.Cut(strings.TrimSuffix(s, "}"), "{")
					if has {
						matchers += ","
					}
					ask(fmt.Sprintf(`%s{%s%s!=""}`, name, matchers, strings.TrimSpace(label)))
				}
			}
		}
	}
	verify(t, tool, b.String())
	t.Logf("%d queries on %d series", asked, len(series(exposition)))
}

// Each alert comes when what it is for happens, and none comes from a server at peace.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	const a = `instance="a:8757",job="outdial"`
	fires := map[string][]string{
		"OutdialDown":              {`up{` + a + `}`, "0x30"},
		"OutdialUnconfirmedCalls":  {`outdial_unconfirmed_calls{` + a + `}`, "2x30"},
		"OutdialDialsUncertain":    {`outdial_dials_total{provider="pamela",result="uncertain",` + a + `}`, "0+1x30"},
		"OutdialDialsRejected":     {`outdial_dials_total{provider="pamela",result="rejected",` + a + `}`, "0+1x30", `outdial_dials_total{provider="pamela",result="placed",` + a + `}`, "7x30"},
		"OutdialDialSlow":          {`outdial_dial_seconds_bucket{provider="pamela",le="10",` + a + `}`, "0x30", `outdial_dial_seconds_bucket{provider="pamela",le="20",` + a + `}`, "0+1x30", `outdial_dial_seconds_bucket{provider="pamela",le="+Inf",` + a + `}`, "0+1x30"},
		"OutdialWordsLate":         {`outdial_fragment_delay_seconds_bucket{provider="pamela",le="1",` + a + `}`, "0x30", `outdial_fragment_delay_seconds_bucket{provider="pamela",le="2.5",` + a + `}`, "0+1x30", `outdial_fragment_delay_seconds_bucket{provider="pamela",le="+Inf",` + a + `}`, "0+1x30"},
		"OutdialBudgetNearlySpent": {`outdial_budget_spent{currency="USD",period="day",` + a + `}`, "4.5x30", `outdial_budget_limit{currency="USD",period="day",` + a + `}`, "5x30"},
		"OutdialRefusalsRise":      {`outdial_refusals_total{code="do_not_call",` + a + `}`, "0+1x30"},
		"OutdialLeaseNotRenewed":   {`outdial_lease_renewed_timestamp_seconds{` + a + `}`, "0x30"},
		"OutdialLedgerSlow":        {`outdial_ledger_commit_seconds_bucket{le="0.25",` + a + `}`, "0x30", `outdial_ledger_commit_seconds_bucket{le="1",` + a + `}`, "0+1x30", `outdial_ledger_commit_seconds_bucket{le="+Inf",` + a + `}`, "0+1x30"},
		"OutdialWebhooksForged":    {`outdial_webhooks_total{provider="pamela",result="forged",` + a + `}`, "0+10x30"},
		"OutdialWrongTokens":       {`outdial_authentication_failures_total{reason="invalid",` + a + `}`, "0+20x30"},
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files:\n  - %s\nevaluation_interval: 1m\ntests:\n", absolute(t, "alerts.yaml"))
	for _, one := range alerts(t) {
		in := fires[one.name]
		if in == nil {
			t.Errorf("%s: nobody has tried whether it comes", one.name)
			continue
		}
		b.WriteString("  - interval: 1m\n    input_series:\n")
		for s := range slices.Chunk(in, 2) {
			fmt.Fprintf(&b, "      - series: '%s'\n        values: '%s'\n", s[0], s[1])
		}
		b.WriteString("    promql_expr_test:\n")
		for _, other := range alerts(t) {
			value := 0
			if other.name == one.name {
				value = 1
			}
			fmt.Fprintf(&b, "      - expr: %s\n        eval_time: 29m\n        exp_samples:\n          - labels: '{}'\n            value: %d\n",
				strconv.Quote(`count(ALERTS{alertname="`+other.name+`",alertstate="firing"}) > bool 0 or vector(0)`), value)
		}
	}
	verify(t, tool, b.String())
}

// What every replica reads from one ledger is the same at each, and is never added up.
func TestWhatReplicasShareIsNotAddedUp(t *testing.T) {
	t.Parallel()
	all := panels(t)
	for _, a := range alerts(t) {
		all[a.name] = a.expr
	}
	shared, read := regexp.MustCompile(`outdial_(?:live_calls|unconfirmed_calls|budget_\w+)`), 0
	greatest := regexp.MustCompile(`\bmax(?: by \([^)]*\))? ?\(` + shared.String())
	for name, expr := range all {
		n := len(shared.FindAllString(expr, -1))
		read += n
		if len(greatest.FindAllString(expr, -1)) != n {
			t.Errorf("%s: %s", name, expr)
		}
	}
	if read < 6 {
		t.Errorf("only %d queries read the ledger's: this looks at the wrong place", read)
	}
}

// Whoever is woken by an alert finds it in the documents.
func TestAlertsAreExplained(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(observed, "..", "..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range alerts(t) {
		if !strings.Contains(string(raw), "\n| `"+one.name+"` |") {
			t.Errorf("docs/operating.md does not say what to do about %s", one.name)
		}
	}
	if n := strings.Count(string(raw), "\n| `Outdial"); n != len(alerts(t)) {
		t.Errorf("docs/operating.md explains %d alerts, and there are %d", n, len(alerts(t)))
	}
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(observed, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func verify(t *testing.T, tool, tests string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tests.yaml")
	if err := os.WriteFile(file, []byte(tests), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "check", "rules", absolute(t, "alerts.yaml")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%.5000s", err, out)
	}
}
