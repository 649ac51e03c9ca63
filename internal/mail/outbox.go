package mail

import (
	"errors"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// maxKept bounds what is read of one message in a directory, in bytes: ours are a hundredth of it.
const maxKept = 256 << 10

// Kept is a message that was written into a directory in the place of sending it ([Settings.Outbox]).
type Kept struct {
	ID          string
	To, Subject string
	Date        time.Time
	Plain, HTML string
}

// KeptIn reads the newest messages of dir, up to most, the newest first.
func KeptIn(dir string, most int) ([]Kept, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []Kept
	for _, e := range slices.Backward(entries) { // an ID begins with its time
		id, ok := strings.CutSuffix(e.Name(), ".eml")
		if !ok || len(out) == most {
			continue
		}
		k, err := ReadKept(dir, id)
		if gatehouse.KindOf(err) == gatehouse.NotFound { // a file of somebody else's, or removed by now
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// ReadKept reads the message id in dir: gatehouse.NotFound when there is none, or when what is there is not of ours.
func ReadKept(dir, id string) (k Kept, err error) {
	root, err := os.OpenRoot(dir) // whoever asks for ../ finds nothing
	if err != nil {
		return k, err
	}
	defer root.Close()
	f, err := root.Open(id + ".eml")
	switch {
	case errors.Is(err, fs.ErrNotExist), err != nil && !isID(id):
		return k, gatehouse.ErrNotFound
	case err != nil:
		return k, err
	}
	defer f.Close()
	k, err = readKept(io.LimitReader(f, maxKept))
	if err != nil || !isID(id) {
		return Kept{}, gatehouse.ErrNotFound
	}
	k.ID = id
	return k, nil
}

// isID reports whether id can be that of a message of ours.
func isID(id string) bool {
	rest, ok := strings.CutPrefix(id, "mail_")
	return ok && rest != "" && len(id) <= 64 && !strings.ContainsFunc(rest, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

// readKept reads a message as [Settings.message] makes it: its two forms, one after the other.
func readKept(r io.Reader) (k Kept, err error) {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return k, err
	}
	if k.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return k, err
	}
	if k.Date, err = m.Header.Date(); err != nil {
		return k, err
	}
	to, err := m.Header.AddressList("To")
	if err != nil {
		return k, err
	}
	k.To = to[0].Address
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return k, errors.Join(err, errors.New("not the two forms of a message"))
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, text := range []*string{&k.Plain, &k.HTML} {
		p, err := parts.NextRawPart()
		if err != nil {
			return k, err
		}
		body := io.Reader(p)
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(p)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			return k, err
		}
		*text = strings.ReplaceAll(string(b), "\r\n", "\n")
	}
	return k, nil
}
