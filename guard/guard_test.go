package guard

import (
	"slices"
	"testing"
	"time"

	"github.com/outdial/outdial/phone"
)

// byDefault is the policy in force where the operator has decided nothing.
func byDefault(t testing.TB) Policy {
	t.Helper()
	p, name, err := ReadPolicy(func(string) string { return "" })
	if err != nil {
		t.Fatal(name, err)
	}
	return p
}

// noon is a moment in the calling hours of both coasts of the United States.
func noon() time.Time { return time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC) }

// wanted is a wish that every rule lets through by default.
func wanted(t testing.TB) Wish {
	return Wish{
		To: number(t, "+12125550143"), Provider: "pamela", Title: "Pamela", Regions: []string{"US", "CA"}, Longest: 10 * time.Minute, MayPlace: true,
	}
}

func facts() phone.Facts { return phone.Facts{Principal: "me", Now: noon()} }

func codes(all []Refusal) []string {
	var c []string
	for _, r := range all {
		c = append(c, r.Code)
	}
	return c
}

// judged is one case: what differs from a call that is let through, and what comes of it.
type judged struct {
	policy func(*Policy)
	wish   func(*Wish)
	facts  func(*phone.Facts)
	code   string // empty: it is let through
	at     time.Duration
	about  string

	perhaps bool // it would be allowed then if nothing else happens but what should
}

func (c judged) run(t *testing.T) {
	t.Helper()
	p, w, f := byDefault(t), wanted(t), facts()
	if c.policy != nil {
		c.policy(&p)
	}
	if c.wish != nil {
		c.wish(&w)
	}
	if c.facts != nil {
		c.facts(&f)
	}
	all := New(p).Judge(w, f)
	if c.code == "" {
		if len(all) > 0 {
			t.Fatalf("refused: %+v", all)
		}
		return
	}
	if !slices.Equal(codes(all), []string{c.code}) {
		t.Fatalf("%+v", all)
	}
	r := all[0]
	e := phone.AsError(r.Err())
	if e.Code != phone.Refused || e.Reason != c.code || r.Message == "" || r.CallID != c.about {
		t.Errorf("%+v", e)
	}
	switch {
	case c.at == 0 && !r.AllowedAt.IsZero(), c.at != 0 && !r.AllowedAt.Equal(f.Now.Add(c.at)):
		t.Errorf("allowed at %v, %v from now", r.AllowedAt, r.AllowedAt.Sub(f.Now))
	}
	if c.at == 0 || c.perhaps {
		return
	}
	f.Now = r.AllowedAt
	if again := codes(New(p).Judge(w, f)); slices.Contains(again, c.code) {
		t.Errorf("refused still when it would be allowed: %v", again)
	}
	if f.Now = r.AllowedAt.Add(-time.Second); !slices.Contains(codes(New(p).Judge(w, f)), c.code) {
		t.Error("allowed a second before")
	}
}

// cases are the rules that are judged on facts; those on the number itself are in number_test.go, on hours in hours_test.go.
func cases() map[string]judged {
	ago := func(d time.Duration) time.Time { return noon().Add(-d) }
	earlier := func(c phone.Call) func(*phone.Facts) {
		return func(f *phone.Facts) {
			if c.ID == "" {
				c.ID = "call_1"
			}
			if c.Principal == "" {
				c.Principal = "me"
			}
			f.ToNumber = append(f.ToNumber, &c)
			if c.Status != phone.StatusEnded {
				f.Open = append(f.Open, &c)
			}
		}
	}
	ended := func(o phone.Outcome, before time.Duration) phone.Call {
		return phone.Call{Status: phone.StatusEnded, Outcome: o, CreatedAt: ago(before + time.Minute), EndedAt: ago(before)}
	}
	unplaced := func(s phone.Status, before time.Duration) phone.Call {
		return phone.Call{Status: s, CreatedAt: ago(before), Failure: &phone.Failure{}}
	}
	moments := func(each ...time.Duration) []time.Time {
		var all []time.Time
		for _, d := range each {
			all = append(all, ago(d))
		}
		return all
	}
	repeat := func(n int, oldest time.Duration) []time.Time {
		var all []time.Time
		for i := range n { // the newest first
			all = append(all, ago(oldest-time.Duration(n-1-i)*time.Second))
		}
		return all
	}
	spent := func(f *phone.Facts, micros int64, before time.Duration) {
		f.Spent = append(f.Spent, phone.Charge{At: ago(before), Money: phone.Micros(micros, "USD")})
	}
	contact := func(f *phone.Facts) { f.Contact = &phone.Contact{Name: "Ann"} }
	both := func(fs ...func(*phone.Facts)) func(*phone.Facts) {
		return func(f *phone.Facts) {
			for _, do := range fs {
				do(f)
			}
		}
	}
	own := func(p *Policy) { p.BudgetPrincipal = Budget{"USD": phone.Micros(2_000_000, "USD")} }
	const hour = time.Hour
	return map[string]judged{
		"nothing against it": {},

		"switched off by a setting":    {policy: func(p *Policy) { p.Off = true }, code: "dialing_disabled"},
		"switched off in the ledger":   {facts: func(f *phone.Facts) { f.Off = "x" }, code: "dialing_disabled"},
		"switched off, nobody rings":   {facts: func(f *phone.Facts) { f.Off = "x" }, wish: func(w *Wish) { w.RingsNo = true }},
		"switched off, in a rehearsal": {policy: func(p *Policy) { p.Off, p.Rehearse = true, true }, wish: func(w *Wish) { w.RingsNo = true }, code: "dialing_disabled"},

		"without the scope":                 {wish: func(w *Wish) { w.MayPlace = false }, code: "forbidden"},
		"without the scope, nobody rings":   {wish: func(w *Wish) { w.MayPlace, w.RingsNo = false, true }, code: "forbidden"},
		"the clock goes five minutes wrong": {wish: func(w *Wish) { w.Skew = 5 * time.Minute }},
		"the clock is behind":               {wish: func(w *Wish) { w.Skew = -5*time.Minute - time.Second }, code: "clock_wrong"},
		"the clock is ahead":                {wish: func(w *Wish) { w.Skew = 10 * time.Minute }, code: "clock_wrong"},

		"on the list for good":       {facts: func(f *phone.Facts) { f.DoNotCall = &phone.Block{} }, code: "do_not_call"},
		"on the list for a day":      {facts: func(f *phone.Facts) { f.DoNotCall = &phone.Block{CallID: "c"} }, code: "do_not_call"},
		"on the list and known":      {facts: both(contact, func(f *phone.Facts) { f.DoNotCall = &phone.Block{} }), code: "do_not_call"},
		"on the list till tomorrow":  {facts: func(f *phone.Facts) { f.DoNotCall = &phone.Block{Until: noon().Add(24 * hour)} }, code: "do_not_call", at: 24 * hour, perhaps: true},
		"asked not to be called":     {facts: func(f *phone.Facts) { f.DoNotCall = &phone.Block{CallID: "c", Until: noon().Add(30 * 24 * hour)} }, code: "do_not_call", at: 30 * 24 * hour, perhaps: true},
		"a contact who asked for it": {facts: both(contact, func(f *phone.Facts) { f.DoNotCall = &phone.Block{CallID: "c"} }), code: "do_not_call"},

		"contacts only":            {policy: func(p *Policy) { p.ContactsOnly = true }, code: "not_a_contact"},
		"contacts only, and one":   {policy: func(p *Policy) { p.ContactsOnly = true }, facts: contact},
		"heard":                    {facts: func(f *phone.Facts) { f.Heard = true }, code: "needs_confirmation"},
		"heard, whatever is asked": {policy: func(p *Policy) { p.Confirm = Never }, facts: func(f *phone.Facts) { f.Heard = true }, code: "needs_confirmation"},
		"heard, but a contact":     {facts: both(contact, func(f *phone.Facts) { f.Heard = true })},
		"heard, but allowed":       {facts: func(f *phone.Facts) { f.Heard, f.Approved = true, true }},

		"first contact, can ask":           {wish: func(w *Wish) { w.CanAsk = true }, code: "needs_confirmation"},
		"first contact, cannot ask":        {},
		"first contact, allowed":           {wish: func(w *Wish) { w.CanAsk = true }, facts: func(f *phone.Facts) { f.Approved = true }},
		"second contact":                   {wish: func(w *Wish) { w.CanAsk = true }, facts: func(f *phone.Facts) { f.Known = true }},
		"first contact with a contact":     {wish: func(w *Wish) { w.CanAsk = true }, facts: contact},
		"asked always, known, cannot ask":  {policy: func(p *Policy) { p.Confirm = Always }, facts: func(f *phone.Facts) { f.Known = true }, code: "needs_confirmation"},
		"asked always, contact, can ask":   {policy: func(p *Policy) { p.Confirm = Always }, wish: func(w *Wish) { w.CanAsk = true }, facts: contact, code: "needs_confirmation"},
		"asked always, and said no":        {policy: func(p *Policy) { p.Confirm = Always }, facts: func(f *phone.Facts) { f.Declined = true }, code: "needs_confirmation"},
		"asked always, and allowed":        {policy: func(p *Policy) { p.Confirm = Always }, facts: func(f *phone.Facts) { f.Approved = true }},
		"asked never, first, can ask":      {policy: func(p *Policy) { p.Confirm = Never }, wish: func(w *Wish) { w.CanAsk = true }},
		"a policy that does not say":       {policy: func(p *Policy) { p.Confirm = "" }, wish: func(w *Wish) { w.CanAsk = true }},
		"called 9 minutes ago":             {facts: earlier(ended(phone.Completed, 9*time.Minute)), code: "too_soon", at: time.Minute, about: "call_1"},
		"called 10 minutes ago":            {facts: earlier(ended(phone.Completed, 10*time.Minute))},
		"somebody else called":             {facts: earlier(phone.Call{Principal: "she", Status: phone.StatusEnded, Outcome: phone.Completed, EndedAt: ago(time.Minute)}), code: "too_soon", at: 9 * time.Minute},
		"left a message":                   {facts: earlier(ended(phone.Voicemail, time.Minute)), code: "too_soon", at: 9 * time.Minute, about: "call_1"},
		"no answer a minute ago":           {facts: earlier(ended(phone.NoAnswer, time.Minute)), code: "too_soon", at: time.Minute, about: "call_1"},
		"busy two minutes ago":             {facts: earlier(ended(phone.Busy, 2*time.Minute))},
		"failed a minute ago":              {facts: earlier(ended(phone.Failed, time.Minute)), code: "too_soon", at: time.Minute, about: "call_1"},
		"declined 23 hours ago":            {facts: earlier(ended(phone.Declined, 23*hour)), code: "too_soon", at: hour, about: "call_1"},
		"declined, and called since":       {facts: both(earlier(ended(phone.NoAnswer, time.Minute)), earlier(ended(phone.Declined, 23*hour))), code: "too_soon", at: hour, about: "call_1"},
		"nobody saw its end":               {facts: earlier(phone.Call{Status: phone.StatusEnded, Outcome: phone.UnknownOutcome, CreatedAt: ago(hour), ChangedAt: ago(time.Minute)}), code: "too_soon", at: 9 * time.Minute, about: "call_1"},
		"wrapping up":                      {facts: earlier(phone.Call{Status: phone.WrappingUp, CreatedAt: ago(5 * time.Minute), EndedAt: ago(time.Minute)}), code: "too_soon", at: 9 * time.Minute, about: "call_1"},
		"never dialed":                     {facts: earlier(phone.Call{Status: phone.StatusEnded, Outcome: phone.Failed, EndedAt: ago(0), CreatedAt: ago(0), Failure: &phone.Failure{}})},
		"no gap":                           {policy: func(p *Policy) { p.Gap = 0 }, facts: earlier(ended(phone.Declined, time.Minute))},
		"a short gap":                      {policy: func(p *Policy) { p.Gap = time.Minute }, facts: earlier(ended(phone.NoAnswer, 90*time.Second))},
		"unconfirmed, whatever the gap":    {policy: func(p *Policy) { p.Gap, p.Concurrent = 0, 0 }, facts: earlier(phone.Call{Status: phone.Unconfirmed, CreatedAt: ago(time.Minute)}), code: "too_soon", at: 29 * time.Minute, about: "call_1"},
		"unconfirmed half an hour ago":     {facts: earlier(phone.Call{Status: phone.Unconfirmed, CreatedAt: ago(30 * time.Minute)})},
		"unconfirmed, long":                {facts: earlier(phone.Call{Status: phone.Unconfirmed, CreatedAt: ago(30 * time.Minute), Order: phone.Order{To: number2(), MaxDuration: hour}}), code: "busy", about: "call_1"},
		"being dialed":                     {facts: earlier(phone.Call{Status: phone.Dialing, CreatedAt: ago(time.Second), Order: phone.Order{To: number2()}}), code: "busy", about: "call_1"},
		"being dialed, whatever the limit": {policy: func(p *Policy) { p.Concurrent = 0 }, facts: earlier(phone.Call{Status: phone.Dialing, Order: phone.Order{To: number2()}}), code: "busy", about: "call_1"},
		"called twice of late":             {facts: both(earlier(ended(phone.Completed, time.Minute)), earlier(ended(phone.Completed, 8*time.Minute))), code: "too_soon", at: 9 * time.Minute, about: "call_1"},
		"going on, with news":              {facts: earlier(phone.Call{Status: phone.InProgress, CreatedAt: ago(time.Minute), ChangedAt: ago(time.Second), Order: phone.Order{To: number2()}}), code: "busy", about: "call_1"},
		"going on":                         {facts: earlier(phone.Call{Status: phone.InProgress, CreatedAt: ago(hour), Order: phone.Order{To: number2()}}), code: "busy", about: "call_1"},
		"going on, no limit":               {policy: func(p *Policy) { p.Concurrent = 0 }, facts: earlier(phone.Call{Status: phone.InProgress, Order: phone.Order{To: number2()}})},
		"going on for somebody else":       {facts: earlier(phone.Call{Principal: "she", Status: phone.InProgress, Order: phone.Order{To: number2()}}), code: "busy"},

		"one other goes on":            {facts: open(1, phone.Ringing, ago(time.Minute))},
		"two others go on":             {facts: open(2, phone.InProgress, ago(time.Minute)), code: "busy", at: 9 * time.Minute, perhaps: true},
		"two others wrap up":           {facts: open(2, phone.WrappingUp, ago(time.Minute))},
		"two unconfirmed":              {facts: open(2, phone.Unconfirmed, ago(9*time.Minute)), code: "busy", at: time.Minute},
		"two unconfirmed for a while":  {facts: open(2, phone.Unconfirmed, ago(10*time.Minute))},
		"two that should be long over": {facts: open(2, phone.InProgress, ago(hour)), code: "busy"},
		"two, one of them longer":      {facts: both(open(1, phone.Unconfirmed, ago(2*time.Minute)), open(1, phone.Unconfirmed, ago(9*time.Minute))), code: "busy", at: time.Minute},

		"called twice that day":        {facts: both(earlier(ended(phone.Completed, hour)), earlier(ended(phone.Completed, 2*hour)))},
		"called three times that day":  {facts: both(earlier(ended(phone.Completed, hour)), earlier(ended(phone.Completed, 2*hour)), earlier(ended(phone.Completed, 3*hour))), code: "number_limit", at: 21*hour - time.Minute},
		"called three times, no limit": {policy: func(p *Policy) { p.PerNumber = 0 }, facts: both(earlier(ended(phone.Completed, hour)), earlier(ended(phone.Completed, 2*hour)), earlier(ended(phone.Completed, 3*hour)))},
		"three times, one not dialed":  {facts: both(earlier(ended(phone.Completed, hour)), earlier(ended(phone.Completed, 2*hour)), earlier(unplaced(phone.StatusEnded, 3*hour)))},
		"three times, who knows":       {facts: both(earlier(ended(phone.Completed, hour)), earlier(ended(phone.Completed, 2*hour)), earlier(unplaced(phone.Unconfirmed, 3*hour))), code: "number_limit", at: 21 * hour},

		"nine calls within the hour": {facts: func(f *phone.Facts) { f.Placed = repeat(9, 10*time.Minute) }},
		"ten calls within the hour":  {facts: func(f *phone.Facts) { f.Placed = repeat(10, 20*time.Minute) }, code: "rate_limited", at: 40 * time.Minute},
		"30 calls that day":          {facts: func(f *phone.Facts) { f.Placed = repeat(30, 20*hour) }, code: "rate_limited", at: 4 * hour},
		"30 calls, no limits":        {policy: func(p *Policy) { p.PerHour, p.PerDay = 0, 0 }, facts: func(f *phone.Facts) { f.Placed = repeat(30, time.Minute) }},

		"ten new numbers that day":            {facts: func(f *phone.Facts) { f.Met = repeat(10, 20*hour) }, code: "new_number_limit", at: 4 * hour},
		"ten new numbers, this one is known":  {facts: func(f *phone.Facts) { f.Met, f.Known = repeat(10, 20*hour), true }},
		"ten new numbers, this one a contact": {facts: both(contact, func(f *phone.Facts) { f.Met = repeat(10, 20*hour) })},
		"ten new numbers, no limit":           {policy: func(p *Policy) { p.NewPerDay = 0 }, facts: func(f *phone.Facts) { f.Met = repeat(10, 20*hour) }},

		"no rate":                          {wish: func(w *Wish) { w.Provider = "other" }, code: "budget_exceeded"},
		"no rate, no budget":               {policy: func(p *Policy) { p.BudgetCall, p.BudgetDay, p.BudgetMonth = nil, nil, nil }, wish: func(w *Wish) { w.Provider = "other" }},
		"no rate, one for the month":       {policy: func(p *Policy) { p.BudgetCall, p.BudgetDay = nil, nil }, wish: func(w *Wish) { w.Provider = "other" }, code: "budget_exceeded"},
		"no rate, in a rehearsal":          {policy: func(p *Policy) { p.Rehearse = true }, wish: func(w *Wish) { w.Provider, w.RingsNo = "simulator", true }},
		"a minute too long":                {wish: func(w *Wish) { w.Longest = 10*time.Minute + time.Second }, code: "budget_exceeded"},
		"a currency of no budget":          {policy: func(p *Policy) { p.BudgetDay = Budget{"CNY": phone.Micros(1, "CNY")} }, code: "budget_exceeded"},
		"a currency without a limit":       {policy: func(p *Policy) { p.BudgetDay = Budget{"USD": phone.Micros(0, "USD")} }, facts: func(f *phone.Facts) { spent(f, 40_000_000, hour) }},
		"just enough of the day left":      {facts: func(f *phone.Facts) { spent(f, 4_000_000, hour) }},
		"too little of the day left":       {facts: func(f *phone.Facts) { spent(f, 1_000_000, hour); spent(f, 3_000_001, 2*hour) }, code: "budget_exceeded", at: 22 * hour},
		"spent a day ago":                  {facts: func(f *phone.Facts) { spent(f, 4_500_000, 24*hour) }},
		"the principal has its share left": {policy: own, facts: func(f *phone.Facts) { spent(f, 3_500_000, hour) }},
		"the principal has spent its share": {policy: own, facts: func(f *phone.Facts) {
			f.Own = []phone.Charge{{At: ago(2 * hour), Money: phone.Micros(1_500_000, "USD")}}
		}, code: "budget_exceeded", at: 22 * hour},
		"no rate, one for the principal": {policy: func(p *Policy) { own(p); p.BudgetCall, p.BudgetDay, p.BudgetMonth = nil, nil, nil }, wish: func(w *Wish) { w.Provider = "other" }, code: "budget_exceeded"},
		"too little of the month":        {facts: func(f *phone.Facts) { spent(f, 49_500_000, 29*24*hour) }, code: "budget_exceeded", at: 24 * hour},

		"four failures": {facts: func(f *phone.Facts) { f.Faults = moments(4*time.Minute, 3*time.Minute, 2*time.Minute, time.Minute) }},
		"five failures": {facts: func(f *phone.Facts) {
			f.Faults = moments(9*time.Minute, 4*time.Minute, 3*time.Minute, 2*time.Minute, time.Minute)
		}, code: "paused", at: 9 * time.Minute},
		"five failures, far apart": {facts: func(f *phone.Facts) {
			f.Faults = moments(12*time.Minute, 4*time.Minute, 3*time.Minute, 2*time.Minute, time.Minute)
		}},
		"five failures, and one before": {facts: func(f *phone.Facts) {
			f.Faults = moments(19*time.Minute, 9*time.Minute, 8*time.Minute, 7*time.Minute, 6*time.Minute, 5*time.Minute)
		}, code: "paused", at: 5 * time.Minute},
		"five failures, and one since": {facts: func(f *phone.Facts) {
			f.Faults = moments(12*time.Minute, 11*time.Minute, 11*time.Minute, 10*time.Minute, 9*time.Minute, time.Second)
		}, code: "paused", at: time.Minute},
		"five failures in ten minutes": {facts: func(f *phone.Facts) {
			f.Faults = moments(11*time.Minute, 4*time.Minute, 3*time.Minute, 2*time.Minute, time.Minute)
		}, code: "paused", at: 9 * time.Minute},
		"five failures, a while ago": {facts: func(f *phone.Facts) {
			f.Faults = moments(19*time.Minute, 18*time.Minute, 17*time.Minute, 12*time.Minute, 10*time.Minute)
		}},
		"five failures, no limit": {policy: func(p *Policy) { p.PauseFailures = 0 }, facts: func(f *phone.Facts) {
			f.Faults = moments(5*time.Minute, 4*time.Minute, 3*time.Minute, 2*time.Minute, time.Minute)
		}},
		"three refusals":                {facts: func(f *phone.Facts) { f.Refused = moments(7*time.Minute, 2*time.Minute, time.Minute) }},
		"three refusals close together": {facts: func(f *phone.Facts) { f.Refused = moments(5*time.Minute, 2*time.Minute, time.Minute) }, code: "paused", at: 14 * time.Minute},
		"three refusals, and one since": {facts: func(f *phone.Facts) { f.Refused = moments(10*time.Minute, 9*time.Minute, 8*time.Minute, 0) }, code: "paused", at: 7 * time.Minute},
		"three refusals in 5 minutes":   {facts: func(f *phone.Facts) { f.Refused = moments(6*time.Minute, 2*time.Minute, time.Minute) }, code: "paused", at: 14 * time.Minute},
		"three refusals, no limit":      {policy: func(p *Policy) { p.PauseRefusals = 0 }, facts: func(f *phone.Facts) { f.Refused = moments(3*time.Minute, 2*time.Minute, time.Minute) }},
	}
}

// number2 is the number of wanted.
func number2() phone.Number {
	n, err := phone.ParseNumber("+12125550143", "")
	if err != nil {
		panic(err)
	}
	return n
}

// open are calls of somebody's to other numbers that are not over.
func open(n int, s phone.Status, since time.Time) func(*phone.Facts) {
	return func(f *phone.Facts) {
		for range n {
			f.Open = append(f.Open, &phone.Call{ID: "call_2", Principal: "me", Status: s, CreatedAt: since})
		}
	}
}

func TestJudge(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, c.run)
	}
}

// Every rule that is judged on facts refuses in a case of its own, and calls that ring nobody are spared those that are not
// on the number's form or type.
func TestEveryRuleIsReached(t *testing.T) {
	seen := map[string]bool{"region_not_allowed": true, "number_type": true, "quiet_hours": true} // in tests of their own
	for _, c := range cases() {
		seen[c.code] = true
		if c.code == "" || c.policy != nil {
			continue
		}
		p, w, f := byDefault(t), wanted(t), facts()
		if c.facts != nil {
			c.facts(&f)
		}
		if w.RingsNo = true; len(New(p).Judge(w, f)) > 0 {
			t.Errorf("%s holds for a call that rings nobody", c.code)
		}
	}
	for _, r := range Rules() {
		if r.judge != nil && !seen[r.Code] {
			t.Errorf("nothing tries rule %d, %s", r.Number, r.Code)
		}
	}
}

// All rules that refuse are told, in their order.
func TestEveryRefusalIsTold(t *testing.T) {
	f := facts()
	f.Now = f.Now.Add(-10 * time.Hour)
	f.Off, f.DoNotCall, f.Heard = "x", &phone.Block{}, true
	w := wanted(t)
	w.To, w.Longest, w.MayPlace = number(t, "+8613800138000"), time.Hour, false
	got := codes(New(byDefault(t)).Judge(w, f))
	if want := []string{"dialing_disabled", "forbidden", "region_not_allowed", "do_not_call", "needs_confirmation", "budget_exceeded"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

// A rule that fails refuses.
func TestAFaultRefuses(t *testing.T) {
	f := facts()
	f.ToNumber = []*phone.Call{nil}
	all := New(byDefault(t)).Judge(wanted(t), f)
	if !slices.Equal(codes(all), []string{"guard_fault"}) || Confirmable(all) {
		t.Errorf("%+v", all)
	}
}

func TestConfirmable(t *testing.T) {
	for want, all := range map[bool][][]Refusal{
		true:  {{{Code: "needs_confirmation"}}, {{Code: "needs_confirmation"}, {Code: "needs_confirmation"}}},
		false: {{}, {{Code: "quiet_hours"}}, {{Code: "needs_confirmation"}, {Code: "quiet_hours"}}},
	} {
		for _, r := range all {
			if Confirmable(r) != want {
				t.Errorf("%+v: %v", r, !want)
			}
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	g, w, f := New(byDefault(b)), wanted(b), facts()
	for i := range 30 {
		f.Placed = append(f.Placed, noon().Add(-time.Duration(i+60)*time.Minute))
		f.Spent = append(f.Spent, phone.Charge{At: noon().Add(-time.Duration(i) * time.Hour), Money: phone.Micros(1000, "USD")})
	}
	f.Placed = f.Placed[:29]
	if all := g.Judge(w, f); len(all) > 0 {
		b.Fatalf("%+v", all)
	}
	for b.Loop() {
		g.Judge(w, f)
	}
}

// A refusal costs more: the next moment at which it would be allowed is looked for.
func BenchmarkJudgeQuietHours(b *testing.B) {
	g, w, f := New(byDefault(b)), wanted(b), facts()
	w.Regions, w.To = nil, number(b, "+79161234567")
	f.Now = f.Now.Add(6 * time.Hour)
	if all := codes(g.Judge(w, f)); !slices.Equal(all, []string{"quiet_hours"}) {
		b.Fatal(all)
	}
	for b.Loop() {
		g.Judge(w, f)
	}
}
