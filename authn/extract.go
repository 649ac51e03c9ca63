package authn

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/token"
)

// MaxTokenBytes bounds a bearer token before anything else looks at it.
const MaxTokenBytes = 16 << 10

// Presented is the one credential of a request, classified but not verified.
// The zero value means that nothing was presented.
type Presented struct {
	Scheme gatehouse.Scheme
	By     Carrier // where it stood
	// ID is the public part of a key or opaque token, for the record.
	ID string
	// User is the username of a Basic credential.
	User   string
	Secret gatehouse.Secret // the password or the whole token
	// Key is what the text of a key or opaque token says about itself.
	Key credential.ParsedKey

	host    string   // of a cookie, to which the browser sent it
	standIn *standIn // of a ticket
}

// None reports whether the request presented no credential at all.
func (p Presented) None() bool { return p.Scheme == gatehouse.SchemeNone }

var (
	errRepeated   = gatehouse.E(gatehouse.Invalid, "authorization_repeated", "The Authorization field must occur once.")
	errInURL      = gatehouse.E(gatehouse.Invalid, "credential_in_url", "A credential must not be part of the URL. Treat it as exposed and replace it.")
	errMalformed  = gatehouse.E(gatehouse.Invalid, "authorization_malformed", "The Authorization field is not well formed.")
	errScheme     = gatehouse.E(gatehouse.Unauthenticated, "scheme_unsupported", "This authentication scheme is not supported.")
	errUnknown    = gatehouse.E(gatehouse.Unauthenticated, "token_unrecognized", "The token is of no known form.")
	errRefresh    = gatehouse.E(gatehouse.Unauthenticated, "refresh_token_presented", "A refresh token is not a credential for requests.")
	errTicketForm = gatehouse.E(gatehouse.Unauthenticated, "ticket_malformed", "The ticket is not in the form of a ticket.")
	errKeyAddress = gatehouse.E(gatehouse.Unauthenticated, "key_address_not_allowed", "The key may not be used from this address.")
)

// ErrConflict refuses a request with two credentials: of two, two readers take different ones.
var ErrConflict = gatehouse.E(gatehouse.Invalid, "credentials_conflict", "The request must carry exactly one credential.")

// Extract returns the one credential that r presents, or the zero Presented.
//
// It reads Authorization (Basic, RFC 7617; Bearer, RFC 6750 §2.1) and X-API-Key.
// Anything that two readers could understand differently is refused with
// gatehouse.Invalid: repeated or joined fields, Authorization beside X-API-Key,
// a credential in the URL (RFC 9700 §4.3.2). An unknown scheme or an
// unrecognisable token is gatehouse.Unauthenticated: it was a try, so it must
// not pass for "nothing presented". The Presented that comes with an error holds
// the scheme as far as it is known, and no secret.
func Extract(r *http.Request) (Presented, error) { return standard.Read(r, r.TLS != nil) }

func (rd *Reader) parseAuthorization(value string) (Presented, error) {
	if len(value) > MaxTokenBytes+len("Bearer ") {
		return Presented{}, token.ErrTooLarge
	}
	scheme, rest, _ := strings.Cut(value, " ")
	rest = strings.TrimLeft(rest, " ") // RFC 9110 §11.4: 1*SP
	switch {
	case scheme == "" || !isToken(scheme):
		return Presented{}, errMalformed
	case strings.EqualFold(scheme, "Bearer"):
		return by(ByBearer)(rd.parseBearer(rest))
	case strings.EqualFold(scheme, challengeDPoP):
		return by(ByDPoP)(rd.parseBearer(rest))
	case strings.EqualFold(scheme, "Basic"):
		return by(ByBasic)(rd.parseBasic(rest))
	case strings.EqualFold(scheme, rd.keyScheme):
		return by(ByKeyScheme)(rd.parseAPIKey(rest))
	}
	return Presented{}, errScheme.With(foreignScheme(scheme))
}

var (
	errNoScheme    = errors.New("a key or token stands in Authorization without the word Bearer before it")
	errOtherScheme = errors.New("the auth-scheme is none that Gatehouse knows")
)

// foreignScheme names the auth-scheme to an operator where it is one of those that
// are in use: any other first word of the line may be a secret.
func foreignScheme(scheme string) error {
	for _, known := range [...]string{"Digest", "Negotiate", "NTLM", "Token", "ApiKey", "Api-Key", "Key", "JWT", "OAuth", "Hawk", "HOBA",
		"Mutual", "SCRAM-SHA-256", "AWS4-HMAC-SHA256", "GNAP", "vapid", "PrivateToken"} {
		if strings.EqualFold(scheme, known) {
			return errors.New("the auth-scheme is " + known + "; a route can accept keys under such a name (key_scheme)")
		}
	}
	if isOurs(scheme) {
		return errNoScheme
	}
	return errOtherScheme
}

// by notes where a credential stood. A kind that may not stand there is not accepted.
func by(c Carrier) func(Presented, error) (Presented, error) {
	return func(p Presented, err error) (Presented, error) {
		if p.None() {
			return p, err
		}
		p.By = c
		if k, _ := KindOf(p.Scheme); err == nil && k.By&c == 0 {
			err = ErrNotAccepted.With(fmt.Errorf("%s may not be presented in this place", p.Scheme))
		}
		return p, err
	}
}

// parseBasic reads a name and a password, or where the route says so, a key in place
// of the name.
func (rd *Reader) parseBasic(value string) (Presented, error) {
	p := Presented{Scheme: gatehouse.SchemeBasic}
	if strings.ContainsRune(value, ',') {
		// A proxy joins repeated fields with a comma (RFC 9110 §5.3).
		return p, ErrConflict
	}
	user, password, err := credential.ParseBasic(value)
	if err != nil {
		return p, err
	}
	if _, err := credential.ParseKey(user); gatehouse.CodeOf(err) != "key_malformed" {
		return rd.keyInName(user, password)
	}
	if rd.keyAsUser && password == "" && rd.takesImported(user) {
		return importedKey(user), nil
	}
	p.User, p.Secret = user, password
	return p, nil
}

// keyInName reads one of our keys or tokens that stands in place of a user name. It
// is nobody's name, so where it is not accepted it is refused as what it is, before
// anybody looks for an account, hashes the password or records the name.
func (rd *Reader) keyInName(user string, password gatehouse.Secret) (Presented, error) {
	p, err := classifyKey(user)
	switch {
	case err != nil:
	case !rd.keyAsUser:
		err = ErrNotAccepted.With(errors.New("a key stands in place of the user name, and the route has no key_as_user"))
	case password != "":
		err = ErrConflict // two secrets
	}
	return p, err // by() looks at its kind
}

func (rd *Reader) parseBearer(value string) (Presented, error) {
	if strings.ContainsRune(value, ',') {
		return Presented{}, ErrConflict
	}
	switch bearerForm(value) {
	case formNone:
		return Presented{}, errMalformed
	case formJWT:
		if !joseHeader(value) && rd.takesImported(value) { // "SG.x.y" has three parts too
			return importedKey(value), nil
		}
		return Presented{Scheme: gatehouse.SchemeJWT, Secret: gatehouse.Secret(value)}, nil
	}
	return rd.classify(value)
}

// classifyKey tells an API key from an opaque token by its prefix.
func classifyKey(value string) (Presented, error) {
	k, err := credential.ParseKey(value)
	switch {
	case err != nil && gatehouse.CodeOf(err) == "key_checksum":
		return Presented{Scheme: gatehouse.SchemeAPIKey}, err
	case err != nil:
		return Presented{}, errUnknown.With(err)
	case k.IsRefreshToken():
		return Presented{ID: k.ID}, errRefresh
	}
	p := Presented{Scheme: gatehouse.SchemeAPIKey, ID: k.ID, Key: k, Secret: gatehouse.Secret(value)}
	if k.IsAccessToken() {
		p.Scheme = gatehouse.SchemeOpaque
	}
	return p, nil
}

// parseAPIKey reads X-API-Key, which carries API keys and nothing else.
func (rd *Reader) parseAPIKey(value string) (Presented, error) {
	if strings.ContainsRune(value, ',') {
		return Presented{Scheme: gatehouse.SchemeAPIKey}, ErrConflict
	}
	p, err := rd.classify(value)
	switch {
	case gatehouse.CodeOf(err) == errUnknown.Code, err == nil && p.Scheme != gatehouse.SchemeAPIKey:
		return Presented{Scheme: gatehouse.SchemeAPIKey}, credential.ErrKeyMalformed
	}
	return p, err
}

// form is what the text of a bearer credential could be.
type form int

const (
	formNone  form = iota // nothing that RFC 6750 §2.1 allows: 1*(ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/") *"="
	formToken             // some b64token
	formJWT               // three parts of base64url that are not empty
)

// Classes of the bytes of a b64token; every other byte has none.
const (
	classURL   = 1 << iota // base64url
	classDot               // "."
	classOther             // "~", "+" and "/"
	classPad               // "="
	classNone
)

var bearerClass = func() (c [256]uint8) {
	for i := range c {
		switch b := byte(i); {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_':
			c[i] = classURL
		case b == '.':
			c[i] = classDot
		case b == '~', b == '+', b == '/':
			c[i] = classOther
		case b == '=':
			c[i] = classPad
		default:
			c[i] = classNone
		}
	}
	return c
}()

// bearerForm looks at each byte once: tokens are long, and this stands before
// everything else that a request costs.
func bearerForm(s string) form {
	var seen uint8
	for i := range len(s) {
		seen |= bearerClass[s[i]]
	}
	switch {
	case seen&classPad != 0 && strings.Contains(strings.TrimRight(s, "="), "="), seen&classNone != 0:
		return formNone
	case seen&(classURL|classDot|classOther) == 0:
		return formNone // nothing, or nothing but padding
	case seen != classURL|classDot:
		return formToken
	}
	header, rest, _ := strings.Cut(s, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if header == "" || payload == "" || signature == "" || strings.Contains(signature, ".") {
		return formToken
	}
	return formJWT
}

// isToken is token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return true
}

// credentialNames are query parameters that carry credentials in APIs at large.
// A plain "key" is not among them: it means too many other things; a value that
// is one of our keys is found under any name.
var credentialNames = map[string]bool{
	"access_token": true, "access-token": true, "accesstoken": true, "refresh_token": true, "id_token": true,
	"token": true, "bearer": true, "bearer_token": true, "auth_token": true, "jwt": true, "auth": true,
	"authorization": true, "api_key": true, "api-key": true, "apikey": true, "x-api-key": true,
	"password": true, "passwd": true, "client_secret": true,
}

// urlHoldsCredential reports whether u carries something that is, or is meant
// as, a credential: URLs end up in logs, histories and Referer fields. The
// query is taken apart by hand, since url.ParseQuery drops what it cannot read
// and an upstream may be less strict.
//
// It returns where, in words that repeat nothing of it; "" when there is none.
func (rd *Reader) urlHoldsCredential(u *url.URL) (where string) {
	if u.User != nil {
		return "it stands before the host"
	}
	if pathHoldsOurs(u.Path) {
		return "it stands in the path"
	}
	for pair := range pairs(u.RawQuery) {
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		lower := strings.ToLower(name)
		theirs := rd.anyQuery || rd.queries[lower] // the API's own, unless the value is ours
		switch {
		case rd.ticket != "" && name == rd.ticket: // see readTicket
		case isOurs(name), theirs && rd.isOurs(value), !theirs && isOurs(value):
			return "it stands in the query, and is one of ours or a signed token"
		case !theirs && value != "" && credentialNames[lower]:
			return "the query parameter " + lower + " means a credential; query_names of the route can allow it"
		}
	}
	return ""
}

// pairs yields the pairs of a query as they are written, each with the separator that
// ends it. Programs differ in whether ";" separates; here it does.
func pairs(query string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for query != "" {
			pair, end := query, ""
			if i := strings.IndexAny(query, "&;"); i >= 0 {
				pair, end, query = query[:i], query[i:i+1], query[i+1:]
			} else {
				query = ""
			}
			if !yield(pair, end) {
				return
			}
		}
	}
}

// isOurs reports whether a word of s is the text of one of our keys or tokens, or a JWT:
// "Bearer ghk_live_…" is as exposed as the key alone.
func isOurs(s string) bool { return anyWord(s, ourText) }

// shortestOurs is the length of the shortest text that can be ours, a JWT of
// {"alg":""} and {} with one character after them. Most of what is asked about is shorter.
const shortestOurs = len("eyJhbGciOiIifQ.e30.x")

func anyWord(s string, is func(word string) bool) bool {
	if len(s) < shortestOurs {
		return false
	}
	for word := range strings.FieldsSeq(s) {
		if is(word) {
			return true
		}
	}
	return false
}

// ourText reports whether s is the text of one of our keys or tokens, or a JWT.
func ourText(s string) bool {
	if signedToken(s) {
		return true
	}
	_, err := credential.ParseKey(s)
	return err == nil
}

// signedToken reports the form of a JWT. "eyJ" is base64url of `{"`, how every
// JOSE header begins in practice.
func signedToken(s string) bool {
	return strings.HasPrefix(s, "eyJ") && bearerForm(s) == formJWT
}

// unescape decodes what it can: a malformed escape must not hide the rest.
func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

func pathHoldsOurs(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if isOurs(segment) {
			return true
		}
	}
	return false
}

// RedactPath returns path with every segment that holds one of our keys or tokens,
// or a JWT, replaced: what [Extract] refuses must not end up in the record.
func RedactPath(path string) string {
	if !pathHoldsOurs(path) {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if isOurs(s) {
			segments[i] = "[redacted]"
		}
	}
	return strings.Join(segments, "/")
}
