package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/operator"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/tools"
	"github.com/spf13/cobra"
)

func (p *program) approve() *cobra.Command {
	do := p.onLedger(func(ctx context.Context, l *ledger.Ledger, _ []value, _ []string) error {
		t, err := p.atTerminal("nothing was allowed. A person runs outdial approve in a terminal of their own.")
		if err != nil {
			return err
		}
		defer t.Close()
		return (&interview{ledger: l, tty: t, in: bufio.NewReader(t)}).hold(ctx)
	})
	return &cobra.Command{
		Use:   "approve",
		Short: "Show the calls that wait for a person's yes, and allow or refuse them",
		Long: "Show the calls that wait for a person's yes, and allow or refuse them.\n\n" +
			"It asks at the terminal itself and takes no answer from a pipe. A yes is the last four digits of the number: it holds\n" +
			"for one call to that number with that task, within five minutes, and calls nobody by itself.",
		RunE: func(c *cobra.Command, args []string) error {
			if p.json {
				return misused(c, errors.New("approve asks a person at the terminal and has no --json"))
			}
			return do(c, args)
		},
	}
}

// atTerminal opens where a person can be asked. Errors: refused, with what was therefore not done and what else to do.
func (p *program) atTerminal(so string) (io.ReadWriteCloser, error) {
	open := p.terminal
	if open == nil {
		open = controllingTerminal
	}
	t, err := open()
	if err != nil {
		return nil, &phone.Error{Code: phone.Refused, Reason: "no_terminal", Err: err, Message: "There is no terminal to ask at, so " + so}
	}
	return t, nil
}

// controllingTerminal is where the person sits who has started the program, whatever its input and output are.
func controllingTerminal() (io.ReadWriteCloser, error) {
	if runtime.GOOS != "windows" {
		return os.OpenFile("/dev/tty", os.O_RDWR, 0)
	}
	in, err := os.OpenFile("CONIN$", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return console{in, out}, nil
}

// console is a Windows terminal, whose input and output are two files.
type console struct{ in, out *os.File }

func (c console) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c console) Write(b []byte) (int, error) { return c.out.Write(b) }
func (c console) Close() error                { return errors.Join(c.in.Close(), c.out.Close()) }

// tries is how many answers that are none a person may give before the command ends.
const tries = 3

// interview is a person at a terminal being asked.
type interview struct {
	ledger *ledger.Ledger
	tty    io.Writer
	in     *bufio.Reader
	wrong  int // answers that were none

	answered int
}

// hold asks about one call after the other, until none waits or nothing is answered.
func (i *interview) hold(ctx context.Context) error {
	for {
		waiting, more, err := operator.Waiting(ctx, i.ledger, time.Now())
		if err != nil {
			return err
		}
		if len(waiting) == 0 {
			if i.answered == 0 {
				i.say("No call waits for a person's yes.")
			}
			return nil
		}
		q, ok, err := i.choose(ctx, waiting, more)
		if err == nil && ok {
			ok, err = i.decide(ctx, q)
		}
		if err != nil || !ok {
			return err
		}
		i.answered++
	}
}

func (i *interview) say(format string, args ...any) { fmt.Fprintf(i.tty, format+"\n", args...) }

// ask gives what a person types, and "" when they are gone. It ends with the context, whatever the terminal does: what is
// read then is nobody's answer any more.
func (i *interview) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(i.tty, question+" ")
	line := make(chan string, 1)
	go func() { // it ends with the terminal, at the latest with the program
		s, err := i.in.ReadString('\n')
		if err != nil {
			s = "" // half a line is no answer
		}
		line <- strings.TrimSpace(s)
	}()
	select {
	case s := <-line:
		return s, nil
	case <-ctx.Done():
		i.say("")
		return "", ctx.Err()
	}
}

// mistaken counts an answer that is none. Errors: refused, once there were too many.
func (i *interview) mistaken(format string, args ...any) error {
	i.say(format, args...)
	if i.wrong++; i.wrong < tries {
		return nil
	}
	return &phone.Error{Code: phone.Refused, Reason: "wrong_digits", Message: "That was no answer three times, so this ends here and the call still waits. Look at the number again, then run outdial approve anew."}
}

// choose shows the calls that wait and gives the one that is meant; false if none is.
func (i *interview) choose(ctx context.Context, waiting []phone.Question, more int) (phone.Question, bool, error) {
	for n, q := range waiting {
		if len(waiting) > 1 {
			i.say("\n%d.", n+1)
		}
		i.say("%s\nAsked: %s, by %s", tools.QuestionText(q), ago(time.Since(q.AskedAt)), plain(q.Principal))
	}
	if more > 0 {
		i.say("\nand %d more that were asked before", more)
	}
	if len(waiting) == 1 {
		return waiting[0], true, nil
	}
	for {
		answer, err := i.ask(ctx, fmt.Sprintf("\nWhich one, 1 to %d? Nothing leaves them all:", len(waiting)))
		if err != nil || answer == "" {
			return phone.Question{}, false, err
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(waiting) {
			i.say("\n%s", tools.QuestionText(waiting[n-1]))
			return waiting[n-1], true, nil
		}
		if err := i.mistaken("There is no %q among them.", plain(answer)); err != nil {
			return phone.Question{}, false, err
		}
	}
}

// decide takes the answer to one question; false if there was none.
func (i *interview) decide(ctx context.Context, q phone.Question) (bool, error) {
	for {
		answer, err := i.ask(ctx, "\nType the last four digits of the number to allow it, no to refuse it, or nothing to leave it:")
		switch {
		case err != nil:
			return false, err
		case answer == "":
			i.say("Left as it is. It waits for an hour from when it was asked.")
			return false, nil
		case strings.EqualFold(answer, "no"):
			if err := operator.Decline(ctx, i.ledger, q, time.Now()); err != nil {
				return false, err
			}
			i.say("Refused. The agent is told so if it asks again within five minutes.")
			return true, nil
		}
		now := time.Now()
		err = operator.Approve(ctx, i.ledger, q, answer, now)
		if e := phone.AsError(err); e != nil && e.Reason == "wrong_digits" {
			if err := i.mistaken("%s", e.Message); err != nil {
				return false, err
			}
			continue
		}
		if err != nil {
			return false, err
		}
		i.say("Allowed: one call, until %s. Nobody is called yet: the agent sends its request again, word for word; tell it to.", now.Add(5*time.Minute).Format("15:04"))
		return true, nil
	}
}

// ago is how long something is past, as one says it.
func ago(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute ago"
	}
	return fmt.Sprintf("%d min ago", int(d.Minutes()))
}
