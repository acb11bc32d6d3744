package phone

import "time"

// Facts are what a rule may judge a call by, as they stand in one moment. Simulated calls are judged by simulated ones, all
// others by those that ring.
type Facts struct {
	Principal string    // who wants to call
	Now       time.Time // the moment
	Off       string    // why the operator has switched dialing off; empty: it is on

	Contact   *Contact // the operator's entry for the number, where there is one
	DoNotCall *Block   // the entry that forbids it, where there is one
	Heard     bool     // the number was spoken on another line in the last 24 hours
	Known     bool     // the principal has called it before
	Approved  bool     // a person has allowed this call
	Declined  bool     // a person has just said no to it

	ToNumber []*Call // to the same number, placed or ended in the last 24 hours, by whomever, the newest first; without what was said
	Open     []*Call // all that are not over, whoever placed them

	Placed  []time.Time // when the principal placed calls in the last 24 hours, the newest first
	Met     []time.Time // when it first called those numbers that it had not called before, of those that are no contacts; likewise
	Faults  []time.Time // when calls through the same provider failed, or became uncertain, in the last 20 minutes, the oldest first
	Refused []time.Time // when the principal was refused what it should not have asked, in the last 20 minutes, the oldest first
	Spent   []Charge    // of the last 30 days in the currency of the call, one for each hour, the newest first
	Own     []Charge    // of the principal's calls in the last 24 hours, likewise
}

// Charge is money that counts for budgets: what was spent, or may be yet.
type Charge struct {
	At    time.Time
	Money Money
}

// Contact is somebody whom the operator knows.
type Contact struct {
	Number  Number
	Name    string
	Zone    string // IANA name; empty: as the number tells
	Window  Window // when they may be called; zero: as all others
	Consent string // how and when they agreed to be called, as the operator has noted it
	AddedAt time.Time
}

// Block is an entry of the do-not-call list.
type Block struct {
	Number  Number
	Until   time.Time // zero: for good
	RingsNo bool      // it holds for simulated calls alone: it was asked for in one
	CallID  string    // the call in which they asked for it; empty: the operator made it
	Note    string
	AddedAt time.Time
}

// Question is what a person is asked before a call.
type Question struct {
	ID        string
	Principal string
	Order     Order  // all that the agent on the line is told
	Whom      string // the contact's name; empty for a stranger
	Provider  string
	Longest   time.Duration
	Worst     Money // what the call may cost; zero where nothing is charged
	Heard     bool  // the number was spoken on another line
	RingsNo   bool  // it is about a simulated call
	AskedAt   time.Time
}
