package main

import (
	"context"
	"errors"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/pamela"
	"github.com/outdial/outdial/providers/stepone"
	"modernc.org/sqlite"
)

// killer ends its own process as kill -9 does, when one call reaches one point. It stands around the adapters and inside
// the database, so the product knows nothing of it. A child gets one by TEST_KILL: a point, and a word of the call's task.
//
// A point in a transaction is at the statement, or with "@commit" after the last one, when all is written and nothing
// durable.
type killer struct {
	point  string
	commit bool
	word   string

	mu     sync.Mutex
	call   string    // the call's id, once it is reserved
	ref    phone.Ref // the provider's name of it, once there is one
	doomed bool      // the transaction under way reached the point
}

// parseKiller reads TEST_KILL; nil where it is empty.
func parseKiller(s string) *killer {
	point, word, _ := strings.Cut(s, " ")
	if point == "" {
		return nil
	}
	point, commit := strings.CutSuffix(point, "@commit")
	return &killer{point: point, commit: commit, word: word}
}

// die does not return.
func die() {
	if me, err := os.FindProcess(os.Getpid()); err == nil {
		_ = me.Kill()
	}
	select {}
}

// at is a point that a call has reached, which its task or its name tells.
func (k *killer) at(point string, marked bool) {
	if point == k.point && marked {
		die()
	}
}

func (k *killer) marks(o phone.Order) bool { return strings.Contains(o.Task, k.word) }

func (k *killer) isRef(ref phone.Ref) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ref == ref
}

// arm puts the killer around the adapters and into every connection to the ledger. A nil one does nothing.
func (k *killer) arm(specs []providers.Spec) []providers.Spec {
	if k == nil {
		return specs
	}
	specs = slices.Clone(specs)
	for i := range specs {
		open := specs[i].Open
		specs[i].Open = func(c providers.Config, by providers.Connect) (providers.Driver, error) {
			d, err := open(c, by)
			switch d := d.(type) {
			case *stepone.Driver:
				return &mortalStepOne{d, k}, err
			case *pamela.Driver:
				return &mortalPamela{d, k}, err
			}
			return d, err
		}
	}
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		hooks, ok := conn.(sqlite.HookRegisterer)
		if !ok {
			return errors.New("the database takes no hooks")
		}
		hooks.RegisterPreUpdateHook(k.writes)
		hooks.RegisterCommitHook(k.commits)
		return nil
	})
	return specs
}

// writes sees each row before it is written.
func (k *killer) writes(d sqlite.SQLitePreUpdateData) {
	row := make([]any, d.Count())
	if d.New(row...) != nil {
		return // a row that is deleted
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reached(d.TableName, row) == k.point {
		if k.doomed = true; !k.commit {
			die()
		}
	}
}

// reached says which point a row of the marked call means.
func (k *killer) reached(table string, row []any) string {
	text := func(i int) string {
		s, _ := row[i].(string)
		return s
	}
	switch {
	case table == "calls" && k.call == "":
		if slices.ContainsFunc(row, func(v any) bool { s, _ := v.(string); return strings.Contains(s, k.word) }) {
			k.call = text(0)
			return "in_reserve"
		}
	case table == "events" && text(0) == k.call:
		switch kind, body := text(3), text(4); {
		case kind == "progress" && strings.Contains(body, `"queued"`):
			return "in_placed"
		case kind == "fragment":
			return "in_follow"
		case kind == "ended":
			return "in_settlement"
		}
	}
	return ""
}

// commits runs inside each commit, before anything of it is durable.
func (k *killer) commits() int32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.doomed {
		die()
	}
	return 0
}

// place is Driver.Place with the points around it.
func (k *killer) place(ctx context.Context, d providers.Driver, o phone.Order) (phone.Ref, error) {
	k.at("after_reserve", k.marks(o))
	ref, err := d.Place(ctx, o)
	k.at("after_post", k.marks(o))
	if k.marks(o) {
		k.mu.Lock()
		k.ref = ref
		k.mu.Unlock()
	}
	return ref, err
}

// mortalStepOne is the real adapter, which reaches the points outside the ledger.
type mortalStepOne struct {
	*stepone.Driver
	k *killer
}

func (d *mortalStepOne) Check(o phone.Order) error {
	d.k.at("before_reserve", d.k.marks(o))
	return d.Driver.Check(o)
}

func (d *mortalStepOne) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	return d.k.place(ctx, d.Driver, o)
}

func (d *mortalStepOne) Stream(ctx context.Context, ref phone.Ref) iter.Seq2[phone.Observation, error] {
	d.k.at("after_placed", d.k.isRef(ref))
	return d.Driver.Stream(ctx, ref)
}

// mortalPamela is the real adapter, which reaches the points outside the ledger.
type mortalPamela struct {
	*pamela.Driver
	k *killer
}

func (d *mortalPamela) Check(o phone.Order) error {
	d.k.at("before_reserve", d.k.marks(o))
	return d.Driver.Check(o)
}

func (d *mortalPamela) Place(ctx context.Context, o phone.Order) (phone.Ref, error) {
	return d.k.place(ctx, d.Driver, o)
}

func (d *mortalPamela) Lookup(ctx context.Context, ref phone.Ref) (phone.Observation, error) {
	d.k.at("after_placed", d.k.isRef(ref))
	return d.Driver.Lookup(ctx, ref)
}

func (d *mortalPamela) Find(ctx context.Context, o phone.Order, about time.Time) ([]phone.Listed, error) {
	listed, err := d.Driver.Find(ctx, o, about)
	d.k.at("in_reconcile", d.k.marks(o))
	return listed, err
}
