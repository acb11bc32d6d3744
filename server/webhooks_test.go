package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/outdial/outdial/server"
)

// Senders that promise long webhooks, and send them slowly, keep out no short one, whether it tells its length or not; nor a
// long one, unless they have sent as much themselves.
func TestSlowSendersKeepNoWebhookOut(t *testing.T) {
	taken := func(context.Context, string, http.Header, []byte) ([]byte, error) { return nil, nil }
	web := httptest.NewServer(server.Handler(mcpserver.NewMCPServer("test", "1"), server.HTTPOptions{Receive: taken}))
	t.Cleanup(func() { web.CloseClientConnections(); web.Close() })
	const long = 100 << 10
	slow := func(sent int) {
		for range 64 {
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(web.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			_, err = fmt.Fprintf(c, "POST /webhooks/x HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				strings.TrimPrefix(web.URL, "http://"), long, strings.Repeat(" ", sent))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	send := func(body io.Reader) int {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, web.URL+"/webhooks/x", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	unmeasured := func(n int) io.Reader { return io.MultiReader(strings.NewReader(strings.Repeat(" ", n))) }
	slow(1)
	if status := send(unmeasured(long)); status != http.StatusOK {
		t.Errorf("a long one beside promises: %d", status)
	}
	slow(long - 1)
	for n := 0; send(unmeasured(long)) == http.StatusOK; n++ { // until all of theirs have come
		if n == 10_000 {
			t.Fatal("they keep nobody out, so this shows nothing")
		}
	}
	if status := send(unmeasured(10)); status != http.StatusOK {
		t.Errorf("a short one that does not tell its length: %d", status)
	}
	if status := send(strings.NewReader(strings.Repeat(" ", 10))); status != http.StatusOK {
		t.Errorf("a short one: %d", status)
	}
}
