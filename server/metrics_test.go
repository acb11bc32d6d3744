package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/server"
	"github.com/outdial/outdial/switchboard"
)

var _ switchboard.Meter = (*server.Metrics)(nil)

// counted are metrics with something in each of them.
func counted(stand func(context.Context) (server.Standing, error)) *server.Metrics {
	m := server.NewMetrics(server.MetricsOptions{Version: "1.2.3", Providers: []string{"stepone"}})
	m.Read(stand, func() time.Time { return time.Unix(1_800_000_000, 0) })
	m.Dialing(context.Background(), "stepone")("placed")
	m.Ended("stepone", phone.NoAnswer)
	m.Refused("do_not_call")
	m.Heard("stepone", 3)
	m.Shown("stepone", 7*time.Millisecond)
	m.Watching(2)
	m.Watching(-1)
	m.Webhook("stepone", "forged")
	m.Asked(phone.ByCaller)
	m.Committed(3 * time.Millisecond)
	return m
}

func standing(context.Context) (server.Standing, error) {
	return server.Standing{Live: map[string]int{"pamela": 2}, Unconfirmed: 1, Budgets: []server.BudgetUse{
		{Period: "day", Used: phone.Micros(1_250_000, "USD"), Limit: phone.Micros(5_000_000, "USD")},
		{Period: "month", Used: phone.Micros(1, "CNY"), Limit: phone.Micros(0, "CNY")},
	}}, nil
}

// scrape reads /metrics as Prometheus does.
func scrape(t *testing.T, url string, change func(*http.Request)) (status int, text string) {
	t.Helper()
	return fetch(t, url+"/metrics", change)
}

// fetch reads a page, on a connection of its own.
func fetch(t *testing.T, url string, change func(*http.Request)) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	web := serveHTTP(t, newTools(), server.HTTPOptions{Metrics: counted(standing)})
	status, text := scrape(t, web.URL, nil)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	for _, line := range []string{
		`outdial_calls_total{outcome="no_answer",provider="stepone"} 1`, `outdial_calls_total{outcome="completed",provider="stepone"} 0`,
		`outdial_refusals_total{code="do_not_call"} 1`, `outdial_dials_total{provider="stepone",result="placed"} 1`,
		`outdial_dials_total{provider="stepone",result="uncertain"} 0`, `outdial_dial_seconds_count{provider="stepone"} 1`,
		`outdial_fragments_total{provider="stepone"} 3`, `outdial_fragment_delay_seconds_sum{provider="stepone"} 0.007`,
		`outdial_open_streams 1`, `outdial_live_calls{provider="pamela"} 2`, `outdial_live_calls{provider="stepone"} 0`,
		`outdial_unconfirmed_calls 1`, `outdial_budget_spent{currency="USD",period="day"} 1.25`, `outdial_budget_limit{currency="USD",period="day"} 5`,
		`outdial_budget_spent{currency="CNY",period="month"} 1e-06`, `outdial_webhooks_total{provider="stepone",result="forged"} 1`,
		`outdial_authentication_failures_total{reason="missing"} 0`, `outdial_ledger_commit_seconds_count 1`,
		`outdial_lease_renewed_timestamp_seconds 1.8e+09`, `outdial_questions_total{answered_by="caller"} 1`,
		`outdial_build_info{version="1.2.3"} 1`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(text, `outdial_budget_limit{currency="CNY"`) {
		t.Error("a budget without a limit has one")
	}
	for _, other := range []string{"go_goroutines ", "process_open_fds "} {
		if !strings.Contains(text, "\n"+other) && (other != "process_open_fds " || isLinux()) {
			t.Errorf("missing: %s", other)
		}
	}
}

func isLinux() bool {
	_, err := os.Stat("/proc/self/fd")
	return err == nil
}

// What the operator is told to watch is what the server serves, names, kinds, labels and all.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	web := serveHTTP(t, newTools(), server.HTTPOptions{Metrics: counted(standing)})
	_, text := scrape(t, web.URL, nil)
	kinds, helps, labels := map[string]string{}, map[string]string{}, map[string]map[string]bool{}
	label := regexp.MustCompile(`(\w+)="`)
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
			name, help, _ := strings.Cut(rest, " ")
			helps[name] = help
			continue
		}
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			kinds[name], labels[name] = kind, map[string]bool{}
			continue
		}
		name, _, _ := strings.Cut(strings.FieldsFunc(line, func(r rune) bool { return r == '{' || r == ' ' })[0], " ")
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); kinds[base] == "histogram" {
				name = base
			}
		}
		for _, l := range label.FindAllStringSubmatch(line, -1) {
			if l[1] != "le" {
				labels[name][l[1]] = true
			}
		}
	}
	var rows []string
	for name, kind := range kinds {
		if !strings.HasPrefix(name, "outdial_") {
			continue
		}
		var of []string
		for l := range labels[name] {
			of = append(of, "`"+l+"`")
		}
		slices.Sort(of)
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, kind, strings.Join(of, ", "), helps[name]))
	}
	slices.Sort(rows)
	table := "\n| metric | kind | labels | |\n|---|---|---|---|\n" + strings.Join(rows, "") + "\n"

	raw, err := os.ReadFile(filepath.Join("..", "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(raw), "<!-- metrics -->\n")
	have, _, closed := strings.Cut(rest, "<!-- /metrics -->")
	if !ok || !closed {
		t.Fatal("docs/operating.md has no place for the metrics")
	}
	if diff := cmp.Diff(table, have); diff != "" {
		t.Errorf("docs/operating.md does not tell what /metrics serves:\n%s\nit should be:\n%s", diff, table)
	}
}

// The Host guard stands before it, and where authentication is set up, any token of ours reads it and nothing else does.
func TestWhoReadsMetrics(t *testing.T) {
	t.Parallel()
	m := counted(standing)
	url, file := protected(t, newTools(), nil, server.HTTPOptions{Metrics: m})
	reader, placer := newStatic(t, file, "prometheus", phone.MetricsScope), newStatic(t, file, "placer", phone.PlaceScope, phone.ReadScope)
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"a token for them":     {with(reader), http.StatusOK},
		"a token for calls":    {with(placer), http.StatusOK},
		"none":                 {nil, http.StatusUnauthorized},
		"a wrong one":          {with(reader + "x"), http.StatusUnauthorized},
		"one in the address":   {func(r *http.Request) { r.URL.RawQuery = "access_token=" + reader }, http.StatusBadRequest},
		"another host":         {func(r *http.Request) { with(reader)(r); r.Host = "evil.example" }, http.StatusForbidden},
		"a page of another":    {func(r *http.Request) { with(reader)(r); r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
		"something to be done": {func(r *http.Request) { with(reader)(r); r.Method = http.MethodPost }, http.StatusMethodNotAllowed},
	} {
		if status, text := scrape(t, url, tt.change); status != tt.status || (status != http.StatusOK && strings.Contains(text, "outdial_")) {
			t.Errorf("%s: %d, want %d: %.200s", name, status, tt.status, text)
		}
	}
	_, text := scrape(t, url, with(reader))
	for reason, n := range map[string]int{"missing": 1, "invalid": 1, "malformed": 1, "scope": 0, "flood": 0} {
		if line := fmt.Sprintf("\noutdial_authentication_failures_total{reason=%q} %d\n", reason, n); !strings.Contains(text, line) {
			t.Errorf("missing: %s", line)
		}
	}
	if status, _ := scrape(t, serveHTTP(t, newTools(), server.HTTPOptions{}).URL, nil); status != http.StatusNotFound {
		t.Errorf("without metrics: %d", status)
	}
}

// The ledger is read once for many scrapes, for a bounded time, and what cannot be read is left out and hides nothing else.
func TestMetricsOfALedgerThatIsAway(t *testing.T) {
	t.Parallel()
	reads := 0 // one at a time: the collector sees to that
	m := counted(func(ctx context.Context) (server.Standing, error) {
		reads++
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("it may be read for ever")
		}
		return server.Standing{}, errors.New("away")
	})
	web := serveHTTP(t, newTools(), server.HTTPOptions{Metrics: m})
	began := time.Now()
	for range 20 {
		status, text := scrape(t, web.URL, nil)
		if status != http.StatusOK || strings.Contains(text, "outdial_live_calls{") || !strings.Contains(text, "\noutdial_lease_renewed_timestamp_seconds ") {
			t.Fatalf("%d %s", status, text)
		}
	}
	if most := 1 + int(time.Since(began)/(5*time.Second)); reads > most {
		t.Errorf("20 scrapes read the ledger %d times", reads)
	}
}
