package providertest

import (
	"context"
	"slices"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// keepings are the clauses about the operator's tools, as far as the service knows them.
func keepings() []clause {
	return []clause{
		{"a tool is listed from when it is registered until it is deactivated", wire | keepsTools, toolsKept},
		{"a list of tools that cannot be read shows nothing", wire | keepsTools, unreadTools},
		{"a tool that is not surely registered or deactivated is an error", wire | keepsTools, failedTools},
	}
}

// callTool is a tool with this name.
func callTool(name string) providers.CallTool {
	return providers.CallTool{
		Name: name, Description: "Whether a table is free.", Timeout: 10 * time.Second,
		Input: map[string]any{"type": "object", "properties": map[string]any{"at": map[string]any{"type": "string"}}},
	}
}

func toolsKept(s *scene) {
	ctx, cancel := context.WithTimeout(context.Background(), never)
	defer cancel()
	keeper := s.open(Wire{}).(providers.Toolkeeper)
	var want []providers.RegisteredTool
	listed := func(after string) {
		s.Helper()
		// What is listed is whatever was registered, by another process too.
		got, err := s.open(Wire{}).(providers.Toolkeeper).Registered(ctx)
		if err != nil || len(got) != len(want) || slices.ContainsFunc(want, func(t providers.RegisteredTool) bool { return !slices.Contains(got, t) }) {
			s.Errorf("after %s %v is listed, want %v: %v", after, got, want, err)
		}
	}
	listed("nothing")
	for _, name := range []string{"free_table", "birth_date"} {
		id, err := keeper.Register(ctx, callTool(name))
		if err != nil || id == "" {
			s.Fatalf("%s is registered as %q: %v", name, id, err)
		}
		want = append(want, providers.RegisteredTool{ID: id, Name: name})
		listed("registering " + name)
	}
	gone := want[0].ID
	want = want[1:]
	for range 2 { // the second time it is not known any more
		if err := keeper.Deactivate(ctx, gone); err != nil {
			s.Errorf("Deactivate: %v", err)
		}
		listed("a deactivation")
	}
}

func unreadTools(s *scene) {
	keeper := s.open(Wire{}).(providers.Toolkeeper)
	if _, err := keeper.Register(context.Background(), callTool("free_table")); err != nil {
		s.Fatalf("Register: %v", err)
	}
	for what, f := range badAnswers() {
		s.breaker.with(reading, -1, f)
		all, err := keeper.Registered(context.Background())
		if err == nil {
			s.Errorf("%s is taken for a list of %v", what, all)
			continue
		}
		s.fails(s.order("00"), "", err, phone.Unauthorized, phone.Exhausted, phone.Unavailable, phone.NotFound)
	}
}

func failedTools(s *scene) {
	keeper := s.open(Wire{}).(providers.Toolkeeper)
	id, err := keeper.Register(context.Background(), callTool("free_table"))
	if err != nil {
		s.Fatalf("Register: %v", err)
	}
	for what, f := range badAnswers() {
		s.breaker.with(reading, -1, f)
		if id, err := keeper.Register(context.Background(), callTool("birth_date")); err == nil {
			s.Errorf("%s is taken for the registration of %q", what, id)
		} else {
			s.fails(s.order("00"), "", err, append(rejections(), phone.NotFound)...)
		}
	}
	for what, status := range map[string]int{"401": 401, "429": 429, "500": 500} {
		s.breaker.with(reading, -1, says(status))
		if err := keeper.Deactivate(context.Background(), id); err == nil {
			s.Errorf("%s is taken for a deactivation", what)
		} else {
			s.fails(s.order("00"), "", err, phone.Unauthorized, phone.Exhausted, phone.Unavailable)
		}
	}
}
