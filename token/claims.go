package token

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse/internal/decimal"
)

// Claims are the claims of a verified token (RFC 7519 §4, RFC 9068 §2.2).
// They are shared between requests and must not be changed.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string
	ExpiresAt time.Time
	NotBefore time.Time // zero: not given
	IssuedAt  time.Time
	ID        string // jti

	ClientID  string
	Scope     string // space separated; an array is joined
	AuthTime  time.Time
	ACR       string
	AMR       []string
	SessionID string // sid
	GrantID   string // grant_id

	// HasStatus tells that the token names a place in one of its issuer's status
	// lists; StatusURI is the list, StatusList its number when the URI is
	// "<iss>/status/<number>", StatusIndex the place.
	HasStatus   bool
	StatusURI   string
	StatusList  int64
	StatusIndex int64

	// Confirmation is the cnf claim (RFC 7800 §3.1), nil when there is none: the token is of use only with a proof.
	Confirmation jsontext.Value

	// Act is the act claim (RFC 8693 §4.1), nil when there is none: somebody acts for the subject.
	Act jsontext.Value

	// Details is the authorization_details claim (RFC 9396 §9.1), nil when there is none.
	Details jsontext.Value

	// KeyID is the id of the key that verified the token, Algorithm its algorithm.
	KeyID     string
	Algorithm Algorithm
	// Raw is the claims set as signed. Use Lookup for single claims.
	Raw jsontext.Value
}

// Lookup returns the JSON of a top-level claim, nil when it is absent.
func (c *Claims) Lookup(name string) jsontext.Value { return lookup(c.Raw, name) }

func lookup(object jsontext.Value, name string) jsontext.Value {
	dec := jsontext.NewDecoder(bytes.NewBuffer(object))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return nil
	}
	for dec.PeekKind() == '"' {
		t, err := dec.ReadToken()
		if err != nil {
			return nil
		}
		match := t.String() == name
		v, err := dec.ReadValue()
		if err != nil {
			return nil
		}
		if match {
			return v.Clone()
		}
	}
	return nil
}

// wireClaims is what every verifier reads. Claims of foreign tokens that have
// other types than ours in places where no standard fixes the type must not fail
// them, hence Status as a raw value and Scope as a list.
type wireClaims struct {
	Iss      string         `json:"iss"`
	Sub      string         `json:"sub"`
	Aud      stringList     `json:"aud"`
	Exp      numericDate    `json:"exp"`
	Nbf      numericDate    `json:"nbf"`
	Iat      numericDate    `json:"iat"`
	Jti      string         `json:"jti"`
	ClientID string         `json:"client_id"`
	Scope    stringList     `json:"scope"`
	AuthTime numericDate    `json:"auth_time"`
	ACR      string         `json:"acr"`
	AMR      []string       `json:"amr"`
	Sid      string         `json:"sid"`
	GrantID  string         `json:"grant_id"`
	Status   jsontext.Value `json:"status"`
	Cnf      jsontext.Value `json:"cnf"`
	Act      jsontext.Value `json:"act"`
	Details  jsontext.Value `json:"authorization_details"`
}

// parseClaims reads a claims set. It refuses duplicate members, bad UTF-8, wrong
// types and deep nesting; the caller has bounded the size, and the payload is
// nobody else's.
func parseClaims(payload []byte) (*Claims, error) {
	c := &Claims{Raw: payload}
	if len(payload) <= quickBytes && c.readQuickly(string(payload)) {
		return c, nil
	}
	if err := c.readFully(); err != nil {
		return nil, err
	}
	return c, nil
}

// readFully fills in c from any claims set, whatever was in it besides Raw. What it
// refuses is refused.
func (c *Claims) readFully() error {
	if !shallow(c.Raw) {
		return errMalformed.With(errors.New("claims nest too deep"))
	}
	var w wireClaims
	if firstByte(c.Raw) != '{' { // null would decode to nothing at all
		return errMalformed.With(errors.New("claims are not a JSON object"))
	}
	if err := json.Unmarshal(c.Raw, &w); err != nil {
		return errMalformed.With(errors.New("claims are not well-formed JSON of the right types"))
	}
	*c = Claims{
		Issuer: w.Iss, Subject: w.Sub, Audience: w.Aud, ID: w.Jti,
		ExpiresAt: w.Exp.Time, NotBefore: w.Nbf.Time, IssuedAt: w.Iat.Time,
		ClientID: w.ClientID, Scope: strings.Join(w.Scope, " "), AuthTime: w.AuthTime.Time,
		ACR: w.ACR, AMR: w.AMR, SessionID: w.Sid, GrantID: w.GrantID, Confirmation: w.Cnf, Act: w.Act, Details: w.Details, Raw: c.Raw,
	}
	c.readStatus(w.Status)
	return nil
}

func firstByte(b []byte) byte {
	for _, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// readStatus fills in the place in a status list. A foreign status claim of
// another form leaves HasStatus false; a verifier of our own tokens requires it.
func (c *Claims) readStatus(raw jsontext.Value) {
	var s struct {
		List *struct {
			Index *int64 `json:"idx"`
			URI   string `json:"uri"`
		} `json:"status_list"`
	}
	if json.Unmarshal(raw, &s) == nil && s.List != nil && s.List.Index != nil {
		c.setPlace(statusPlace{*s.List.Index, s.List.URI})
	}
}

// statusPlace is a place in a status list as a token names it.
type statusPlace struct {
	index int64
	uri   string
}

// setPlace takes over a place in a list of the token's own issuer.
func (c *Claims) setPlace(p statusPlace) {
	rest, ok := strings.CutPrefix(p.uri, c.Issuer)
	if ok {
		rest, ok = strings.CutPrefix(rest, statusPath)
	}
	if !ok || c.Issuer == "" || p.index < 0 {
		return
	}
	var digits [20]byte
	list, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || list < 0 || string(strconv.AppendInt(digits[:0], list, 10)) != rest {
		return
	}
	c.HasStatus, c.StatusURI, c.StatusList, c.StatusIndex = true, p.uri, list, p.index
}

// statusPath comes after the issuer in the address of a status list.
const statusPath = "/status/"

// stringList is a string or an array of strings (RFC 7519 §4.1.3).
type stringList []string

func (l *stringList) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	t, err := dec.ReadToken()
	if err != nil {
		return err
	}
	switch t.Kind() {
	case '"':
		*l = stringList{t.String()}
		return nil
	case '[':
		for {
			t, err := dec.ReadToken()
			switch {
			case err != nil:
				return err
			case t.Kind() == ']':
				return nil
			case t.Kind() != '"' || len(*l) >= 64:
				return errors.New("not a list of at most 64 strings")
			}
			*l = append(*l, t.String())
		}
	}
	return errors.New("neither a string nor an array of strings")
}

// numericDate is seconds since the epoch, possibly with a fraction (RFC 7519 §2),
// between 1970 and 9999.
type numericDate struct{ time.Time }

const maxNumericDate = 253402300799 // 9999-12-31T23:59:59Z

func (d *numericDate) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() != '0' || v[0] == '-' { // -0 too: others read it as another date, or as none
		return errors.New("not a NumericDate")
	}
	if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		if n > maxNumericDate {
			return errors.New("NumericDate out of range")
		}
		d.Time = time.Unix(n, 0)
		return nil
	}
	exact, err := decimal.Parse(v)
	if err != nil {
		return err
	}
	whole, fraction, _ := strings.Cut(exact.String(), ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || sec > maxNumericDate || sec == maxNumericDate && fraction != "" {
		return errors.New("NumericDate out of range")
	}
	nano, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64) // what is finer is cut
	d.Time = time.Unix(sec, nano)
	return nil
}
