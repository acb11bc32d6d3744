package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io/fs"
	"time"
)

// member is one file of an archive.
type member struct {
	name    string
	mode    fs.FileMode
	content []byte
}

// ago is the time of every file in every archive: the first that a zip archive can tell.
func ago() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

// pack gives the archive that the users of a platform can open, with all members in one folder, and its file's ending.
func pack(p platform, folder string, members []member) (archive []byte, ending string, err error) {
	if p.system == "windows" {
		archive, err = packZip(folder, members)
		return archive, ".zip", err
	}
	archive, err = packTar(folder, members)
	return archive, ".tar.gz", err
}

func packTar(folder string, members []member) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: folder + "/" + m.name, Mode: int64(m.mode), Size: int64(len(m.content)), ModTime: ago(), Format: tar.FormatUSTAR,
		}); err != nil {
			return nil, err
		}
		if _, err := w.Write(m.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func packZip(folder string, members []member) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: folder + "/" + m.name, Method: zip.Deflate, Modified: ago()}
		h.SetMode(m.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(m.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
