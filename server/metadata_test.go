package server_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/server"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestMetadataPromises asks everything that a realm's metadata name: each endpoint is there, each grant type is known, and a client is
// let in by each method. The three addresses of a realm give one document, which follows its settings.
func TestMetadataPromises(t *testing.T) {
	d := demoOn(t, server.StoreConfig{})
	admin := func(method, path, body string, status int) answer {
		t.Helper()
		return call(t, method, d.Issuer+"/admin/v1"+path, "bearer", d.AdminToken, "body", body).want(t, method+" "+path, status)
	}
	admin("POST", "/realms", `{"name":"shop","settings":{"scopes":{"read":"Read"}}}`, 201)
	for realm, paths := range map[string][]string{
		"main": {"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"},
		"shop": {"/.well-known/oauth-authorization-server/realms/shop", "/.well-known/openid-configuration/realms/shop", "/realms/shop/.well-known/openid-configuration"},
	} {
		issuer := d.Issuer
		if realm != "main" {
			issuer += "/realms/" + realm
		}
		first := call(t, "GET", d.Issuer+paths[0]).want(t, paths[0], 200)
		tag := first.header.Get("ETag")
		for _, path := range paths {
			a := call(t, "GET", d.Issuer+path).want(t, path, 200)
			if a.text("issuer") != issuer || string(a.body) != string(first.body) || a.header.Get("ETag") != tag || a.header.Get("Access-Control-Allow-Origin") != "*" ||
				a.header.Get("Access-Control-Allow-Credentials") != "" || !strings.HasPrefix(a.header.Get("Cache-Control"), "public, max-age=") {
				t.Errorf("%s: %v %s", path, a.header, a.body)
			}
			call(t, "GET", d.Issuer+path, "If-None-Match", tag).want(t, path+", known", 304)
		}
		m := first.json
		endpoints := 0
		for name, value := range m {
			address, _ := value.(string)
			if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
				continue
			}
			endpoints++
			if !strings.HasPrefix(address, issuer+"/") {
				t.Errorf("%s is %s", name, address)
			}
			get, post := call(t, "GET", address), call(t, "POST", address, "Content-Type", "application/x-www-form-urlencoded", "body", "")
			if get.status == 404 || post.status == 404 || get.status == 405 && post.status == 405 || get.status >= 500 || post.status >= 500 {
				t.Errorf("%s: %d and %d", name, get.status, post.status)
			}
		}
		if methods := fmt.Sprint(m["code_challenge_methods_supported"]); methods != "[S256]" || m["authorization_response_iss_parameter_supported"] != true { // RFC 9700 §2.1.1, §2.1
			t.Errorf("PKCE by %s, and iss: %v", methods, m["authorization_response_iss_parameter_supported"])
		}
		if endpoints < 6 {
			t.Errorf("%d endpoints", endpoints)
		}
		for _, name := range []string{"response_types_supported", "grant_types_supported"} { // what is left out means something else (RFC 8414 §2)
			if _, there := m[name].([]any); !there {
				t.Errorf("%s does not say %s", realm, name)
			}
		}
		signs := &robot{issuer: issuer, key: newSigner(t, token.ES256)}
		register := func(method string) (id, secret string) {
			more := ""
			grants := "client_credentials"
			if method == "none" { // it asks for nobody but people
				grants, more = "authorization_code", `,"redirect_uris":["https://app.example/cb"]`
			}
			if method == "private_key_jwt" {
				more = `,"jwks":` + string(token.MarshalJWKSet([]*token.Key{signs.key}))
			}
			c := admin("POST", "/realms/"+realm+"/clients", `{"client_name":"Robot","token_endpoint_auth_method":"`+method+`","grant_types":["`+grants+`"]`+more+`}`, 201)
			return c.text("client_id"), c.text("client_secret")
		}
		ask := func(endpoint, method, id, secret, form string) answer {
			header := []string{"Content-Type", "application/x-www-form-urlencoded"}
			switch method {
			case "client_secret_basic":
				header = append(header, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
			case "client_secret_post":
				form += "&client_id=" + id + "&client_secret=" + secret
			case "none":
				form = strings.Replace(form, "client_credentials", "none", 1) + "&client_id=" + id
			case "private_key_jwt":
				signs.id = id
				form = signs.asks(t) + "&token=x"
			default:
				t.Errorf("%s: who tries %s?", realm, method)
			}
			return call(t, "POST", m[endpoint].(string), append(header, "body", form)...)
		}
		for _, endpoint := range []string{"token", "introspection", "revocation"} {
			if algs, _ := m[endpoint+"_endpoint_auth_signing_alg_values_supported"].([]any); !slices.Contains(algs, any("ES256")) || slices.Contains(algs, any("HS256")) || slices.Contains(algs, any("none")) {
				t.Errorf("%s: %v", endpoint, algs)
			}
			methods, _ := m[endpoint+"_endpoint_auth_methods_supported"].([]any)
			if len(methods) == 0 {
				t.Errorf("%s has no methods for %s", realm, endpoint)
			}
			for _, method := range methods {
				id, secret := register(method.(string))
				if a := ask(endpoint+"_endpoint", method.(string), id, secret, "grant_type=client_credentials&token=x"); a.status != 200 && !(method == "none" && endpoint == "token" && a.text("error") == "unsupported_grant_type") {
					t.Errorf("%s by %s: %d %s", endpoint, method, a.status, a.body)
				}
			}
		}
		id, secret := register("client_secret_basic")
		for _, grant := range m["grant_types_supported"].([]any) {
			if a := ask("token_endpoint", "client_secret_basic", id, secret, "grant_type="+url.QueryEscape(grant.(string))); a.text("error") == "unsupported_grant_type" {
				t.Errorf("%s is named and not known: %s", grant, a.body)
			}
		}
	}
	// What is changed is seen at the next question, under another tag.
	path := d.Issuer + "/.well-known/oauth-authorization-server/realms/shop"
	before := call(t, "GET", path).header.Get("ETag")
	admin("PATCH", "/realms/shop", `{"settings":{"scopes":{"read":"Read","write":"Write"}}}`, 200)
	after := call(t, "GET", path, "If-None-Match", before).want(t, "after a change", 200)
	if scopes, _ := after.json["scopes_supported"].([]any); !slices.Equal(scopes, []any{"address", "email", "offline_access", "openid", "phone", "profile", "read", "write"}) || after.header.Get("ETag") == before {
		t.Errorf("%v %s", after.header, after.body)
	}
}
