package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
)

// What a page costs behind the gateway for a person who is signed in, beside the same
// request with an API key. A session counts over TLS alone, so both come as from a proxy
// that ended it.

const (
	sessionAuth = "https://auth.bench"
	sessionHost = "https://app.bench"
)

const sessionConf = `issuer: %[1]s
data: %[2]s
listen:
  auth: {address: "127.0.0.1:0"}
  gateway: {address: "127.0.0.1:0"}
trusted_proxies: ["127.0.0.1"]
gateway:
  origins: ["%[3]s"]
log: {level: warn}
upstreams:
  documents: {url: "%[4]s", plain_headers: true}
routes:
  - match: GET /private
    action: read
    resource: {type: Document, id: private, static: {visibility: public}}
    schemes: [session, api_key]
    rate_address: 100000/1s
    rate_principal: 100000/1s
`

func (b *testbed) sessionCases(ctx context.Context) ([]*benchCase, error) {
	if !b.wants("gateway-session") {
		return nil, nil
	}
	// The demo makes people and rules, and ends; its data is served again.
	p, d, err := b.startDemo(ctx, "sessions")
	if err != nil {
		return nil, err
	}
	p.stop()
	conf, err := b.write("sessions-conf", "gatehouse.yaml", fmt.Sprintf(sessionConf, sessionAuth, filepath.Join(b.dir, "sessions"), sessionHost, b.upstream.line))
	if err != nil {
		return nil, err
	}
	gh, err := b.keep(start(ctx, nil, b.binary, "serve", "--config", conf))
	if err != nil {
		return nil, err
	}
	alice := d.Users["alice"]
	cookies, err := signIn(ctx, behindTLS{auth: gh.address("auth"), gateway: gh.address("gateway")}, "alice", alice.Password)
	if err != nil {
		return nil, fmt.Errorf("signing in: %w", err)
	}
	one := func(name, title string, lines ...string) *benchCase {
		next := get(gh.address("gateway"), "/private", append(lines, "X-Forwarded-Proto", "https", "X-Forwarded-For", "198.51.100.7")...)
		return &benchCase{name: name, title: title, kind: kindOurs, parts: []part{{"gatehouse", gh}}, want: http.StatusOK, unflattering: true,
			next: func(i int) *http.Request {
				r := next(i)
				r.Host = strings.TrimPrefix(sessionHost, "https://")
				return r
			}}
	}
	session := one("gateway-session", "Gatehouse, browser session", "Cookie", cookies)
	session.floor, session.mustRatio = "gateway-session-key", 1.1
	return []*benchCase{session, one("gateway-session-key", "the same server and route, API key", "Authorization", "Bearer "+alice.APIKey)}, nil
}

// behindTLS carries a browser's requests to the two listeners as a proxy does that ended TLS.
type behindTLS struct{ auth, gateway string }

func (t behindTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	to := t.gateway
	if "https://"+r.URL.Host == sessionAuth {
		to = t.auth
	}
	out := r.Clone(r.Context())
	out.Host, out.URL.Scheme, out.URL.Host = r.URL.Host, "http", strings.TrimPrefix(to, "http://")
	out.Header.Set("X-Forwarded-Proto", "https")
	out.Header.Set("X-Forwarded-For", "198.51.100.7")
	res, err := http.DefaultTransport.RoundTrip(out)
	if err == nil {
		res.Request = r
	}
	return res, err
}

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// signIn opens the page behind the gateway as a browser does, signs in where it is sent to,
// and returns the cookies that the gateway's host has then.
func signIn(ctx context.Context, through http.RoundTripper, name, password string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Jar: jar, Transport: through}
	open := func(method, to string, form url.Values) (at *url.URL, page string, err error) {
		r, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, "", err
		}
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		res, err := browser.Do(r)
		if err != nil {
			return nil, "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		return res.Request.URL, string(body), err
	}
	at, page, err := open("GET", sessionHost+"/private", nil)
	if err != nil {
		return "", err
	}
	back := at.Query().Get("return")
	for _, step := range []string{"identifier", "password"} {
		field := formField.FindStringSubmatch(page)
		if field == nil {
			return "", fmt.Errorf("no form at %s", at.Path)
		}
		form := url.Values{"form": {field[1]}, "identifier": {name}, "step": {step}, "return": {back}}
		if step == "password" {
			form.Set("password", password)
		}
		if at, page, err = open("POST", sessionAuth+"/signin", form); err != nil {
			return "", err
		}
	}
	if at.String() != sessionHost+"/private" {
		return "", fmt.Errorf("led to %s", at.Path)
	}
	var all []string
	for _, c := range jar.Cookies(at) {
		all = append(all, c.Name+"="+c.Value)
	}
	if len(all) == 0 {
		return "", errors.New("no cookie")
	}
	return strings.Join(all, "; "), nil
}
