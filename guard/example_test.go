package guard_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/enforce"
	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/token"
)

// A resource server that verifies access tokens by itself: it knows its issuer,
// its own audience and the rules of its routes.
func ExampleNewRemote() {
	// In real life the issuer has the key, and the guard fetches its public half.
	key, err := token.GenerateKey("ES256")
	if err != nil {
		panic(err)
	}
	g, err := guard.NewRemote(guard.RemoteConfig{
		Issuer:   "https://auth.example",
		Audience: "https://api.example",
		JWKS:     append(append([]byte(`{"keys":[`), key.PublicJWK()...), `]}`...),
		Routes: []enforce.Route{
			{Pattern: "GET /hello", Anonymous: true},
			{Pattern: "GET /notes/{owner}", Scopes: []string{"notes:read"}},
		},
		Logger:   slog.New(slog.DiscardHandler),
		Policies: `permit (principal, action == Action::"read", resource is Notes) when { resource.owner == principal };`,
	})
	if err != nil {
		panic(err)
	}
	defer g.Close()

	api := g.Protect(func(w http.ResponseWriter, r *http.Request) {
		if owner := r.PathValue("owner"); owner != "" {
			notes := gatehouse.Resource{Type: "Notes", ID: owner,
				Attributes: map[string]any{"owner": gatehouse.EntityRef{Type: "User", ID: owner}}}
			if !guard.Allowed(r.Context(), "read", notes).Allowed {
				w.WriteHeader(http.StatusForbidden)
				return
			}
		}
		if p := guard.Principal(r.Context()); p.Authenticated() {
			fmt.Println("hello,", p.ID)
		}
	})

	now := time.Now()
	mine, err := key.SignAccess(&token.Access{Issuer: "https://auth.example", Subject: "usr_ann", Audience: []string{"https://api.example"},
		ClientID: "app", Scope: "notes:read", ID: gatehouse.NewID("tok", now), IssuedAt: now, ExpiresAt: now.Add(5 * time.Minute)})
	if err != nil {
		panic(err)
	}
	for _, call := range []struct{ path, token string }{
		{"/hello", ""}, {"/notes/usr_ann", ""}, {"/notes/usr_ann", mine}, {"/notes/usr_bob", mine}, {"/admin", mine},
	} {
		r := httptest.NewRequest("GET", call.path, nil)
		if call.token != "" {
			r.Header.Set("Authorization", "Bearer "+call.token)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(call.path, w.Code)
	}
	// Output:
	// /hello 200
	// /notes/usr_ann 401
	// hello, usr_ann
	// /notes/usr_ann 200
	// /notes/usr_bob 403
	// /admin 404
}
