// Package server is how clients reach the tools: stdio, and streamable HTTP in both protocol eras.
//
// Its one idea: mcp-go understands the messages, and what carries them is ours. On stdio that is the whole transport; on
// HTTP it is everything around mcp-go's: who may connect, how much they may send, which sessions there are, and the
// response stream that progress is written to by the tool itself. So progress is complete, in order, before its result
// and on its own request's stream, and whatever still runs when the input or the server ends is answered first.
//
// It knows nothing of calls or providers. Whom a token speaks for package auth knows; without one [Listen] keeps to loopback.
package server
