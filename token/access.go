package token

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
)

// Access is a signed access token to be issued (RFC 9068). AuthTime, ACR and AMR
// are fixed when the user logged in and stay the same over refreshes (§2.2.1).
type Access struct {
	Issuer    string   // required
	Subject   string   // required; for a client acting for itself its own id (§5)
	Audience  []string // required
	ClientID  string   // required
	Scope     string
	ID        string // jti, required: gatehouse.NewID("tok", now) holds the millisecond of issue
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time
	ACR       string
	AMR       []string
	SessionID string
	GrantID   string
	// Act is who acts for the subject, MayAct the one party that may (RFC 8693 §4.1, §4.4).
	Act    *gatehouse.Act
	MayAct string
	// JKT and X5T bind the token to a key (RFC 9449 §6.1) or a certificate (RFC 8705 §3.1), by their thumbprints.
	JKT, X5T string
	// StatusList and StatusIndex are the token's place in the issuer's status
	// lists; every token we sign has one, which is how it dies early.
	StatusList  int64
	StatusIndex int64
	// Type is the typ of the header: [TypeAccess] when empty, or [TypeJWT].
	Type string
	// Details is a JSON array of what was given beyond scopes (RFC 9396 §9.1); nil: none.
	Details jsontext.Value
	// More are claims about the subject that an audience wants. Empty ones are left
	// out; a name of another claim is refused, and so is one that is not plain ASCII.
	More []Claim
}

// Claim is a claim of one text or of a list of them, never of both.
type Claim struct {
	Name string
	Text string
	List []string
}

// SignAccess issues a as an at+jwt.
func (k *Key) SignAccess(a *Access) (string, error) {
	claims, err := a.AppendJSON(make([]byte, 0, 768))
	if err != nil {
		return "", err
	}
	switch a.Type {
	case "":
		return k.Sign(TypeAccess, claims)
	case TypeAccess, TypeJWT:
		return k.Sign(a.Type, claims)
	}
	return "", errors.New("access token: unknown typ")
}

// AppendJSON appends the claims set to dst. It fails when a required claim is
// missing, the times are not in order, or a text is not UTF-8.
func (a *Access) AppendJSON(dst []byte) ([]byte, error) {
	switch {
	case a.Issuer == "" || a.Subject == "" || a.ClientID == "" || a.ID == "" || len(a.Audience) == 0:
		return nil, errors.New("access token: iss, sub, aud, client_id and jti are required")
	case a.IssuedAt.IsZero() || !a.ExpiresAt.After(a.IssuedAt):
		return nil, errors.New("access token: must expire after it is issued")
	case a.StatusList < 0 || a.StatusIndex < 0:
		return nil, errors.New("access token: negative status place")
	}
	w := claimWriter{buf: append(dst, '{')}
	w.text("iss", a.Issuer)
	w.text("sub", a.Subject)
	if len(a.Audience) == 1 {
		w.text("aud", a.Audience[0])
	} else {
		w.list("aud", a.Audience)
	}
	w.text("client_id", a.ClientID)
	w.text("scope", a.Scope)
	w.number("iat", a.IssuedAt.Unix())
	w.number("exp", a.ExpiresAt.Unix())
	w.text("jti", a.ID)
	if !a.AuthTime.IsZero() {
		w.number("auth_time", a.AuthTime.Unix())
	}
	w.text("acr", a.ACR)
	w.list("amr", a.AMR)
	w.text("sid", a.SessionID)
	w.text("grant_id", a.GrantID)
	if a.JKT != "" || a.X5T != "" {
		w.name("cnf")
		w.buf = append(w.buf, '{')
		w.text("jkt", a.JKT)
		w.text("x5t#S256", a.X5T)
		w.buf = append(w.buf, '}')
	}
	if a.Act != nil {
		w.name("act")
		w.act(a.Act)
	}
	if a.MayAct != "" {
		w.name("may_act")
		w.act(&gatehouse.Act{Subject: a.MayAct})
	}
	if a.Details != nil {
		if !a.Details.IsValid() {
			return nil, errors.New("access token: the authorization details are no JSON")
		}
		w.name("authorization_details")
		w.buf = append(w.buf, a.Details...)
	}
	for i, c := range a.More {
		if reserved(c.Name) || slices.ContainsFunc(a.More[:i], func(o Claim) bool { return o.Name == c.Name }) {
			return nil, errors.New("access token: a further claim is there already")
		}
		if c.Text != "" && len(c.List) > 0 || !isPlain(c.Name) { // two members of one name, or an end to the name
			return nil, errors.New("access token: a further claim cannot be written")
		}
		w.text(c.Name, c.Text)
		w.list(c.Name, c.List)
	}
	w.name("status")
	w.buf = append(w.buf, `{"status_list":{"idx":`...)
	w.buf = strconv.AppendInt(w.buf, a.StatusIndex, 10)
	w.buf = append(w.buf, `,"uri":`...)
	w.quote(a.Issuer + statusPath + strconv.FormatInt(a.StatusList, 10))
	if w.err != nil {
		return nil, w.err
	}
	return append(w.buf, "}}}"...), nil
}

// reserved reports whether a claim is one that [Access] has a field for, or that
// would change what others make of the token.
func reserved(name string) bool {
	switch name {
	case "", "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "auth_time", "acr", "amr", "sid", "grant_id", "status", "cnf", "act", "may_act", "authorization_details":
		return true
	}
	return false
}

// claimWriter appends members to an open JSON object and keeps the first error.
// Empty values are left out.
type claimWriter struct {
	buf []byte
	err error
}

// name begins a member; the name must stand for itself.
func (w *claimWriter) name(name string) {
	if w.buf[len(w.buf)-1] != '{' {
		w.buf = append(w.buf, ',')
	}
	w.buf = append(append(append(w.buf, '"'), name...), '"', ':')
}

func (w *claimWriter) quote(value string) {
	if w.err == nil {
		w.buf, w.err = jsontext.AppendQuote(w.buf, value)
	}
}

func (w *claimWriter) text(name, value string) {
	if value != "" {
		w.name(name)
		w.quote(value)
	}
}

func (w *claimWriter) act(a *gatehouse.Act) {
	w.buf = append(w.buf, '{')
	w.text("sub", a.Subject)
	if a.Act != nil {
		w.name("act")
		w.act(a.Act)
	}
	w.buf = append(w.buf, '}')
}

func (w *claimWriter) number(name string, value int64) {
	w.name(name)
	w.buf = strconv.AppendInt(w.buf, value, 10)
}

func (w *claimWriter) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	w.name(name)
	w.buf = append(w.buf, '[')
	for i, v := range values {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.quote(v)
	}
	w.buf = append(w.buf, ']')
}
