package fleet

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// replicas is how many stand behind the proxy, at 127.0.0.1, .2 and .3, which have one port as they have in compose.yaml.
const replicas = 3

func addressOf(i int, port string) string { return fmt.Sprintf("127.0.0.%d:%s", i+1, port) }

// haproxy is the real proxy. Without it the test cannot run, which CI must not pass over.
func haproxy(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("NOT RUN: the replicas need addresses of loopback that only Linux has unasked")
	}
	for _, path := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	const why = "NOT RUN: there is no haproxy; on Debian .ci/prepare installs it"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// rewritten is deploy's configuration with other addresses, and checks that come ten times as often.
func rewritten(t *testing.T, certificate, port string) string {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	swap := [][2]string{
		{"bind :8443 ssl crt /run/secrets/certificate", "bind fd@3 ssl crt " + certificate},
		{"hdr Host localhost:8757", "hdr Host localhost:" + port},
		{"check inter 1s", "check inter 100ms"},
		{" resolvers engine init-addr last,libc,none", ""},
		{"resolvers engine\n    parse-resolv-conf\n    hold valid 5s\n", ""},
	}
	for i := range replicas {
		swap = append(swap, [2]string{fmt.Sprintf("outdial-%d:8757", i+1), addressOf(i, port)})
	}
	for _, s := range swap {
		if strings.Count(text, s[0]) != 1 {
			t.Fatalf("deploy/haproxy.cfg has %q %d times", s[0], strings.Count(text, s[0]))
		}
		text = strings.Replace(text, s[0], s[1], 1)
	}
	return text
}

// log is what a process has written so far.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startProxy starts the proxy before replicas at a port, and gives its address and a client that trusts it.
func startProxy(t *testing.T, port string) (url string, client *http.Client) {
	t.Helper()
	program, dir := haproxy(t), t.TempDir()
	pool, certificate := certified(t, dir)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	defer ln.Close()
	path := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(rewritten(t, certificate, port)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program, "-db", "-f", path)
	said := &log{}
	c.ExtraFiles, c.Stdout, c.Stderr = []*os.File{socket}, said, said
	start(t, c)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("haproxy said:\n%s", said)
		}
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return "https://" + ln.Addr().String(), &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// start starts a process that ends with the test.
func start(t *testing.T, c *exec.Cmd) (ended <-chan struct{}) {
	t.Helper()
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 5 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Wait()
	}()
	t.Cleanup(func() { <-done }) // t.Context() has ended by then
	return done
}

// certified writes a certificate for loopback with its key.
func certified(t *testing.T, dir string) (*x509.CertPool, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "outdial"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "certificate.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool, path
}

// freePort is a port that nobody has at any of the replicas' addresses.
func freePort(t *testing.T) string {
	t.Helper()
	for range 20 {
		first, err := net.Listen("tcp", addressOf(0, "0"))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(first.Addr().String())
		free := true
		for i := 1; i < replicas; i++ {
			ln, err := net.Listen("tcp", addressOf(i, port))
			if err == nil {
				err = ln.Close()
			}
			free = free && err == nil
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if free {
			return port
		}
	}
	t.Fatal("no port is free at all addresses")
	return ""
}

// within asks until it is so, for at most 20 s.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within 20 s: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
