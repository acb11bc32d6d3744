package tools

import (
	"context"

	mcpserver "github.com/mark3labs/mcp-go/server"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/schema"
	"github.com/outdial/outdial/switchboard"
)

func (b toolbox) addCreateBatch(s *mcpserver.MCPServer) {
	define[schema.CreateBatch, schema.Batch](b, s, tool{
		name: "create_batch", title: "Call several people", world: true, repeats: true, dials: true,
		description: "Places one real phone call to each of up to 100 recipients with one task, in which {{variable}} stands for the recipient's own values. " +
			"Each call is reported by itself. The same batch sent again goes on where this one stopped and calls nobody twice.",
	}, b.createBatch)
}

func (b toolbox) createBatch(ctx context.Context, r request[schema.CreateBatch]) (result, error) {
	q, err := ordered(r.args.CallOptions)
	if err != nil {
		return result{}, err
	}
	q.CanAsk = r.peer.CanAsk(ctx)
	batch := switchboard.Batch{Request: q}
	for _, one := range r.args.Recipients {
		batch.Recipients = append(batch.Recipients, switchboard.Recipient{To: one.To, Variables: one.Variables})
	}
	id, items, err := b.board.PlaceBatch(ctx, r.who, batch)
	if asked := questions(items); err == nil && len(asked) > 0 && q.CanAsk {
		ask, aerr := b.confirm(ctx, r.client, asked)
		switch {
		case ask != nil:
			return result{ask: ask}, nil
		case aerr == nil:
			id, items, err = b.board.PlaceBatch(ctx, r.who, batch)
		default:
			for i := range items {
				if items[i].Placement.Question != nil {
					items[i].Err = phone.AsError(aerr)
				}
			}
		}
	}
	if err != nil {
		return result{}, err
	}
	w := BatchOf(id, items, r.args.Task)
	return result{structured: w, text: batchText(w)}, nil
}

// questions are those that a person is to be asked before the rest of a batch is called.
func questions(items []switchboard.BatchItem) []phone.Question {
	var all []phone.Question
	for _, i := range items {
		if i.Placement.Question != nil {
			all = append(all, *i.Placement.Question)
		}
	}
	return all
}

// BatchOf is a batch as clients see it.
func BatchOf(id string, items []switchboard.BatchItem, task string) schema.Batch {
	w := schema.Batch{BatchID: id, Calls: []schema.Call{}}
	for _, i := range items {
		c := schema.Call{To: i.Recipient.To, Task: orElse(i.Task, task), Status: string(phone.StatusEnded), Outcome: string(phone.Failed), Record: string(phone.Complete)}
		if i.Placement.Call != nil {
			c = schema.FromCallSince(i.Placement.Call, 0)
			c.Replayed = i.Placement.Replayed
		}
		if i.Err != nil {
			e := schema.FromError(i.Err)
			c.Error = &e
		}
		switch {
		case i.Err == nil:
			w.Placed++
		case i.Err.Code == phone.Invalid || i.Err.Code == phone.Refused:
			w.Refused++
		default:
			w.Failed++
		}
		w.Calls = append(w.Calls, c)
	}
	return w
}
