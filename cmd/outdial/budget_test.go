package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"
)

// Three processes on one ledger are asked for 200 calls at once where 7 may be placed: 7 are, whatever it is that bounds
// them, and each of the others is told that nobody was called, and why.
func TestBudgetRace(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ setting, reason string }{
		"money":       {"OUTDIAL_BUDGET_DAY=USD 0.70", "budget_exceeded"},
		"calls":       {"OUTDIAL_CALLS_PER_DAY=7", "rate_limited"},
		"new numbers": {"OUTDIAL_NEW_NUMBERS_PER_DAY=7", "new_number_limit"},
		"at once":     {"OUTDIAL_CONCURRENT_CALLS=7", "busy"},
	} {
		t.Run(name, func(t *testing.T) { raceForRoom(t, tt.setting, tt.reason) })
	}
}

// The same at three replicas on Postgres.
func TestBudgetRaceOnPostgres(t *testing.T) {
	for name, tt := range map[string]struct{ setting, reason string }{
		"money":   {"OUTDIAL_BUDGET_DAY=USD 0.70", "budget_exceeded"},
		"at once": {"OUTDIAL_CONCURRENT_CALLS=7", "busy"},
	} {
		t.Run(name, func(t *testing.T) { raceForRoom(t, tt.setting, tt.reason, "OUTDIAL_DATABASE="+postgres.Database(t)) })
	}
}

func raceForRoom(t *testing.T, setting, reason string, more ...string) {
	const processes, asked, room = 3, 200, 7
	// The calls go on for longer than the test: none is settled meanwhile.
	s := record(t, pamelaService(1, steady(600, time.Second)))
	s.hold(nil, slowly)
	env := append(s.env(s.base), "OUTDIAL_RATES=pamela=USD 0.10", "OUTDIAL_MAX_DURATION=1m", setting) // the last of two values counts
	env = append(env, more...)
	home := t.TempDir()
	var all []*mcpChild
	for range processes {
		all = append(all, spawnMCP(t, home, env...))
	}
	ask := func(n int) <-chan answer {
		return all[n%processes].tool("create_call", fmt.Sprintf(`{"to":%q,"task":"crash-%d"}`, s.number(n), n), "")
	}
	var answers []<-chan answer
	for n := range asked {
		answers = append(answers, ask(n))
	}
	placed, refused, again := map[string]string{}, 0, 0
	for n := 0; n < asked; {
		a := all[n%processes].get(answers[n])
		var e struct {
			Result struct {
				Error struct {
					Code, Reason string
					CallStarted  string `json:"call_started"`
					RetrySafe    bool   `json:"retry_safe"`
					CallID       string `json:"call_id"`
				} `json:"structuredContent"`
			}
		}
		if err := json.Unmarshal(a.raw, &e); err != nil {
			t.Fatal(err)
		}
		switch why := e.Result.Error; {
		case !a.Result.IsError:
			placed[s.number(n)] = a.Result.Call.CallID
		case why.CallStarted == "no" && why.CallID == "" && why.Code == "unavailable" && why.RetrySafe && again < asked:
			// So many writers can keep one of them from a ledger for longer than it waits: it says to ask again.
			again++
			answers[n] = ask(n)
			continue
		case why.CallStarted == "no" && why.CallID == "" && why.Code == "refused" && why.Reason == reason:
			refused++
		default:
			t.Errorf("refused with %s", a.raw)
		}
		n++
	}
	dials := map[string]string{}
	s.mu.Lock()
	for _, d := range s.dials {
		dials[d.to] = d.call
	}
	s.mu.Unlock()
	if s.count() != room || !maps.Equal(dials, placed) || refused != asked-room {
		t.Errorf("%d dials to %v, %d calls placed: %v; %d refused", s.count(), dials, len(placed), placed, refused)
	}
	t.Logf("%d requests to %d processes, %d of them sent again: %d dials, %d refused as %s", asked, processes, again, s.count(), refused, reason)
}
