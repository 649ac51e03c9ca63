package token

import (
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
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
	// StatusList and StatusIndex are the token's place in the issuer's status
	// lists; every token we sign has one, which is how it dies early.
	StatusList  int64
	StatusIndex int64
}

// SignAccess issues a as an at+jwt.
func (k *Key) SignAccess(a *Access) (string, error) {
	claims, err := a.AppendJSON(make([]byte, 0, 768))
	if err != nil {
		return "", err
	}
	return k.Sign(TypeAccess, claims)
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
	w.name("status")
	w.buf = append(w.buf, `{"status_list":{"idx":`...)
	w.buf = strconv.AppendInt(w.buf, a.StatusIndex, 10)
	w.buf = append(w.buf, `,"uri":`...)
	w.quote(a.Issuer + statusPath + strconv.FormatInt(a.StatusList, 10))
	w.buf = append(w.buf, "}}}"...)
	return w.buf, w.err
}

// claimWriter appends members to an open JSON object and keeps the first error.
// Empty values are left out.
type claimWriter struct {
	buf []byte
	err error
}

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
