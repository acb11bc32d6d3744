package ledger

import (
	"database/sql"
	"encoding/json"
	flags "flag" // flag is a function of this package
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
)

// newestReleased is the newest schema that a user's file can have. It rises with a release, which adds its file.
const newestReleased = 3

var released = flags.Bool("released", false, "today's schema is about to be released: its file must be in testdata")

// files are the ledgers of released schemas, by schema.
func files(t *testing.T) map[int]string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.db")
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]string{}
	for _, p := range paths {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(p), "schema-%d.db", &n); err != nil || filepath.Base(p) != fmt.Sprintf("schema-%d.db", n) {
			t.Errorf("%s: its name is not schema-N.db", p)
		}
		all[n] = p
	}
	return all
}

func TestEveryReleasedSchemaHasItsFile(t *testing.T) {
	sqliteAlone(t)
	today := raw(t, freshFile(t)).schema(t)
	needed := newestReleased
	if *released {
		needed = today
	}
	if today < needed {
		t.Errorf("schema %d is released, and today's is %d", needed, today)
	}
	have := files(t)
	for n := 1; n <= needed; n++ {
		path, ok := have[n]
		if !ok {
			t.Errorf("schema %d is released, and there is no file of it: testdata/README.md says how one is made", n)
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 100<<10 {
			t.Errorf("%s is %d KiB", path, info.Size()>>10)
		}
		if got := raw(t, path).schema(t); got != n {
			t.Errorf("%s is of schema %d", path, got)
		}
		delete(have, n)
	}
	for n, path := range have {
		if n > today {
			t.Errorf("%s is of no schema that there is", path)
		}
	}
}

// freshFile is the file of a new ledger that nobody has open.
func freshFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outdial.db")
	l := open(t, path)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// copied is a copy of a file of testdata that the test may write.
func copied(t *testing.T, from string) string {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "outdial.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// rawFile is a ledger's file as it is, without what this package makes of it.
type rawFile struct{ *sql.DB }

func raw(t *testing.T, path string) rawFile {
	t.Helper()
	mode := ""
	if filepath.Base(filepath.Dir(path)) == "testdata" {
		mode = "&mode=ro&immutable=1" // nothing is to be left beside it
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)"+mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return rawFile{db}
}

func (f rawFile) exec(t *testing.T, statements string) {
	t.Helper()
	tx, err := f.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(statements); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func (f rawFile) schema(t *testing.T) (n int) {
	t.Helper()
	if err := f.QueryRow(`PRAGMA user_version`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// rawCall is a call as a file has it, in columns that every schema has.
type rawCall struct {
	id, number, status, dial string
	seq, created             int64
	said                     []string // the last text of each turn
	keys                     map[string]string
}

func (f rawFile) calls(t *testing.T) (all []rawCall) {
	t.Helper()
	each(t, f, `SELECT id, number, status, dial, seq, created_at FROM calls ORDER BY created_at`, func(r *sql.Rows) error {
		c := rawCall{keys: map[string]string{}}
		err := r.Scan(&c.id, &c.number, &c.status, &c.dial, &c.seq, &c.created)
		all = append(all, c)
		return err
	})
	for i, c := range all {
		turns := map[int]int{}
		each(t, f, `SELECT body FROM events WHERE kind = 'fragment' AND call_id = '`+c.id+`' ORDER BY seq`, func(r *sql.Rows) error {
			var body []byte
			var said struct {
				Turn int    `json:"turn"`
				Text string `json:"text"`
			}
			if err := r.Scan(&body); err != nil {
				return err
			}
			if err := json.Unmarshal(body, &said); err != nil {
				return err
			}
			at, known := turns[said.Turn]
			if !known {
				at = len(all[i].said)
				turns[said.Turn], all[i].said = at, append(all[i].said, "")
			}
			all[i].said[at] = said.Text
			return nil
		})
		each(t, f, `SELECT key, params FROM intents WHERE key LIKE 'client:%' AND call_id = '`+c.id+`'`, func(r *sql.Rows) error {
			var key, params string
			err := r.Scan(&key, &params)
			all[i].keys[key[len("client:"):]] = params
			return err
		})
	}
	return all
}

// names are the names of what was wished for, by call: in the first schema they stand among the keys.
func (f rawFile) names(t *testing.T) map[string]string {
	t.Helper()
	from := `SELECT call_id, name FROM names`
	if f.schema(t) == 1 {
		from = `SELECT call_id, substr(key, 9) FROM intents WHERE key LIKE 'derived:%'`
	}
	all := map[string]string{}
	each(t, f, from, func(r *sql.Rows) error {
		var id, name string
		err := r.Scan(&id, &name)
		all[id] = name
		return err
	})
	return all
}

func each(t *testing.T, f rawFile, query string, do func(*sql.Rows) error) {
	t.Helper()
	rows, err := f.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// story is what testdata/README.md says of each file.
func story() map[string]string {
	return map[string]string{
		"+12025550100":   "ended completed placed 6 order-1",
		"+8613800138000": "ended completed placed 6",
		"+12025550101":   "ended no_answer placed 0",
		"+12025550106":   "ended failed placed 4",
		"+12025550108":   "ended failed rejected 0",
		"+12025550109":   "unconfirmed unknown 0 order-9",
		"+12025550107":   "in_progress placed 2 order-7",
	}
}

func told(h Held, keys map[string]string) string {
	s := string(h.Status) + " "
	if h.Ended() {
		s += string(h.Outcome) + " "
	}
	s += fmt.Sprintf("%s %d", h.Dial, len(h.Turns))
	for k := range keys {
		s += " " + k
	}
	return s
}

// A ledger of each released schema, as its own version wrote it, tells today's code all that it told then.
func TestReleasedLedgers(t *testing.T) {
	sqliteAlone(t)
	for n, file := range files(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			before, names := raw(t, file).calls(t), raw(t, file).names(t)
			path := copied(t, file)
			l := open(t, path)

			got := map[string]string{}
			for _, c := range before {
				h, err := l.Call(t.Context(), "local", c.id)
				if err != nil {
					t.Fatal(err)
				}
				got[c.number] = told(h, c.keys)
				var said []string
				for _, turn := range h.Turns {
					said = append(said, turn.Text)
				}
				if diff := cmp.Diff(c.said, said); diff != "" {
					t.Errorf("%s: what was said: %s", c.number, diff)
				}
				if h.Order.To.E164() != c.number || h.Seq != c.seq || h.Order.Task == "" || !h.Simulated || h.CreatedAt.UnixMicro() != c.created {
					t.Errorf("%s: %+v", c.number, h.Call)
				}
			}
			if diff := cmp.Diff(story(), got); diff != "" {
				t.Error(diff)
			}
			list, _, err := l.List(t.Context(), "local", Filter{Limit: 200})
			if err != nil || len(list) != len(before) {
				t.Errorf("%d calls in the list, %v", len(list), err)
			}
			resent(t, l, before, names)
			limited(t, l, before, n)
			written(t, l, before)
			if n := raw(t, path).schema(t); n != raw(t, freshFile(t)).schema(t) {
				t.Errorf("the file is of schema %d now", n)
			}
		})
	}
}

func to(t *testing.T, number string) phone.Number {
	t.Helper()
	n, err := phone.RestoreNumber(number)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// again is the request that led to a call, sent again right after it.
func (c rawCall) again(t *testing.T) Intent {
	t.Helper()
	call := phone.Begin(NewCallID(), "local", "simulator", "", phone.Order{To: to(t, c.number), Task: "again"}, time.UnixMicro(c.created).Add(time.Minute))
	call.Simulated, call.Worst = true, phone.Micros(1, "USD")
	return Intent{Call: call, Window: 10 * time.Minute}
}

// resent holds that a request that comes again finds its call, by its key at any time, and by what it is; but for one that
// surely dialed nobody.
func resent(t *testing.T, l *Ledger, before []rawCall, names map[string]string) {
	t.Helper()
	errNew := fmt.Errorf("it counts as new")
	find := func(in Intent) (string, error) {
		h, _, err := l.Reserve(t.Context(), in, func(phone.Facts) error { return errNew })
		if err != nil {
			return "", err
		}
		return h.ID, nil
	}
	asked := 0
	for _, c := range before {
		for key, params := range c.keys {
			in := c.again(t)
			in.Call.CreatedAt = now()
			in.Key, in.Params = key, params
			if id, err := find(in); err != nil || id != c.id {
				t.Errorf("%s with its key: %q, %v", c.number, id, err)
			}
			in.Params = "others"
			if _, err := find(in); phone.AsError(err).Reason != "key_conflict" {
				t.Errorf("%s, its key with other parameters: %v", c.number, err)
			}
			asked++
		}
		in := c.again(t)
		in.Names, in.Known = []string{names[c.id]}, []string{names[c.id]}
		id, err := find(in)
		if free := c.dial == string(Rejected); (id != c.id) != free || free && phone.AsError(err).Err == nil {
			t.Errorf("%s without a key: %q, %v", c.number, id, err)
		}
		asked++
	}
	if asked != 10 {
		t.Errorf("%d requests were sent again", asked)
	}
}

// limited holds that the rules see what an older version has recorded.
func limited(t *testing.T, l *Ledger, before []rawCall, schema int) {
	t.Helper()
	about := func(number string) phone.Facts {
		c := before[len(before)-1]
		c.number = number
		f, err := l.Facts(t.Context(), c.again(t).Call)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := about("+12025550100")
	var open []string
	for _, c := range f.Open {
		open = append(open, c.Order.To.E164())
	}
	if diff := cmp.Diff([]string{"+12025550107", "+12025550109"}, open); diff != "" {
		t.Errorf("open: %s", diff)
	}
	if !f.Known || len(f.ToNumber) != 1 || len(f.Placed) != 6 || len(f.Met) != 6 || f.Off != "" {
		t.Errorf("%+v", f)
	}
	if schema < 3 {
		return
	}
	var spent int64
	for _, c := range f.Spent {
		spent += c.Money.Micros()
	}
	if spent != 4*100_000+2*1_000_000 || len(f.Faults) != 3 || len(f.Refused) != 1 {
		t.Errorf("spent %d, %d faults, %d refused", spent, len(f.Faults), len(f.Refused))
	}
	if c := about("+12025550110").Contact; c == nil || c.Name != "Ann Example" || c.Zone != "America/New_York" {
		t.Errorf("contact: %+v", c)
	}
	if b := about("+12025550111").DoNotCall; b == nil || b.Note != "asked by mail" {
		t.Errorf("do not call: %+v", b)
	}
	waiting, err := l.Waiting(t.Context(), f.Now)
	if err != nil || len(waiting) != 1 || waiting[0].Order.To.E164() != "+12025550112" {
		t.Errorf("waiting: %+v, %v", waiting, err)
	}
}

// written holds that calls go on where the older version left them, and that new ones can be placed.
func written(t *testing.T, l *Ledger, before []rawCall) {
	t.Helper()
	held, err := l.Claim(t.Context(), Accounts{Any: now()}, idle, now().Add(time.Hour)) // the file may have been made just now
	if err != nil || len(held) != 1 || held[0].Order.To.E164() != "+12025550107" || held[0].Epoch != 2 {
		t.Fatalf("%+v, %v", held, err)
	}
	going := held[0]
	words := phone.Observation{Words: []phone.Words{{Role: phone.Callee, Text: "Are you still there?", Final: true}}}
	if err := observe(t, l, &going, words); err != nil {
		t.Fatal(err)
	}
	got, err := l.Call(t.Context(), "local", going.ID)
	if err != nil || len(got.Turns) != 3 || got.Turns[2].Text != "Are you still there?" {
		t.Errorf("%+v, %v", got.Call, err)
	}
	h := reserve(t, l, before[0].again(t))
	if _, err := l.Placed(t.Context(), h.ID, "ref"); err != nil {
		t.Fatal(err)
	}
	list, _, err := l.List(t.Context(), "local", Filter{Limit: 200})
	if err != nil || len(list) != len(before)+1 || !slices.ContainsFunc(list, func(c *phone.Call) bool { return c.ID == h.ID }) {
		t.Errorf("%d calls in the list, %v", len(list), err)
	}
}
