package mail

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/mail"
	"slices"
	"strings"
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
	KindPasswordReset   Kind = "password_reset"   // ended by an administrator: a link to set another one
	KindResetLink       Kind = "reset_link"       // somebody says that he has forgotten the password
	KindResetSent       Kind = "reset_link_by"    // the same, by an administrator
	KindFactorsLink     Kind = "factors_link_by"  // an administrator lets the person replace lost factors
	KindFactorsReplaced Kind = "factors_replaced" // that was done
	KindAddressLink     Kind = "address_link"     // whoever reads it has the address
	KindAddressAsked    Kind = "address_asked"    // to the address of now: another one waits to be verified
	KindAddressChanged  Kind = "address_changed"  // to both
	KindInvitation      Kind = "invitation"       // to make an account
	KindRegister        Kind = "register"         // somebody, who may be anybody, wants an account with the address
	KindRegistered      Kind = "registered"       // the same, where there is one with it already
	KindAccountDeleted  Kind = "account_deleted"  // to the address that it had
	KindKeyCreated      Kind = "key_created"
	KindKeyExpires      Kind = "key_expires"
	KindLoginsEnded     Kind = "logins_ended"
	KindFactorAdded     Kind = "factor_added"
	KindFactorRemoved   Kind = "factor_removed"
	KindCodesRenewed    Kind = "codes_renewed"
	KindPasskeyAdded    Kind = "passkey_added"
	KindPasskeyRemoved  Kind = "passkey_removed"
	KindFactorRenamed   Kind = "factor_renamed"
	KindPasskeyRenamed  Kind = "passkey_renamed"
	KindPasskeyCloned   Kind = "passkey_cloned" // one signed in whose counter did not go up
	KindNewBrowser      Kind = "new_browser"    // the account was signed in where it has not been of late
	KindGuessedSignIn   Kind = "guessed_signin" // it was signed in after many wrong passwords or codes

	KindProviderLinked   Kind = "provider_linked"
	KindProviderUnlinked Kind = "provider_unlinked"
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
	// Every makes this, in the place of Once, the only message of its kind in so long a time to the mailbox.
	Every time.Duration
	// Stranger is set where anybody can have it sent to anybody: such messages leave half of what a
	// realm may send to all others.
	Stranger bool
	Data     Data
}

// Data are the values of a text. All are optional.
type Data struct {
	Account string    `json:"account,omitempty"` // username of whom it is about
	By      string    `json:"by,omitempty"`      // username of who did it
	Key     string    `json:"key,omitempty"`     // public id of an API key
	KeyName string    `json:"key_name,omitempty"`
	Factor  string    `json:"factor,omitempty"`  // what the owner calls a second factor or passkey
	At      time.Time `json:"at,omitzero"`       // when it happened
	Ends    time.Time `json:"ends,omitzero"`     // when something ends
	Link    string    `json:"link,omitempty"`    // an address of ours to open, on a line of its own
	Browser string    `json:"browser,omitempty"` // a kind of browser and what it runs on, in names of ours; "": not known
	Place   string    `json:"place,omitempty"`   // a network address; "": not known
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
func languages() []string { return []string{"en", "de", "fr", "es", "ja"} }

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
	Ends     string           `json:"ends"`    // {Life} of what ends
	Endless  string           `json:"endless"` // and of what does not
	Unknown  string           `json:"unknown"` // in the place of a browser or network address that is not known
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
	when := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format(t.Time)
	}
	life := t.Endless
	if !d.Ends.IsZero() {
		life = strings.ReplaceAll(t.Ends, "{Ends}", when(d.Ends))
	}
	// In one pass: what somebody chose is not looked through for names of values. No package
	// of templates, which would keep every method of the whole program, 4 MiB, for their
	// own texts to call.
	fill := strings.NewReplacer("{Account}", shown(d.Account), "{By}", shown(d.By), "{Key}", shown(d.Key), "{KeyName}", shown(d.KeyName), "{Factor}", shown(d.Factor),
		"{At}", when(d.At), "{Ends}", when(d.Ends), "{Life}", life, "{Link}", d.Link,
		"{Browser}", cmp.Or(shown(d.Browser), t.Unknown), "{Place}", cmp.Or(shown(d.Place), t.Unknown), "{Issuer}", issuer)
	var lines []string
	if d.Account != "" {
		lines = append(lines, fill.Replace(t.Greeting))
	}
	for _, line := range c.Lines {
		lines = append(lines, fill.Replace(line))
	}
	footer := fill.Replace(t.Footer)
	w.Subject = c.Subject // not filled: nothing of a caller is in a header
	w.Plain = strings.Join(lines, "\n\n") + "\n\n-- \n" + footer + "\n"
	w.HTML = page(language, w.Subject, d.Link, lines, footer)
	return w, nil
}

// page is the HTML form: it names no colour and no font, so that the reader's own hold, and
// loads nothing. All that is put into it stands between tags, but for the link.
func page(language, subject, link string, lines []string, footer string) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"" + html.EscapeString(language) + "\"><head><meta charset=\"utf-8\">" +
		"<meta name=\"color-scheme\" content=\"light dark\"><title>" + html.EscapeString(subject) + "</title></head>\n<body>")
	for _, line := range lines {
		text := html.EscapeString(line)
		if link != "" && line == link {
			text = `<a href="` + text + `">` + text + "</a>"
		}
		b.WriteString("<p>" + text + "</p>\n")
	}
	b.WriteString("<hr><p><small>" + html.EscapeString(footer) + "</small></p></body></html>\n")
	return b.String()
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

// Spellings are the two that an address is kept in, in lower case: with its domain in ASCII, as [Address]
// returns it, and in the letters that people read (RFC 5891 §4).
func Spellings(address string) (ascii, letters string) {
	ascii = strings.ToLower(address)
	at := strings.LastIndexByte(ascii, '@')
	if domain, err := idna.Lookup.ToUnicode(ascii[at+1:]); err == nil {
		return ascii, ascii[:at+1] + domain
	}
	return ascii, ascii
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
