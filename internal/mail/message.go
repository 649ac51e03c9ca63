package mail

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/mail"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode"

	"golang.org/x/net/idna"
)

// Kind says what a message is about; each has its text in every file of messages/.
type Kind string

// The messages that there are.
const (
	KindTest            Kind = "test"             // somebody tries whether mail arrives
	KindPasswordChanged Kind = "password_changed" // by the person
	KindPasswordReset   Kind = "password_reset"   // by an administrator
	KindKeyCreated      Kind = "key_created"
	KindKeyExpires      Kind = "key_expires"
	KindLoginsEnded     Kind = "logins_ended"
)

// Message is one that is to be written. Data are the values of its text; they may come from
// anybody, and are shown as text only.
type Message struct {
	Kind  Kind
	Realm string
	To    string // "": nobody is written to
	// Once makes this the only message of that name for as long as it is listed. "": one of
	// many.
	Once string
	Data Data
}

// Data are the values of a text. All are optional.
type Data struct {
	Account string    `json:"account,omitempty"` // username of whom it is about
	By      string    `json:"by,omitempty"`      // username of who did it
	Key     string    `json:"key,omitempty"`     // public id of an API key
	KeyName string    `json:"key_name,omitempty"`
	At      time.Time `json:"at,omitzero"`   // when it happened
	Ends    time.Time `json:"ends,omitzero"` // when something ends
}

// maxValue bounds a value in a text, in characters: a name must not be a letter of its own.
const maxValue = 80

// shown is text as it may stand in a message: one line, no control characters, bounded.
func shown(text string) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, text))
	if len(clean) > maxValue {
		clean = append(clean[:maxValue], '…')
	}
	return string(clean)
}

//go:embed messages
var messages embed.FS

// languages are those that there are texts in, the first one being the usual one.
func languages() []string { return []string{"en", "de"} }

// content is a text of one kind, in one language.
type content struct {
	Subject string   `json:"subject"`
	Lines   []string `json:"lines"` // paragraphs
}

// texts are the messages of one language.
type texts struct {
	Time     string           `json:"time"`     // layout of times, which are UTC
	Greeting string           `json:"greeting"` // of somebody whose account is known
	Footer   string           `json:"footer"`
	Messages map[Kind]content `json:"messages"`
}

func textsOf(language string) (t texts, err error) {
	if !slices.Contains(languages(), language) {
		language = languages()[0]
	}
	b, err := messages.ReadFile("messages/" + language + ".json")
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	return t, err
}

// written is a message in words.
type written struct {
	Subject, Plain, HTML string
}

// page is the HTML form: it names no colour and no font, so that the reader's own hold, and
// loads nothing.
const page = `<!DOCTYPE html>
<html lang="{{.Language}}"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{{.Subject}}</title></head>
<body>{{range .Lines}}<p>{{.}}</p>
{{end}}<hr><p><small>{{.Footer}}</small></p></body></html>
`

// write puts a message into words.
func write(k Kind, language, issuer string, d Data) (w written, err error) {
	t, err := textsOf(language)
	if err != nil {
		return w, err
	}
	c, ok := t.Messages[k]
	if !ok {
		return w, fmt.Errorf("mail: no text of %q in %s", k, language)
	}
	values := map[string]string{"Account": shown(d.Account), "By": shown(d.By), "Key": shown(d.Key), "KeyName": shown(d.KeyName), "Issuer": issuer}
	for name, at := range map[string]time.Time{"At": d.At, "Ends": d.Ends} {
		if values[name] = ""; !at.IsZero() {
			values[name] = at.UTC().Format(t.Time)
		}
	}
	fill := func(text string) string {
		var out strings.Builder
		parsed, err2 := template.New("").Option("missingkey=error").Parse(text)
		if err2 == nil {
			err2 = parsed.Execute(&out, values)
		}
		err = errors.Join(err, err2)
		return strings.TrimSpace(out.String())
	}
	w.Subject = c.Subject // not filled: nothing of a caller is in a header
	var lines []string
	if values["Account"] != "" {
		lines = append(lines, fill(t.Greeting))
	}
	for _, line := range c.Lines {
		if text := fill(line); text != "" {
			lines = append(lines, text)
		}
	}
	footer := fill(t.Footer)
	if err != nil {
		return w, err
	}
	w.Plain = strings.Join(lines, "\n\n") + "\n\n-- \n" + footer + "\n"
	html, err := htmltemplate.New("").Parse(page)
	if err != nil {
		return w, err
	}
	var b bytes.Buffer
	err = html.Execute(&b, map[string]any{"Language": language, "Subject": w.Subject, "Lines": lines, "Footer": footer})
	w.HTML = b.String()
	return w, err
}

// errAddress says that a text is no address that can be written to.
var errAddress = errors.New("an e-mail address, such as ann@example.com")

// Address reads a bare address, nothing around it, and returns it with its domain in ASCII
// (RFC 5890). The local part must be ASCII: what servers do with others (RFC 6531) is not
// to be relied on. It is an error otherwise.
func Address(text string) (string, error) {
	a, err := mail.ParseAddress(text)
	// What was parsed must be all that there is: no name, no comment, no second line.
	if err != nil || a.Address != text || len(text) > 254 || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return "", errAddress
	}
	at := strings.LastIndexByte(text, '@')
	local := text[:at]
	domain, err := idna.Lookup.ToASCII(text[at+1:])
	if err != nil || local == "" || domain == "" || strings.ContainsFunc(local, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", errAddress
	}
	return local + "@" + domain, nil
}

// ParseSender reads who messages are from: an address, or a name with one, `Gatehouse <id@example.com>`.
func ParseSender(text string) (mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || strings.ContainsFunc(text, unicode.IsControl) {
		return mail.Address{}, errAddress
	}
	address, err := Address(a.Address)
	return mail.Address{Name: a.Name, Address: address}, err
}

// folded is what addresses have in common that reach one mailbox, for all that can be known
// from outside: who is flooded is not helped by a bound on each spelling of his address.
func folded(address string) string {
	address = strings.ToLower(address)
	at := strings.LastIndexByte(address, '@')
	local, _, _ := strings.Cut(address[:at], "+")
	return strings.ReplaceAll(local, ".", "") + address[at:]
}

// State is how far a message is.
type State string

// The states of a message.
const (
	Waiting State = "waiting"
	Sent    State = "sent"
	Failed  State = "failed"
)

// Record is a message in the store. SealedTo and Sealed are what [Queue] sealed: to whom,
// and what; the latter is gone when the message is no longer waiting.
type Record struct {
	ID        string
	Realm     string
	Kind      Kind
	Once      string
	Recipient []byte // a keyed hash of the address
	SealedTo  []byte
	Sealed    []byte
	State     State
	Tries     int64
	Error     string // of the last try
	CreatedAt time.Time
	DueAt     time.Time // when it is tried next
	EndsAt    time.Time // when it is given up
	DoneAt    time.Time // when it was sent or given up
	ExpiresAt time.Time // when the record goes
}

// Outgoing is where a transaction queues messages.
type Outgoing interface {
	// InsertMail adds a message; Conflict when there is one of the same Once.
	InsertMail(ctx context.Context, r Record) error
	// CountMails counts the messages to a recipient, and those of a realm, since a moment,
	// up to limits of each.
	CountMails(ctx context.Context, recipient []byte, realm string, since time.Time, limit int) (address, all int, err error)
}
