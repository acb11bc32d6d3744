package ledger

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
)

// spec is an order as it is kept; its number has a column of its own.
type spec struct {
	Task        string         `json:"task"`
	Language    string         `json:"language,omitempty"`
	Voice       string         `json:"voice,omitempty"`
	AgentName   string         `json:"agent_name,omitempty"`
	CallerName  string         `json:"caller_name,omitempty"`
	MaxDuration time.Duration  `json:"max_duration,omitempty"`
	Options     map[string]any `json:"options,omitempty"`
}

// specOf is an order as it is kept. Equal orders have equal ones.
func specOf(o phone.Order) (string, error) {
	b, err := json.Marshal(spec{o.Task, o.Language, o.Voice, o.AgentName, o.CallerName, o.MaxDuration, o.Options})
	return string(b), err
}

// order is the order to a number again.
func (s spec) order(to phone.Number) phone.Order {
	return phone.Order{
		To: to, Task: s.Task, Language: s.Language, Voice: s.Voice, AgentName: s.AgentName, CallerName: s.CallerName,
		MaxDuration: s.MaxDuration, Options: s.Options,
	}
}

// head is a call without its conversation, for lists: what its events come to.
type head struct {
	StartedAt time.Time      `json:"started_at,omitzero"`
	ChangedAt time.Time      `json:"changed_at,omitzero"`
	Outcome   phone.Outcome  `json:"outcome,omitempty"`
	Duration  *time.Duration `json:"duration,omitempty"`
	Cost      *phone.Cost    `json:"cost,omitempty"`
	Summary   string         `json:"summary,omitempty"`
	Recording string         `json:"recording,omitempty"`
	Record    phone.Record   `json:"record"`
	Failure   *phone.Failure `json:"failure,omitempty"`
	OptedOut  time.Time      `json:"opted_out,omitzero"`
}

func headOf(c *phone.Call) head {
	return head{c.StartedAt, c.ChangedAt, c.Outcome, c.Duration, c.Cost, c.Summary, c.Recording, c.Record, c.Failure, c.OptedOut}
}

const callColumns = `id, principal, provider, account, simulated, number, spec, ref, created_at, status, seq, ended_at, head, dial, hangup_wanted, owner, epoch, currency, per_minute, worst, erased_at`

// Held is a call with what only the process that follows it needs.
type Held struct {
	*phone.Call
	Epoch        int64
	Dial         Dial
	HangupWanted bool

	owner string
}

// Follows says whether this process follows the call.
func (l *Ledger) Follows(h Held) bool { return h.owner == l.process }

// Dial is how far the request to the provider has come.
type Dial string

// The states of a dial.
const (
	Sending  Dial = "sending"  // it may be under way, or may have died with its process
	Placed   Dial = "placed"   // the provider has the call
	Rejected Dial = "rejected" // surely nobody was called
	Unknown  Dial = "unknown"  // nobody knows
)

type scanner interface{ Scan(...any) error }

// scanCall reads a row of callColumns: the call as its head tells, without its conversation.
func scanCall(row scanner) (Held, error) {
	var (
		id, principal, provider, account, number, specJSON, ref, status, headJSON, dial, owner, currency string
		simulated, hangup                                                                                bool
		created, seq, ended, epoch, perMinute, worst, erased                                             int64
		s                                                                                                spec
		h                                                                                                head
	)
	if err := row.Scan(&id, &principal, &provider, &account, &simulated, &number, &specJSON, &ref, &created, &status, &seq, &ended,
		&headJSON, &dial, &hangup, &owner, &epoch, &currency, &perMinute, &worst, &erased); err != nil {
		return Held{}, err
	}
	if err := errors.Join(json.Unmarshal([]byte(specJSON), &s), json.Unmarshal([]byte(headJSON), &h)); err != nil {
		return Held{}, err
	}
	to, err := numberOf(number)
	if err != nil {
		return Held{}, err
	}
	c := phone.Begin(id, principal, provider, account, s.order(to), moment(created))
	c.Ref, c.Simulated = phone.Ref(ref), simulated
	c.PerMinute, c.Worst = phone.Micros(perMinute, currency), phone.Micros(worst, currency)
	c.Status, c.Seq, c.EndedAt = phone.Status(status), seq, moment(ended)
	c.StartedAt, c.ChangedAt, c.Outcome, c.Duration, c.Cost = h.StartedAt, h.ChangedAt, h.Outcome, h.Duration, h.Cost
	c.Summary, c.Recording, c.Record, c.Failure = h.Summary, h.Recording, h.Record, h.Failure
	c.OptedOut, c.ErasedAt = h.OptedOut, moment(erased)
	return Held{Call: c, Epoch: epoch, Dial: Dial(dial), HangupWanted: hangup, owner: owner}, nil
}

// load reads a call whole, folded from its events.
func load(ctx context.Context, q querier, id string) (Held, error) {
	return loadWhere(ctx, q, id, `id = ?`, id)
}

// loadWhere reads the call of that id if it meets the condition. Of one that does not nothing is read: it takes no longer
// than one that is not there.
func loadWhere(ctx context.Context, q querier, id, condition string, by ...any) (Held, error) {
	h, err := heldWhere(ctx, q, id, condition, by...)
	if err != nil {
		return Held{}, err
	}
	events, err := eventsOf(ctx, q, id, 0)
	if err != nil {
		return Held{}, err
	}
	c := phone.Begin(h.ID, h.Principal, h.Provider, h.Account, h.Order, h.CreatedAt)
	c.Ref, c.Simulated, c.PerMinute, c.Worst, c.ErasedAt = h.Ref, h.Simulated, h.PerMinute, h.Worst, h.ErasedAt
	for _, e := range events {
		c.Apply(e)
	}
	h.Call = c
	return h, nil
}

// heldOf reads a call without its conversation.
func heldOf(ctx context.Context, q querier, id string) (Held, error) {
	return heldWhere(ctx, q, id, `id = ?`, id)
}

func heldWhere(ctx context.Context, q querier, id, condition string, by ...any) (Held, error) {
	h, err := scanCall(q.QueryRowContext(ctx, `SELECT `+callColumns+` FROM calls WHERE `+condition, by...))
	if errors.Is(err, sql.ErrNoRows) {
		return Held{}, noCall(id)
	}
	return h, err
}

// noCall answers for a call that does not exist and for one of somebody else alike.
func noCall(id string) error {
	return &phone.Error{Code: phone.NotFound, Message: "There is no call with this call_id. list_calls shows those there are.", CallID: id}
}

// Call gives a call with its conversation. Errors: not_found, also for another principal's.
func (l *Ledger) Call(ctx context.Context, principal, id string) (Held, error) {
	tx, err := l.read.look(ctx)
	if err != nil {
		return Held{}, failed("call", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	h, err := loadWhere(ctx, tx, id, `id = ? AND principal = ?`, id, principal)
	return h, failed("call", err)
}

// Filter narrows a list of calls. Zero fields do not.
type Filter struct {
	Status   phone.Status
	Provider string
	To       phone.Number
	Limit    int    // 1 to 200
	Cursor   string // from the page before
}

// List gives a principal's calls without their conversations, the newest first, and the cursor of the next page; empty if
// there is none. Errors: invalid (the cursor).
func (l *Ledger) List(ctx context.Context, principal string, f Filter) ([]*phone.Call, string, error) {
	query, args := `SELECT `+callColumns+` FROM calls WHERE principal = ?`, []any{principal}
	narrow := func(condition string, by ...any) {
		query += ` AND ` + condition
		args = append(args, by...)
	}
	if f.Status != "" {
		narrow(`status = ?`, string(f.Status))
	}
	if f.Provider != "" {
		narrow(`provider = ?`, f.Provider)
	}
	if !f.To.IsZero() {
		narrow(`number IN (?, ?)`, l.forms(f.To)...)
	}
	if f.Cursor != "" {
		created, id, err := parseCursor(f.Cursor)
		if err != nil {
			return nil, "", err
		}
		narrow(`(created_at < ? OR created_at = ? AND id < ?)`, created, created, id)
	}
	rows, err := l.read.QueryContext(ctx, query+` ORDER BY created_at DESC, id DESC LIMIT ?`, append(args, f.Limit+1)...)
	if err != nil {
		return nil, "", failed("list", err)
	}
	defer rows.Close()
	var calls []*phone.Call
	for rows.Next() {
		h, err := scanCall(rows)
		if err != nil {
			return nil, "", failed("list", err)
		}
		calls = append(calls, h.Call)
	}
	if err := rows.Err(); err != nil {
		return nil, "", failed("list", err)
	}
	if len(calls) <= f.Limit {
		return calls, "", nil
	}
	calls = calls[:f.Limit]
	return calls, cursorAt(calls[f.Limit-1]), nil
}

func cursorAt(c *phone.Call) string {
	return base64.RawURLEncoding.EncodeToString([]byte(c.CreatedAt.Format(time.RFC3339Nano) + " " + c.ID))
}

func parseCursor(s string) (created int64, id string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	at, id, ok := strings.Cut(string(raw), " ")
	t, terr := time.Parse(time.RFC3339Nano, at)
	if err != nil || !ok || terr != nil {
		return 0, "", phone.Errorf(phone.Invalid, "cursor: pass on next_cursor as list_calls gave it, or leave it out.")
	}
	return micros(t), id, nil
}
