// Package conformance runs the official MCP conformance suites and the Inspector against our transports and our binary.
//
// Its one idea: whether we speak the protocol is for others' programs to say. What they need (install.sh brings it) is
// no part of the product, and the server that most of their scenarios are for, fixtures, neither. Without it the tests
// are skipped, except in CI, where they fail.
package conformance
