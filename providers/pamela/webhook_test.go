package pamela

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers/pamela/internal/signed"
)

func receiver(secrets ...string) *Driver {
	d := &Driver{short: newLane(1, 1), long: newLane(1, 1)}
	copy(d.secrets[:], secrets)
	return d
}

func signature(s string) http.Header { return http.Header{signed.Header: {s}} }

// sdk is how the vendor's Python SDK signs, 1.0.4 and 1.0.0, and how one signs that hashes what it sends.
const sdk = `
import hashlib, hmac, json, random
r = random.Random(7)
words = ["hello", "yes", "café", "对，是我。", "\U0001f600", "a\tb\n", "\u2028", "\x7f", "</script>", "\\ \"quoted\"", "", "1e5"]
def value(depth=0):
    kind = r.randrange(9 if depth < 3 else 6)
    if kind == 0: return r.choice(words)
    if kind == 1: return r.randrange(-10**r.randrange(1, 25), 10**r.randrange(1, 25))
    if kind == 2: return r.choice([0.1, 1.0, 1e16, 1e-5, -2.5, 123456789.125, 5e-324, 1.7976931348623157e308, 3.0e22])
    if kind == 3: return r.choice([True, False, None])
    if kind < 6: return " ".join(r.choice(words) for _ in range(r.randrange(5)))
    if kind == 6: return [value(depth + 1) for _ in range(r.randrange(4))]
    return {r.choice(words) + str(i): value(depth + 1) for i in range(r.randrange(4))}
for i in range(1000):
    event = {"event": r.choice(["call.queued", "call.started", "call.completed", "call.failed", "call.transcript_update"]),
             "call_id": "call_%d" % i, "status": "in_progress", "timestamp": "2026-02-01T00:00:%02dZ" % (i % 60),
             "transcript": [{"role": r.choice(["user", "assistant"]), "content": value()} for _ in range(r.randrange(4))], "extra": value()}
    body = r.choice([lambda: json.dumps(event), lambda: json.dumps(event, ensure_ascii=False), lambda: json.dumps(event, indent=2),
                     lambda: json.dumps(event, separators=(",", ":"), sort_keys=True)])()
    message = r.choice([lambda: body, lambda: json.dumps(event, sort_keys=True, separators=(",", ":")), lambda: json.dumps(event, sort_keys=True)])()
    mac = hmac.new(b"whsec_test", message.encode("utf-8"), hashlib.sha256).hexdigest()
    print(json.dumps({"body": body, "signature": mac}))
`

type delivery struct{ Body, Signature string }

// deliveries are what Python signs.
func deliveries(t *testing.T) []delivery {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("NOT RUN: there is no python3 to sign as the vendor's SDK does")
	}
	out, err := exec.CommandContext(t.Context(), python, "-c", sdk).Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []delivery
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var d delivery
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	if len(all) != 1000 {
		t.Fatalf("%d deliveries", len(all))
	}
	return all
}

func TestWebhookSignatures(t *testing.T) {
	all := deliveries(t)
	d := receiver("whsec_new", "whsec_test")
	for _, of := range all {
		if n, err := d.Receive(signature(of.Signature), []byte(of.Body)); err != nil || n.Ref == "" || n.Digest == "" {
			t.Errorf("a genuine one: %v\n%s", err, of.Body)
		}
	}
	r := rand.New(rand.NewPCG(1, 2)) // the same ones each time
	var refused, same int
	for i := range 10_000 {
		of := all[i%len(all)]
		body, sig := altered(r, of)
		if n, err := d.Receive(signature(sig), body); err == nil {
			// What is written otherwise and says the same is no forgery.
			if want, _ := d.Receive(signature(of.Signature), []byte(of.Body)); sig != of.Signature || n.Digest != want.Digest {
				t.Errorf("taken: %s\nof %s", body, of.Body)
			}
			same++
			continue
		}
		refused++
	}
	t.Logf("%d genuine, %d forged or altered refused, %d said the same in other bytes", len(all), refused, same)
	if refused < 9_500 {
		t.Errorf("only %d were really altered", refused)
	}
}

// altered changes a delivery somehow.
func altered(r *rand.Rand, of delivery) (body []byte, sig string) {
	body, sig = []byte(of.Body), of.Signature
	at := r.IntN(len(body))
	switch r.IntN(9) {
	case 0:
		body[at] ^= byte(1 << r.IntN(8))
	case 1:
		body = append(body[:at:at], body[at+1:]...)
	case 2:
		body = append(append(bytes.Clone(body[:at]), byte('0'+r.IntN(75))), body[at:]...)
	case 3:
		body = bytes.Replace(body, []byte(`{"event"`), []byte(`{"call_id":"call_9999","event"`), 1)
		body = append(body, ' ', '1')
	case 4:
		s := []byte(sig)
		s[r.IntN(len(s))] ^= 1
		sig = string(s)
	case 5:
		sig = signed.Sum("", body)
	case 6:
		sig = signed.Sum("whsec_other", body)
	case 7:
		sig = []string{"", "sha256=" + sig, sig[:63], sig + "0", " " + sig, string(bytes.ToUpper([]byte(sig))) + "A"}[r.IntN(6)]
	default:
		body = bytes.Replace(body, []byte(`call_`), []byte(`call_1`), 1)
	}
	return body, sig
}

func TestWebhookRefusals(t *testing.T) {
	const ok = `{"call_id":"c","event":"call.started"}`
	sign := func(body string) http.Header { return signature(signed.Sum("s", []byte(body))) }
	for what, tt := range map[string]struct {
		d      *Driver
		header http.Header
		body   string
		code   phone.Code
	}{
		"no signature":                         {receiver("s"), nil, ok, phone.Unauthorized},
		"two signatures":                       {receiver("s"), http.Header{signed.Header: {signed.Sum("s", []byte(ok)), signed.Sum("s", []byte(ok))}}, ok, phone.Unauthorized},
		"no secret at all":                     {receiver(), signature(signed.Sum("", []byte(ok))), ok, phone.Unauthorized},
		"the secret is the old one of another": {receiver("t", "u"), sign(ok), ok, phone.Unauthorized},
		"a key twice":                          {receiver("s"), sign(`{"call_id":"a","call_id":"b","event":"x"}`), `{"call_id":"a","call_id":"b","event":"x"}`, phone.Invalid},
		"a key twice, deep":                    {receiver("s"), sign(`{"call_id":"a","event":"x","y":{"z":1,"z":2}}`), `{"call_id":"a","event":"x","y":{"z":1,"z":2}}`, phone.Invalid},
		"no call":                              {receiver("s"), sign(`{"event":"x"}`), `{"event":"x"}`, phone.Invalid},
		"no event":                             {receiver("s"), sign(`{"call_id":"x"}`), `{"call_id":"x"}`, phone.Invalid},
		"no object":                            {receiver("s"), sign(`["x"]`), `["x"]`, phone.Invalid},
		"no JSON":                              {receiver("s"), sign(`x`), `x`, phone.Invalid},
		"the old secret":                       {receiver("t", "s"), sign(ok), ok, ""},
		"as it is":                             {receiver("s"), sign(ok), ok, ""},
	} {
		if _, err := tt.d.Receive(tt.header, []byte(tt.body)); phone.CodeOf(err) != tt.code {
			t.Errorf("%s: %v", what, err)
		}
	}
	if receiver().Receives() || !receiver("", "old").Receives() {
		t.Error("a receiver without a secret takes nothing, one with an old one does")
	}
}

// Only the words of a webhook are taken; that it is over, Pamela is asked.
func TestWebhookTellsWords(t *testing.T) {
	body := `{"event":"call.completed","call_id":"c","status":"completed","timestamp":"2026-02-01T00:00:07Z","summary":"x",` +
		`"transcript":[{"role":"assistant","content":"Hello."},{"role":"user","content":"[DONE]"}]}`
	n, err := receiver("s").Receive(signature(signed.Sum("s", []byte(body))), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := phone.Observation{
		Extent: phone.Update, Told: time.Date(2026, 2, 1, 0, 0, 7, 0, time.UTC),
		Words: []phone.Words{{Role: phone.Agent, Text: "Hello.", Final: true}, {Role: phone.Callee, Text: "[DONE]", Final: true}},
	}
	if diff := cmp.Diff(want, n.Observation); diff != "" {
		t.Error(diff)
	}
	again, err := receiver("s").Receive(signature(signed.Sum("s", []byte(body+" "))), []byte(body+" "))
	if err != nil || again.Digest != n.Digest {
		t.Errorf("the same in other bytes: %s, %v", again.Digest, err)
	}
}

// A call says where its webhooks go only where they can be told from forged ones, and then Pamela is asked less often.
func TestWebhooksAreAskedFor(t *testing.T) {
	const url = "https://phone.example.com/webhooks/pamela"
	for _, tt := range []struct{ secret, url, want string }{{"s", url, url}, {"", url, ""}, {"s", "", ""}} {
		d, err := open(options{key: "pk_live_x", secrets: [2]string{tt.secret}, webhooks: webhooks{URL: tt.url}})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(d.request(phone.Order{Options: map[string]any{"metadata": map[string]any{"webhooks": "x"}}}))
		if err != nil {
			t.Fatal(err)
		}
		var sent struct {
			Webhooks map[string]string `json:"webhooks"`
		}
		if err := json.Unmarshal(raw, &sent); err != nil || sent.Webhooks["webhook_url"] != tt.want || len(sent.Webhooks) > 1 {
			t.Errorf("%+v: %v, %v", tt, sent.Webhooks, err)
		}
		if seldom := d.Pace().Poll == 10*time.Second; seldom != (tt.want != "") {
			t.Errorf("%+v: asked every %v", tt, d.Pace().Poll)
		}
		_ = d.Close()
	}
}

// Of those whose signature costs time to look at, few wait and the others are sent away at once.
func TestALaneThatIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLane(1, 1)
		if !l.enter() {
			t.Fatal("the first has no place")
		}
		began, second := time.Now(), make(chan time.Duration, 1)
		go func() {
			if l.enter() {
				t.Error("the second has a place while the first has it")
			}
			second <- time.Since(began)
		}()
		synctest.Wait()
		if l.enter() || time.Since(began) > 0 {
			t.Errorf("a third waits, for %v", time.Since(began))
		}
		if waited := <-second; waited != waitInLane {
			t.Errorf("the second waited for %v", waited)
		}
		l.leave()
		if !l.enter() {
			t.Error("nobody has a place any more")
		}
	})
}
