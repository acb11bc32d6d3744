package providertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/outdial/outdial/phone"
)

// What the service of the adapter plain does with webhooks, and with tools.

// Close ends the webhooks.
func (p *plainService) Close() error {
	close(p.end)
	p.hooks.Wait()
	return nil
}

// tellHook sends each line of a call when it is said, and that the call is over.
func (p *plainService) tellHook(id, address string) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: soon}
	defer client.CloseIdleConnections()
	for told := 0; ; {
		c, st, since, _ := p.stands(id)
		for ; told < len(st.Said); told++ {
			sendHook(client, address, map[string]any{
				"id": id, "at": time.Now().UTC().Format(time.RFC3339Nano), "role": plainWireRole(st.Said[told].Role), "text": st.Said[told].Text,
			})
		}
		if st.Line == phone.WrappingUp {
			sendHook(client, address, map[string]any{"id": id, "state": "over"})
			return
		}
		next, _ := c.script.Next(since)
		select {
		case <-p.end:
			return
		case <-time.After(min(20*time.Millisecond, time.Duration(float64(next-since)/p.stage.Speed)+1)):
		}
	}
}

func sendHook(client *http.Client, address string, event map[string]any) {
	body, _ := json.Marshal(event)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set(plainSignature, plainSum(plainSecret, body))
	if resp, err := client.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

func (p *plainService) register(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name string }
	_ = json.NewDecoder(r.Body).Decode(&in)
	p.mu.Lock()
	defer p.mu.Unlock()
	t := map[string]string{"id": fmt.Sprintf("t%d", len(p.tools)+1), "name": in.Name}
	p.tools = append(p.tools, t)
	reply(w, http.StatusCreated, t)
}

func (p *plainService) listTools(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"tools": append([]map[string]string{}, p.tools...)})
}

func (p *plainService) deactivate(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.tools, func(t map[string]string) bool { return t["id"] == r.PathValue("id") })
	if i < 0 {
		reply(w, http.StatusNotFound, map[string]any{})
		return
	}
	p.tools = slices.Delete(p.tools, i, i+1)
	w.WriteHeader(http.StatusNoContent)
}
