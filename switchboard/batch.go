package switchboard

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
)

// Recipient is one of a batch: whom to call, and what stands for the task's {{variables}}.
type Recipient struct {
	To        string
	Variables map[string]string
}

// Batch is a wish to call many with one task.
type Batch struct {
	Recipients []Recipient // 1 to 100
	Request    Request     // To is not used; a Key names the batch, each recipient's intent is derived from it
}

// BatchItem is what became of one recipient.
type BatchItem struct {
	Recipient Recipient
	Task      string // as it was to be said; empty if the variables did not fit
	Placement Placement
	Err       *phone.Error
}

const (
	batchAtOnce = 4                // dials of one batch under way at a time
	batchWithin = 30 * time.Second // after this no further call of the batch is begun: a dial takes up to 20 s, and clients wait 60
)

// PlaceBatch calls the recipients, each an intent of its own, and reports each by itself. The same batch sent again goes
// on where this one stopped: what was placed is replayed. The id is the same for the same batch.
//
// Errors: invalid, if the batch as a whole cannot be carried out; nobody is called then.
func (s *Switchboard) PlaceBatch(ctx context.Context, who phone.Caller, b Batch) (id string, items []BatchItem, err error) {
	if n := len(b.Recipients); n < 1 || n > 100 {
		return "", nil, phone.Errorf(phone.Invalid, "recipients: a batch has 1 to 100, this one has %d.", n)
	}
	seen := map[string]int{}
	for i, r := range b.Recipients {
		whom := s.whom(b, r)
		if j, twice := seen[whom]; twice {
			return "", nil, phone.Errorf(phone.Invalid, "recipients: items %d and %d are the same number. Nobody was called.", j+1, i+1)
		}
		seen[whom] = i
	}
	begun := time.Now()
	items = make([]BatchItem, len(b.Recipients))
	places := make(chan struct{}, batchAtOnce)
	var all sync.WaitGroup
	for i, r := range b.Recipients {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			items[i] = s.placeItem(ctx, who, b, r, begun)
		})
	}
	all.Wait()
	return s.batchID(who, b), items, nil
}

func (s *Switchboard) placeItem(ctx context.Context, who phone.Caller, b Batch, r Recipient, begun time.Time) BatchItem {
	item := BatchItem{Recipient: r}
	task, err := fill(b.Request.Task, r.Variables)
	if err != nil {
		item.Err = phone.AsError(err)
		return item
	}
	item.Task = task
	q := b.Request
	q.To, q.Task = r.To, task
	if q.Key != "" {
		q.Key = fmt.Sprintf("%s#%s", q.Key, s.whom(b, r))
	}
	var instead error
	if time.Since(begun) > batchWithin {
		instead = phone.Errorf(phone.Unavailable, "The batch took too long to reach this recipient, who was not called. Send the same batch again: it goes on here.")
	}
	if item.Placement, err = s.place(ctx, who, q, instead); err != nil {
		item.Err = phone.AsError(err)
	}
	return item
}

// whom is a recipient however the number is written.
func (s *Switchboard) whom(b Batch, r Recipient) string {
	if n, err := s.number(r.To, b.Request.Provider); err == nil {
		return n.E164()
	}
	return r.To
}

// batchID names a batch by what it is.
func (s *Switchboard) batchID(who phone.Caller, b Batch) string {
	parts := []string{who.Principal, b.Request.Key, b.Request.Task, b.Request.Provider}
	for _, r := range b.Recipients {
		parts = append(parts, s.whom(b, r))
	}
	return "batch_" + s.Ledger.Digest(parts...)
}

// fill puts a recipient's variables into the task. Errors: invalid, if one is missing.
func fill(task string, variables map[string]string) (string, error) {
	var missing []string
	filled := regexp.MustCompile(`\{\{\s*([A-Za-z0-9_.-]+)\s*\}\}`).ReplaceAllStringFunc(task, func(m string) string {
		name := strings.TrimSpace(strings.Trim(m, "{}"))
		v, ok := variables[name]
		if !ok {
			missing = append(missing, name)
		}
		return v
	})
	if len(missing) > 0 {
		return "", phone.Errorf(phone.Invalid, "The task needs variables that this recipient lacks: %s. Nobody was called.", strings.Join(missing, ", "))
	}
	return filled, nil
}
