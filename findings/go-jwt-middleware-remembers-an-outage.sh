#!/usr/bin/env bash
# auth0/go-jwt-middleware 2.3.1: an issuer that answers 503 once, with a JSON object
# as body, leaves the API without keys for the whole life of the cache.
#
# A good engineer expects that only a 200 is taken for a key set, and that a failure
# is tried again with the next token. CachingProvider does not look at the status: a
# problem document (RFC 9457) decodes as a set of no keys, and that is kept, here for
# an hour. One restart of the issuer behind a load balancer is enough. coreos/go-oidc
# 3.21.0 asks again at once.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > go.mod <<'MOD'
module finding
go 1.25
require (
	github.com/auth0/go-jwt-middleware/v2 v2.3.1
	github.com/coreos/go-oidc/v3 v3.21.0
	github.com/go-jose/go-jose/v4 v4.1.4
)
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/auth0/go-jwt-middleware/v2/jwks"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func main() {
	ctx := context.Background()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"}}}
	fetched := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched++
		if fetched == 1 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"title":"Service Unavailable","status":503}`)
			return
		}
		json.NewEncoder(w).Encode(public)
	}))
	defer server.Close()
	signer, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	token, _ := jwt.Signed(signer).Claims(jwt.Claims{Issuer: server.URL, Audience: jwt.Audience{"api"}, Subject: "u",
		Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))}).Serialize()

	at, _ := url.Parse(server.URL)
	keys := jwks.NewCachingProvider(at, time.Hour, jwks.WithCustomJWKSURI(at))
	middleware, _ := validator.New(keys.KeyFunc, validator.ES256, server.URL, []string{"api"})
	try("go-jwt-middleware", &fetched, func() error { _, err := middleware.ValidateToken(ctx, token); return err })

	fetched = 0
	verifier := oidc.NewVerifier(server.URL, oidc.NewRemoteKeySet(ctx, server.URL), &oidc.Config{ClientID: "api", SupportedSigningAlgs: []string{"ES256"}})
	try("go-oidc", &fetched, func() error { _, err := verifier.Verify(ctx, token); return err })
}

func try(name string, fetched *int, check func() error) {
	for n := 1; n <= 3; n++ {
		fmt.Printf("%s, token %d: accepted %t, key set fetched %d times\n", name, n, check() == nil, *fetched)
	}
}
GO
export GOFLAGS=-mod=mod
go run . > seen 2> build || { cat build; exit 1; }
cat > want <<'WANT'
go-jwt-middleware, token 1: accepted false, key set fetched 1 times
go-jwt-middleware, token 2: accepted false, key set fetched 1 times
go-jwt-middleware, token 3: accepted false, key set fetched 1 times
go-oidc, token 1: accepted false, key set fetched 1 times
go-oidc, token 2: accepted true, key set fetched 2 times
go-oidc, token 3: accepted true, key set fetched 2 times
WANT
cat seen
diff want seen
