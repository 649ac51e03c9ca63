package authorize

import (
	"context"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// modeJWT is the response mode of signed answers (JARM §2.3): by itself that of response_type code, and behind the name of
// another mode and a dot.
const modeJWT = "jwt"

// signedLife is how long a signed answer counts, which the client reads at once (JARM §2.1).
const signedLife = 5 * time.Minute

// signing is what a signed answer needs besides its parameters.
type signing struct {
	realm, client string
	alg           token.Algorithm
}

// signedMode divides a response mode into how the answer gets to the client and whether it is signed.
func signedMode(mode string) (plain string, signed bool) {
	if mode == modeJWT {
		return modeQuery, true
	}
	return strings.CutSuffix(mode, "."+modeJWT)
}

// Finish signs an answer where the client wants that, and leaves others as they are.
func (s *Service) Finish(ctx context.Context, a Answer) (Answer, error) {
	if a.sign == nil {
		return a, nil
	}
	claims := map[string]any{"aud": a.sign.client, "exp": s.c.Now().Add(signedLife).Unix()}
	for _, p := range a.Params { // iss is one of them
		claims[p.Name] = p.Value
	}
	text, err := json.Marshal(claims, json.Deterministic(true))
	if err != nil {
		return Answer{}, err
	}
	key, err := s.c.Signer(ctx, a.sign.realm, a.sign.alg)
	if err != nil {
		return Answer{}, err
	}
	if key.Algorithm != a.sign.alg { // the client would refuse it
		return Answer{}, gatehouse.ErrInternal
	}
	jwt, err := key.Sign("", text)
	if err != nil {
		return Answer{}, err
	}
	a.Params, a.sign = []Param{{"response", jwt}}, nil
	return a, nil
}
