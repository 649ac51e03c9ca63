package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/client"
)

// tokens are access tokens that nobody has seen, made before each turn.
type tokens struct {
	demo demo
	gh   *process
	made []string
}

func (t *tokens) mint(ctx context.Context, n int) error {
	t.made = t.made[:0]
	for len(t.made) < n {
		token, err := t.demo.mint(ctx)
		if err != nil {
			return fmt.Errorf("token %d: %w", len(t.made), err)
		}
		t.made = append(t.made, token)
	}
	// Neither making them nor sequencing their events is part of the cost.
	_, err := (&benchCase{parts: []part{{"gatehouse", t.gh}}}).rest(ctx)
	return err
}

func (t *tokens) next(next func(int) *http.Request) func(int) *http.Request {
	return func(i int) *http.Request {
		r := next(i)
		r.Header.Set("Authorization", "Bearer "+t.made[i])
		return r
	}
}

// mint gets an access token of alice's from POST /tokens.
func (d demo) mint(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", d.Issuer+"/tokens", nil)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth("alice", d.Users["alice"].Password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.AccessToken == "" {
		return "", fmt.Errorf("POST /tokens: %s", resp.Status)
	}
	return out.AccessToken, nil
}

// asking registers an API that asks what a token stands for, and asks.
func (d demo) asking(ctx context.Context, token string) (func(int) *http.Request, error) {
	api, err := client.New(d.Issuer, gatehouse.Secret(d.AdminToken))
	if err != nil {
		return nil, err
	}
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := api.Do(ctx, "POST", "/realms/main/clients", map[string]any{"client_name": "API", "token_endpoint_auth_method": "client_secret_basic",
		"grant_types": []string{"client_credentials"}, "introspection_audiences": []string{d.Issuer}}, &made); err != nil {
		return nil, fmt.Errorf("a client: %w", err)
	}
	form := url.Values{"token": {token}}.Encode()
	return func(int) *http.Request {
		r, _ := http.NewRequest("POST", d.Issuer+"/introspect", strings.NewReader(form))
		r.SetBasicAuth(made.ID, made.Secret)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}, nil
}

// otherAlgorithms are the cases whose tokens are signed with something else than
// the default, to which the bound belongs. Each has a server of its own: the key set of the first stays as a
// user finds it.
func (b *testbed) otherAlgorithms(ctx context.Context) ([]*benchCase, error) {
	var cases []*benchCase
	for _, alg := range []struct{ name, algorithm, title string }{{"gateway-jwt-new-ed25519", "Ed25519", "Ed25519"}, {"gateway-jwt-new-rs256", "RS256", "RS256, 3072"}} {
		if !b.wants(alg.name) {
			continue
		}
		gh, d, err := b.startDemo(ctx, alg.algorithm)
		if err != nil {
			return nil, err
		}
		if err := d.sign(ctx, alg.algorithm); err != nil {
			return nil, fmt.Errorf("%s: %w", alg.algorithm, err)
		}
		fresh := &tokens{demo: d, gh: gh}
		cases = append(cases, &benchCase{name: alg.name, title: "Gatehouse, each JWT new (" + alg.title + ")", kind: kindOurs, parts: []part{{"gatehouse", gh}},
			want: 200, next: fresh.next(get(d.Gateway, "/private")), prepare: fresh.mint, floor: "proxy"})
	}
	return cases, nil
}

// sign makes the demo sign with another algorithm from now on, and looks at a
// token whether it does.
func (d demo) sign(ctx context.Context, algorithm string) error {
	api, err := client.New(d.Issuer, gatehouse.Secret(d.AdminToken))
	if err != nil {
		return err
	}
	if err := api.Do(ctx, "PATCH", "/realms/main", map[string]any{"settings": map[string]any{"signing_algorithm": algorithm}}, nil); err != nil {
		return err
	}
	if err := api.Do(ctx, "POST", "/realms/main/signing-keys/rotate", map[string]any{"now": true}, nil); err != nil {
		return err
	}
	token, err := d.mint(ctx)
	if err != nil {
		return err
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	head, _, _ := strings.Cut(token, ".")
	if raw, err := base64.RawURLEncoding.DecodeString(head); err != nil || json.Unmarshal(raw, &header) != nil ||
		header.Algorithm != algorithm && !(algorithm == "Ed25519" && header.Algorithm == "EdDSA") {
		return fmt.Errorf("a token is signed with %q", header.Algorithm)
	}
	return nil
}
