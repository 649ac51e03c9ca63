#!/usr/bin/env bash
# lestrrat-go/jwx 3.3.0 verifies no token with a key set whose keys do not say "alg",
# although the key's id fits; the error says that no key matches.
#
# "alg" is optional in a key (RFC 7517 §4.4), some providers leave it out, and the type
# and curve of an EC or Ed25519 key allow one algorithm only. A good engineer expects
# jwt.WithKeySet to find the key by its id. It takes jws.WithInferAlgorithmFromKey(true)
# beside the set. Gatehouse's key sets say "alg" in every key.
set -euo pipefail
dir=$(mktemp -d); trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT; cd "$dir"
cat > go.mod <<'MOD'
module check
go 1.25
require github.com/lestrrat-go/jwx/v3 v3.3.0
MOD
cat > main.go <<'GO'
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	signing := must(jwk.Import(private))
	_ = signing.Set("kid", "k1")
	token := must(jwt.NewBuilder().Subject("u").Expiration(time.Now().Add(time.Hour)).Build())
	signed := must(jwt.Sign(token, jwt.WithKey(jwa.ES256(), signing)))
	for _, says := range []bool{true, false} {
		public := must(jwk.Import(&private.PublicKey))
		_ = public.Set("kid", "k1")
		if says {
			_ = public.Set("alg", "ES256")
		}
		set := jwk.NewSet()
		_ = set.AddKey(public)
		for _, infer := range []bool{false, true} {
			var options []any
			if infer {
				options = append(options, jws.WithInferAlgorithmFromKey(true))
			}
			_, err := jwt.Parse(signed, jwt.WithKeySet(set, options...))
			seen := "accepted"
			if err != nil {
				seen = "refused"
				seen += ": " + err.Error()[strings.LastIndex(err.Error(), ": ")+2:]
			}
			fmt.Printf("alg in the key: %v, inferred: %v: %s\n", says, infer, seen)
		}
	}
}
GO
export GOFLAGS=-mod=mod GOTOOLCHAIN=local
go run . > seen 2> build || { cat build; exit 1; }
cat > want <<'WANT'
alg in the key: true, inferred: false: accepted
alg in the key: true, inferred: true: accepted
alg in the key: false, inferred: false: refused: no matching keys were provided by any key provider
alg in the key: false, inferred: true: accepted
WANT
cat seen
diff want seen
