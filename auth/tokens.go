package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outdial/outdial/phone"
)

const (
	// prefix is what each token begins with, so that one that has leaked is recognised.
	prefix = "odt_"
	// largestFile is in bytes, some thousand tokens.
	largestFile = 1 << 20
)

// Entry is what the tokens file knows of one token. Several may have one name: they speak for the same principal, so that
// a token can be changed without losing its calls.
type Entry struct {
	Name   string // 1 to 64 of a-z A-Z 0-9 . _ - @
	Scopes []string
	hash   [sha256.Size]byte
}

// Print is a token's fingerprint: the first 8 hexadecimal digits of its hash, which tell nothing of it.
func (e Entry) Print() string { return hex.EncodeToString(e.hash[:4]) }

// Principal is whose calls those are that are placed with the token.
func (e Entry) Principal() string { return "token:" + e.Name }

// String is the entry's line in the tokens file.
func (e Entry) String() string {
	return fmt.Sprintf("%s sha256:%s %s", e.Name, hex.EncodeToString(e.hash[:]), strings.Join(e.Scopes, " "))
}

// NewToken makes a token of 130 random bits, and its entry. Errors: invalid (the name or a scope).
func NewToken(name string, scopes []string) (token string, e Entry, err error) {
	token = prefix + rand.Text()
	e = Entry{Name: name, Scopes: scopes, hash: sha256.Sum256([]byte(token))}
	return token, e, e.check()
}

func (e Entry) check() error {
	if !isName(e.Name) {
		return phone.Errorf(phone.Invalid, "a name has 1 to 64 letters, digits, dots, dashes, underscores and @, and begins with a letter or a digit")
	}
	if len(e.Scopes) == 0 {
		return phone.Errorf(phone.Invalid, "a token needs a scope: %s", strings.Join(phone.Scopes(), ", "))
	}
	for _, s := range e.Scopes {
		if !slices.Contains(phone.Scopes(), s) {
			return phone.Errorf(phone.Invalid, "there is no such scope; there are %s", strings.Join(phone.Scopes(), ", "))
		}
	}
	return nil
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte("._@-", c) < 0) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// parseEntry reads one line. Its errors repeat nothing of it: somebody may have put a token there.
func parseEntry(line string) (e Entry, err error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return e, errors.New("a line is a name, sha256: with 64 hexadecimal digits, and scopes")
	}
	digits, ok := strings.CutPrefix(fields[1], "sha256:")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != sha256.Size {
		return e, errors.New("the second word must be sha256: and 64 hexadecimal digits, the hash of the token")
	}
	e = Entry{Name: fields[0], Scopes: fields[2:], hash: [sha256.Size]byte(raw)}
	if err := e.check(); err != nil {
		return e, errors.New(phone.AsError(err).Message)
	}
	return e, nil
}

// parseEntries reads a tokens file. A line that is not understood grants nothing, and the others hold: so a slip keeps
// nobody else out, and what was taken out of the file is out.
func parseEntries(raw []byte) (all []Entry, faults int, first string) {
	seen := map[[sha256.Size]byte]bool{}
	for i, line := range strings.Split(string(raw), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseEntry(line)
		if err == nil && seen[e.hash] {
			err = errors.New("the same token stands in an earlier line")
		}
		if err != nil {
			if faults++; faults == 1 {
				first = fmt.Sprintf("line %d: %v", i+1, err)
			}
			continue
		}
		seen[e.hash] = true
		all = append(all, e)
	}
	return all, faults, first
}

// tokens is the file of static tokens as it stands: it is read again when it has changed, at the latest with the next
// request. One that cannot be read, or that others can write, grants nothing.
type tokens struct {
	path string
	warn func(string)

	mu      sync.Mutex
	seen    os.FileInfo // as it was when it was read; nil if it could not be
	readAt  time.Time
	entries []Entry
	err     error
	remark  string // told once
	faults  int
	fault   string // the first
}

// identify finds the token that was sent. It compares with every one there is, in the same time whichever it is.
func (t *tokens) identify(token string) (Identity, error) {
	hash := sha256.Sum256([]byte(token))
	e, err := t.find(hash)
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		Caller: phone.Caller{Principal: e.Principal(), Scopes: e.Scopes},
		still: func() bool {
			now, err := t.find(hash)
			return err == nil && now.Name == e.Name
		},
	}, nil
}

func (t *tokens) find(hash [sha256.Size]byte) (Entry, error) {
	all, err := t.current()
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	found := -1
	for i := range all {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(all[i].hash[:], hash[:]), i, found)
	}
	if found < 0 {
		return Entry{}, fmt.Errorf("%w: no static token", ErrInvalid)
	}
	return all[found], nil
}

// current gives the entries as the file has them now.
func (t *tokens) current() ([]Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.path)
	if err == nil && t.unchanged(info) {
		return t.entries, t.err
	}
	t.seen, t.readAt = info, time.Now()
	before, beforeFault := t.err, t.fault
	if err != nil {
		t.entries, t.err, t.seen = nil, fmt.Errorf("the tokens file cannot be read: %w", err), nil
	} else {
		t.read(info)
	}
	switch {
	case t.err != nil && (before == nil || before.Error() != t.err.Error()):
		t.warn(t.err.Error() + "; no static token is taken until it can")
	case t.err == nil && before != nil:
		t.warn(fmt.Sprintf("%s can be read again, and holds %d tokens", t.path, len(t.entries)))
	}
	if t.fault != "" && t.fault != beforeFault {
		t.warn(fmt.Sprintf("%s: %s; %d lines grant nothing, the others hold", t.path, t.fault, t.faults))
	}
	return t.entries, t.err
}

// granule is how far apart two writes must lie for a file's time to tell them apart, with room to spare.
const granule = 2 * time.Second

// unchanged says whether a file is the one that was read. One that was written just before that may have been written
// again within the same tick.
func (t *tokens) unchanged(now os.FileInfo) bool {
	return t.seen != nil && os.SameFile(t.seen, now) && t.seen.Size() == now.Size() && t.seen.Mode() == now.Mode() &&
		t.seen.ModTime().Equal(now.ModTime()) && t.readAt.Sub(now.ModTime()) > granule
}

func (t *tokens) read(info os.FileInfo) {
	t.entries, t.err, t.faults, t.fault = nil, nil, 0, ""
	if t.err = mayTrust(t.path, info); t.err != nil {
		return
	}
	if r := remark(t.path, info); r != t.remark {
		if t.remark = r; r != "" {
			t.warn(r)
		}
	}
	raw, err := readFile(t.path)
	if err != nil {
		t.seen = nil // whether it can be read is not in what was looked at: who owns it, say
		t.err = fmt.Errorf("the tokens file cannot be read: %w", err)
		return
	}
	t.entries, t.faults, t.fault = parseEntries(raw)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it only read
	raw, err := io.ReadAll(io.LimitReader(f, largestFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > largestFile:
		return nil, errors.New("it is larger than 1 MiB")
	case bytes.IndexByte(raw, 0) >= 0:
		return nil, errors.New("it is no text")
	}
	return bytes.TrimPrefix(raw, []byte("\ufeff")), nil // which some editors begin a text with
}

// note says what of the file grants nothing.
func (t *tokens) note() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.faults == 0 {
		return ""
	}
	return fmt.Sprintf("%d lines of the tokens file are not understood", t.faults)
}
