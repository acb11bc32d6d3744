package server_test

import (
	"context"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outdial/outdial/auth"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/server"
)

func probe(t *testing.T, url string) (status int, said string) {
	t.Helper()
	return fetch(t, url+"/readyz", nil)
}

// A storm of probes costs what one does, and one that hung up does not spoil what the others hear.
func TestManyProbesLookOnce(t *testing.T) {
	t.Parallel()
	var looks atomic.Int32
	web := serveHTTP(t, newTools(), server.HTTPOptions{Ready: func(ctx context.Context) error {
		looks.Add(1)
		return ctx.Err()
	}})
	began := time.Now()
	var storm sync.WaitGroup
	for range 4 {
		storm.Go(func() {
			for range 50 {
				if status, said := probe(t, web.URL); status != http.StatusOK || said != "ready\n" {
					t.Errorf("%d %q", status, said)
				}
			}
		})
	}
	storm.Wait()
	if n, most := looks.Load(), 2+int32(time.Since(began)/time.Second); n > most {
		t.Errorf("200 probes within %v looked %d times", time.Since(began), n)
	}
}

// Whatever hangs, a probe is answered, and what was found is found anew after a moment.
func TestReadinessIsBoundedAndFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := true
		e := server.Handler(newTools().MCPServer, server.HTTPOptions{Ready: func(ctx context.Context) error {
			if hangs {
				<-ctx.Done()
			}
			return ctx.Err()
		}})
		began := time.Now()
		if status, _ := e.Look(); status != http.StatusServiceUnavailable || time.Since(began) != 2*time.Second {
			t.Errorf("%d after %v", status, time.Since(began))
		}
		hangs = false
		if status, _ := e.Look(); status != http.StatusServiceUnavailable {
			t.Errorf("it looked again at once: %d", status)
		}
		time.Sleep(time.Second)
		if status, _ := e.Look(); status != http.StatusOK {
			t.Errorf("it does not look again: %d", status)
		}
	})
}

// A tokens file that cannot be read keeps people out who should come in: that is not ready.
func TestReadinessOfTokens(t *testing.T) {
	t.Parallel()
	url, file := protected(t, newTools(), nil, server.HTTPOptions{})
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(auth.Options{TokensFile: file})
	if err == nil {
		t.Fatalf("%v takes a file that anybody may write", a)
	}
	if status, said := probe(t, url); status != http.StatusServiceUnavailable {
		t.Errorf("%d %q", status, said)
	}
	if phone.CodeOf(err) != phone.Invalid {
		t.Error(err)
	}
}
