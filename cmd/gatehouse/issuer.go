package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
)

// issuer is an authorization server, as it describes itself (RFC 8414 §2).
type issuer struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Device        string `json:"device_authorization_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
}

const maxAnswer = 256 << 10 // bytes

// outside sends requests with tokens: none follows a redirect, which could lead to somebody else.
func outside() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// issuerAt asks an authorization server what it is. It must say the name by which it was asked (RFC 8414 §3.3), and have its
// endpoints at its own address: tokens go nowhere else, and not over plain http to another machine.
func issuerAt(ctx context.Context, address string) (m issuer, err error) {
	address = strings.TrimRight(address, "/")
	if _, err := client.New(address, "x"); err != nil {
		return m, usagef("%s: %v", address, err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return m, usagef("%s is no address", address)
	}
	origin := u.Scheme + "://" + u.Host
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/.well-known/oauth-authorization-server"+u.EscapedPath(), nil)
	if err != nil {
		return m, err
	}
	if err := fetched(r, &m); err != nil {
		return m, err
	}
	if m.Issuer != address {
		return m, fmt.Errorf("%s says that it is %q", address, m.Issuer)
	}
	for _, endpoint := range []string{m.Authorization, m.Token, m.Device, m.Revocation} {
		if !strings.HasPrefix(endpoint, origin+"/") {
			return m, fmt.Errorf("%s has an endpoint elsewhere, or lacks one: %q", address, endpoint)
		}
	}
	return m, nil
}

// sent posts a form to an endpoint.
func sent(ctx context.Context, endpoint string, form url.Values, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return fetched(r, out)
}

// fetched reads an answer. A refusal is a *gatehouse.Error with the name of RFC 6749 §5.2 as its code.
func fetched(r *http.Request, out any) error {
	r.Header.Set("Accept", "application/json")
	res, err := outside().Do(r)
	if err != nil {
		return client.Unreachable(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return client.Unreachable(err)
	case len(b) > maxAnswer:
		return errors.New("the answer is too large")
	case res.StatusCode == http.StatusOK && (out == nil || len(b) == 0):
		return nil
	case res.StatusCode == http.StatusOK:
		return exactjson.Unmarshal(b, out)
	}
	var no struct {
		Error string `json:"error"`
		Text  string `json:"error_description"`
	}
	if exactjson.Unmarshal(b, &no) != nil || no.Error == "" {
		return fmt.Errorf("%s answers %s: no authorization server", r.URL.Host, res.Status)
	}
	kind := gatehouse.Invalid
	switch {
	case no.Error == "access_denied" || no.Error == "invalid_client" || no.Error == "invalid_grant" || no.Error == "unauthorized_client":
		kind = gatehouse.Denied
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		kind = gatehouse.Unavailable
	}
	return &gatehouse.Error{Kind: kind, Code: no.Error, Public: no.Text}
}
