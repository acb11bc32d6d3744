// Package phone is the vocabulary of a telephone call placed for somebody else: whom it is to (Number), what is to be
// said (Order), how it goes (Call, Event, Turn), what a service tells of it (Observation), what it costs (Money), who
// asked (Caller) and what can go wrong (Error).
//
// Its one idea: a call is the fold of its events. Call.Observe alone turns what a service reports into numbered events,
// and Call.Apply alone folds them, both without I/O; so the process that follows a call, the one that takes it over and
// the one that only looks on all see the same call, whatever was cut, repeated or sent twice.
//
// It dials nothing, stores nothing and knows no service and no protocol.
package phone
