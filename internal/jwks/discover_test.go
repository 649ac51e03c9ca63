package jwks

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// site is a Fetcher with several documents.
type site struct {
	docs  map[string]string
	asked []string
}

func (s *site) Fetch(_ context.Context, address, _ string) ([]byte, http.Header, error) {
	s.asked = append(s.asked, address)
	body, ok := s.docs[address]
	if !ok {
		return nil, nil, errors.New("not found")
	}
	return []byte(body), http.Header{}, nil
}

// TestDiscovery: both places where metadata may be, and nothing from a document
// that speaks for another issuer.
func TestDiscovery(t *testing.T) {
	k := newKey(t)
	set := string(token.MarshalJWKSet([]*token.Key{k}))
	const keys = "https://keys.example/set?v=2"
	for name, c := range map[string]struct {
		issuer, at, doc string
		works           bool
	}{
		"openid":              {"https://i.example", "https://i.example/.well-known/openid-configuration", `{"issuer":"https://i.example","jwks_uri":"` + keys + `"}`, true},
		"openid with a path":  {"https://i.example/t/1", "https://i.example/t/1/.well-known/openid-configuration", `{"issuer":"https://i.example/t/1","jwks_uri":"` + keys + `"}`, true},
		"openid with a slash": {"https://i.example/t/", "https://i.example/t/.well-known/openid-configuration", `{"issuer":"https://i.example/t/","jwks_uri":"` + keys + `"}`, true},
		"oauth":               {"https://i.example", "https://i.example/.well-known/oauth-authorization-server", `{"issuer":"https://i.example","jwks_uri":"` + keys + `"}`, true},
		"oauth with a path":   {"https://i.example/t/1", "https://i.example/.well-known/oauth-authorization-server/t/1", `{"issuer":"https://i.example/t/1","jwks_uri":"` + keys + `"}`, true},
		"another issuer":      {"https://i.example", "https://i.example/.well-known/openid-configuration", `{"issuer":"https://evil.example","jwks_uri":"` + keys + `"}`, false},
		"issuer with a slash": {"https://i.example", "https://i.example/.well-known/openid-configuration", `{"issuer":"https://i.example/","jwks_uri":"` + keys + `"}`, false},
		"issuer in capitals":  {"https://i.example", "https://i.example/.well-known/openid-configuration", `{"ISSUER":"https://i.example","jwks_uri":"` + keys + `"}`, false},
		"no issuer":           {"https://i.example", "https://i.example/.well-known/openid-configuration", `{"jwks_uri":"` + keys + `"}`, false},
		"no keys":             {"https://i.example", "https://i.example/.well-known/openid-configuration", `{"issuer":"https://i.example"}`, false},
		"twice":               {"https://i.example", "https://i.example/.well-known/openid-configuration", `{"issuer":"https://i.example","jwks_uri":"` + keys + `","jwks_uri":"https://evil.example"}`, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &site{docs: map[string]string{c.at: c.doc, keys: set}}
			s, err := New(Config{Issuer: c.issuer, Discover: true, Fetcher: f, Algorithms: []token.Algorithm{token.ES256}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Key(k.KID, token.ES256); (err == nil) != c.works || err != nil && !errors.Is(err, gatehouse.Unavailable) {
				t.Errorf("%s: %v, asked %v", name, err, f.asked)
			}
			if !c.works && slices.Contains(f.asked, keys) {
				t.Errorf("%s: the keys are fetched all the same", name)
			}
		})
	}
}

// TestDiscoveryFollowsAMove: the address is asked for again after a day, and as
// soon as it gives nothing.
func TestDiscoveryFollowsAMove(t *testing.T) {
	old, fresh := newKey(t), newKey(t)
	const issuer, document = "https://i.example", "https://i.example/.well-known/openid-configuration"
	metadata := func(keys string) string { return `{"issuer":"` + issuer + `","jwks_uri":"` + keys + `"}` }
	synctest.Test(t, func(t *testing.T) {
		f := &site{docs: map[string]string{document: metadata("https://a.example"), "https://a.example": string(token.MarshalJWKSet([]*token.Key{old}))}}
		s, err := New(Config{Issuer: issuer, Discover: true, Fetcher: f, Algorithms: []token.Algorithm{token.ES256}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Key(old.KID, token.ES256); err != nil {
			t.Fatal(err)
		}
		_, _ = s.Key("invented", token.ES256)
		if n := len(f.asked); n != 3 {
			t.Errorf("asked %v: the document once would do", f.asked)
		}
		f.docs = map[string]string{document: metadata("https://b.example"), "https://b.example": string(token.MarshalJWKSet([]*token.Key{fresh}))}
		time.Sleep(cooldown)
		if _, err := s.Key(fresh.KID, token.ES256); !errors.Is(err, gatehouse.Unavailable) {
			t.Errorf("at the old address: %v", err)
		}
		time.Sleep(cooldown)
		if _, err := s.Key(fresh.KID, token.ES256); err != nil {
			t.Errorf("after the move: %v", err)
		}
	})
}
