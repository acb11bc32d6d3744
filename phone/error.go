package phone

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// Code says what the one who asked should do next. The list is closed.
type Code string

// The codes.
const (
	Invalid      Code = "invalid"      // mend the request
	Refused      Code = "refused"      // a rule forbids it; the reason names the rule, RetryAt when it would allow
	NotFound     Code = "not_found"    // there is no such thing for this caller
	Unsupported  Code = "unsupported"  // this provider cannot; do without
	Unauthorized Code = "unauthorized" // the operator must mend the key or the subscription
	Exhausted    Code = "exhausted"    // no credit, quota or rate left; wait, or the operator pays
	Unavailable  Code = "unavailable"  // nothing happened; trying again is safe
	Uncertain    Code = "uncertain"    // it may have happened: never try again, ask about the call
	Internal     Code = "internal"     // a fault of this program
)

// Started says whether a phone may have rung.
type Started string

// The answers.
const (
	StartedNo      Started = "no"
	StartedYes     Started = "yes"
	StartedUnknown Started = "unknown"
)

// Error is the one error type that crosses packages on purpose.
type Error struct {
	Code    Code
	Reason  string    // a finer word where there is one: "bad_number", "rate_limited", "no_credit", "key_conflict" …
	Op      string    // what was being done, for the log: "stepone: initiate_call"
	Message string    // for the model and its human: what happened and what to do next; never a service's own words, never a secret
	RetryAt time.Time // when asking again can help; zero when unknown
	CallID  string    // the call it is about, where there is one
	Started Started   // set where the code does not say it: an error about a call that is under way
	Err     error     // the cause, for the operator's log alone
}

// Errorf makes an error whose message is for the model.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error is the text for the operator's log.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// CallStarted says whether a phone may have rung.
func (e *Error) CallStarted() Started {
	switch {
	case e.Started != "":
		return e.Started
	case e.Code == Uncertain:
		return StartedUnknown
	}
	return StartedNo
}

// RetrySafe says whether asking again cannot ring twice and can help. A rule that refuses because of another call may do
// so because that one has rung.
func (e *Error) RetrySafe() bool {
	if e.CallStarted() != StartedNo || e.Code == Refused && e.CallID != "" {
		return false
	}
	return e.Code == Unavailable || !e.RetryAt.IsZero()
}

// About is the error with the call that it is about; err itself stays as it was.
func About(err error, callID string) *Error {
	e := *AsError(err)
	e.CallID = callID
	return &e
}

// AsError gives err as an *Error. An end of the context is unavailable; anything unknown is internal, and its text
// stays in Err, out of the model's sight.
func AsError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Unavailable, Message: "The time ran out before there was an answer. Ask again.", Err: err}
	}
	return &Error{Code: Internal, Message: "Something went wrong inside outdial; its log says what.", Err: err}
}

// CodeOf is err's code; empty for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}

// Panicked is what may be logged of a panic, asked for in the deferred function that recovers it: where it happened, and
// what the runtime says of it. Whatever else code has panicked with is told by its type alone, since it may hold anything.
func Panicked(p any) error {
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for raised := false; ; {
		f, more := frames.Next()
		inside := strings.HasPrefix(f.Function, "runtime.")
		if raised && !inside {
			return fmt.Errorf("panic in %s, line %d: %s", f.Function, f.Line, what)
		}
		raised = raised || f.Function == "runtime.gopanic"
		if !more {
			return fmt.Errorf("panic: %s", what)
		}
	}
}
