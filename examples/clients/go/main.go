// Command clients reads one access token a line, and says what the library named
// in the first argument makes of it. Each function holds the lines that
// docs/clients.md gives for its library, and nothing that checks more.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/auth0/go-jwt-middleware/v2/jwks"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/lestrrat-go/jwx/v3/jwt/openid"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

var (
	issuer   = os.Getenv("ISSUER")
	audience = os.Getenv("AUDIENCE")
	keySet   = issuer + "/.well-known/jwks.json"
)

type check func(ctx context.Context, token string) error

func golangJWT(ctx context.Context) (check, error) {
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{keySet})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	return func(_ context.Context, token string) error {
		_, err := parser.Parse(token, keys.Keyfunc)
		return err
	}, nil
}

func coreosOIDC(ctx context.Context) (check, error) {
	verifier := gooidc.NewVerifier(issuer, gooidc.NewRemoteKeySet(ctx, keySet),
		&gooidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"ES256"}})
	return func(ctx context.Context, token string) error {
		_, err := verifier.Verify(ctx, token)
		return err
	}, nil
}

func auth0(context.Context) (check, error) {
	at, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	set, err := url.Parse(keySet)
	if err != nil {
		return nil, err
	}
	keys := jwks.NewCachingProvider(at, 5*time.Minute, jwks.WithCustomJWKSURI(set))
	v, err := validator.New(keys.KeyFunc, validator.ES256, issuer, []string{audience})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, token string) error {
		_, err := v.ValidateToken(ctx, token)
		return err
	}, nil
}

func jwx(ctx context.Context) (check, error) {
	keys, err := jwk.Fetch(ctx, keySet)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, token string) error {
		_, err := jwxjwt.ParseString(token, jwxjwt.WithKeySet(keys), jwxjwt.WithIssuer(issuer), jwxjwt.WithAudience(audience),
			jwxjwt.WithRequiredClaim("exp"), jwxjwt.WithToken(openid.New()))
		return err
	}, nil
}

func zitadel(context.Context) (check, error) {
	keys := rp.NewRemoteKeySet(http.DefaultClient, keySet)
	verifier := op.NewAccessTokenVerifier(issuer, keys, op.WithSupportedAccessTokenSigningAlgorithms("ES256"))
	return func(ctx context.Context, token string) error {
		claims, err := op.VerifyAccessToken[*oidc.AccessTokenClaims](ctx, token, verifier)
		if err != nil {
			return err
		}
		return oidc.CheckAudience(claims, audience)
	}, nil
}

func main() {
	ctx := context.Background()
	libraries := map[string]func(context.Context) (check, error){
		"golang-jwt": golangJWT, "go-oidc": coreosOIDC, "go-jwt-middleware": auth0, "jwx": jwx, "zitadel/oidc": zitadel,
	}
	make, ok := libraries[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such library:", os.Args[1])
		os.Exit(2)
	}
	accepts, err := make(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := accepts(ctx, lines.Text()); err != nil {
			fmt.Println("refused", strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		fmt.Println("accepted")
	}
}
