package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gatehouse-auth/gatehouse/admin/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// SuiteConfiguration is the configuration of the conformance suite's plans, in the suite's own words.
type SuiteConfiguration struct {
	Alias       string                    `json:"alias"`
	Description string                    `json:"description"`
	Server      map[string]any            `json:"server"`
	Resource    map[string]string         `json:"resource,omitempty"`
	Client      suiteClient               `json:"client"`
	Post        suiteClient               `json:"client_secret_post,omitzero"`
	Client2     suiteClient               `json:"client2"`
	MTLS        *suiteCertificate         `json:"mtls,omitempty"`
	MTLS2       *suiteCertificate         `json:"mtls2,omitempty"`
	Browser     []suiteBrowser            `json:"browser"`
	Override    map[string]map[string]any `json:"override,omitempty"`
}

// suiteClient is a client in the suite's configuration; of one that registers itself the name alone counts.
type suiteClient struct {
	ID     string          `json:"client_id"`
	Secret string          `json:"client_secret,omitempty"`
	Name   string          `json:"client_name,omitempty"`
	Keys   json.RawMessage `json:"jwks,omitempty"` // private: the suite signs by them
	Scope  string          `json:"scope,omitempty"`
	DPoP   string          `json:"dpop_signing_alg,omitempty"`
}

// suiteBrowser tells the suite's browser what to do at addresses that match.
type suiteBrowser struct {
	Match string      `json:"match"`
	Tasks []suiteTask `json:"tasks"`
}

type suiteTask struct {
	Task     string  `json:"task"`
	Match    string  `json:"match"`
	Optional bool    `json:"optional,omitempty"`
	Commands [][]any `json:"commands,omitempty"`
}

// at is an address of the suite for the plans of this configuration.
func (c *Conformance) at(path string) string { return c.cfg.Suite + "test/a/" + c.cfg.Alias + path }

// suiteClients are the clients that are registered for the suite, by their names in its configuration.
func suiteClients() []string { return []string{"client", "client2", "client_secret_post"} }

// register makes the clients that do not register themselves.
func (c *Conformance) register(ctx context.Context, api *client.Client) (map[string]suiteClient, error) {
	out := map[string]suiteClient{}
	var err error
	for _, name := range suiteClients() {
		if c.cfg.FAPI2 {
			out[name], err = c.registerFAPI2(ctx, api, name)
		} else {
			out[name], err = c.registerOpenID(ctx, api, name)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *Conformance) registerOpenID(ctx context.Context, api *client.Client, name string) (suiteClient, error) {
	in := c.metadata(name)
	in["scope"] = "openid profile email address phone offline_access"
	in["require_pkce"] = false // the suite's plans for OpenID Connect send no challenge, as many clients of that kind do not
	if in["token_endpoint_auth_method"] = "client_secret_basic"; name == "client_secret_post" {
		in["token_endpoint_auth_method"] = name
	}
	switch c.cfg.Logout { // a plan takes calls to no address but its own
	case SuiteBack:
		in["backchannel_logout_uri"], in["backchannel_logout_session_required"] = c.at("/backchannel_logout"), true
	case SuiteFront:
		in["frontchannel_logout_uri"], in["frontchannel_logout_session_required"] = c.at("/frontchannel_logout"), true
	}
	return c.create(ctx, api, in)
}

// The channels of [ConformanceConfig.Logout].
const (
	SuiteBack  = "back"
	SuiteFront = "front"
)

// suiteFAPI2 is by what clients that are held to FAPI 2.0 sign, and what they ask for.
const suiteFAPI2, suiteScope = token.ES256, "openid offline_access"

func (c *Conformance) registerFAPI2(ctx context.Context, api *client.Client, name string) (suiteClient, error) {
	key, err := token.GenerateKey(suiteFAPI2)
	if err != nil {
		return suiteClient{}, err
	}
	private, err := key.MarshalPrivate()
	if err != nil {
		return suiteClient{}, err
	}
	in := c.metadata(name)
	in["profile"], in["token_endpoint_auth_method"], in["scope"] = "fapi2", "private_key_jwt", suiteScope
	in["jwks"], in["id_token_signed_response_alg"] = json.RawMessage(token.MarshalJWKSet([]*token.Key{key})), suiteFAPI2
	if c.cfg.ClientAuth == suiteMTLS { // its keys sign requests
		in["token_endpoint_auth_method"], in["tls_client_auth_san_dns"], in["request_object_signing_alg"] = "tls_client_auth", suiteName(name), suiteFAPI2
	}
	if c.cfg.SenderConstrain == suiteMTLS {
		in["tls_client_certificate_bound_access_tokens"] = true
	}
	made, err := c.create(ctx, api, in)
	made.Keys, made.Scope, made.DPoP = slices.Concat([]byte(`{"keys":[`), private, []byte(`]}`)), suiteScope, string(suiteFAPI2)
	return made, err
}

// metadata is what all clients of the suite have.
func (c *Conformance) metadata(name string) map[string]any {
	return map[string]any{"client_name": "Suite " + name, "grant_types": []string{"authorization_code", "refresh_token"},
		"redirect_uris":             []string{c.at("/callback"), c.at("/callback?dummy1=lorem&dummy2=ipsum")},
		"post_logout_redirect_uris": []string{c.at("/post_logout_redirect")}}
}

func (c *Conformance) create(ctx context.Context, api *client.Client, in map[string]any) (made suiteClient, err error) {
	var out struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	err = api.Do(ctx, "POST", "/realms/main/clients", in, &out)
	return suiteClient{ID: out.ID, Secret: out.Secret, Name: fmt.Sprint(in["client_name"])}, err
}

// suite is the configuration: how the suite's browser goes through our pages, by the ids of their parts.
func (c *Conformance) suite(password string, made map[string]suiteClient) SuiteConfiguration {
	walk := func(tasks ...suiteTask) map[string]any {
		return map[string]any{"browser": []suiteBrowser{{Match: c.Issuer + "/authorize*", Tasks: tasks}}}
	}
	signIn := c.signIn(password)
	again, shown := signIn, suiteTask{Task: "The page says what is wrong", Match: c.Issuer + "/authorize*", Commands: seen("phrase")}
	again.Commands = append(seen("signin"), signIn.Commands...)
	out := SuiteConfiguration{
		Alias: c.cfg.Alias, Description: "Gatehouse", Server: map[string]any{"discoveryUrl": c.Issuer + "/.well-known/openid-configuration",
			// Of our own, beside those that specifications name.
			"allow_unexpected_metadata_fields": []string{"gatehouse_tokens_endpoint", "gatehouse_tokens_refresh_endpoint"}},
		Client: made["client"], Client2: made["client2"],
		Browser: []suiteBrowser{{Match: c.Issuer + "/authorize*", Tasks: []suiteTask{signIn, c.consent(), c.post(), arrived()}},
			{Match: c.Issuer + "/logout*", Tasks: []suiteTask{c.leave(), c.onward(), {Task: "Back at the client", Match: "*/test/*/post_logout*"}}}},
		Override: map[string]map[string]any{},
	}
	if c.cfg.FAPI2 {
		out.Resource = map[string]string{"resourceUrl": c.Issuer + "/userinfo"}
		if c.cfg.SenderConstrain == suiteMTLS { // where a certificate is asked for
			out.Resource["resourceUrl"] = c.server.aliases + "/userinfo"
		}
	} else {
		out.Post = made["client_secret_post"]
	}
	for _, module := range []string{"oidcc-prompt-login", "oidcc-max-age-1"} {
		out.Override[module] = walk(again, c.consent(), c.post(), arrived())
	}
	leaves := func(last suiteTask) map[string]any {
		return map[string]any{"browser": []suiteBrowser{out.Browser[0], {Match: c.Issuer + "/logout*", Tasks: []suiteTask{c.leave(), last}}}}
	}
	for _, module := range []string{"no-params", "no-post-logout-redirect-uri", "only-state"} {
		out.Override["oidcc-rp-initiated-logout-"+module] = leaves(suiteTask{Task: "Signed out", Match: c.Issuer + "/signedout*", Commands: seen("again")})
	}
	for _, module := range []string{"bad-post-logout-redirect-uri", "query-added-to-post-logout-redirect-uri", "modified-id-token-hint", "bad-id-token-hint", "no-id-token-hint"} {
		out.Override["oidcc-rp-initiated-logout-"+module] = leaves(suiteTask{Task: "The page says what is wrong", Match: c.Issuer + "/logout*", Commands: seen("phrase")})
	}
	for _, module := range []string{"oidcc-ensure-registered-redirect-uri", "oidcc-ensure-redirect-uri-in-authorization-request",
		"oidcc-redirect-uri-query-added", "oidcc-redirect-uri-query-mismatch", "oidcc-ensure-request-object-with-redirect-uri"} {
		out.Override[module] = walk(shown)
	}
	for module, tasks := range c.fapi(signIn, shown) {
		out.Override["fapi2-security-profile-final-"+module] = walk(tasks...)
	}
	return out
}

// fapi are the modules of FAPI 2.0 in which the person says no, or is shown what is wrong.
func (c *Conformance) fapi(signIn, shown suiteTask) map[string][]suiteTask {
	return map[string][]suiteTask{
		"par-attempt-to-use-expired-request_uri":              {shown},
		"par-attempt-to-use-request_uri-for-different-client": {shown},
		"user-rejects-authentication":                         {signIn, {Task: "Say no", Match: c.Issuer + "/authorize*", Commands: [][]any{{"click", "id", "deny"}}}, arrived()},
	}
}

// seen tells the suite that a page which it wants a picture of is there.
func seen(id string) [][]any {
	return [][]any{{"wait", "id", id, 10, "[^ ]", "update-image-placeholder-optional"}}
}

// signIn begins wherever the pages do: who signs in again is asked for the password alone.
func (c *Conformance) signIn(password string) suiteTask {
	return suiteTask{Task: "Sign in", Match: c.Issuer + "/signin*", Optional: true, Commands: [][]any{
		{"text", "css", "#identifier:not([readonly])", conformancePerson, "optional"},
		{"click", "id", "continue", "optional"},
		{"wait", "id", "password", 10},
		{"text", "id", "password", password},
		{"click", "id", "submit"},
	}}
}

func (c *Conformance) consent() suiteTask {
	return suiteTask{Task: "Allow", Match: c.Issuer + "/authorize*", Optional: true, Commands: [][]any{{"click", "id", "allow", "optional"}}}
}

// post sends the form in which an answer is (OAuth 2.0 Form Post Response Mode), since no script does.
func (c *Conformance) post() suiteTask {
	return suiteTask{Task: "Go on to the client", Match: c.Issuer + "/authorize*", Optional: true, Commands: [][]any{{"click", "id", "continue", "optional"}}}
}

// leave says that the person means to sign out, where that is asked.
func (c *Conformance) leave() suiteTask {
	return suiteTask{Task: "Sign out", Match: c.Issuer + "/logout*", Optional: true, Commands: [][]any{{"click", "id", "submit", "optional"}}}
}

// onward goes on from the page that has clients told in frames, where the browser does not by itself.
func (c *Conformance) onward() suiteTask {
	return suiteTask{Task: "Go on", Match: c.Issuer + "/logout*", Optional: true, Commands: [][]any{{"click", "id", "continue", "optional"}}}
}

func arrived() suiteTask {
	return suiteTask{Task: "Back at the client", Match: "*/test/*/callback*", Commands: [][]any{{"wait", "id", "submission_complete", 30}}}
}
