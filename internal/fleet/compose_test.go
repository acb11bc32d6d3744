package fleet

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// wrongs is what deploy/compose.yaml must be, as far as its text tells, beside the proxy's configuration.
func wrongs(compose, proxy string) []string {
	root, err := parseYAML(compose)
	if err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	must := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	services, secrets := root.at("services").keys, root.at("secrets").keys
	must(slices.Equal(slices.Sorted(maps.Keys(services)), []string{"outdial-1", "outdial-2", "outdial-3", "postgres", "proxy"}),
		"the services are %v", slices.Sorted(maps.Keys(services)))
	for name, s := range services {
		must(regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(s.at("user").text), "%s runs as %q: it must be a number that is not root's", name, s.at("user").text)
		must(s.at("read_only").text == "true", "%s: its root can be written", name)
		must(slices.Equal(s.at("cap_drop").texts(), []string{"ALL"}) && s.at("cap_add").list == nil, "%s has capabilities", name)
		must(slices.Equal(s.at("security_opt").texts(), []string{"no-new-privileges:true"}), "%s may gain privileges", name)
		must(s.at("privileged").text == "" && s.at("network_mode").text == "" && s.at("pid").text == "", "%s shares what is the machine's", name)
		must((s.at("ports").list != nil) == (name == "proxy"), "%s: ports are published by the proxy alone", name)
		must(regexp.MustCompile(`^[\w./-]+:([\w.-]*\d[\w.-]*|\$\{OUTDIAL_VERSION:-devel\})$`).MatchString(s.at("image").text), "%s: %q names no version", name, s.at("image").text)
		must(s.at("restart").text == "unless-stopped", "%s is not started again", name)
		for key, v := range s.at("environment").keys {
			secret := regexp.MustCompile(`KEY|SECRET|PASSWORD|TOKEN|DATABASE`).MatchString(key)
			file, isFile := strings.CutPrefix(v.text, "/run/secrets/")
			must(!secret || v.text == "" || isFile && strings.HasSuffix(key, "_FILE"), "%s: %s is a secret and comes in a file", name, key)
			must(!isFile || slices.Contains(s.at("secrets").texts(), file), "%s: %s names a secret that it is not given", name, key)
		}
		for _, given := range s.at("secrets").texts() {
			must(secrets[given] != nil, "%s is given %s, which there is not", name, given)
		}
		for _, n := range s.at("networks").texts() {
			must(root.at("networks").keys[n] != nil, "%s: there is no network %s", name, n)
		}
	}
	for name, s := range secrets {
		must(strings.HasPrefix(s.at("file").text, "./secrets/"), "the secret %s lies at %q, which git does not ignore", name, s.at("file").text)
	}
	replica := services["outdial-1"]
	for name, s := range services {
		must(!strings.HasPrefix(name, "outdial-") || s == replica || maps.Equal(s.keys, replica.keys), "%s is not like the others", name)
	}
	if replica != nil {
		wrong = append(wrong, wrongReplica(replica, proxy)...)
	}
	wrong = append(wrong, wrongPostgres(root)...)
	certificate := regexp.MustCompile(`bind :(\d+) ssl crt /run/secrets/(\w+)`).FindStringSubmatch(proxy)
	if certificate == nil {
		return append(wrong, "the proxy has no certificate")
	}
	front := root.at("services", "proxy")
	must(slices.Equal(front.at("ports").texts(), []string{"443:" + certificate[1]}), "the proxy listens at %s, and %v is published", certificate[1], front.at("ports").texts())
	must(slices.Contains(front.at("secrets").texts(), certificate[2]), "the proxy is not given %s", certificate[2])
	must(slices.Contains(front.at("volumes").texts(), "./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro"), "the proxy is not given its configuration")
	must(!slices.Contains(front.at("networks").texts(), "ledger"), "the proxy reaches Postgres")
	must(strings.Contains(proxy, "set-timeout server 310s if { path -m beg /webhooks/ }"), "the proxy cuts off questions of the agent on the line, whose tools may take 5 min")
	slices.Sort(wrong)
	return wrong
}

func wrongReplica(s *node, proxy string) []string {
	var wrong []string
	for path, want := range map[string]string{
		"OUTDIAL_ADDR": "0.0.0.0:8757", "OUTDIAL_TOKENS_FILE": "/run/secrets/tokens",
		"OUTDIAL_DATABASE_FILE": "/run/secrets/database", "OUTDIAL_DATABASE": "", // the image sets the latter
		"OUTDIAL_ALLOWED_HOSTS": "outdial-1:8757,outdial-2:8757,outdial-3:8757", // for who scrapes and probes them
	} {
		if v := s.at("environment").keys[path]; v == nil || v.text != want {
			wrong = append(wrong, fmt.Sprintf("a replica's %s is not %q", path, want))
		}
	}
	if v := s.at("environment", "OUTDIAL_PUBLIC_URL").text; !strings.HasPrefix(v, "${OUTDIAL_PUBLIC_URL:?") {
		wrong = append(wrong, "a replica starts without OUTDIAL_PUBLIC_URL")
	}
	if !slices.Equal(s.at("command").texts(), []string{"http"}) || s.at("stop_grace_period").text != "35s" {
		wrong = append(wrong, "a replica does not serve HTTP, or is not given the 30 s that it may take to stop")
	}
	for i := range replicas {
		if !strings.Contains(proxy, fmt.Sprintf("server outdial-%d outdial-%[1]d:8757\n", i+1)) {
			wrong = append(wrong, fmt.Sprintf("the proxy does not know outdial-%d", i+1))
		}
	}
	if s.at("depends_on", "postgres", "condition").text != "service_healthy" {
		wrong = append(wrong, "a replica does not wait for Postgres")
	}
	return wrong
}

func wrongPostgres(root *node) []string {
	var wrong []string
	s := root.at("services", "postgres")
	for _, want := range []string{"synchronous_commit=on", "fsync=on", "full_page_writes=on"} {
		if !slices.Contains(s.at("command").texts(), want) {
			wrong = append(wrong, "Postgres runs without "+want)
		}
	}
	volume, _, ok := strings.Cut(strings.Join(s.at("volumes").texts(), " "), ":/var/lib/postgresql/data")
	if !ok || root.at("volumes").keys[volume] == nil {
		wrong = append(wrong, "Postgres keeps its data on no volume that has a name")
	}
	if !slices.Equal(s.at("networks").texts(), []string{"ledger"}) || root.at("networks", "ledger", "internal").text != "true" {
		wrong = append(wrong, "Postgres can be reached from more than the replicas")
	}
	if !slices.Contains(s.at("healthcheck", "test").texts(), "pg_isready") {
		wrong = append(wrong, "nobody asks whether Postgres is ready")
	}
	return wrong
}

func texts(t *testing.T) (compose, proxy string) {
	t.Helper()
	for path, to := range map[string]*string{"../../deploy/compose.yaml": &compose, "../../deploy/haproxy.cfg": &proxy} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		*to = string(b)
	}
	return compose, proxy
}

func TestCompose(t *testing.T) {
	for _, wrong := range wrongs(texts(t)) {
		t.Error(wrong)
	}
	for path, line := range map[string]string{"../../deploy/.gitignore": "secrets/\n", "../../.dockerignore": "deploy/secrets\n"} {
		if ignored, err := os.ReadFile(path); err != nil || !strings.Contains(string(ignored), line) {
			t.Errorf("%s does not keep deploy/secrets out: %q, %v", path, ignored, err)
		}
	}
}

func TestComposeFaultsAreFound(t *testing.T) {
	compose, proxy := texts(t)
	for _, f := range []struct{ from, to, says string }{
		{`  user: "65532:65532"`, `  user: "0:0"`, "root"},
		{"  read_only: true\n", "", "can be written"},
		{"cap_drop: [ALL]", "cap_drop: [NET_RAW]", "capabilities"},
		{"outdial-2:8757,outdial-3:8757\n", "outdial-2:8757\n", "OUTDIAL_ALLOWED_HOSTS"},
		{`    security_opt: ["no-new-privileges:true"]`, "    privileged: true", "machine's"},
		{"    networks: [ledger]\n", "    networks: [ledger]\n    ports: [\"5432:5432\"]\n", "postgres: ports"},
		{"image: postgres:15", "image: postgres:latest", "no version"},
		{"PAMELA_API_KEY_FILE: /run/secrets/pamela_api_key", "PAMELA_API_KEY: pk_live_x", "comes in a file"},
		{"secrets: [database, tokens, ", "secrets: [database, ", "not given"},
		{"file: ./secrets/database", "file: ./database", "git does not ignore"},
		{"  outdial-3:\n    <<: *outdial\n", "  outdial-3:\n    <<: *outdial\n    read_only: false\n", "not like the others"},
		{"  outdial-3:\n    <<: *outdial\n", "", "services are"},
		{"OUTDIAL_ADDR: 0.0.0.0:8757", "OUTDIAL_ADDR: 0.0.0.0:8080", "OUTDIAL_ADDR"},
		{`OUTDIAL_DATABASE: ""`, "OUTDIAL_DATABASE_X: x", "OUTDIAL_DATABASE is not"},
		{"${OUTDIAL_PUBLIC_URL:?", "${OUTDIAL_PUBLIC_URL:-", "without OUTDIAL_PUBLIC_URL"},
		{"  stop_grace_period: 35s\n", "", "given the 30 s"},
		{"synchronous_commit=on", "synchronous_commit=off", "without synchronous_commit"},
		{`volumes: ["ledger:/var`, `volumes: ["/srv:/var`, "no volume that has a name"},
		{"    internal: true", "    internal: false", "more than the replicas"},
		{`ports: ["443:8443"]`, `ports: ["443:8757"]`, "listens at 8443"},
		{"networks: [outside]", "networks: [outside, ledger]", "reaches Postgres"},
		{"condition: service_healthy", "condition: service_started", "wait for Postgres"},
		{"name: outdial\n", "name: outdial\nname: other\n", "already"},
		{"name: outdial\n", "\tname: outdial\n", "not of the form"},
	} {
		if !strings.Contains(compose, f.from) {
			t.Fatalf("%q is not there: the fault was not planted", f.from)
		}
		if said := strings.Join(wrongs(strings.Replace(compose, f.from, f.to, 1), proxy), "\n"); !strings.Contains(said, f.says) {
			t.Errorf("%q for %q: it says %q", f.to, f.from, said)
		}
	}
	for _, f := range []struct{ from, to, says string }{
		{"outdial-2:8757", "outdial-2:80", "does not know outdial-2"}, {"set-timeout server 310s", "set-timeout server 31s", "cuts off questions"},
	} {
		if said := strings.Join(wrongs(compose, strings.Replace(proxy, f.from, f.to, 1)), "\n"); !strings.Contains(said, f.says) {
			t.Errorf("%q for %q: it says %q", f.to, f.from, said)
		}
	}
}
