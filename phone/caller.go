package phone

import "slices"

// What a caller may do. MayPlace includes MayRead: whoever places calls is told of them.
const (
	PlaceScope   = "calls:place"  // place, end and answer for calls
	ReadScope    = "calls:read"   // see the principal's own calls, providers, balances
	MetricsScope = "metrics:read" // read the server's metrics, which are of all principals together, and nothing else
)

// Scopes are all scopes that there are.
func Scopes() []string { return []string{PlaceScope, ReadScope, MetricsScope} }

// Caller is who asks: on whose account calls are placed, limits are counted and calls are found again.
// It is an argument of whatever needs it, and never fished out of a context below the tools and the server.
type Caller struct {
	Principal string   // whose calls these are; calls of another principal do not exist for this one
	Scopes    []string // what the principal may do, such as "calls:place"
}

// Local is the person at this machine: whoever speaks over stdio, over loopback without authentication, or at the terminal.
func Local() Caller {
	return Caller{Principal: "local", Scopes: []string{PlaceScope, ReadScope}}
}

// May says whether the caller has a scope, or one that includes it.
func (c Caller) May(scope string) bool {
	return slices.Contains(c.Scopes, scope) || scope == ReadScope && slices.Contains(c.Scopes, PlaceScope)
}

// Forbidden is the error for a caller who may not do what it asks; nil for one who may.
func (c Caller) Forbidden(scope string) error {
	if c.May(scope) {
		return nil
	}
	return &Error{
		Code: Refused, Reason: "forbidden",
		Message: "This token may not do that: it needs the scope " + scope + ". Nothing was done; the operator, or the authorization server, can give it.",
	}
}
