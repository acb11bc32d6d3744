package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/outdial/outdial/guard"
	"github.com/outdial/outdial/ledger"
	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

// settings are where values come from. A flag goes before the environment, the environment before outdial.toml, and that
// before the default.
type settings struct {
	specs []providers.Spec
	env   map[string]string
	file  string         // outdial.toml, if a flag names one
	root  *cobra.Command // whose flags they are
	toml  map[string]any
	at    string // where outdial.toml was found
}

func settingsFrom(specs []providers.Spec, env []string) *settings {
	s := &settings{specs: specs, env: map[string]string{}}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		s.env[k] = v
	}
	return s
}

// general are the settings that belong to no provider, the guard's last.
func general() []providers.Setting {
	all := []providers.Setting{
		{Name: database, Env: "OUTDIAL_DATABASE", Help: "where calls are kept: sqlite: and a path, or for several machines postgres://user:password@host/database"},
		{Name: "provider", Env: "OUTDIAL_PROVIDER", Help: "the provider where none is named; by default the configured one that covers the number"},
		{Name: "region", Env: "OUTDIAL_REGION", Help: "whose national numbers are meant, such as CN or US; by default only E.164 numbers are taken"},
		{Name: "addr", Env: "OUTDIAL_ADDR", Default: "127.0.0.1:8757", Help: "where outdial http listens; beyond loopback only with authentication"},
		{Name: "public_url", Env: "OUTDIAL_PUBLIC_URL", Help: "where others find outdial http, such as a proxy in front of it: https://phone.example.com"},
		{Name: "tokens_file", Env: "OUTDIAL_TOKENS_FILE", Help: "the tokens that outdial http takes (outdial token makes them); it is read again when it changes"},
		{Name: "oauth_issuer", Env: "OUTDIAL_OAUTH_ISSUER", Help: "the OAuth 2.1 authorization server whose tokens outdial http takes, as it stands in them (iss)"},
		{Name: "oauth_audience", Env: "OUTDIAL_OAUTH_AUDIENCE", Help: "what those tokens must be for (aud); by default OUTDIAL_PUBLIC_URL and /mcp"},
		{Name: "oauth_jwks_url", Env: "OUTDIAL_OAUTH_JWKS_URL", Help: "where that server's keys are; by default as its metadata says"},
		{Name: "allowed_hosts", Env: "OUTDIAL_ALLOWED_HOSTS", Help: "further names that outdial http goes by, such as outdial:8757 in a container network; with commas between"},
		{Name: "allowed_origins", Env: "OUTDIAL_ALLOWED_ORIGINS", Help: "further origins of pages that may use outdial http, such as https://inspector.example.com; with commas between"},
		{Name: "on_end", Env: "OUTDIAL_ON_END", Help: "who is told when a call has ended: a command, or an https address"},
		{Name: "hook_secret", Env: "OUTDIAL_HOOK_SECRET", Help: "signs what outdial sends to addresses of yours, as Standard Webhooks does: whsec_ and base64", Secret: true},
		{Name: "log_level", Env: "OUTDIAL_LOG_LEVEL", Default: "warn", Help: "what goes to stderr: debug, info, warn or error"},
	}
	all = append(all, keepSettings()...)
	for _, s := range guard.Settings() {
		all = append(all, providers.Setting{Name: s.Name, Env: s.Env(), Default: s.Default, Help: s.Help})
	}
	return all
}

// database is the one setting that is no secret and can hold one.
const database = "database"

// fileToo says whether a setting is also read from the file that NAME_FILE names.
func fileToo(set providers.Setting) bool { return set.Secret || set.Name == database }

// value is one setting as it stands.
type value struct {
	providers.Setting
	Owner string // the provider that it belongs to; empty for a general one
	Value string
	From  string // where it comes from; empty if it is not set
}

// key is the setting's name in outdial.toml, with its table.
func key(owner, name string) string {
	if owner == "" {
		return name
	}
	return owner + "." + name
}

// flagName is the setting's name as a flag.
func flagName(owner, name string) string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(key(owner, name))
}

// flags adds a flag for each setting that is no secret: what stands in an argument every user of the machine can read.
func (s *settings) flags(root *cobra.Command) {
	s.root = root
	f := root.PersistentFlags()
	f.StringVar(&s.file, "config", "", "the settings file (default outdial/outdial.toml in the user's configuration directory)")
	s.each(func(owner string, set providers.Setting) {
		if set.Secret {
			return
		}
		f.String(flagName(owner, set.Name), "", set.Help+" ["+set.Env+"]")
	})
}

// each goes over all settings, the general ones first.
func (s *settings) each(do func(owner string, set providers.Setting)) {
	for _, set := range general() {
		do("", set)
	}
	for _, spec := range s.specs {
		for _, set := range spec.Settings {
			do(spec.Name, set)
		}
	}
}

// load reads outdial.toml. Errors: invalid, with what is wrong and where.
func (s *settings) load() error {
	path := s.file
	if path == "" {
		dir := s.configDir()
		if dir == "" {
			return nil
		}
		path = filepath.Join(dir, "outdial", "outdial.toml")
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && s.file == "" {
		return nil
	}
	if err != nil {
		return phone.Errorf(phone.Invalid, "%s cannot be read: %v", path, err)
	}
	if err := toml.Unmarshal(raw, &s.toml); err != nil {
		return phone.Errorf(phone.Invalid, "%s is not TOML: %v", path, err)
	}
	s.at = path
	return s.known()
}

// known refuses what outdial.toml sets and nobody reads.
func (s *settings) known() error {
	var names []string
	tables := map[string]bool{}
	s.each(func(owner string, set providers.Setting) {
		names = append(names, key(owner, set.Name))
		tables[owner] = owner != ""
	})
	slices.Sort(names)
	for _, k := range slices.Sorted(maps.Keys(s.toml)) {
		if k == callToolsKey {
			continue // it is no setting, and is read by itself
		}
		table, isTable := s.toml[k].(map[string]any)
		if isTable != tables[k] || !isTable && !slices.Contains(names, k) {
			return phone.Errorf(phone.Invalid, "%s: there is no setting %q. There are: %s.", s.at, k, strings.Join(names, ", "))
		}
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if !slices.Contains(names, k+"."+name) {
				return phone.Errorf(phone.Invalid, "%s: there is no setting %q in [%s]. There are: %s.", s.at, name, k, strings.Join(names, ", "))
			}
		}
	}
	return nil
}

// strangers are the variables that look like settings of ours and are none.
func (s *settings) strangers() []string {
	known := map[string]bool{}
	s.each(func(_ string, set providers.Setting) { known[set.Env], known[set.Env+"_FILE"] = true, fileToo(set) })
	var all []string
	for k := range s.env {
		if strings.HasPrefix(k, "OUTDIAL_") && !known[k] {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// resolve gives every setting as it stands. Errors: invalid.
func (s *settings) resolve() ([]value, error) {
	var all []value
	var failed error
	s.each(func(owner string, set providers.Setting) {
		v, err := s.find(owner, set)
		if err != nil && failed == nil {
			failed = err
		}
		all = append(all, v)
	})
	return all, failed
}

func (s *settings) find(owner string, set providers.Setting) (value, error) {
	v := value{Setting: set, Owner: owner}
	flag := flagName(owner, set.Name)
	if f := s.root.PersistentFlags().Lookup(flag); f != nil && f.Changed {
		v.Value, v.From = strings.TrimSpace(f.Value.String()), "--"+flag
		if owner == "" && set.Name == database && ledger.Shown(v.Value) != v.Value {
			v.Value = ""
			return v, phone.Errorf(phone.Invalid, "--database: every user of this machine can read an argument, and this URL may hold a password. "+
				"Set it in OUTDIAL_DATABASE, in a file that OUTDIAL_DATABASE_FILE names or in outdial.toml, or leave the password to a .pgpass file.")
		}
		return v, nil
	}
	fromFile := s.env[set.Env+"_FILE"]
	// The image sets OUTDIAL_DATABASE, so whoever names a file for it means the file.
	if e := s.env[set.Env]; e != "" && (set.Name != database || fromFile == "") {
		v.Value, v.From = strings.TrimSpace(e), set.Env
		return v, nil
	}
	if fileToo(set) && fromFile != "" {
		raw, err := os.ReadFile(fromFile)
		if err != nil {
			return v, phone.Errorf(phone.Invalid, "%s_FILE: %v", set.Env, err)
		}
		v.Value, v.From = strings.TrimSpace(string(raw)), set.Env+"_FILE"
		return v, nil
	}
	if in, ok := s.inFile(owner, set.Name); ok {
		v.Value, v.From = strings.TrimSpace(in), s.at
		return v, nil
	}
	if set.Elsewhere != nil {
		found, place, err := set.Elsewhere(s.home())
		if err != nil {
			return v, err
		}
		if found != "" {
			v.Value, v.From = found, place
			return v, nil
		}
	}
	v.Value = set.Default
	if owner == "" && set.Name == database {
		v.Value = s.defaultDatabase()
	}
	if v.Value != "" {
		v.From = "default"
	}
	return v, nil
}

func (s *settings) inFile(owner, name string) (string, bool) {
	table := s.toml
	if owner != "" {
		table, _ = s.toml[owner].(map[string]any)
	}
	v, ok := table[name]
	if !ok {
		return "", false
	}
	if list, ok := v.([]any); ok {
		parts := make([]string, len(list))
		for i, one := range list {
			parts[i] = fmt.Sprint(one)
		}
		return strings.Join(parts, ","), true
	}
	return fmt.Sprint(v), true
}

func (s *settings) home() string {
	if h := s.env["HOME"]; h != "" {
		return h
	}
	return s.env["USERPROFILE"]
}

func (s *settings) configDir() string {
	if d := s.env["XDG_CONFIG_HOME"]; d != "" {
		return d
	}
	switch {
	case runtime.GOOS == "windows":
		return s.env["AppData"]
	case s.home() == "":
		return ""
	case runtime.GOOS == "darwin":
		return filepath.Join(s.home(), "Library", "Application Support")
	}
	return filepath.Join(s.home(), ".config")
}

// defaultDatabase lies in the user's state directory; empty if there is none.
func (s *settings) defaultDatabase() string {
	dir := s.env["XDG_STATE_HOME"]
	switch {
	case dir != "":
	case runtime.GOOS == "windows":
		dir = s.env["LocalAppData"]
	case s.home() == "":
	case runtime.GOOS == "darwin":
		dir = filepath.Join(s.home(), "Library", "Application Support")
	default:
		dir = filepath.Join(s.home(), ".local", "state")
	}
	if dir == "" {
		return ""
	}
	return "sqlite:" + filepath.Join(dir, "outdial", "outdial.db")
}

// chosen is the provider that --provider names; empty where only the settings name a default.
func (p *program) chosen() string {
	if f := p.settings.root.PersistentFlags().Lookup("provider"); f != nil && f.Changed {
		return f.Value.String()
	}
	return ""
}
