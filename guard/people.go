package guard

import (
	"time"

	"github.com/outdial/outdial/phone"
)

// disabled is the kill switch: the setting holds for a process, the ledger's for all at once.
func (g *Guard) disabled(_ Wish, f phone.Facts) *Refusal {
	if g.Off || f.Off != "" {
		return refuse("The operator has switched dialing off. Nobody is called until they switch it on again.")
	}
	return nil
}

// forbidden holds to what the one who asks was granted.
func (g *Guard) forbidden(w Wish, _ phone.Facts) *Refusal {
	if w.MayPlace {
		return nil
	}
	return refuse("This token may not place calls: it needs the scope %s. Nobody was called; the operator, or the authorization server, can give it.", phone.PlaceScope)
}

// clockMayDiffer is how far this machine's clock may be from the provider's.
const clockMayDiffer = 5 * time.Minute

func (g *Guard) clock(w Wish, _ phone.Facts) *Refusal {
	if w.Skew.Abs() <= clockMayDiffer {
		return nil
	}
	return refuse("The clock of the machine that outdial runs on differs from %s's by %s, so nobody knows whether people may be called now. The operator has to set it.", w.Title, w.Skew.Abs().Round(time.Minute))
}

func (g *Guard) doNotCall(_ Wish, f phone.Facts) *Refusal {
	switch b := f.DoNotCall; {
	case b == nil:
		return nil
	case b.CallID != "":
		return refuse("Whoever answers this number asked not to be called again. Do not look for another way to reach them.").until(b.Until)
	default:
		return refuse("The number is on the do-not-call list. Do not look for another way to reach them.").until(b.Until)
	}
}

func (g *Guard) stranger(_ Wish, f phone.Facts) *Refusal {
	if !g.ContactsOnly || f.Contact != nil {
		return nil
	}
	return refuse("Only the operator's contacts are called, and this number is none. The operator can add it.")
}

// heard keeps a number that somebody on a line has given from being called because of that.
func (g *Guard) heard(w Wish, f phone.Facts) *Refusal {
	if !f.Heard || f.Contact != nil || f.Approved {
		return nil
	}
	return ask(w, f, "This number was spoken on a line in the last 24 hours")
}

// unconfirmed has a person asked.
func (g *Guard) unconfirmed(w Wish, f phone.Facts) *Refusal {
	switch {
	case f.Approved, g.Confirm == Never, g.Confirm == "":
		return nil
	case g.Confirm == Always:
		return ask(w, f, "Every call has to be allowed by a person")
	case !w.CanAsk || f.Known || f.Contact != nil:
		return nil
	}
	return ask(w, f, "This number was never called before")
}

// ask is what a model hears of a call that a person must allow. It names no way that the model could go itself.
func ask(w Wish, f phone.Facts, why string) *Refusal {
	switch {
	case f.Declined:
		return refuse("A person was asked about this call and said no. Nobody was called; do not ask again unless they tell you to.")
	case w.CanAsk:
		return refuse("%s: a person is asked before it is called.", why)
	}
	return refuse("%s, and this client cannot ask a person. A person at the machine that outdial runs on can allow it; then send the same request again.", why)
}

// quiet keeps calls to the hours of the day in which people may be called. A number may be in several zones.
func (g *Guard) quiet(w Wish, f phone.Facts) *Refusal {
	window, names := g.Hours, []string(nil)
	if c := f.Contact; c != nil {
		if !c.Window.IsZero() {
			window = c.Window
		}
		if c.Zone != "" {
			names = []string{c.Zone}
		}
	}
	if window.IsZero() || window.To-window.From == 24*time.Hour || names == nil && kind(w.parsed) == "TOLL_FREE" {
		return nil
	}
	if names == nil {
		names = zonesOf(w.parsed)
	}
	zones, ok := g.zones.load(names)
	if !ok {
		return refuse("It is not known what time it is where this number is, so it is not called. The operator can enter it among the contacts, with its time zone.")
	}
	if allowed(window, zones, f.Now) {
		return nil
	}
	there := f.Now.In(zones[0])
	r := refuse("It is %s there (%s); calls are placed between %s.", there.Format("15:04"), zones[0], window)
	if len(zones) > 1 {
		r = refuse("The number may be in one of %d time zones, and in some of them it is not between %s. The operator can enter it among the contacts, with its own zone.", len(zones), window)
	}
	return r.until(next(window, zones, f.Now))
}
