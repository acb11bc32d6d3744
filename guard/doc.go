// Package guard says whom an agent may not call. It stands on the server and not in a prompt.
//
// Its one idea: a verdict is a pure function of the policy and the number, so what check_number says and what create_call
// does cannot differ. It fails closed: what it does not know it refuses.
//
// It reads nothing and remembers nothing. So far it holds the rules on the number itself: emergency and short numbers,
// regions, types.
package guard
