package server

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/admin/client"
)

// SuiteConfiguration is the configuration of the conformance suite's plans, in the suite's own words.
type SuiteConfiguration struct {
	Alias       string                    `json:"alias"`
	Description string                    `json:"description"`
	Server      map[string]any            `json:"server"`
	Client      suiteClient               `json:"client"`
	Post        suiteClient               `json:"client_secret_post"`
	Client2     suiteClient               `json:"client2"`
	Browser     []suiteBrowser            `json:"browser"`
	Override    map[string]map[string]any `json:"override,omitempty"`
}

// suiteClient is a client in the suite's configuration; of one that registers itself the name alone counts.
type suiteClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret,omitempty"`
	Name   string `json:"client_name,omitempty"`
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

// register makes the clients that do not register themselves.
func (c *Conformance) register(ctx context.Context, api *client.Client) (map[string]suiteClient, error) {
	out := map[string]suiteClient{}
	for name, method := range map[string]string{"client": "client_secret_basic", "client_secret_post": "client_secret_post", "client2": "client_secret_basic"} {
		in := map[string]any{"client_name": "Suite " + name, "token_endpoint_auth_method": method,
			"grant_types": []string{"authorization_code", "refresh_token"}, "scope": "openid profile email address phone offline_access",
			// The suite's plans for OpenID Connect send no challenge, as many clients of that kind do not.
			"require_pkce": false, "redirect_uris": []string{c.at("/callback"), c.at("/callback?dummy1=lorem&dummy2=ipsum")},
			"post_logout_redirect_uris": []string{c.at("/post_logout_redirect")}}
		var made suiteClient
		if err := api.Do(ctx, "POST", "/realms/main/clients", in, &made); err != nil {
			return nil, err
		}
		made.Name = ""
		out[name] = made
	}
	return out, nil
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
		Client: made["client"], Post: made["client_secret_post"], Client2: made["client2"],
		Browser: []suiteBrowser{{Match: c.Issuer + "/authorize*", Tasks: []suiteTask{signIn, c.consent(), c.post(), arrived()}},
			{Match: c.Issuer + "/logout*", Tasks: []suiteTask{c.leave(), {Task: "Back at the client", Match: "*/test/*/post_logout*"}}}},
		Override: map[string]map[string]any{},
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
	return out
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

func arrived() suiteTask {
	return suiteTask{Task: "Back at the client", Match: "*/test/*/callback*", Commands: [][]any{{"wait", "id", "submission_complete", 10}}}
}
