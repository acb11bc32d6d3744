package providertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
)

// placing is the adapter with another Place.
type placing struct {
	*plain
	place func(p *plain, ctx context.Context, o phone.Order) (phone.Ref, error)
}

func (m placing) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	return m.place(m.plain, ctx, o)
}

func placesSo(place func(p *plain, ctx context.Context, o phone.Order) (phone.Ref, error)) func(*plain) providers.Driver {
	return func(p *plain) providers.Driver { return placing{p, place} }
}

// naive dials as one does who has not read the contract, through any HTTP client.
func naive(client *http.Client, p *plain, ctx context.Context, o phone.Order) (phone.Ref, int, error) {
	raw, _ := json.Marshal(dialOf(o))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/calls", bytes.NewReader(raw))
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("X-Key", plainKey)
	req.Header.Set("Idempotency-Key", o.CallID)
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", resp.StatusCode, err
	}
	var answer struct{ ID string }
	_ = json.Unmarshal(body, &answer)
	return phone.Ref(answer.ID), resp.StatusCode, nil
}

func uncertain(err error) error {
	return &phone.Error{Code: phone.Uncertain, Message: "It may ring.", Err: err}
}

const rulesClause = "what the agent on the line is told begins with the rules"

// sends is the adapter with another request.
func sends(change func(o phone.Order, body map[string]any)) func(*plain) providers.Driver {
	return placesSo(func(p *plain, ctx context.Context, o phone.Order) (phone.Ref, error) {
		body := dialOf(o)
		change(o, body)
		return posted(p, ctx, "/calls", body)
	})
}

func posted(p *plain, ctx context.Context, path string, body any) (phone.Ref, error) {
	a, err := p.c.Dial(ctx, path, body, nil)
	if err != nil || a.Status != http.StatusCreated {
		return "", uncertain(err)
	}
	return "c1", nil
}

func dialMutants() []mutant {
	type ctx = context.Context
	return []mutant{
		{"dials twice", "each scenario is followed to its end", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			_, _ = p.Place(ctx, o)
			return p.Place(ctx, o)
		})},
		{"tries again after an uncertain dial", "dropped after it was read: uncertain, and one request", placesSo(again)},
		{"tries again after a fault", "a fault after the dial is uncertain, and one request", placesSo(again)},
		{"tries again after silence", "an answer that does not come: uncertain, and one request", placesSo(again)},
		{"tries again after half an answer", "an answer that breaks off is uncertain, and one request", placesSo(again)},
		{"tries again when a dial is lost", "a dial whose answer is lost is uncertain", placesSo(again)},
		{"tries again on a closed connection", "a connection closed unread is not tried again", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			ref, err := p.Place(ctx, o)
			if err != nil {
				return p.Place(ctx, o)
			}
			return ref, err
		})},
		{"calls a drop unavailable", "dropped after it was read: uncertain, and one request", placesSo(certain)},
		{"calls a lost dial unavailable", "a dial whose answer is lost is uncertain", placesSo(certain)},
		{"calls a timeout unavailable", "an answer that does not come: uncertain, and one request", placesSo(certain)},
		{"calls a cancelled dial unavailable", "the end of the context stops a dial: uncertain, and one request", placesSo(certain)},
		{"calls an unreachable service uncertain", "a service that cannot be reached: unavailable, and nothing sent", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			ref, err := p.Place(ctx, o)
			if phone.CodeOf(err) == phone.Unavailable {
				err = uncertain(err)
			}
			return ref, err
		})},
		{"calls a refused dial uncertain", "a refused dial rings nothing", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			ref, err := p.Place(ctx, o)
			if err != nil {
				err = uncertain(err)
			}
			return ref, err
		})},
		{"takes any answer for a call", "a good answer that names no call is uncertain, and one request", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			ref, err := p.Place(ctx, o)
			if phone.CodeOf(err) == phone.Uncertain {
				return "unknown", nil
			}
			return ref, err
		})},
		{"follows redirects", "a dial follows no redirect, and the key goes to no other host", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			ref, _, err := naive(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, p, ctx, o)
			if ref == "" || err != nil {
				return "", uncertain(nil)
			}
			return ref, nil
		})},
		{"keeps connections alive", "a dial has a connection of its own", func(p *plain) providers.Driver {
			kept := &http.Client{Transport: &http.Transport{}}
			return placing{p, func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
				ref, _, err := naive(kept, p, ctx, o)
				if ref == "" || err != nil {
					return "", uncertain(nil)
				}
				return ref, nil
			}}
		}},
		{"does not stop with the context", "the end of the context stops a dial: uncertain, and one request", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			slow, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			return p.Place(slow, o)
		})},
		{"does not look at the context", "an ended context stops everything at once", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			return p.Place(context.WithoutCancel(ctx), o)
		})},
		{"names the number twice", "a dial names one number", sends(func(o phone.Order, body map[string]any) { body["cc"] = []string{o.To.E164()} })},
		{"sends the bare task", rulesClause, sends(func(o phone.Order, body map[string]any) { body["brief"] = o.Task })},
		{"sends no task", rulesClause, sends(func(o phone.Order, body map[string]any) { body["brief"] = providers.Preamble(o) })},
		{"puts the task before the rules", rulesClause, sends(func(o phone.Order, body map[string]any) {
			body["brief"] = o.Task + "\n\n" + providers.Brief(o)
		})},
		{"puts a greeting before the rules", rulesClause, sends(func(o phone.Order, body map[string]any) {
			body["brief"] = "Hello.\n" + providers.Brief(o)
		})},
		{"puts a name among the rules", rulesClause, sends(func(o phone.Order, body map[string]any) {
			body["brief"] = strings.Replace(providers.Brief(o), "AI", "AI called "+o.AgentName, 1)
		})},
		{"sends the rules in another language", rulesClause, sends(func(o phone.Order, body map[string]any) {
			o.Language = "es"
			body["brief"] = providers.Brief(o)
		})},
		{"sends the task in a second field", rulesClause, sends(func(o phone.Order, body map[string]any) { body["subject"] = o.Task })},
		{"sends a name that speaks", rulesClause, sends(func(o phone.Order, body map[string]any) { body["agent"] = o.AgentName })},
		{"puts the key into the address", "no address holds a secret or the number", placesSo(func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
			return posted(p, ctx, "/calls?key="+plainKey, dialOf(o))
		})},
		{"mixes up calls at once", "twenty calls at once are twenty calls", func(p *plain) providers.Driver {
			var last struct {
				sync.Mutex
				ref phone.Ref
			}
			return placing{p, func(p *plain, ctx ctx, o phone.Order) (phone.Ref, error) {
				ref, err := p.Place(ctx, o)
				last.Lock()
				defer last.Unlock()
				if last.ref == "" {
					last.ref = ref
				}
				return last.ref, err
			}}
		}},
		{"spoils what is not ASCII", "a call in Chinese keeps every character", func(p *plain) providers.Driver {
			return looking{p, func(p *plain, ctx ctx, ref phone.Ref) (phone.Observation, error) {
				o, err := p.Lookup(ctx, ref)
				for i := range o.Words {
					o.Words[i].Text = strings.ToValidUTF8(o.Words[i].Text[:max(0, len(o.Words[i].Text)-1)], "?")
				}
				return o, err
			}}
		}},
	}
}

// again dials a second time when the first dial goes wrong.
func again(p *plain, ctx context.Context, o phone.Order) (phone.Ref, error) {
	ref, err := p.Place(ctx, o)
	if phone.CodeOf(err) == phone.Uncertain {
		return p.Place(ctx, o)
	}
	return ref, err
}

// certain takes every failure for one before the service heard of it.
func certain(p *plain, ctx context.Context, o phone.Order) (phone.Ref, error) {
	ref, err := p.Place(ctx, o)
	if phone.CodeOf(err) == phone.Uncertain {
		err = phone.Errorf(phone.Unavailable, "Nothing happened.")
	}
	return ref, err
}
