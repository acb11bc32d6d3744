package phone

import "time"

// Facts are what a rule may judge a call by, as they stand in one moment.
type Facts struct {
	Principal string    // who wants to call
	Now       time.Time // the moment
	ToNumber  []*Call   // to the same number in the last 24 hours, whoever placed them, the newest first; without what was said
}
