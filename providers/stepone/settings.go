package stepone

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/outdial/outdial/phone"
	"github.com/outdial/outdial/providers"
	"github.com/outdial/outdial/providers/internal/upstream"
)

func open(c providers.Config, connect providers.Connect) (providers.Driver, error) {
	d, err := openWith(c, upstream.Options{Connect: connect})
	if err != nil {
		return nil, err // and no Driver that is nil
	}
	return d, nil
}

// openWith takes the timeouts and the connections of o.
func openWith(c providers.Config, o upstream.Options) (*Driver, error) {
	key := strings.TrimSpace(c["api_key"])
	if key == "" {
		return nil, phone.Errorf(phone.Invalid, "api_key (STEPONEAI_API_KEY) is not set: keys are to be had at %s.", keysPage)
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, phone.Errorf(phone.Invalid, "api_key (STEPONEAI_API_KEY) holds characters that no key has: copy it anew from %s.", keysPage)
	}
	pace, err := paceOf(c)
	if err != nil {
		return nil, err
	}
	version := clientVersion()
	header := http.Header{}
	for k, v := range map[string]string{
		"X-API-Key": key, "X-Skill-Version": protocol, "X-Client-Version": version, "X-Client-Platform": "outdial",
		"User-Agent": "outdial/" + version, "Accept": "application/json",
	} {
		header.Set(k, v)
	}
	o.Name, o.Header, o.Base = title, header, cmp.Or(strings.TrimSpace(c["api_base"]), apiBase)
	client, err := upstream.New(o)
	if err != nil {
		return nil, phone.Errorf(phone.Invalid, "api_base (STEPONEAI_API_BASE): %s", phone.AsError(err).Message)
	}
	// Keep-alives come twice a second until somebody answers; in the call there are none, and people can be silent for long.
	return &Driver{client: client, key: key, pace: pace, idle: upstream.Idle{First: 15 * time.Second, Later: 90 * time.Second}}, nil
}

func paceOf(c providers.Config) (providers.Pace, error) {
	var p providers.Pace
	if c["lookup_delay"] != "" {
		d, err := c.Seconds("lookup_delay")
		if err != nil || d <= 0 || d > 10*time.Minute {
			return p, phone.Errorf(phone.Invalid, "lookup_delay (STEPONEAI_LOOKUP_DELAY) must be a duration from 1ms to 10m, such as 10s.")
		}
		p.RecordEvery = d
	}
	if c["lookup_tries"] != "" {
		n, err := strconv.Atoi(c["lookup_tries"])
		if err != nil || n < 1 || n > 100 {
			return p, phone.Errorf(phone.Invalid, "lookup_tries (STEPONEAI_LOOKUP_TRIES) must be a whole number from 1 to 100.")
		}
		p.RecordTries = n
	}
	every, tries := cmp.Or(p.RecordEvery, 10*time.Second), cmp.Or(p.RecordTries, 5)
	p.RecordWait = max(recordWait, every*time.Duration(tries))
	return p, nil
}

// clientVersion is this build's version in the form that the service takes: up to 64 letters, digits, dots, _ and -.
func clientVersion() string {
	v := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = strings.Trim(info.Main.Version, "()")
	}
	v = strings.Map(func(r rune) rune {
		if isASCIIAlnum(r) || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, v)
	return v[:min(len(v), 64)]
}

// clawdKey finds the key where the vendor's own scripts keep it.
func clawdKey(home string) (value, place string, err error) {
	if home == "" {
		return "", "", nil
	}
	const name = "~/.clawd/secrets.json"
	path := filepath.Join(home, ".clawd", "secrets.json")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", nil
	}
	if err != nil {
		return "", "", &phone.Error{Code: phone.Invalid, Message: name + " cannot be read.", Err: err}
	}
	var secrets map[string]any
	if err := json.Unmarshal(raw, &secrets); err != nil {
		// The cause is left out: it quotes the file.
		return "", "", phone.Errorf(phone.Invalid, `%s is not JSON: it should read {"steponeai_api_key": "sk_…"}.`, name)
	}
	switch v := secrets["steponeai_api_key"].(type) {
	case nil:
		return "", "", nil
	case string:
		place = name
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			place += " (which others on this machine may read: chmod 600 it)"
		}
		if v = strings.TrimSpace(v); v == "" {
			place = ""
		}
		return v, place, nil
	}
	return "", "", phone.Errorf(phone.Invalid, "%s: steponeai_api_key is not a string.", name)
}
