package standin

import (
	"crypto/rand"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// tool is a registered tool as a client sees it. None is ever run.
type tool = object

// registerTool takes {"tool": {…}} as the Python SDK sends it, and the bare tool too.
func (s *Service) registerTool(r *http.Request) answer {
	b, isObject := body(r)
	if wrapped, isWrapped := b["tool"].(object); isWrapped {
		b = wrapped
	}
	name, _ := b["name"].(string)
	if !isObject || strings.TrimSpace(name) == "" {
		return refuse(http.StatusBadRequest, 2001, "tool.name is required")
	}
	for _, n := range []string{"input_schema", "output_schema"} {
		if _, isObject := b[n].(object); b[n] != nil && !isObject {
			return refuse(http.StatusBadRequest, 2001, n+" must be an object")
		}
	}
	for n, most := range map[string]float64{"timeout_ms": 300_000, "timeout_seconds": 300} {
		if f, isNumber := b[n].(float64); b[n] != nil && (!isNumber || f < 1 || f > most) {
			return refuse(http.StatusBadRequest, 2001, n+" is out of range")
		}
	}
	t := tool{"output_schema": object{}}
	for _, n := range []string{"name", "description", "input_schema", "output_schema", "timeout_ms", "timeout_seconds"} {
		if b[n] != nil {
			t[n] = b[n]
		}
	}
	if t["timeout_ms"] == nil && t["timeout_seconds"] == nil {
		t["timeout_ms"] = 30_000
	}
	t["id"] = "tool_" + rand.Text()

	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tools) >= maxTools {
		return refuse(http.StatusBadRequest, 2001, "There are too many tools")
	}
	s.tools = append(s.tools, t)
	return ok(maps.Clone(t))
}

func (s *Service) listTools(*http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ok(append([]tool{}, s.tools...))
}

func (s *Service) deleteTool(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.tools, func(t tool) bool { return t["id"] == r.PathValue("id") })
	if i < 0 {
		return plainly(http.StatusNotFound, "Tool not found")
	}
	s.tools = slices.Delete(s.tools, i, i+1)
	return ok(object{"success": true, "id": r.PathValue("id")})
}
