package clients

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/token"
)

const back = "http://127.0.0.1/back"

// TestGo: golang.org/x/oauth2 gets tokens in every way that it has, and coreos/go-oidc knows by them who signed in. They are told the
// issuer, what registration gave, and nothing else.
func TestGo(t *testing.T) {
	d := demo(t)
	provider, err := oidc.NewProvider(t.Context(), d.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	bob := newPerson(t, back)
	t.Run("code", func(t *testing.T) { goCode(t, d, provider, bob) })
	t.Run("guesses", func(t *testing.T) { goGuesses(t, d, provider, bob) })
	t.Run("algorithms", func(t *testing.T) { goAlgorithms(t, d, provider, bob) })
	t.Run("device", func(t *testing.T) { goDevice(t, d, provider, bob) })
	t.Run("told of sign-outs", func(t *testing.T) { goToldOfSignOuts(t, d, provider, bob) })
	t.Run("client credentials", func(t *testing.T) { goClientCredentials(t, d, provider) })
}

// TestPage: docs/clients.md names the versions with which these tests are run.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for module, name := range map[string]string{"golang.org/x/oauth2": "golang.org/x/oauth2", "github.com/coreos/go-oidc/v3": "coreos/go-oidc"} {
		_, rest, _ := strings.Cut(string(mod), "\t"+module+" v")
		version, _, found := strings.Cut(rest, "\n")
		if row := "\n| " + name + " " + version + " |"; !found || !strings.Contains(string(page), row) {
			t.Errorf("docs/clients.md has not: %s", row)
		}
	}
}

// goCode: a web application signs somebody in, asks who it is, and renews its tokens.
func goCode(t *testing.T, d *server.Demo, provider *oidc.Provider, bob *person) {
	bob.t = t
	made := register(t, d, map[string]any{"client_name": "Shop", "redirect_uris": []string{back}, "scope": "openid profile email offline_access documents:read",
		"token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"authorization_code", "refresh_token"}})
	cfg := oauth2.Config{ClientID: made.ID, ClientSecret: made.Secret, Endpoint: provider.Endpoint(), RedirectURL: back,
		Scopes: []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess, "documents:read"}}
	verifier := oauth2.GenerateVerifier()
	bob.open(cfg.AuthCodeURL("the state", oidc.Nonce("the nonce"), oauth2.S256ChallengeOption(verifier)))
	bob.signIn(d)
	bob.press("allow", nil)
	answer := bob.at.Query()
	if answer.Get("state") != "the state" || answer.Get("iss") != d.Issuer || answer.Get("code") == "" {
		t.Fatalf("%d at %s: %s", bob.status, bob.at, bob.text)
	}
	// Without a style the library would show the secret in another way next, and tell of that refusal instead of this one.
	shown := cfg
	shown.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	var refused *oauth2.RetrieveError
	if _, err := shown.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier())); !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
		t.Errorf("another verifier: %v", err)
	}
	first, err := cfg.Exchange(t.Context(), answer.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if first.Type() != "Bearer" || !first.Expiry.After(time.Now()) || first.RefreshToken == "" || first.Extra("scope") != "openid profile offline_access documents:read" {
		t.Errorf("%v %v %v", first.Type(), first.Expiry, first.Extra("scope"))
	}
	verify(t, d, provider, made.ID, first, "the nonce")
	who, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(first))
	var claims struct {
		Name string `json:"preferred_username"`
	}
	if err != nil || who.Subject != d.Users["bob"].ID || who.Claims(&claims) != nil || claims.Name != "bob" {
		t.Errorf("%+v %+v %v", who, claims, err)
	}
	opens(t, d, first)

	// The library renews what it takes for expired, and has a refresh token that works once.
	for range 2 {
		first.Expiry = time.Now().Add(-time.Minute)
		next, err := cfg.TokenSource(t.Context(), first).Token()
		if err != nil {
			t.Fatal(err)
		}
		if next.AccessToken == first.AccessToken || next.RefreshToken == first.RefreshToken {
			t.Error("not renewed")
		}
		verify(t, d, provider, made.ID, next, "")
		opens(t, d, next)
		first = next
	}
}

// verify has go-oidc verify an ID token, by the algorithm that it reads in the metadata, and what it says of the access token.
func verify(t *testing.T, d *server.Demo, provider *oidc.Provider, id string, got *oauth2.Token, nonce string) (claims struct {
	Session string `json:"sid"`
}) {
	t.Helper()
	text, _ := got.Extra("id_token").(string)
	who, err := provider.VerifierContext(t.Context(), &oidc.Config{ClientID: id}).Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if err := who.VerifyAccessToken(got.AccessToken); err != nil {
		t.Error(err)
	}
	if who.Subject != d.Users["bob"].ID || who.Nonce != nonce {
		t.Errorf("%+v", who)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "another"}).Verify(t.Context(), text); err == nil {
		t.Error("it is for anybody")
	}
	if err := who.Claims(&claims); err != nil {
		t.Error(err)
	}
	return claims
}

// opens: the API behind the gateway takes the token.
func opens(t *testing.T, d *server.Demo, got *oauth2.Token) {
	t.Helper()
	res, err := oauth2.NewClient(t.Context(), oauth2.StaticTokenSource(got)).Get(d.Gateway + "/private")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}

// goGuesses: a program without a secret, at a port that it found, and one that shows its secret in the form. The library finds out by
// trying how a client shows who it is: the first try must not cost it the code.
func goGuesses(t *testing.T, d *server.Demo, provider *oidc.Provider, bob *person) {
	bob.t = t
	for _, method := range []string{"none", "client_secret_post"} {
		made := register(t, d, map[string]any{"client_name": method, "redirect_uris": []string{back}, "scope": "openid",
			"token_endpoint_auth_method": method, "grant_types": []string{"authorization_code", "refresh_token"}})
		cfg := oauth2.Config{ClientID: made.ID, ClientSecret: made.Secret, Endpoint: provider.Endpoint(), RedirectURL: back, Scopes: []string{oidc.ScopeOpenID}}
		if method == "none" {
			cfg.RedirectURL = strings.Replace(back, "127.0.0.1", "127.0.0.1:51234", 1)
		}
		bob.back = cfg.RedirectURL
		verify(t, d, provider, made.ID, goes(t, cfg, bob), "")
	}
}

// goAlgorithms: whatever a client registers its ID tokens and the answers of userinfo to be signed by, go-oidc verifies it.
func goAlgorithms(t *testing.T, d *server.Demo, provider *oidc.Provider, bob *person) {
	bob.t = t
	for _, alg := range token.IDAlgorithms() {
		made := register(t, d, map[string]any{"client_name": alg, "redirect_uris": []string{back}, "scope": "openid", "id_token_signed_response_alg": alg, "userinfo_signed_response_alg": alg,
			"token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"authorization_code"}})
		got := goes(t, oauth2.Config{ClientID: made.ID, ClientSecret: made.Secret, Endpoint: provider.Endpoint(), RedirectURL: back, Scopes: []string{oidc.ScopeOpenID}}, bob)
		verify(t, d, provider, made.ID, got, "")
		if who, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(got)); err != nil || who.Subject != d.Users["bob"].ID {
			t.Errorf("%s: %+v %v", alg, who, err)
		}
	}
}

// goes has bob, who is signed in, go through a flow, and returns the tokens.
func goes(t *testing.T, cfg oauth2.Config, bob *person) *oauth2.Token {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	bob.open(cfg.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)))
	bob.press("allow", nil)
	got, err := cfg.Exchange(t.Context(), bob.at.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// goDevice: a device shows a code, and waits for the person.
func goDevice(t *testing.T, d *server.Demo, provider *oidc.Provider, bob *person) {
	bob.t = t
	made := register(t, d, map[string]any{"client_name": "Television", "scope": "openid offline_access documents:read", "token_endpoint_auth_method": "none",
		"grant_types": []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}})
	cfg := oauth2.Config{ClientID: made.ID, Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "documents:read"}}
	device := func(say string) (*oauth2.Token, error) {
		waits, err := cfg.DeviceAuth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bob.open(waits.VerificationURIComplete)
		bob.press("submit", map[string]string{"code": waits.UserCode})
		bob.press(say, map[string]string{"same": "yes"})
		waits.Interval = 1 // the library waits so long before it asks for the first time
		return cfg.DeviceAccessToken(t.Context(), waits)
	}
	got, err := device("allow")
	if err != nil {
		t.Fatal(err)
	}
	verify(t, d, provider, made.ID, got, "")
	opens(t, d, got)
	var refused *oauth2.RetrieveError
	if _, err := device("deny"); !errors.As(err, &refused) || refused.ErrorCode != "access_denied" {
		t.Error(err)
	}
}

// goToldOfSignOuts: go-oidc verifies what a program is told when somebody has signed out elsewhere.
func goToldOfSignOuts(t *testing.T, d *server.Demo, provider *oidc.Provider, bob *person) {
	bob.t = t
	told := make(chan string, 1)
	program := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.PostFormValue("logout_token") }))
	t.Cleanup(program.Close)
	made := register(t, d, map[string]any{"client_name": "Told", "redirect_uris": []string{back}, "scope": "openid", "token_endpoint_auth_method": "client_secret_basic",
		"grant_types": []string{"authorization_code"}, "backchannel_logout_uri": program.URL, "allow_private_address": true})
	got := goes(t, oauth2.Config{ClientID: made.ID, ClientSecret: made.Secret, Endpoint: provider.Endpoint(), RedirectURL: back, Scopes: []string{oidc.ScopeOpenID}}, bob)
	claims := verify(t, d, provider, made.ID, got, "")
	bob.open(d.Issuer + "/signout")
	bob.press("submit", nil)
	select {
	case text := <-told:
		end, err := provider.Verifier(&oidc.Config{ClientID: made.ID}).VerifyLogout(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		if end.Subject != d.Users["bob"].ID || end.SessionID == "" || end.SessionID != claims.Session {
			t.Errorf("%+v, of %+v", end, claims)
		}
	case <-time.After(10 * time.Second):
		t.Error("it is not told")
	}
}

// goClientCredentials: a program that asks for itself, in both ways to show a secret, and in the library's way to find out which.
func goClientCredentials(t *testing.T, d *server.Demo, provider *oidc.Provider) {
	for method, style := range map[string]oauth2.AuthStyle{"client_secret_basic": oauth2.AuthStyleInHeader, "client_secret_post": oauth2.AuthStyleInParams} {
		made := register(t, d, map[string]any{"client_name": method, "scope": "documents:read", "token_endpoint_auth_method": method, "grant_types": []string{"client_credentials"}})
		for _, style := range []oauth2.AuthStyle{style, oauth2.AuthStyleAutoDetect} {
			cfg := clientcredentials.Config{ClientID: made.ID, ClientSecret: made.Secret, TokenURL: provider.Endpoint().TokenURL, AuthStyle: style, Scopes: []string{"documents:read"}}
			got, err := cfg.Token(context.Background())
			if err != nil {
				t.Errorf("%s, style %d: %v", method, style, err)
				continue
			}
			opens(t, d, got)
		}
	}
}
