package authn

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/credential"
)

// Header fields that carry credentials where nothing else is said.
const (
	FieldAuthorization = "Authorization" // RFC 9110 §11.6.2
	FieldAPIKey        = "X-Api-Key"     // keys only, as every field of another name
)

// NoCarrier in place of names says that no credential is read.
const NoCarrier = "none"

// ReaderConfig says where a request may carry a credential.
type ReaderConfig struct {
	// Fields are names of header fields: "Authorization", and any other carries API
	// keys. Empty reads Authorization and X-API-Key; the one name "none" reads none.
	Fields []string
	// KeyScheme is an auth-scheme in Authorization whose value is an API key, beside
	// Bearer: "ApiKey". Empty: none.
	KeyScheme string
	// KeyAsUser accepts an API key as the user name of a Basic credential without
	// a password, as "curl -u KEY:" sends it.
	KeyAsUser bool
	// Subprotocol is the name after which a WebSocket's list of subprotocols carries a
	// token or key: "gatehouse.bearer" reads "gatehouse.bearer.TOKEN". Empty: none.
	Subprotocol string
	// Ticket is the query parameter that carries a one-time ticket. Empty: none.
	Ticket string
	// Cookie is the realm whose sessions are read from the cookie of the host, see
	// [HostCookie]. Empty: none.
	Cookie string
	// QueryNames are query parameters that are the API's own although they are named
	// like a credential ("token"). AnyQueryName allows all. A value that is one of
	// our credentials is refused under every name.
	QueryNames   []string
	AnyQueryName bool
	// Ours tells our own and trusted signed tokens from those of others, which may
	// stand in the URL under an allowed name; nil takes every one for ours.
	Ours func(token string) bool
	// Imported reports whether keys that another system made may be presented; nil says
	// no. It is asked only about texts that are of no form of ours.
	Imported func() bool
}

// Reader finds the credential of a request where it may stand. It is immutable.
type Reader struct {
	fields   []string
	unread   []string // well-known fields that are not read
	anyQuery bool
	queries  map[string]bool // lower case
	ours     func(string) bool

	imported    func() bool
	keyScheme   string
	keyAsUser   bool
	subprotocol string
	ticket      string
	// The names of the session's cookie, over TLS and without; empty: none is read.
	cookie, plainCookie string
}

// standard reads what is read where nothing else is said.
var standard = &Reader{fields: []string{FieldAuthorization, FieldAPIKey}}

// NewReader checks cfg.
func NewReader(cfg ReaderConfig) (*Reader, error) {
	rd := &Reader{anyQuery: cfg.AnyQueryName, ours: cfg.Ours, queries: map[string]bool{},
		keyScheme: cfg.KeyScheme, keyAsUser: cfg.KeyAsUser, subprotocol: cfg.Subprotocol, ticket: cfg.Ticket, imported: cfg.Imported}
	for _, n := range cfg.QueryNames {
		if n == "" {
			return nil, errors.New("a query parameter needs a name")
		}
		rd.queries[strings.ToLower(n)] = true
	}
	if cfg.Cookie != "" {
		rd.cookie, rd.plainCookie = HostCookie(cfg.Cookie, true), HostCookie(cfg.Cookie, false)
	}
	switch {
	case len(cfg.Fields) == 0:
		rd.fields = standard.fields
	case slices.Contains(cfg.Fields, NoCarrier):
		if len(cfg.Fields) > 1 {
			return nil, errors.New(`"none" stands alone`)
		}
	default:
		for _, n := range cfg.Fields {
			field := http.CanonicalHeaderKey(n)
			if !ownField(field) {
				return nil, fmt.Errorf("%q cannot carry a credential: it must be Authorization or a header name of letters, digits and dashes that has no other meaning", n)
			}
			if slices.Contains(rd.fields, field) {
				return nil, fmt.Errorf("%q is there twice", n)
			}
			rd.fields = append(rd.fields, field)
		}
	}
	if err := rd.checkKeyForms(); err != nil {
		return nil, err
	}
	if len(rd.subprotocol) > maxSubprotocol || !isToken(rd.subprotocol) {
		return nil, fmt.Errorf("subprotocol: %q is no name of a subprotocol (RFC 6455 §4.1): at most %d letters, digits and signs such as '.'", rd.subprotocol, maxSubprotocol)
	}
	if len(rd.ticket) > maxTicketName || strings.Trim(rd.ticket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" ||
		rd.queries[strings.ToLower(rd.ticket)] {
		return nil, fmt.Errorf("ticket: %q is no name for it: at most %d letters, digits, '-' and '_', and none of query_names", rd.ticket, maxTicketName)
	}
	for _, field := range standard.fields {
		if !slices.Contains(rd.fields, field) {
			rd.unread = append(rd.unread, field)
		}
	}
	return rd, nil
}

// Bounds of names that a route chooses, in bytes.
const (
	maxKeyScheme   = 32
	maxSubprotocol = 64
	maxTicketName  = 32
)

// checkKeyForms checks the ways in which Authorization carries keys beside Bearer.
func (rd *Reader) checkKeyForms() error {
	switch {
	case rd.keyScheme == "" && !rd.keyAsUser:
		return nil
	case !slices.Contains(rd.fields, FieldAuthorization):
		return errors.New("key_scheme and key_as_user are about Authorization, which this route does not read")
	case rd.keyScheme == "":
		return nil
	case len(rd.keyScheme) > maxKeyScheme || !isToken(rd.keyScheme):
		return fmt.Errorf("key_scheme: %q is no name of an auth-scheme", rd.keyScheme)
	case strings.EqualFold(rd.keyScheme, challengeBearer) || strings.EqualFold(rd.keyScheme, challengeBasic) || strings.EqualFold(rd.keyScheme, challengeDPoP):
		return fmt.Errorf("key_scheme: %s has a meaning of its own", rd.keyScheme)
	}
	return nil
}

// ownField refuses names that mean something else to HTTP, to browsers or to us.
func ownField(field string) bool {
	for _, c := range []byte(field) {
		if c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	switch field {
	case "", "Cookie", "Host", "Origin", "Referer", "Connection", "Upgrade", "Te", "Trailer", "Transfer-Encoding", "Keep-Alive", "Expect",
		"Proxy-Authorization", "Proxy-Connection", "Forwarded", "X-Request-Id", "Via", "Date", "Range", "User-Agent":
		return false
	}
	for _, p := range [...]string{"Accept", "Content-", "If-", "Sec-", "X-Forwarded-", "X-Gatehouse-", "X-Http-Method", "Access-Control-"} {
		if strings.HasPrefix(field, p) {
			return false
		}
	}
	return true
}

// Fields are the canonical names of the header fields that are read. They must not
// be changed.
func (rd *Reader) Fields() []string { return rd.orStandard().fields }

// OwnFields reports whether a field is read that nobody but the route knows for one
// with a credential.
func (rd *Reader) OwnFields() bool {
	return slices.ContainsFunc(rd.Fields(), func(f string) bool { return !slices.Contains(standard.fields, f) })
}

// orStandard: no reader reads what is read where nothing else is said.
func (rd *Reader) orStandard() *Reader {
	if rd == nil {
		return standard
	}
	return rd
}

// Read returns the one credential that r presents, or the zero Presented; see
// [Extract] for what it refuses. https says that the client used TLS.
func (rd *Reader) Read(r *http.Request, https bool) (Presented, error) {
	rd = rd.orStandard()
	p, err := rd.read(r)
	if err == nil && rd.cookie != "" {
		p, err = rd.besideCookie(p, r, https)
	}
	if err != nil { // what was refused is answered and recorded, and neither needs a secret
		p = Presented{Scheme: p.Scheme, By: p.By, ID: p.ID}
	}
	return p, err
}

func (rd *Reader) read(r *http.Request) (Presented, error) {
	if where := rd.urlHoldsCredential(r.URL); where != "" {
		return Presented{}, errInURL.With(errors.New(where))
	}
	var field, value string
	for _, f := range rd.fields {
		lines := r.Header[f]
		switch {
		case len(lines) == 0:
			continue
		case len(lines) > 1 && f == FieldAuthorization:
			return Presented{}, errRepeated
		case len(lines) > 1:
			return Presented{}, ErrConflict.With(errors.New(f + " occurs more than once"))
		case field != "":
			return Presented{}, ErrConflict.With(errors.New("there are both " + field + " and " + f))
		}
		field, value = f, lines[0]
	}
	if rd.subprotocol != "" || rd.ticket != "" {
		if p, err := rd.readElsewhere(r); !p.None() || err != nil {
			if field != "" {
				err = ErrConflict.With(errors.New(field + " stands beside another carrier"))
			}
			return p, err
		}
	}
	switch field {
	case "":
		return Presented{}, nil
	case FieldAuthorization:
		return rd.parseAuthorization(value)
	}
	return by(ByKeyField)(rd.parseAPIKey(value))
}

// readElsewhere returns the credential that stands in none of the fields.
func (rd *Reader) readElsewhere(r *http.Request) (Presented, error) {
	var offered, ticket Presented
	var err error
	if rd.subprotocol != "" {
		if offered, err = rd.readSubprotocol(r.Header); err != nil {
			return offered, err
		}
	}
	if rd.ticket != "" {
		if ticket, err = rd.readTicket(r); err != nil {
			return ticket, err
		}
	}
	switch {
	case ticket.None():
		return offered, nil
	case !offered.None():
		return ticket, ErrConflict
	}
	return ticket, nil
}

// Foreign returns the well-known fields of r that are not read, and so are the
// API's own. One that holds a credential of ours is not among them: it must not
// reach an API.
func (rd *Reader) Foreign(h http.Header) []string {
	rd = rd.orStandard()
	if len(rd.unread) == 0 {
		return nil
	}
	var out []string
	for _, f := range rd.unread {
		if len(h[f]) > 0 && !slices.ContainsFunc(h[f], rd.lineHoldsOurs) {
			out = append(out, f)
		}
	}
	return out
}

// lineHoldsOurs looks at every run of characters that a key or token may be made
// of, wherever it stands in the line, and into the pair of Basic.
func (rd *Reader) lineHoldsOurs(line string) bool {
	for run := range strings.FieldsFuncSeq(line, func(c rune) bool { return !tokenRune(c) }) {
		if rd.isOurs(run) {
			return true
		}
	}
	for part := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ' ' || c == ',' || c == '\t' || c == '"' }) {
		if user, password, err := credential.ParseBasic(part); err == nil && (rd.isOurs(user) || rd.isOurs(password.Reveal())) {
			return true
		}
	}
	return false
}

// tokenRune is what keys, opaque tokens and JWTs are made of.
func tokenRune(c rune) bool {
	return c == '-' || c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isOurs is [isOurs] with what is known of other people's signed tokens.
func (rd *Reader) isOurs(s string) bool {
	return anyWord(s, func(word string) bool {
		return ourText(word) && (rd.ours == nil || !signedToken(word) || rd.ours(word))
	})
}
