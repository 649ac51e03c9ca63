package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/token"
)

// TestOpaqueTokens: the same life for random access tokens.
func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	d := demo(t)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"token_format":"opaque"}}`).want(t, "settings", 200)
	access, _ := login(t, d, "bob")
	if !strings.HasPrefix(access, "ght_") {
		t.Fatalf("not an opaque token: %d characters", len(access))
	}
	call(t, "GET", d.Gateway+"/private", "bearer", access).want(t, "opaque", 200)
	call(t, "GET", d.Gateway+"/private", "X-API-Key", access).want(t, "an opaque token is no API key", 401)
	call(t, "DELETE", d.Issuer+"/tokens", "bearer", access).want(t, "end", 204)
	call(t, "GET", d.Gateway+"/private", "bearer", access).want(t, "after the end", 401)
}

// TestForeignIssuer: tokens of an issuer that the realm trusts, by fixed rules.
func TestForeignIssuer(t *testing.T) {
	t.Parallel()
	d := demo(t)
	theirs, err := token.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	other, err := token.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	jwks := token.MarshalJWKSet([]*token.Key{theirs})
	settings, err := json.Marshal(map[string]any{"settings": map[string]any{"trusted_issuers": []any{map[string]any{
		"issuer": "https://idp.example", "audience": "https://api.example", "jwks": string(jwks), "algorithms": []string{"ES256"},
		"roles_claim": "groups", "role_map": map[string]string{"Editors": "user"}, "name_claim": "name"}}}})
	if err != nil {
		t.Fatal(err)
	}
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", string(settings)).want(t, "trust", 200)
	claims := func(change func(map[string]any)) []byte {
		c := map[string]any{"iss": "https://idp.example", "aud": "https://api.example", "sub": "42", "iat": time.Now().Unix(),
			"exp": time.Now().Add(time.Minute).Unix(), "jti": fmt.Sprint(time.Now().UnixNano()), "groups": []string{"Editors", "admin"}, "name": "Eve",
			"scope": "documents:read *", "client_id": "app"}
		if change != nil {
			change(c)
		}
		b, _ := json.Marshal(c)
		return b
	}
	sign := func(k *token.Key, change func(map[string]any)) string {
		s, err := k.Sign(token.TypeAccess, claims(change))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := sign(theirs, nil)
	call(t, "GET", d.Gateway+"/private", "bearer", good).want(t, "their token", 200)
	call(t, "POST", d.Gateway+"/documents", "bearer", good, "body", `{"title":"by an editor"}`).want(t, "a mapped role counts", 201)
	call(t, "DELETE", d.Gateway+"/documents/doc_1", "bearer", good).want(t, "an unmapped role grants nothing", 404)
	call(t, "GET", d.Issuer+"/admin/v1/realms/main/users", "bearer", good).want(t, "foreigners do not administer", 403)
	for name, bad := range map[string]string{
		"another key":     sign(other, nil),
		"wrong audience":  sign(theirs, func(c map[string]any) { c["aud"] = "https://other.example" }),
		"unknown issuer":  sign(theirs, func(c map[string]any) { c["iss"] = "https://idp.example.evil" }),
		"expired":         sign(theirs, func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }),
		"without expiry":  sign(theirs, func(c map[string]any) { delete(c, "exp") }),
		"as our own":      sign(theirs, func(c map[string]any) { c["iss"] = d.Issuer; c["aud"] = d.Issuer; c["sub"] = d.Users["alice"].ID }),
		"not yet valid":   sign(theirs, func(c map[string]any) { c["nbf"] = time.Now().Add(time.Hour).Unix() }),
		"without subject": sign(theirs, func(c map[string]any) { delete(c, "sub") }),
	} {
		call(t, "GET", d.Gateway+"/private", "bearer", bad).want(t, name, 401)
	}
	// Trust that is taken away is gone, for tokens that were seen before too.
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/main", "bearer", d.AdminToken, "body", `{"settings":{"trusted_issuers":null}}`).want(t, "distrust", 200)
	call(t, "GET", d.Gateway+"/private", "bearer", good).want(t, "after the trust ended", 401)
}

// TestRealmsAreApart: nothing of one realm opens another.
func TestRealmsAreApart(t *testing.T) {
	t.Parallel()
	d := demo(t)
	as := []string{"bearer", d.AdminToken}
	call(t, "POST", d.Issuer+"/admin/v1/realms", append(as, "body", `{"name":"shop"}`)...).want(t, "realm", 201)
	made := call(t, "POST", d.Issuer+"/admin/v1/realms/shop/users", append(as, "body", `{"username":"bob","password":"`+d.Users["bob"].Password+`"}`)...).want(t, "user", 201)
	if made.json["user"] == nil {
		t.Fatal(made.body)
	}
	in := call(t, "POST", d.Issuer+"/realms/shop/tokens", "basic", "bob:"+d.Users["bob"].Password).want(t, "log in at the shop", 200)
	shop, _ := in.json["access_token"].(string)
	call(t, "GET", d.Gateway+"/private", "bearer", shop).want(t, "a shop token at main", 401)
	main, _ := login(t, d, "bob")
	call(t, "DELETE", d.Issuer+"/realms/shop/tokens", "bearer", main).want(t, "a main token at the shop", 401)
	call(t, "GET", d.Issuer+"/admin/v1/realms/main/users", "bearer", shop).want(t, "shop token at main's administration", 401)
	if a, b := call(t, "GET", d.Issuer+"/.well-known/jwks.json"), call(t, "GET", d.Issuer+"/realms/shop/.well-known/jwks.json"); a.body == b.body || b.status != 200 {
		t.Errorf("one key set for two realms: %d", b.status)
	}
	// A cut-off of the whole realm ends its tokens and no other's.
	call(t, "POST", d.Issuer+"/admin/v1/realms/main/revocations", append(as, "body", `{"kind":"realm"}`)...).want(t, "cut off main", 201)
	call(t, "GET", d.Gateway+"/private", "bearer", main).want(t, "main is cut off", 401)
	call(t, "DELETE", d.Issuer+"/realms/shop/tokens", "bearer", shop).want(t, "the shop is not", 204)

}

// TestSigningKeyRemoved: every token of a removed key is refused at once.
func TestSigningKeyRemoved(t *testing.T) {
	t.Parallel()
	d := demo(t)
	keys := d.Issuer + "/admin/v1/realms/main/signing-keys"
	old, _ := login(t, d, "bob")
	call(t, "POST", keys+"/rotate", "bearer", d.AdminToken, "body", `{"now":true}`).want(t, "rotate", 201)
	list := call(t, "GET", keys, "bearer", d.AdminToken).want(t, "list", 200)
	var kid string
	for _, raw := range list.json["items"].([]any) {
		if k := raw.(map[string]any); k["state"] == "retired" {
			kid, _ = k["kid"].(string)
		}
	}
	call(t, "GET", d.Gateway+"/private", "bearer", old).want(t, "signed by the retired key", 200)
	call(t, "DELETE", keys+"/"+kid, "bearer", d.AdminToken).want(t, "remove", 204)
	call(t, "GET", d.Gateway+"/private", "bearer", old).want(t, "signed by the removed key", 401)
	next, _ := login(t, d, "bob")
	call(t, "GET", d.Gateway+"/private", "bearer", next).want(t, "signed by the new key", 200)
}

// TestDisabledRealmPublishesNothing: what is published follows a change of the
// realm at once, although it is kept in memory.
func TestDisabledRealmPublishesNothing(t *testing.T) {
	t.Parallel()
	d := demo(t)
	as := []string{"bearer", d.AdminToken}
	jwks := d.Issuer + "/realms/shop/.well-known/jwks.json"
	call(t, "GET", jwks).want(t, "before there is a realm", 404)
	call(t, "POST", d.Issuer+"/admin/v1/realms", append(as, "body", `{"name":"shop"}`)...).want(t, "realm", 201)
	for range 2 {
		call(t, "GET", jwks).want(t, "published", 200)
	}
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/shop", append(as, "body", `{"disabled":true}`)...).want(t, "disable", 200)
	call(t, "GET", jwks).want(t, "disabled", 404)
	call(t, "PATCH", d.Issuer+"/admin/v1/realms/shop", append(as, "body", `{"disabled":false}`)...).want(t, "enable", 200)
	call(t, "GET", jwks).want(t, "enabled", 200)
}
