package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// auditing has Postgres itself write down what is written to a ledger, in the same transactions: each change of a call with
// who followed it before and until when that one's lease lasted, each event, each lease, and whose transaction it was, which
// its mark in writers tells.
const auditing = `
CREATE TABLE audit (
  n BIGSERIAL PRIMARY KEY, at BIGINT DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  tx TEXT DEFAULT pg_current_xact_id()::text, what TEXT, id TEXT, seq BIGINT DEFAULT 0, was_seq BIGINT DEFAULT 0, epoch BIGINT DEFAULT 0,
  was_epoch BIGINT DEFAULT 0, owner TEXT DEFAULT '', was_owner TEXT DEFAULT '', dial TEXT DEFAULT '', was_dial TEXT DEFAULT '',
  until BIGINT DEFAULT 0, ended BOOLEAN DEFAULT false);
CREATE FUNCTION audit_calls() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO audit (what, id, seq, epoch, owner, dial) VALUES ('reserve', NEW.id, NEW.seq, NEW.epoch, NEW.owner, NEW.dial);
  ELSE
    INSERT INTO audit (what, id, seq, was_seq, epoch, was_epoch, owner, was_owner, dial, was_dial, until, ended) VALUES ('call', NEW.id, NEW.seq,
      OLD.seq, NEW.epoch, OLD.epoch, NEW.owner, OLD.owner, NEW.dial, OLD.dial,
      COALESCE((SELECT expires_at FROM processes WHERE id = OLD.owner), 0), NEW.status = 'ended');
  END IF;
  RETURN NULL; END $$;
CREATE TRIGGER audit_calls AFTER INSERT OR UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION audit_calls();
CREATE FUNCTION audit_events() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'INSERT' THEN INSERT INTO audit (what, id, seq) VALUES ('event', NEW.call_id, NEW.seq);
  ELSE INSERT INTO audit (what, id, seq) VALUES ('rewrite', OLD.call_id, OLD.seq); END IF;
  RETURN NULL; END $$;
CREATE TRIGGER audit_events AFTER INSERT OR UPDATE OR DELETE ON events FOR EACH ROW EXECUTE FUNCTION audit_events();
CREATE FUNCTION audit_leases() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'DELETE' THEN INSERT INTO audit (what, id) VALUES ('lease', OLD.id);
  ELSE INSERT INTO audit (what, id, until) VALUES ('lease', NEW.id, NEW.expires_at); END IF;
  RETURN NULL; END $$;
CREATE TRIGGER audit_leases AFTER INSERT OR UPDATE OR DELETE ON processes FOR EACH ROW EXECUTE FUNCTION audit_leases();
CREATE FUNCTION audit_writers() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO audit (what, id) VALUES ('writer', NEW.process);
  RETURN NULL; END $$;
CREATE TRIGGER audit_writers AFTER INSERT OR UPDATE ON writers FOR EACH ROW EXECUTE FUNCTION audit_writers();`

// written is one row of the audit.
type written struct {
	at              time.Time
	tx, what, id    string
	seq, wasSeq     int
	epoch, wasEpoch int
	owner, wasOwner string
	dial, wasDial   string
	until           time.Time // a lease, or that of wasOwner
	ended           bool

	by string // the process whose transaction it was
}

// audited reads the audit.
func audited(t *testing.T, sql func(string) string) []written {
	t.Helper()
	var all []written
	by := map[string]string{}
	for line := range strings.Lines(sql(`SELECT at, tx, what, id, seq, was_seq, epoch, was_epoch, owner, was_owner, dial, was_dial, until, ended FROM audit ORDER BY n`)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 14 {
			t.Fatalf("%q", line)
		}
		number := func(i int) int {
			n, err := strconv.Atoi(f[i])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		w := written{
			at: time.UnixMicro(int64(number(0))), tx: f[1], what: f[2], id: f[3], seq: number(4), wasSeq: number(5), epoch: number(6),
			wasEpoch: number(7), owner: f[8], wasOwner: f[9], dial: f[10], wasDial: f[11], until: time.UnixMicro(int64(number(12))), ended: f[13] == "t",
		}
		if w.what == "writer" {
			by[w.tx] = w.id
		}
		all = append(all, w)
	}
	for i := range all {
		all[i].by = by[all[i].tx]
	}
	return all
}

// wrongsOf holds every write to what may be written: only who follows a call adds to it, except that what a provider
// answered to a dial is a fact whoever learned it; a call is taken only from who does not live, under the next epoch; and
// events come one after the other and stay.
func wrongsOf(all []written) (wrongs []string) {
	events, seqs := map[string]int{}, map[string]int{}
	for _, w := range all {
		wrong := func(format string, args ...any) {
			wrongs = append(wrongs, fmt.Sprintf("%s at %s: ", w.id, w.at.Format("15:04:05.000"))+fmt.Sprintf(format, args...))
		}
		switch w.what {
		case "rewrite":
			wrong("event %d was written anew or taken away", w.seq)
		case "event":
			if events[w.id]++; w.seq != events[w.id] {
				wrong("event %d came as the %dth", w.seq, events[w.id])
			}
		case "reserve":
			if w.owner != w.by || w.epoch != 1 {
				wrong("reserved by %s for %s in epoch %d", w.by, w.owner, w.epoch)
			}
		case "call":
			seqs[w.id] = w.seq
			switch {
			case w.by == "":
				wrong("nobody has signed")
			case w.epoch != w.wasEpoch && (w.epoch != w.wasEpoch+1 || w.owner != w.by || w.seq != w.wasSeq):
				wrong("%s took it for %s from epoch %d to %d", w.by, w.owner, w.wasEpoch, w.epoch)
			case w.epoch != w.wasEpoch && w.wasOwner != "" && w.wasOwner != w.by && w.until.After(w.at):
				wrong("%s took it from %s, which lived for %v more", w.by, w.wasOwner, w.until.Sub(w.at))
			case w.epoch == w.wasEpoch && w.dial == w.wasDial && (w.seq != w.wasSeq || w.owner != w.wasOwner) && w.wasOwner != w.by:
				wrong("%s wrote events %d to %d, and epoch %d is that of %q", w.by, w.wasSeq+1, w.seq, w.epoch, w.wasOwner)
			}
		}
	}
	for id, n := range seqs {
		if events[id] != n {
			wrongs = append(wrongs, fmt.Sprintf("%s has %d events and stands at %d", id, events[id], n))
		}
	}
	return wrongs
}

// strike is a fault that keeps a process from its calls, and when it came.
type strike struct {
	process string
	at      time.Time
}

// takenAfter is how long each call that a struck process followed waited until another one took it. Those that nobody took
// though they were not over come as unfollowed.
func takenAfter(all []written, s strike, within time.Duration) (took []time.Duration, unfollowed []string) {
	owner, over := map[string]string{}, map[string]bool{}
	i := 0
	for ; i < len(all) && all[i].at.Before(s.at); i++ {
		if w := all[i]; w.what == "call" || w.what == "reserve" {
			owner[w.id], over[w.id] = w.owner, w.ended
		}
	}
	waiting := map[string]bool{}
	for id, by := range owner {
		if by == s.process && !over[id] {
			waiting[id] = true
		}
	}
	for ; i < len(all); i++ {
		w := all[i]
		if w.what != "call" || !waiting[w.id] || w.owner == s.process && w.epoch == w.wasEpoch {
			continue
		}
		delete(waiting, w.id)
		if w.owner != "" && w.owner != s.process { // else it has ended, in a write that was under way
			took = append(took, w.at.Sub(s.at))
			if w.at.Sub(s.at) > within {
				unfollowed = append(unfollowed, w.id)
			}
		}
	}
	for id := range waiting {
		unfollowed = append(unfollowed, id)
	}
	return took, unfollowed
}

// historyOf tells what the audit has on a call but its events.
func historyOf(all []written, id string) string {
	var b strings.Builder
	for _, w := range all {
		if w.id == id && w.what != "event" && (w.owner != w.wasOwner || w.dial != w.wasDial || w.ended) {
			fmt.Fprintf(&b, "%s %s by %s: epoch %d to %d, seq %d to %d, owner %q to %q, dial %q to %q\n",
				w.at.Format("15:04:05.000"), w.what, w.by, w.wasEpoch, w.epoch, w.wasSeq, w.seq, w.wasOwner, w.owner, w.wasDial, w.dial)
		}
	}
	return b.String()
}

// An audit that never finds anything proves nothing.
func TestAuditFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(1e15)
	begun := written{what: "reserve", id: "c", owner: "a", by: "a", epoch: 1, dial: "sending", at: at}
	placed := written{what: "call", id: "c", owner: "a", wasOwner: "a", by: "a", epoch: 1, wasEpoch: 1, seq: 1, dial: "placed", wasDial: "sending", at: at}
	first := written{what: "event", id: "c", seq: 1, by: "a", at: at}
	heard := written{what: "call", id: "c", owner: "a", wasOwner: "a", by: "a", epoch: 1, wasEpoch: 1, seq: 2, wasSeq: 1, dial: "placed", wasDial: "placed", at: at}
	second := written{what: "event", id: "c", seq: 2, by: "a", at: at}
	taken := written{what: "call", id: "c", owner: "b", wasOwner: "a", by: "b", epoch: 2, wasEpoch: 1, seq: 2, wasSeq: 2, dial: "placed", wasDial: "placed", at: at, until: at.Add(-1)}
	late, lateEvent := heard, second
	late.seq, late.wasSeq, lateEvent.seq, late.epoch, late.wasEpoch, late.wasOwner = 3, 2, 3, 2, 2, "b"
	living, jump := taken, taken
	living.until, jump.epoch = at.Add(time.Second), 3
	for name, c := range map[string]struct {
		all   []written
		wrong int
	}{
		"nothing":                            {[]written{begun, placed, first, heard, second, taken}, 0},
		"a write with an old epoch":          {[]written{begun, placed, first, heard, second, taken, late, lateEvent}, 1},
		"a call taken from who lives":        {[]written{begun, placed, first, heard, second, living}, 1},
		"an epoch left out":                  {[]written{begun, placed, first, heard, second, jump}, 1},
		"an event left out":                  {[]written{begun, placed, first, heard, lateEvent}, 1},
		"an event twice":                     {[]written{begun, placed, first, heard, second, second}, 2},
		"an event rewritten":                 {[]written{begun, placed, first, {what: "rewrite", id: "c", seq: 1}}, 1},
		"a call that stands behind its last": {[]written{begun, placed, first, heard}, 1},
		"a write that nobody signed":         {[]written{begun, placed, first, {what: "call", id: "c", seq: 1, wasSeq: 1}}, 1},
	} {
		if got := wrongsOf(c.all); len(got) != c.wrong {
			t.Errorf("%s: %v", name, got)
		}
	}
	if took, left := takenAfter([]written{begun, taken}, strike{"a", at}, time.Second); len(took)+len(left) != 0 {
		t.Errorf("it followed nothing when it was struck: %v, %v", took, left)
	}
	moved := taken
	moved.at = at.Add(2 * time.Second)
	if took, left := takenAfter([]written{begun, moved}, strike{"a", at.Add(1)}, time.Second); len(took) != 1 || len(left) != 1 {
		t.Errorf("taken late: %v, %v", took, left)
	}
	if took, left := takenAfter([]written{begun}, strike{"a", at.Add(1)}, time.Second); len(took) != 0 || len(left) != 1 {
		t.Errorf("never taken: %v, %v", took, left)
	}
}
