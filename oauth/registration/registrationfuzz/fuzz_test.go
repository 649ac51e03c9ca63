package registrationfuzz

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/registration"
)

// keeper narrows and checks what clients say of themselves, and keeps what it took.
type keeper struct {
	registration.Clients
	taken *client.Metadata
}

var settings = gatehouse.RealmSettings{ClientRegistration: gatehouse.ClientRegistrationOpen, Scopes: map[string]string{"read": "", "admin": ""}, ClientRegistrationScopes: []string{"read", client.ScopeOffline}}

func (k *keeper) Register(_ context.Context, realm string, _ gatehouse.Secret, m client.Metadata) (client.Registered, error) {
	wrong := false
	m = m.Narrow(settings, func(string, string) { wrong = true })
	m.Check(func(string, string) { wrong = true })
	if wrong {
		return client.Registered{}, gatehouse.E(gatehouse.Invalid, "invalid_client_metadata", "")
	}
	m = m.Tidy()
	k.taken = &m
	return client.Registered{Client: client.Client{Realm: realm, ID: "cli_1", Metadata: m}}, nil
}

// FuzzMetadata: whatever a client says of itself, it is registered with nothing that only an administrator gives, browsers are sent to no
// address by which a script or a stranger would have the answer, and what is answered is what was taken.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{`{"redirect_uris":["https://app.example/back"]}`, `{"redirect_uris":["com.example:/x"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"scope":"read admin offline_access"}`,
		`{"redirect_uris":["javascript:alert(1)"]}`, `{"redirect_uris":["https://a.example"],"first_party":true,"allow_private_address":true,"require_pkce":false,"introspection_audiences":["x"]}`,
		`{"redirect_uris":["http://127.0.0.1:1/x","https://a.example@b.example"],"jwks":{"keys":[]},"token_endpoint_auth_method":"private_key_jwt"}`, `{"grant_types":["client_credentials"]}`, `{"software_statement":"x"}`,
		`{"redirect_uris":["https://a.example"],"jwks_uri":"http://127.0.0.1/","token_endpoint_auth_method":"private_key_jwt"}`, `{"redirect_uris":["https://a.example/\u0000"]}`, `[]`, `{`, `{"client_name":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		k := &keeper{}
		always := func(context.Context, string) (time.Duration, bool) { return 0, true }
		h, err := registration.New(registration.Config{Clients: k, Issuer: func(string) string { return "https://id.example" }, Secure: func(*http.Request) bool { return true }, AllowNew: always, Allow: always,
			Realm: func(_ context.Context, name string) (gatehouse.Realm, error) {
				return gatehouse.Realm{Name: name, Settings: settings}, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		h.Register(mux)
		r := httptest.NewRequest("POST", "/client-registration", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		switch {
		case w.Code >= 500:
			t.Fatalf("%d %s", w.Code, w.Body)
		case (w.Code == 201) != (k.taken != nil):
			t.Fatalf("%d, taken: %v", w.Code, k.taken)
		case k.taken == nil:
			return
		}
		m := *k.taken
		if m.FirstParty || m.AllowPrivateAddress || m.RequirePKCE != nil || len(m.Audiences) > 0 || len(m.Origins) > 0 || m.May(client.GrantClientCredentials) || slices.Contains(m.Scopes(), "admin") || strings.HasPrefix(m.JWKSURI, "http:") {
			t.Fatalf("it is given what is not for strangers: %+v", m)
		}
		for _, uri := range m.RedirectURIs {
			scheme, _, _ := strings.Cut(uri, ":")
			if scheme != "https" && scheme != "http" && !strings.Contains(scheme, ".") || strings.ContainsAny(uri, "#\"<> \n") || scheme == "http" && !m.Redirects(uri) {
				t.Fatalf("browsers would be sent to %q", uri)
			}
		}
	})
}
