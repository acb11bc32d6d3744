package ledger

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/outdial/outdial/phone"
)

// shadow has a server say something else of itself: a function of ours before its own.
func shadow(t *testing.T, function string) string {
	t.Helper()
	url := server.Database(t)
	server.SQL(t, url, function)
	return url + "%2Cpg_catalog"
}

// A server with which the ledger's promises do not hold is refused.
func TestPostgresRefused(t *testing.T) {
	postgresAlone(t)
	says := func(setting, value string) string {
		return shadow(t, `CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE sql AS
			$$ SELECT CASE $1 WHEN '`+setting+`' THEN '`+value+`' ELSE pg_catalog.current_setting($1) END $$`)
	}
	for name, c := range map[string]struct{ url, reason string }{
		"commits are not waited for":        {server.Database(t) + "%20-csynchronous_commit%3Doff", "not_durable"},
		"a standby is not waited for":       {server.Database(t) + "%20-csynchronous_commit%3Dlocal", "not_durable"},
		"a standby may not have it on disk": {server.Database(t) + "%20-csynchronous_commit%3Dremote_write", "not_durable"},
		"a standby has it visible":          {server.Database(t) + "%20-csynchronous_commit%3Dremote_apply", ""},
		"an old server":                     {says("server_version_num", "130011"), "server_old"},
		"a proxy that drops settings":       {says("idle_in_transaction_session_timeout", "0"), "server_pooled"},
		"a clock ahead":                     {clockOff(t, "2 minutes"), "clock_wrong"},
		"a clock behind":                    {clockOff(t, "-2 minutes"), "clock_wrong"},
		"a clock a little ahead":            {clockOff(t, "50 seconds"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Open(t.Context(), c.url, Options{})
			if err == nil {
				err = l.Close()
			}
			if e := phone.AsError(err); (err == nil) != (c.reason == "") || err != nil && (e.Code != phone.Refused || e.Reason != c.reason) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Of the servers that a URL may name it is the one that writes, for those who read too, whatever the URL asks for.
func TestPostgresThatWrites(t *testing.T) {
	postgresAlone(t)
	for _, attributes := range []string{"any", "read-write", "read-only", "primary", "standby", "prefer-standby"} {
		l := openWith(t, server.Database(t)+"&target_session_attrs="+attributes, Options{})
		h := reserve(t, l, wish(t, "+8613800138000", "", "p"))
		if got, err := l.Call(t.Context(), "local", h.ID); err != nil || got.ID != h.ID {
			t.Errorf("%s: %v", attributes, err)
		}
	}
	standby := shadow(t, `CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS $$ SELECT true $$`)
	if l, err := Open(t.Context(), standby, Options{}); phone.CodeOf(err) != phone.Unavailable || !strings.Contains(err.Error(), "Postgres cannot be reached") {
		t.Errorf("a standby: %v", err)
		if err == nil {
			_ = l.Close()
		}
	}
}

func clockOff(t *testing.T, by string) string {
	t.Helper()
	return shadow(t, `CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '`+by+`' $$`)
}

// A setting that is changed while a process runs is noticed before the next call is recorded.
func TestPostgresNoLongerDurable(t *testing.T) {
	l := replicas(t)[0]
	if _, err := l.write.pool.Exec(`SET synchronous_commit = off`); err != nil {
		t.Fatal(err)
	}
	_, _, err := l.Reserve(t.Context(), wish(t, "+8613800138000", "", "p"), yes)
	if e := phone.AsError(err); err == nil || e.Reason != "not_durable" {
		t.Errorf("%v", err)
	}
	if _, err := l.write.pool.Exec(`SET synchronous_commit = on`); err != nil {
		t.Fatal(err)
	}
	reserve(t, l, wish(t, "+8613800138000", "", "p"))
}

// No error holds the password, whatever is wrong with the URL or the server.
func TestPostgresURLIsASecret(t *testing.T) {
	postgresAlone(t)
	const canary = "c4n4ry-w0rd"
	good := server.Database(t)
	at := good[strings.Index(good, "@"):]
	deep := func(err error) string {
		text := fmt.Sprintf("%v %+v", err, err)
		if e := (*phone.Error)(nil); errors.As(err, &e) {
			text += fmt.Sprintf(" %v %+v %#v", e.Err, e.Err, e)
		}
		return text
	}
	for want, url := range map[string]string{
		"a broken escape":     "postgres://outdial:%zz" + canary + at,
		"a port that is none": "postgres://outdial:" + canary + "@127.0.0.1:x/postgres",
		"a slash in it":       "postgres://outdial:a/" + canary + at,
		"an unknown mode":     "postgres://outdial:" + canary + "@127.0.0.1/postgres?sslmode=perhaps",
		"nobody listens":      "postgres://outdial:" + canary + "@127.0.0.1:1/postgres",
		"no such database":    "postgres://outdial:" + canary + strings.Replace(at, "/postgres", "/nosuch", 1),
		"no such user":        "postgres://nobody:" + canary + at,
		"no such file":        "postgres://outdial@127.0.0.1/postgres?sslmode=verify-full&sslrootcert=/no/such&password=" + canary,
		"no such setting":     "postgres://outdial:" + canary + at + "%20-cno_such%3D1",
	} {
		_, err := Open(t.Context(), url, Options{})
		if err == nil || strings.Contains(deep(err), canary) {
			t.Errorf("%s: %s", want, deep(err))
		}
		if code := phone.CodeOf(err); code == phone.Internal && want != "no such setting" {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Any text comes back as it was, and stands for itself alone.
func TestAnyTextIsKept(t *testing.T) {
	l := fresh(t)
	odd := []string{"", "plain", "a\x00b", "\x00", "a\xffb", "\xc3", "\x01", "\x01\"a\\x00b\"", "\x01\x01", "a\x01b", "'\\x00'", "喂\u0000", "\ufeff", strings.Repeat("\x00", 5000)}
	seen := map[string]string{}
	for i, text := range odd {
		in := wish(t, fmt.Sprintf("+86138001380%02d", i), text, "p")
		in.Call.Principal = "p" + text
		in.Call.Order.Task, in.Call.Account = text, text
		h := reserve(t, l, in)
		h, err := l.Placed(t.Context(), h.ID, phone.Ref("r"+text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if err := observe(t, l, &h, phone.Observation{Words: []phone.Words{{Role: phone.Callee, Text: "x" + text, Final: true}}, Summary: text}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		got, err := l.Call(t.Context(), "p"+text, h.ID)
		if err != nil || got.Principal != "p"+text || got.Account != text || got.Ref != phone.Ref("r"+text) {
			t.Errorf("%q: %q, %q, %q, %v", text, got.Principal, got.Account, got.Ref, err)
			continue
		}
		if want := strings.ToValidUTF8("x"+text, "\ufffd"); len(got.Turns) != 1 || got.Turns[0].Text != want && len(text) < 10 {
			t.Errorf("%q: said %q, kept %+v", text, want, got.Turns)
		}
		if other, ok := seen[got.ID]; ok {
			t.Errorf("%q and %q are one", text, other)
		}
		seen[got.ID] = text
		if err := l.SaveContact(t.Context(), phone.Contact{Number: in.Call.Order.To, Name: text, AddedAt: now()}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if c, err := contact(t.Context(), l.read, in.Call.Order.To.E164()); err != nil || c.Name != text {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

// Every text of the schema is compared by its bytes, in a database whose own order is another one.
func TestPostgresComparesBytes(t *testing.T) {
	l := replicas(t)[0]
	other, err := column[string](t.Context(), l.read, `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`)
	if err != nil || len(other) > 0 {
		t.Errorf("%v, %v", other, err)
	}
	all, err := column[string](t.Context(), l.read, `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = current_schema() AND data_type = 'text'`)
	if err != nil || len(all) < 40 {
		t.Errorf("%d columns, %v", len(all), err)
	}
}

// Only what is known to be a disk over a network is refused.
func TestNetworkDiskRefused(t *testing.T) {
	for kind, name := range map[int64]string{
		0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB 2", 0x517b: "SMB", 0x5346414f: "AFS", 0x73757245: "Coda",
		0x00c36400: "Ceph", 0xef53: "", 0x58465342: "", 0x9123683e: "", 0x65735546: "", 0x01021997: "", 0x01021994: "", 0x794c7630: "", 0x2fc12fc1: "", 0xca451a4e: "", 0: "",
	} {
		if got := networkDisk(kind); got != name {
			t.Errorf("%#x: %q, not %q", kind, got, name)
		}
	}
	const mounts = "36 35 0:44 / /a rw - fuse.sshfs x rw\n37 35 0:45 / /b rw shared:1 - fuse.gocryptfs y rw\n38 35 8:1 / / rw - ext4 /dev/sda1 rw\n"
	for device, name := range map[string]string{"0:44": "sshfs", "0:45": "", "8:1": "", "0:46": ""} {
		if got := userDisk(mounts, device); got != name {
			t.Errorf("%s: %q", device, got)
		}
	}
	err := refuseNetwork("NFS", "/mnt/x/outdial.db")
	if e := phone.AsError(err); e.Code != phone.Refused || e.Reason != "network_disk" {
		t.Errorf("%v", err)
	}
	if err := onLocalDisk(t.TempDir()); err != nil {
		t.Errorf("a local folder: %v", err)
	}
	if _, err := os.Stat("/proc/self/mountinfo"); err == nil {
		if err := onLocalDisk("/proc/self/no/such/folder"); err != nil {
			t.Errorf("a folder that is not there: %v", err)
		}
	}
}
