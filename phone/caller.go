package phone

// Caller is who asks: on whose account calls are placed, limits are counted and calls are found again.
// It is an argument of whatever needs it, and never fished out of a context below the tools and the server.
type Caller struct {
	Principal string   // whose calls these are; calls of another principal do not exist for this one
	Scopes    []string // what the principal may do, such as "calls:place"
}

// Local is the person at this machine: whoever speaks over stdio, over loopback without authentication, or at the terminal.
func Local() Caller {
	return Caller{Principal: "local", Scopes: []string{"calls:place", "calls:read"}}
}
