#!/usr/bin/env bash
# lestrrat-go/jwx 3.3.0: a cached key set (jwk.Cache) is not fetched again for a token whose
# key id it does not have; a new key is refused until the next refresh, 15 minutes at least.
#
# Issuers rotate keys, and a cache is made to follow them: a good engineer expects one fetch
# for an unknown key id, as go-oidc, keyfunc, jwks-rsa, Nimbus and others do. Whoever uses this
# cache must refresh it himself (Cache.Refresh) when verification fails, and bound that.
# Gatehouse publishes a key for an hour before it signs with it.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
cat > go.mod <<'MOD'
module check
go 1.25
require (
	github.com/lestrrat-go/httprc/v3 v3.0.5
	github.com/lestrrat-go/jwx/v3 v3.3.0
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
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	ctx := context.Background()
	published, fetches := jwk.NewSet(), atomic.Int32{}
	rotate := func(kid string) jwk.Key {
		private := must(jwk.Import(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))))
		_, _ = private.Set("kid", kid), private.Set("alg", "ES256")
		_ = published.AddKey(must(private.PublicKey()))
		return private
	}
	first := rotate("first")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(published)
	}))
	defer server.Close()
	cache := must(jwk.NewCache(ctx, httprc.NewClient()))
	if err := cache.Register(ctx, server.URL); err != nil {
		panic(err)
	}
	set := must(cache.CachedSet(server.URL))
	try := func(what string, key jwk.Key) {
		token := must(jwt.NewBuilder().Subject("u").Expiration(time.Now().Add(time.Hour)).Build())
		_, err := jwt.Parse(must(jwt.Sign(token, jwt.WithKey(jwa.ES256(), key))), jwt.WithKeySet(set))
		fmt.Printf("%s: accepted %v, fetches %d\n", what, err == nil, fetches.Load())
	}
	try("the first key", first)
	second := rotate("second")
	try("a new key", second)
	must(cache.Refresh(ctx, server.URL))
	try("a new key, refreshed by hand", second)
}
GO
export GOFLAGS=-mod=mod GOTOOLCHAIN=local
go run . > seen 2> build || { cat build; exit 1; }
cat > want <<'WANT'
the first key: accepted true, fetches 1
a new key: accepted false, fetches 1
a new key, refreshed by hand: accepted true, fetches 2
WANT
cat seen
diff want seen
