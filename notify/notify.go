// Package notify tells a program of the operator's what happened: an address that is asked with a signed request, or a
// command that is run.
//
// Its one idea: what is told is one JSON value, and whoever gets it can tell that it comes from here. A request carries the
// three headers of Standard Webhooks 1.0.0 (standardwebhooks.com), whose libraries verify them; a command is the operator's
// own and needs no signature.
//
// It does not try again: whoever calls it knows what a second time would mean. It follows no redirect, so that what is told
// reaches the address that the operator has named and no other.
package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// longestAnswer bounds what is read of an answer, in bytes.
const longestAnswer = 64 << 10

// Target is what is told.
type Target struct {
	url     *url.URL // nil: the command
	key     []byte
	client  *http.Client
	command string
	hidden  []string // variables
}

// Parse reads an https address, or http on this machine, or else a command line for the system's shell. An address needs a
// secret as Standard Webhooks has it: "whsec_" and 24 to 64 bytes in base64. Of this program's environment a command gets all
// but the variables that are hidden. Errors: invalid.
func Parse(target, secret string, hidden ...string) (*Target, error) {
	// What was meant for an address, and is none, must not go to a shell.
	if !regexp.MustCompile(`^\s*([A-Za-z][A-Za-z0-9+.-]*://|(?i:https?):)`).MatchString(target) {
		return &Target{command: target, hidden: hidden}, nil
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, phone.Errorf(phone.Invalid, "the address must be https, or http on this machine.")
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, prefix))
	if err != nil || len(key) < 24 || len(key) > 64 || !strings.HasPrefix(secret, prefix) {
		return nil, phone.Errorf(phone.Invalid, "an address needs a secret to sign with: whsec_ and 24 to 64 bytes in base64, such as openssl rand -base64 32 makes.")
	}
	return &Target{url: u, key: key, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 2,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

const prefix = "whsec_"

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// Close lets go of idle connections.
func (t *Target) Close() {
	if t.client != nil {
		t.client.CloseIdleConnections()
	}
}

// Message is what is told.
type Message struct {
	ID   string            // the same one is the same message: whoever gets it twice can tell
	Body []byte            // JSON: the request's body, or the command's standard input
	Env  map[string]string // for a command, beside what this program has
}

// Tell tells a message and gives the answer: the response's body, or what the command printed, up to 64 KiB. Errors: of the
// connection, of a status that is not 2xx, of a command that failed; the secret and the body are in none.
func (t *Target) Tell(ctx context.Context, m Message) ([]byte, error) {
	if t.url == nil {
		return t.run(ctx, m)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), bytes.NewReader(m.Body))
	if err != nil {
		return nil, err
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("webhook-id", m.ID)
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", sign(t.key, m.ID, at, m.Body))
	resp, err := t.client.Do(req)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // the rest is the address, which may hold a secret of its own
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode/100 != 2:
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	case len(answer) > longestAnswer:
		return nil, errors.New("the answer is longer than 64 KiB")
	}
	return answer, nil
}

// sign is the signature of Standard Webhooks, version 1.
func sign(key []byte, id, at string, body []byte) string {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s.%s.%s", id, at, body)
	return "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func (t *Target) run(ctx context.Context, m Message) ([]byte, error) {
	shell := []string{"/bin/sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/C"}
	}
	c := exec.CommandContext(ctx, shell[0], shell[1], t.command) //nolint:gosec // the command is the operator's own
	c.Stdin = bytes.NewReader(m.Body)
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(t.hidden, name)
	})
	together(c)
	for k, v := range m.Env {
		c.Env = append(c.Env, k+"="+v)
	}
	c.WaitDelay = time.Second // what the command has started may hold its output open
	var out limited
	c.Stdout = &out
	if err := c.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) { // that one has ended well itself
		return nil, fmt.Errorf("the command: %w", err)
	}
	return out.kept.Bytes(), nil
}

// limited keeps the beginning of what is written to it.
type limited struct{ kept bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := longestAnswer - l.kept.Len(); room > 0 {
		_, _ = l.kept.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}
