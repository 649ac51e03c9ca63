package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// signInFlags are those of `gatehouse login ISSUER`.
type signInFlags struct {
	client string
	scopes []string
	device bool
}

func (f *signInFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.client, "client", "", "client_id by which to sign in at ISSUER; that of the last time without it")
	c.Flags().StringSliceVar(&f.scopes, "scope", nil, "scope to ask for at ISSUER; may be repeated (default all of the client but offline_access)")
	c.Flags().BoolVar(&f.device, "device", false, "open no browser here: show a code, which is typed in a browser elsewhere")
}

// signIn signs the person in at an issuer, in a browser, and keeps the tokens.
func (a *app) signIn(ctx context.Context, address string, f signInFlags) error {
	m, err := issuerAt(ctx, address)
	if err != nil {
		return err
	}
	if f.client == "" {
		if f.client, err = a.clientOf(ctx, m.Issuer); err != nil {
			return err
		}
	}
	t, err := a.tokensOf(ctx, m, f)
	if err != nil {
		return err
	}
	kept, err := a.holdSignIns(ctx)
	if err != nil {
		return err
	}
	defer kept.close()
	one := signedIn{Issuer: m.Issuer, Client: f.client}
	one.take(t)
	if err := kept.put(one); err != nil {
		return err
	}
	return a.done("signed in at %s; `%s token get` prints an access token, the tokens are in %s", m.Issuer, a.name(), kept.path)
}

// clientOf is the client of the last sign-in at an issuer.
func (a *app) clientOf(ctx context.Context, issuer string) (string, error) {
	kept, err := a.holdSignIns(ctx)
	if err != nil {
		return "", err
	}
	defer kept.close()
	at, err := kept.of(issuer)
	if err != nil {
		return "", usagef("--client is missing: the client_id of a public client there; docs/command-line.md says how to register one")
	}
	return kept.list[at].Client, nil
}

// tokensOf has the person allow it, in a browser of this machine where one can be opened, else in one elsewhere.
func (a *app) tokensOf(ctx context.Context, m issuer, f signInFlags) (tokenAnswer, error) {
	if open := a.browser(); len(open) > 0 && !f.device {
		return a.byBrowser(ctx, m, f, open)
	}
	return a.byDevice(ctx, m, f)
}

// browser is what opens an address; none where nobody sits before a screen.
func (a *app) browser() []string {
	switch {
	case a.env("BROWSER") != "":
		return []string{a.env("BROWSER")}
	case a.env("SSH_CONNECTION") != "":
		return nil
	case runtime.GOOS == "darwin":
		return []string{"open"}
	case runtime.GOOS == "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	case a.env("DISPLAY") != "" || a.env("WAYLAND_DISPLAY") != "":
		return []string{"xdg-open"}
	}
	return nil
}

// byDevice shows a code, and waits (RFC 8628 §3).
func (a *app) byDevice(ctx context.Context, m issuer, f signInFlags) (t tokenAnswer, err error) {
	var w struct {
		Device    string `json:"device_code"`
		Code      string `json:"user_code"`
		At        string `json:"verification_uri"`
		Complete  string `json:"verification_uri_complete"`
		ExpiresIn int64  `json:"expires_in"`
		Interval  int64  `json:"interval"`
	}
	form := url.Values{"client_id": {f.client}}
	if len(f.scopes) > 0 {
		form.Set("scope", strings.Join(f.scopes, " "))
	}
	if err := sent(ctx, m.Device, form, &w); err != nil {
		return t, err
	}
	fmt.Fprintf(a.errOut, "In a browser, open %s\nand type %s, or open %s\n", printable(w.At), printable(w.Code), printable(w.Complete))
	ctx, cancel := context.WithTimeout(ctx, time.Duration(w.ExpiresIn)*time.Second)
	defer cancel()
	wait := time.Duration(w.Interval) * time.Second
	for {
		select {
		case <-ctx.Done():
			return t, errNobody
		case <-time.After(max(wait, time.Second)):
		}
		err := sent(ctx, m.Token, url.Values{"grant_type": {client.GrantDeviceCode}, "client_id": {f.client}, "device_code": {w.Device}}, &t)
		switch gatehouse.CodeOf(err) {
		case "authorization_pending":
		case "slow_down":
			wait += 5 * time.Second
		default:
			return t, err
		}
	}
}

var errNobody = errors.New("nobody allowed it in time")

// pathBack is where the browser comes back to on this machine; the port is any that is free (RFC 8252 §7.3).
const pathBack = "/back"

// cameBack is what the browser brought.
type cameBack struct{ code, refused string }

// byBrowser opens the browser, and takes the code that it brings back (RFC 6749 §4.1, RFC 7636, RFC 8252).
func (a *app) byBrowser(ctx context.Context, m issuer, f signInFlags, open []string) (t tokenAnswer, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return t, err
	}
	verifier, state := randomText(), randomText()
	back := make(chan cameBack, 1)
	s := &http.Server{Handler: comesBack(m.Issuer, state, back), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(l) }() // until it is closed
	defer s.Close()
	redirect := "http://" + l.Addr().String() + pathBack
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{"response_type": {"code"}, "client_id": {f.client}, "redirect_uri": {redirect}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	if len(f.scopes) > 0 {
		q.Set("scope", strings.Join(f.scopes, " "))
	}
	to := m.Authorization + "?" + q.Encode()
	fmt.Fprintf(a.errOut, "Your browser opens; should it not, open\n%s\n", to)
	if err := exec.CommandContext(ctx, open[0], append(open[1:], to)...).Start(); err != nil {
		fmt.Fprintf(a.errOut, "It does not: %v. With --device, any browser will do.\n", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	select {
	case <-ctx.Done():
		return t, errNobody
	case got := <-back:
		if got.refused != "" {
			return t, &gatehouse.Error{Kind: gatehouse.Denied, Code: got.refused, Public: "The answer in the browser was no."}
		}
		err = sent(ctx, m.Token, url.Values{"grant_type": {client.GrantAuthorizationCode}, "client_id": {f.client}, "code": {got.code},
			"redirect_uri": {redirect}, "code_verifier": {verifier}}, &t)
	}
	_ = s.Shutdown(ctx) // the page that says so is still on its way
	return t, err
}

// comesBack takes one answer with the right state and of the right issuer (RFC 9207): any page of the browser can call this
// address, and any program of this machine.
func comesBack(issuer, state string, back chan<- cameBack) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet || r.URL.Path != pathBack || q.Get("iss") != issuer || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 ||
			(q.Get("code") == "") == (q.Get("error") == "") {
			http.Error(w, "This is not the answer that is waited for.", http.StatusBadRequest)
			return
		}
		select {
		case back <- cameBack{q.Get("code"), q.Get("error")}:
			fmt.Fprintln(w, "Done. Go back to the terminal; you can close this page.")
		default:
			http.Error(w, "There was an answer already.", http.StatusConflict)
		}
	})
}

// randomText is 256 bits, for a state or a verifier (RFC 7636 §4.1).
func randomText() string {
	var b [32]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
