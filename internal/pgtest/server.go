package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is one Postgres for a test binary. The zero value is one that starts when it is first needed; Stop ends it.
type Server struct {
	Sync bool // it syncs what it commits, as an operator's does; slower

	mu     sync.Mutex
	bin    string // the folder of its programs
	dir    string
	port   int
	cmd    *exec.Cmd
	count  int
	failed error
}

// Database makes a place without any tables and gives its URL: a schema of its own, which costs a twentieth of a whole
// database. Where no Postgres is installed the test is skipped, or fails with
// CI=true.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.need(t)
	s.mu.Lock()
	s.count++
	name := fmt.Sprintf("t%d", s.count)
	s.mu.Unlock()
	s.SQL(t, "", "CREATE SCHEMA "+name)
	return s.url() + "&options=-csearch_path%3D" + name
}

func (s *Server) need(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil && s.failed == nil {
		s.failed = s.create()
	}
	if missing := (*missingError)(nil); errors.As(s.failed, &missing) && os.Getenv("CI") != "true" {
		t.Skipf("NOT RUN: %v", s.failed)
	}
	if s.failed != nil {
		t.Fatal(s.failed)
	}
}

func (s *Server) url() string {
	return fmt.Sprintf("postgres://outdial@127.0.0.1:%d/postgres?sslmode=disable", s.port)
}

// SQL carries out statements as the server's owner in a database given by its URL, or in the server's own, and gives what
// they print.
func (s *Server) SQL(t testing.TB, url, statements string) string {
	t.Helper()
	out, err := s.psql(url, statements)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func (s *Server) psql(url, statements string) (string, error) {
	if url == "" {
		url = s.url()
	}
	c := exec.CommandContext(context.Background(), filepath.Join(s.bin, "psql"), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statements) //nolint:gosec // what a test says
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "PGCONNECT_TIMEOUT=5"}
	out, err := c.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// missingError says that no Postgres is installed.
type missingError struct{}

func (*missingError) Error() string { return "it needs Postgres (Debian: postgresql)" }

func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	slices.SortFunc(found, func(a, b string) int { return versionOf(a) - versionOf(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	at, err := exec.LookPath("initdb")
	if err != nil {
		return "", &missingError{}
	}
	at, err = filepath.EvalSymlinks(at)
	return filepath.Dir(at), err
}

func versionOf(initdb string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	if err != nil {
		return 0
	}
	return n
}

// create makes the server's files and starts it.
func (s *Server) create() (err error) {
	if s.bin, err = programs(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "outdial-postgres-"); err != nil {
		return err
	}
	if err := give(s.dir); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	args := []string{"-D", data, "-U", "outdial", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"}
	if versionOf(filepath.Join(s.bin, "initdb")) >= 15 { // so that its order of texts is not that of their bytes
		args = append(args, "--locale-provider=icu", "--icu-locale=en-US")
	}
	init := exec.CommandContext(context.Background(), filepath.Join(s.bin, "initdb"), args...) //nolint:gosec // what is installed here
	init.Dir, init.SysProcAttr = s.dir, unprivileged()
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = free.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // that of a TCP listener
	if err := free.Close(); err != nil {
		return err
	}
	return s.start()
}

// start starts the server and waits until it answers.
func (s *Server) start() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()                                                                      //nolint:errcheck // the server has its own
	c := exec.CommandContext(context.Background(), filepath.Join(s.bin, "postgres"), "-D", //nolint:gosec // what is installed here
		filepath.Join(s.dir, "data"), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync="+onOff(s.Sync), "-c", "full_page_writes="+onOff(s.Sync),
		"-c", "synchronous_commit=on", "-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "autovacuum_naptime=10s")
	c.Dir, c.SysProcAttr, c.Stdout, c.Stderr = s.dir, unprivileged(), log, log
	if err := c.Start(); err != nil {
		return err
	}
	s.cmd = c
	for until := time.Now().Add(30 * time.Second); ; {
		_, err := s.psql("", "SELECT 1")
		if err == nil {
			return nil
		}
		if time.Now().After(until) {
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("postgres does not answer: %w\n%s", err, bytes.TrimSpace(said))
		}
	}
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// Restart has the server end at once, as a crash does, and starts it again.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// end has the server leave without a word to its clients.
func (s *Server) end() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// Stop ends the server, if it was started, and removes its files.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
