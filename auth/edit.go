package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/outdial/outdial/phone"
)

// List gives the tokens of a file, and how many of its lines are not understood. Errors: invalid.
func List(path string) (all []Entry, faults int, err error) {
	raw, err := trusted(path)
	if err != nil {
		return nil, 0, phone.Errorf(phone.Invalid, "The tokens file cannot be read: %v", err)
	}
	all, faults, _ = parseEntries(raw)
	return all, faults, nil
}

// Add puts a token into a file, which is made if it is not there. A name that has a token gets a further one only with
// also. Errors: invalid, with which the file is as it was.
func Add(path string, e Entry, also bool) error {
	return edit(path, true, func(lines []string) ([]string, error) {
		taken := slices.ContainsFunc(lines, func(l string) bool { o, err := parseEntry(l); return err == nil && o.Name == e.Name })
		if taken && !also {
			return nil, phone.Errorf(phone.Invalid, "There is a token for %s already. With --rotate it gets a further one, and the old one is taken until it is revoked.", e.Name)
		}
		return append(lines, e.String()), nil
	})
}

// Revoke takes the tokens of a name out of a file, or the one with a fingerprint. Errors: invalid; not_found.
func Revoke(path, nameOrPrint string) (gone []Entry, err error) {
	err = edit(path, false, func(lines []string) ([]string, error) {
		pick := func(is func(Entry) bool) []string {
			gone = nil
			return slices.DeleteFunc(slices.Clone(lines), func(l string) bool {
				e, err := parseEntry(l)
				if err != nil || !is(e) {
					return false
				}
				gone = append(gone, e)
				return true
			})
		}
		left := pick(func(e Entry) bool { return e.Name == nameOrPrint })
		if len(gone) == 0 {
			left = pick(func(e Entry) bool { return e.Print() == nameOrPrint })
		}
		if len(gone) == 0 {
			return nil, phone.Errorf(phone.NotFound, "There is no token of that name or fingerprint. outdial token list shows those there are.")
		}
		return left, nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

func trusted(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := mayTrust(path, info); err != nil {
		return nil, err
	}
	return readFile(path)
}

// edit changes a file's lines in one step: who reads it sees it as it was or as it is. The new file, which only one process
// can make at a time, keeps others from editing meanwhile.
func edit(path string, create bool, change func(lines []string) ([]string, error)) (err error) {
	if at, err := filepath.EvalSymlinks(path); err == nil {
		path = at // else the link would be replaced and not what it stands for
	}
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return phone.Errorf(phone.Invalid, "%s is there: another outdial token is at work, or was stopped in the middle of it. In that case remove it. Nothing was changed.", next)
	}
	if err != nil {
		return phone.Errorf(phone.Invalid, "The tokens file cannot be changed: %v", err)
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(next)
		}
	}()
	raw, err := trusted(path)
	if err != nil && (!create || !errors.Is(err, fs.ErrNotExist)) {
		return phone.Errorf(phone.Invalid, "The tokens file cannot be read: %v", err)
	}
	var lines []string
	if len(raw) > 0 {
		lines = strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	}
	if len(raw) == 0 {
		lines = []string{"# The tokens that outdial http takes: a name, the SHA-256 of the token, and scopes (" + strings.Join(phone.Scopes(), " ") + ")."}
	}
	if lines, err = change(lines); err != nil {
		return err
	}
	text := strings.Join(lines, "\n") + "\n"
	if len(text) > largestFile {
		return phone.Errorf(phone.Invalid, "The tokens file would be larger than 1 MiB, and no token in it would be taken any more. It is as it was; revoke some first.")
	}
	if info, err := os.Stat(path); err == nil {
		_ = f.Chmod(info.Mode().Perm()) // who could read it still can: a server that runs as somebody else, perhaps
		if err := keepOwner(f, info); err != nil {
			return err
		}
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return phone.Errorf(phone.Invalid, "The tokens file cannot be written: %v. It is as it was.", err)
	}
	return nil
}
