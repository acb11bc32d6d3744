package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// pseudo makes a terminal of its own: what is written to control is typed at it, and what is shown there is read from it.
func pseudo(t *testing.T) (control, terminal *os.File) {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { control.Close() })
	var locked, number int32
	for _, ask := range []struct {
		request uintptr
		about   *int32
	}{{syscall.TIOCSPTLCK, &locked}, {syscall.TIOCGPTN, &number}} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, control.Fd(), ask.request, uintptr(unsafe.Pointer(ask.about))); errno != 0 {
			t.Fatal(errno)
		}
	}
	if terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return control, terminal
}

// atTerminal is outdial approve in a session of its own, with a terminal of its own if it has one. A pipe full of answers is
// its input.
type atTerminal struct {
	t                   *testing.T
	cmd                 *exec.Cmd
	control             *os.File
	shown, out, stderrs *text
	read                chan struct{} // closed when all that was shown has been read
}

func approveAt(t *testing.T, w *waitingCalls, withTerminal bool) *atTerminal {
	t.Helper()
	a := &atTerminal{t: t, shown: &text{}, out: &text{}, stderrs: &text{}, read: make(chan struct{})}
	a.cmd = exec.CommandContext(t.Context(), "outdial", "approve")
	a.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GORACE=" + raceOptions}, w.env()...)
	a.cmd.Stdin, a.cmd.Stdout, a.cmd.Stderr = strings.NewReader(strings.Repeat("0143\n1\n0144\nno\n", 100)), a.out, a.stderrs
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var terminal *os.File
	if withTerminal {
		a.control, terminal = pseudo(t)
		a.cmd.ExtraFiles = []*os.File{terminal}
		a.cmd.SysProcAttr.Setctty, a.cmd.SysProcAttr.Ctty = true, 3
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if !withTerminal {
		close(a.read)
		return a
	}
	terminal.Close()
	go func() {
		defer close(a.read)
		b := make([]byte, 4096)
		for { // until nobody has the terminal open any more
			n, err := a.control.Read(b)
			_, _ = a.shown.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	return a
}

// types waits until something is shown, and types.
func (a *atTerminal) types(after, keys string) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(a.shown.String(), after); {
		if time.Now().After(deadline) {
			_ = a.cmd.Process.Kill()
			a.t.Fatalf("%q is not shown:\n%s\n%s", after, a.shown, a.stderrs)
		}
		time.Sleep(5 * time.Millisecond) // a terminal tells nobody that something is shown
	}
	if _, err := a.control.WriteString(keys); err != nil {
		a.t.Fatal(err)
	}
}

// ends gives the exit code.
func (a *atTerminal) ends() int {
	a.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = a.cmd.Process.Kill() })
	defer timer.Stop()
	_ = a.cmd.Wait()
	<-a.read
	if s := a.out.String(); s != "" {
		a.t.Errorf("on stdout: %s", s)
	}
	return a.cmd.ProcessState.ExitCode()
}

func TestApproveAtATerminal(t *testing.T) {
	const question = "or nothing to leave it: "
	t.Run("yes", func(t *testing.T) {
		t.Parallel()
		w := callsWait(t, "+12025550143")
		a := approveAt(t, w, true)
		a.types(question, "0144\n")
		a.types("Those are not the last four digits", "0143\n")
		if exit := a.ends(); exit != 0 || !strings.Contains(a.shown.String(), "Allowed: one call") || w.standing() != "+" {
			t.Errorf("exit code %d, %q:\n%s\n%s", exit, w.standing(), a.shown, a.stderrs)
		}
	})
	t.Run("no", func(t *testing.T) {
		t.Parallel()
		w := callsWait(t, "+12025550143")
		a := approveAt(t, w, true)
		a.types(question, "no\n")
		if exit := a.ends(); exit != 0 || w.standing() != "-" {
			t.Errorf("exit code %d, %q:\n%s\n%s", exit, w.standing(), a.shown, a.stderrs)
		}
	})
	for name, keys := range map[string]string{"interrupted": "0143\x03", "end of input": "\x04"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := callsWait(t, "+12025550143")
			a := approveAt(t, w, true)
			a.types(question, keys)
			exit := a.ends()
			if want := map[string]int{"interrupted": 130}[name]; exit != want || w.standing() != "." {
				t.Errorf("exit code %d, %q:\n%s\n%s", exit, w.standing(), a.shown, a.stderrs)
			}
		})
	}
}

// Without a terminal a pipe full of answers allows nothing.
func TestApproveTakesNoPipe(t *testing.T) {
	t.Parallel()
	w := callsWait(t, "+12025550143", "+12025550144")
	a := approveAt(t, w, false)
	if exit := a.ends(); exit != 1 || !strings.Contains(a.stderrs.String(), "no_terminal") || w.standing() != ".." {
		t.Errorf("exit code %d, %q: %s", exit, w.standing(), a.stderrs)
	}
}
