// Package client talks to the management API (/admin/v1). It is what the
// commands use, and what Go programs may use.
//
// It must never import anything of this module but the nouns and the reader of JSON.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// maxAnswer bounds an answer before it is parsed.
const maxAnswer = 64 << 20

// Client calls one server with one credential. It is safe for concurrent use.
type Client struct {
	base          string
	authorization gatehouse.Secret // the whole header line; "" sends none
	http          *http.Client
}

// New returns a client for the server at base (scheme and host, no path needed).
// token is an API key or access token, or "" for the few public operations. A
// credential is only sent over TLS or to this machine.
func New(base string, token gatehouse.Secret) (*Client, error) {
	if token != "" {
		token = "Bearer " + token
	}
	return newClient(base, token)
}

// NewWithPassword is New for a person of realm main with a password. Each call is an
// attempt that the server counts: fetch a key with it, and go on with that.
func NewWithPassword(base, username string, password gatehouse.Secret) (*Client, error) {
	if strings.Contains(username, ":") { // would end the name early (RFC 7617 §2)
		return nil, errors.New("a username has no colon")
	}
	pair := base64.StdEncoding.EncodeToString([]byte(username + ":" + password.Reveal()))
	return newClient(base, gatehouse.Secret("Basic "+pair))
}

func newClient(base string, authorization gatehouse.Secret) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("the server must be an http:// or https:// URL without user, query or fragment")
	}
	if u.Scheme == "http" && authorization != "" && !loopback(u.Hostname()) {
		return nil, errors.New("a credential is not sent over plain http to another machine; use https")
	}
	return &Client{base: strings.TrimRight(base, "/") + "/admin/v1", authorization: authorization, http: &http.Client{
		Timeout: 5 * time.Minute, // backups and verification of a long log take their time
		// A redirect could carry the credential to somebody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Trust has c talk to servers alone that roots vouch for, in place of the authorities of the system.
func (c *Client) Trust(roots *x509.CertPool) {
	c.http.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host) // 127.0.0.1.evil.example is no address
	return host == "localhost" || err == nil && addr.IsLoopback()
}

var errUnreachable = gatehouse.E(gatehouse.Unavailable, "server_unreachable", "The server cannot be reached.")

// Unreachable is the error of a server that cannot be reached, for the operator with its cause.
func Unreachable(cause error) error { return errUnreachable.With(cause) }

// Do sends in (nil for no body) as JSON to a path below /admin/v1 and decodes
// the answer into out (nil to ignore it), numbers exactly: in an any they are int64
// or decimal.Number, and a float64 is an error. A refusal is a *gatehouse.Error with
// the code, text and fields of the server's problem; a server that cannot be
// reached is kind Unavailable, code "server_unreachable".
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return c.send(r, out)
}

func (c *Client) send(r *http.Request, out any) error {
	r.Header.Set("Accept", "application/json")
	if c.authorization != "" {
		r.Header.Set("Authorization", c.authorization.Reveal())
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return errUnreachable.With(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return errUnreachable.With(fmt.Errorf("the answer broke off: %w", err))
	}
	switch {
	case len(b) > maxAnswer:
		return errors.New("the answer is too large")
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return problem(resp, b)
	case out == nil || len(b) == 0:
		return nil
	}
	if err := exactjson.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the answer is not what was expected: %w", err)
	}
	return nil
}

// Login exchanges the password of c ([NewWithPassword]) and a code of a second factor for a token,
// and returns a client that goes on with that, for ten minutes. Errors: second_factor_invalid, and those of [Client.Do].
func (c *Client) Login(ctx context.Context, code gatehouse.Secret) (*Client, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.tokens(), strings.NewReader(url.Values{"otp": {code.Reveal()}}.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var out struct {
		AccessToken gatehouse.Secret `json:"access_token"`
	}
	if err := c.send(r, &out); err != nil {
		return nil, err
	}
	next := *c
	next.authorization = "Bearer " + out.AccessToken
	return &next, nil
}

// Logout ends the login of [Client.Login].
func (c *Client) Logout(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.tokens(), nil)
	if err != nil {
		return err
	}
	return c.send(r, nil)
}

// tokens is where realm main gives tokens.
func (c *Client) tokens() string { return strings.TrimSuffix(c.base, "/admin/v1") + "/tokens" }

// DoAndWait is [Client.Do] for a change that is answered when no node goes by what was
// before, after atMost at the latest. What is known of the nodes is decoded into wait: the
// member wait of the answer. It is no error when nothing is proven.
func (c *Client) DoAndWait(ctx context.Context, method, path string, in, out any, atMost time.Duration, wait any) error {
	mark := "?"
	if strings.Contains(path, "?") {
		mark = "&"
	}
	var got struct {
		Status int             `json:"status"`
		Answer json.RawMessage `json:"answer"`
		Wait   json.RawMessage `json:"wait"`
	}
	if err := c.Do(ctx, method, path+mark+"wait=nodes&wait_for="+url.QueryEscape(atMost.String()), in, &got); err != nil {
		return err
	}
	if got.Wait == nil {
		return errors.New("the change is made; the answer does not say what other nodes know of it")
	}
	if err := exactjson.Unmarshal(got.Wait, wait); err != nil {
		return fmt.Errorf("the answer is not what was expected: %w", err)
	}
	if out == nil || len(got.Answer) == 0 {
		return nil
	}
	if err := exactjson.Unmarshal(got.Answer, out); err != nil {
		return fmt.Errorf("the answer is not what was expected: %w", err)
	}
	return nil
}

// RequestError is the cause of a refusal by the server: the request's id, under which
// `gatehouse explain` and the server's log have more.
type RequestError struct{ ID string }

func (e *RequestError) Error() string { return "request " + e.ID }

// problem turns a refusal into the error it was made from.
func problem(resp *http.Response, body []byte) error {
	var p struct {
		Code      string            `json:"code"`
		Title     string            `json:"title"`
		Detail    string            `json:"detail"`
		RequestID string            `json:"request_id"`
		Fields    map[string]string `json:"fields"`
	}
	_ = exactjson.Unmarshal(body, &p) // a proxy's page is no problem document
	e := &gatehouse.Error{Kind: kindOf(resp.StatusCode), Code: p.Code, Public: p.Detail, Fields: p.Fields}
	if e.Code == "" {
		e.Code = "status_" + strconv.Itoa(resp.StatusCode)
	}
	if e.Public == "" {
		e.Public = p.Title
	}
	if e.Public == "" {
		e.Public = resp.Status
	}
	if p.RequestID != "" {
		e.Cause = &RequestError{ID: p.RequestID}
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}

func kindOf(status int) gatehouse.Kind {
	switch status {
	case 400:
		return gatehouse.Invalid
	case 401:
		return gatehouse.Unauthenticated
	case 403:
		return gatehouse.Denied
	case 404:
		return gatehouse.NotFound
	case 405:
		return gatehouse.MethodNotAllowed
	case 408:
		return gatehouse.RequestTimeout
	case 409:
		return gatehouse.Conflict
	case 413:
		return gatehouse.TooLarge
	case 415:
		return gatehouse.Unsupported
	case 422:
		return gatehouse.Unprocessable
	case 429:
		return gatehouse.RateLimited
	case 502:
		return gatehouse.BadGateway
	case 503:
		return gatehouse.Unavailable
	case 504:
		return gatehouse.GatewayTimeout
	}
	return gatehouse.Internal
}
