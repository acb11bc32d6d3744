package notify

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// The vector is that of the specification's own libraries.
func TestSign(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, prefix))
	if err != nil {
		t.Fatal(err)
	}
	got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

func TestParse(t *testing.T) {
	for target, key := range map[string]string{
		"http://example.com/x": secret, "ftp://localhost/x": secret, "https://": secret, "https://example.com": "",
		"https://example.com/": "whsec_c2hvcnQ=", "https://example.com/a": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		" https://example.com/x": secret, "https:/example.com/x": secret, "HTTPS:example.com/x": secret, "\thttp://localhost/x": secret,
		"http://localhost.example.com/": secret, "http://127.0.0.1.example.com/": secret,
	} {
		if _, err := Parse(target, key); err == nil || strings.Contains(err.Error(), "c2hvcnQ=") {
			t.Errorf("%s: %v", target, err)
		}
	}
	for _, target := range []string{"https://example.com/x", "http://localhost:1/x", "http://127.0.0.1:1", "http://[::1]:1", "logger done", "curl -d @- https://example.com/x"} {
		if _, err := Parse(target, secret); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestTell(t *testing.T) {
	seen := make(chan http.Header, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- r.Header
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		case "/long":
			_, _ = w.Write(make([]byte, longestAnswer+1))
		default:
			_, _ = w.Write(append([]byte("got "), body...))
		}
	}))
	t.Cleanup(web.Close)
	tell := func(path string) (string, error) {
		to, err := Parse(web.URL+path, secret)
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		answer, err := to.Tell(t.Context(), Message{ID: "m1", Body: []byte(`{"a":1}`)})
		return string(answer), err
	}
	if got, err := tell("/"); err != nil || got != `got {"a":1}` {
		t.Errorf("%q, %v", got, err)
	}
	h := <-seen
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, prefix))
	if want := sign(key, "m1", h.Get("webhook-timestamp"), []byte(`{"a":1}`)); h.Get("webhook-signature") != want || h.Get("webhook-id") != "m1" {
		t.Errorf("%v", h)
	}
	for _, path := range []string{"/away", "/long"} {
		if _, err := tell(path); err == nil || strings.Contains(err.Error(), "MfKQ9r8") {
			t.Errorf("%s: %v", path, err)
		}
		<-seen
	}
	if len(seen) > 0 {
		t.Error("a redirect was followed")
	}
	web.Close()
	if _, err := tell("/?token=hush"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT RUN: its commands are a Unix shell's")
	}
	m := Message{Body: []byte("in"), Env: map[string]string{"OUTDIAL_X": "a b; c"}}
	for command, want := range map[string]string{
		`printf "%s/%s" "$(cat)" "$OUTDIAL_X"`: "in/a b; c",
		`head -c 100000 /dev/zero | tr '\0' x`: strings.Repeat("x", longestAnswer),
		`echo "$OUTDIAL_X" >/dev/null; true`:   "",
		`sleep 30 & echo`:                      "\n",
	} {
		c, err := Parse(command, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Tell(t.Context(), m); err != nil || string(got) != want {
			t.Errorf("%s: %.40q, %v", command, got, err)
		}
	}
	t.Setenv("OUTDIAL_HUSH", "hush")
	hiding, _ := Parse(`printf "%s" "$OUTDIAL_HUSH"`, "", "OUTDIAL_HUSH")
	if got, err := hiding.Tell(t.Context(), m); err != nil || string(got) != "" {
		t.Errorf("a secret of this program's was handed on: %q, %v", got, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	file := filepath.Join(t.TempDir(), "late")
	slow, _ := Parse(`(sleep 2; echo late > `+file+`); true`, "")
	if _, err := slow.Tell(short, m); err == nil {
		t.Error("a command that was cut short is no error")
	}
	time.Sleep(2500 * time.Millisecond) // what it has started would write by then
	if _, err := os.Stat(file); err == nil {
		t.Error("what a command had started went on without it")
	}
	c, _ := Parse("exit 3", "")
	if _, err := c.Tell(t.Context(), m); err == nil {
		t.Error("a command that failed is no error")
	}
}
