// Package auth is on whose account a bearer token speaks.
//
// Its one idea: a token is taken to a name and scopes in one place, [Auth.Identify], whatever kind it is: a static one, of
// which a file knows the hash, or one that an OAuth 2.1 issuer has signed for us. What cannot be judged is neither valid
// nor invalid, and says so.
//
// It speaks no HTTP to clients, decides nothing about calls, and keeps no token.
package auth
