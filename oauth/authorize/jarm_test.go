package authorize

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// TestSignedAnswers: a client that wants its answers signed gets the whole answer, refusals too, in one text that says who it is by,
// for whom and until when, and nothing beside it (JARM §2.1).
func TestSignedAnswers(t *testing.T) {
	b, s := newBooks(t)
	key, err := token.GenerateKey(token.EdDSA) // whose signatures are the same each time
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	s.c.Signer = func(_ context.Context, realm string, alg token.Algorithm) (*token.Key, error) {
		asked = append(asked, realm+" "+string(alg))
		return key, nil
	}
	app := b.clients["main app"]
	app.Metadata.AnswerAlg = "EdDSA"
	b.clients["main app"] = app
	who := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_1", Name: "bob", Scheme: gatehouse.SchemeSession, SessionID: "ses_1", AuthTime: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	read := func(query string) (*Request, Answer) {
		t.Helper()
		r, err := s.Read(t.Context(), realm, query)
		var refused *Refusal
		if errors.As(err, &refused) {
			return nil, refused.Answer
		}
		if err != nil {
			t.Fatal(err)
		}
		return r, Answer{}
	}
	says := func(a Answer) (out map[string]any) {
		t.Helper()
		a, err := s.Finish(t.Context(), a)
		if err != nil || len(a.Params) != 1 || a.Params[0].Name != "response" {
			t.Fatalf("%+v %v", a, err)
		}
		shown, err := token.Peek(a.Params[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := key.Sign("", shown.Claims); err != nil || again != a.Params[0].Value {
			t.Errorf("not signed by the key: %v", err)
		}
		if err := json.Unmarshal(shown.Claims, &out); err != nil {
			t.Fatal(err)
		}
		if end := time.Unix(int64(out["exp"].(float64)), 0); out["iss"] != issuer || out["aud"] != "app" || out["state"] != "a b&c" || time.Until(end) > signedLife || time.Until(end) < signedLife-time.Minute {
			t.Errorf("%v", out)
		}
		return out
	}
	for mode, want := range map[string]string{"jwt": back + "&response=", "query.jwt": back + "&response=", "fragment.jwt": back + "#response=", "form_post.jwt": ""} {
		r, _ := read(with("response_mode=" + mode))
		a, err := s.Allow(t.Context(), r, who)
		if err != nil {
			t.Fatal(err)
		}
		if got := says(a); got["code"] != "gha_made_up" {
			t.Errorf("%s: %v", mode, got)
		}
		if a, err = s.Finish(t.Context(), a); err != nil || a.Posted() != (want == "") || want != "" && !strings.HasPrefix(a.Location(), want) || strings.Contains(a.Location(), "gha_made_up") {
			t.Errorf("%s: %s %v", mode, a.Location(), err)
		}
		if a, err = s.Deny(t.Context(), r, who); err != nil || says(a)["error"] != "access_denied" {
			t.Errorf("%s: %v", mode, err)
		}
		if _, a := read(with("response_mode="+mode, "scope=other")); says(a)["error"] != "invalid_scope" {
			t.Errorf("%s: refused in the clear", mode)
		}
	}
	if asked[0] != "main EdDSA" {
		t.Error(asked[0])
	}
	for _, mode := range []string{".jwt", "jwt.jwt", "query.jwt.jwt", "web_message.jwt"} {
		if r, a := read(with("response_mode=" + mode)); r != nil || a.sign != nil || a.Params[0].Value != "invalid_request" {
			t.Errorf("%s: %+v", mode, a)
		}
	}
	r, _ := read(with("response_mode=query"))
	plain, err := s.Allow(t.Context(), r, who)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := s.Finish(t.Context(), plain); err != nil || len(a.Params) != 3 {
		t.Errorf("%+v %v", a, err)
	}
	app.Metadata.AnswerAlg = "" // RS256, which the key is not for
	b.clients["main app"] = app
	r, _ = read(with("response_mode=jwt"))
	a, err := s.Allow(t.Context(), r, who)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(t.Context(), a); err == nil || asked[len(asked)-1] != "main RS256" {
		t.Errorf("by another algorithm: %v", err)
	}
	s.c.Signer = func(context.Context, string, token.Algorithm) (*token.Key, error) {
		return nil, gatehouse.E(gatehouse.Unavailable, "away", "")
	}
	if a, err := s.Finish(t.Context(), a); !errors.Is(err, gatehouse.Unavailable) || len(a.Params) != 0 {
		t.Errorf("unsigned: %+v %v", a, err)
	}
	if (client.Metadata{Flow: client.Flow{Profile: client.ProfileFAPI2}}).SignsAnswers() != token.ES256 {
		t.Error("FAPI signs by RS256")
	}
}
