package program

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config says whose program it is. Every field is required.
type Config struct {
	Issuer string // of the tokens, which has its endpoints below that address
	Client string // its client_id
	Scope  string // what it asks for
}

const (
	cookie  = "program_state"
	most    = 100 // that have begun and not come back
	maxBody = 64 << 10
)

// Program is the program.
type Program struct {
	c    Config
	http *http.Client
	mux  *http.ServeMux

	mu    sync.Mutex
	begun []begun
}

// begun is a way to the issuer from which nobody has come back.
type begun struct{ state, verifier string }

// New returns the program, as an HTTP handler.
func New(c Config) *Program {
	p := &Program{c: c, mux: http.NewServeMux(), http: &http.Client{Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	p.mux.HandleFunc("GET /{$}", p.begin)
	p.mux.HandleFunc("GET /back", p.back)
	return p
}

func (p *Program) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	p.mux.ServeHTTP(w, r)
}

// begin sends the browser to the issuer (RFC 6749 §4.1.1).
func (p *Program) begin(w http.ResponseWriter, r *http.Request) {
	way := begun{state: random(), verifier: random()}
	p.mu.Lock()
	if p.begun = append(p.begun, way); len(p.begun) > most {
		p.begun = p.begun[1:]
	}
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: way.state, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 600})
	sum := sha256.Sum256([]byte(way.verifier))
	http.Redirect(w, r, p.c.Issuer+"/authorize?"+url.Values{"response_type": {"code"}, "client_id": {p.c.Client}, "redirect_uri": {here(r)},
		"scope": {p.c.Scope}, "state": {way.state}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}.Encode(), http.StatusSeeOther)
}

// back takes what the browser brings, and shows what the tokens say.
func (p *Program) back(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	way, ok := p.take(q.Get("state"))
	if c, err := r.Cookie(cookie); err != nil || !ok || c.Value != way.state || q.Get("iss") != p.c.Issuer {
		page(w, http.StatusBadRequest, "This is not the answer to what this browser asked", "", "")
		return
	}
	if q.Get("code") == "" {
		page(w, http.StatusOK, "Nothing was allowed", "The issuer says: "+q.Get("error"), "")
		return
	}
	answer, claims, err := p.redeem(q.Get("code"), way.verifier, here(r))
	if err != nil {
		page(w, http.StatusBadGateway, "There are no tokens", err.Error(), "")
		return
	}
	page(w, http.StatusOK, "It worked: here is what the access token says", fmt.Sprintf("Scope: %s. It is good for %d seconds; there is a refresh token: %t.",
		answer.Scope, answer.ExpiresIn, answer.RefreshToken != ""), claims)
}

// here is where the browser is to come back to: the address at which the program listens, whatever name it was called by.
func here(r *http.Request) string {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if at == nil {
		return ""
	}
	return "http://" + at.String() + "/back"
}

// take uses up the way with a state.
func (p *Program) take(state string) (begun, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, way := range p.begun {
		if state != "" && way.state == state {
			p.begun = append(p.begun[:i:i], p.begun[i+1:]...)
			return way, true
		}
	}
	return begun{}, false
}

// tokens is the answer of the token endpoint (RFC 6749 §5.1).
type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope"`
}

// redeem gets tokens for a code (RFC 6749 §4.1.3, RFC 7636 §4.5), and what the access token says. A program gives the token to
// APIs and has no business to look into it; this one shows people what is in there.
func (p *Program) redeem(code, verifier, redirect string) (t tokens, claims string, err error) {
	res, err := p.http.PostForm(p.c.Issuer+"/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {p.c.Client}, "code": {code},
		"redirect_uri": {redirect}, "code_verifier": {verifier}})
	if err != nil {
		return t, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil || res.StatusCode != http.StatusOK {
		return t, "", fmt.Errorf("the token endpoint answers %s: %s", res.Status, body)
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, "", err
	}
	parts := strings.Split(t.AccessToken, ".")
	if len(parts) != 3 {
		return t, "The token is opaque: nobody can look into it.", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var out bytes.Buffer
	if err != nil || json.Indent(&out, text, "", "  ") != nil {
		return t, "", errors.New("the access token is no JWT")
	}
	return t, out.String(), nil
}

// page shows something; claims stand as they are.
func page(w http.ResponseWriter, status int, title, text, claims string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,"><title>A small program</title><main><h1 id="title">%s</h1><p id="text">%s</p><pre id="claims">%s</pre><p><a href="/" id="again">Again</a></p></main></html>
`, html.EscapeString(title), html.EscapeString(text), html.EscapeString(claims))
}

// random is 256 bits.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
