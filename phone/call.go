package phone

import (
	"slices"
	"time"
)

// Call is one call as far as its events tell. Begin makes it, Apply alone changes it.
type Call struct {
	ID        string
	Principal string // who placed it
	Provider  string
	Account   string // which account at the provider: a fingerprint of its key
	Ref       Ref    // the provider's name of it; empty until the provider has it
	Simulated bool   // nobody's phone rings
	Order     Order
	CreatedAt time.Time

	// What a started minute costs, and the whole call at worst; zero where nothing is charged, or no price is known.
	PerMinute, Worst Money

	Status    Status
	StartedAt time.Time // when they began to talk; zero if they never did or it is not known
	EndedAt   time.Time // when the line closed; zero while it has not, or if nobody knows
	ChangedAt time.Time // when its last event came
	Outcome   Outcome   // once ended
	Duration  *time.Duration
	Cost      *Cost
	Turns     []Turn // in the order spoken; withdrawn ones keep their place
	Summary   string
	Recording string
	Record    Record
	Failure   *Failure  // why it was never dialed, or may not have been
	OptedOut  time.Time // until when the callee does not want to be called, as they said in this call; zero if they did not
	Inquiries []Inquiry // what the agent on the line has asked meanwhile, in that order
	Seq       int64     // of its last event
	ErasedAt  time.Time // when its words, and what it was about, were erased, and maybe its number; zero while all is kept

	hearing hearing
}

// Inquiry is a question of the agent on the line to a tool of the operator's, and what it was answered.
type Inquiry struct {
	Asked
	Seq    int64 // of the event that last changed it
	At     time.Time
	By     AnsweredBy // empty while it is open
	Answer string
}

// Open says whether whoever placed the call is asked, and nobody has answered.
func (i Inquiry) Open() bool { return i.By == "" && !i.Deadline.IsZero() }

// Turn is one utterance of the conversation.
type Turn struct {
	ID        int   // its identity, which stays
	Seq       int64 // of the event that last changed it
	Role      Role
	Text      string
	Final     bool
	At        time.Time // when it was first heard
	Inserted  bool      // it was not the last when it came, but was put
	After     int       // behind this turn; 0: before all others
	Withdrawn bool
	Told      time.Time // when the service told of it by itself; zero if it was heard otherwise
}

// Begin is a call of which only the order is known.
func Begin(id, principal, provider, account string, o Order, at time.Time) *Call {
	o.CallID = id
	return &Call{
		ID: id, Principal: principal, Provider: provider, Account: account, Order: o, CreatedAt: at,
		Status: Dialing, Record: Pending,
	}
}

// Clone is a copy that shares nothing that Apply or Observe changes.
func (c *Call) Clone() *Call {
	d := *c
	d.Turns, d.Inquiries = slices.Clone(c.Turns), slices.Clone(c.Inquiries)
	d.hearing = c.hearing.clone()
	return &d
}

// Spoken are the turns that stand, in the order spoken.
func (c *Call) Spoken() []Turn {
	return slices.DeleteFunc(slices.Clone(c.Turns), func(t Turn) bool { return t.Withdrawn })
}

// Since are the turns changed after an event, in the order spoken. Withdrawn ones are among them only for a reader who
// may have seen them, that is with a cursor above 0.
func (c *Call) Since(seq int64) []Turn {
	return slices.DeleteFunc(slices.Clone(c.Turns), func(t Turn) bool {
		return t.Seq <= seq || t.Withdrawn && seq == 0
	})
}

// Ended says whether the call is over and its record settled.
func (c *Call) Ended() bool { return c.Status == StatusEnded }

// Apply folds one event in. An event that the call has already (by its Seq) changes nothing.
func (c *Call) Apply(e Event) {
	if e.Seq <= c.Seq {
		return
	}
	c.Seq = e.Seq
	if _, gone := e.Body.(Erased); gone {
		return
	}
	c.ChangedAt = e.At
	switch b := e.Body.(type) {
	case Progress:
		c.advance(b.State, e.At, b.Since, b.Failure)
	case Fragment:
		c.hear(e, b)
	case Withdrawn:
		if i := c.turn(b.Turn); i >= 0 {
			c.Turns[i].Withdrawn, c.Turns[i].Seq = true, e.Seq
		}
	case OptedOut:
		c.OptedOut = b.Until
	case Asked:
		if c.inquiry(b.ID) < 0 {
			c.Inquiries = append(c.Inquiries, Inquiry{Asked: b, Seq: e.Seq, At: e.At})
		}
	case Answered:
		if i := c.inquiry(b.ID); i >= 0 {
			c.Inquiries[i].By, c.Inquiries[i].Answer, c.Inquiries[i].Seq = b.By, b.Answer, e.Seq
		}
	case Ended:
		c.end(e.At, b)
	}
}

// Asks says whether the agent on the line still waits for whoever placed the call to answer a question.
func (c *Call) Asks(i Inquiry) bool { return c.Status.Live() && i.Open() }

func (c *Call) inquiry(id string) int {
	return slices.IndexFunc(c.Inquiries, func(i Inquiry) bool { return i.ID == id })
}

func (c *Call) advance(to Status, at, since time.Time, failure *Failure) {
	if to.rank() <= c.Status.rank() {
		return
	}
	if since.Before(c.CreatedAt) || since.After(at) {
		since = at // none was told, or by a clock that is not to be trusted
	}
	c.Status, c.Failure = to, failure
	switch {
	case to == InProgress:
		c.StartedAt = since
	case to.rank() >= WrappingUp.rank() && c.EndedAt.IsZero():
		c.EndedAt = since
	}
}

func (c *Call) hear(e Event, f Fragment) {
	i := c.turn(f.Turn)
	if i < 0 {
		i = 0
		if f.After > 0 {
			i = c.turn(f.After) + 1
		}
		c.Turns = slices.Insert(c.Turns, i, Turn{ID: f.Turn, At: e.At, Inserted: f.Inserted, After: f.After, Told: f.Told})
	}
	t := &c.Turns[i]
	t.Seq, t.Role, t.Text, t.Final, t.Withdrawn = e.Seq, f.Role, f.Text, f.Final, false
}

func (c *Call) end(at time.Time, b Ended) {
	seen := c.EndedAt
	c.advance(StatusEnded, at, time.Time{}, nil)
	if b.Outcome == UnknownOutcome {
		c.EndedAt = seen // that nobody follows it any more is not the end of the line
	}
	if c.Failure != nil && b.Failure == nil {
		c.EndedAt = time.Time{} // it was given up for never dialed, and was
	}
	if c.StartedAt.IsZero() {
		c.StartedAt = b.StartedAt
	}
	if c.EndedAt.IsZero() {
		c.EndedAt = b.EndedAt
	}
	c.Outcome, c.Duration, c.Cost, c.Summary, c.Recording, c.Record = b.Outcome, b.Duration, b.Cost, b.Summary, b.Recording, b.Record
	c.Failure = b.Failure
}

// Charge is what the call counts for in budgets: the worst case until it is known better, and as long as nobody knows
// what became of it. A call whose cost its provider did not tell is reckoned by its started minutes, at least one, at the
// rate that it was reserved with; if they talked, and nobody knows how long, it keeps the worst case.
func (c *Call) Charge() Money {
	switch {
	case !c.Ended():
		return c.Worst
	case c.Failure != nil: // it was never dialed
		return Micros(0, c.Worst.Currency())
	case c.Cost != nil && !c.Cost.Estimated && c.Cost.Money.Currency() == c.Worst.Currency():
		return Micros(max(0, c.Cost.Money.Micros()), c.Worst.Currency())
	case c.Duration != nil:
		return c.PerMinute.Times(minutes(*c.Duration))
	case c.Outcome == UnknownOutcome || c.Outcome == Completed || !c.StartedAt.IsZero():
		return c.Worst
	}
	return c.PerMinute
}

// minutes are the started ones, at least one.
func minutes(d time.Duration) int64 { return max(1, int64((d+time.Minute-1)/time.Minute)) }

// WorstCase is what a call of a length costs at most.
func WorstCase(perMinute Money, longest time.Duration) Money {
	return perMinute.Times(minutes(longest))
}

// Faulty says whether the call shows that its provider may not work: nobody knows whether it was placed, or it failed, and
// not because of what was asked for.
func (c *Call) Faulty() bool {
	if c.Failure != nil && (c.Failure.Code == Invalid || c.Failure.Code == Refused) {
		return false
	}
	return c.Status == Unconfirmed || c.Ended() && c.Outcome == Failed
}

// turn is the place of a turn in Turns, or -1.
func (c *Call) turn(id int) int {
	return slices.IndexFunc(c.Turns, func(t Turn) bool { return t.ID == id })
}

// lastTurn is the identity of the last turn, or 0.
func (c *Call) lastTurn() int {
	if len(c.Turns) == 0 {
		return 0
	}
	return c.Turns[len(c.Turns)-1].ID
}

// nextTurn is the identity for a new turn.
func (c *Call) nextTurn() int {
	id := 0
	for _, t := range c.Turns {
		id = max(id, t.ID)
	}
	return id + 1
}
