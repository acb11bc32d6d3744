// Package pgtest gives tests a real Postgres: the one that is installed here, started in a temporary folder of its own on a
// loopback port, with a fresh database for each test.
//
// Its one idea: nothing of it is a stand-in. It can be stopped, killed and started again as an operator's server can. Only
// fsync is off unless it is asked for; a commit is answered as it would be otherwise.
//
// It uses no server that runs already, and leaves none behind.
package pgtest
