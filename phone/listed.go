package phone

// Listed is a call on a provider's list that an uncertain dial may have led to.
type Listed struct {
	Ref   Ref // may be empty where the list does not name it
	Match Match
}

// Match says how well a listed call fits.
type Match int

// The matches.
const (
	Possible Match = iota // nothing rules it out
	Likely                // it is to the number and of the time
	Sure                  // it carries the identifier that the dial sent
)
