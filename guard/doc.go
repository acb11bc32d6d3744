// Package guard says whom an agent may not call, and when, and for how much. It stands on the server and not in a prompt.
//
// Its one idea: a verdict is a pure function of the policy, the wish and the facts, so what check_number says and what
// create_call does cannot differ. The rules are one table ([Rules]), in the order in which they are judged; the judge walks
// it, and the documents are made from it. It fails closed: what it does not know it refuses.
//
// It reads nothing and remembers nothing: the facts are handed to it, by the ledger, in the transaction that records the
// call. It asks nobody either: that a person must be asked is a refusal like the others.
package guard
