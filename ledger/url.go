package ledger

import (
	"net/url"
	"strings"
)

// IsServer says whether a URL names a server, which several machines may share, and not a file.
func IsServer(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// Shown is a ledger's URL as it may be printed: without a password. What of it cannot be read is left out.
func Shown(database string) string {
	if !IsServer(database) {
		return database
	}
	u, err := url.Parse(database)
	if err != nil {
		return "postgres://…"
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		u.RawQuery = ""
		return u.Redacted() + "?…"
	}
	hidden := false
	for name := range q {
		if strings.Contains(strings.ToLower(name), "pass") && name != "passfile" {
			q.Set(name, "xxxxx")
			hidden = true
		}
	}
	if hidden {
		u.RawQuery = q.Encode()
	}
	if _, has := u.User.Password(); has {
		return u.Redacted()
	}
	if hidden {
		return u.String()
	}
	return database
}
