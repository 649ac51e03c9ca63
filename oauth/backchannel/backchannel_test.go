package backchannel

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// books are the clients, people and questions of a test.
type books struct {
	keys    token.KeySource
	objects *client.Assertions
	asked   []grant.Question
	orders  []grant.Order
	misses  int
	looked  int
	full    bool
	decided []grant.Code
}

func (b *books) MayAsk(_ context.Context, o grant.Order) error {
	if slices.Contains(o.Scopes, "nonsense") || o.By == nil && o.Client != "bank" {
		return grant.ErrInvalidScope
	}
	return nil
}

func (b *books) AskPerson(_ context.Context, o grant.Order, q grant.Question) (gatehouse.Secret, error) {
	b.orders, b.asked = append(b.orders, o), append(b.asked, q)
	return "ghq_made_up", nil
}

func (b *books) WaitingFor(context.Context, string, string) ([]grant.Pending, error) {
	return []grant.Pending{{ID: "1", Device: grant.Device{Client: "bank"}}, {ID: "2", Device: grant.Device{Client: "off"}}, {ID: "3", Device: grant.Device{Client: "gone"}}}, nil
}

func (b *books) DecideAsked(_ context.Context, c grant.Code, _ string, _ bool) error {
	b.decided = append(b.decided, c)
	return nil
}

func (b *books) User(_ context.Context, realm, id string) (identity.User, error) {
	b.looked++
	if realm != "main" || id != bobID {
		return identity.User{}, gatehouse.ErrNotFound
	}
	return identity.User{ID: id, Kind: gatehouse.KindUser}, nil
}

func (b *books) UserByKey(_ context.Context, realm, key string) (identity.User, error) {
	b.looked++
	switch key {
	case "bob":
		return identity.User{ID: bobID, Kind: gatehouse.KindUser}, nil
	case "robot":
		return identity.User{ID: "usr_robot", Kind: gatehouse.KindService}, nil
	case "gone":
		return identity.User{ID: "usr_gone", Kind: gatehouse.KindUser, Disabled: true}, nil
	}
	return identity.User{}, gatehouse.ErrNotFound
}

func (b *books) Client(_ context.Context, _, id string) (client.Client, error) {
	if id == "gone" {
		return client.Client{}, gatehouse.ErrNotFound
	}
	return client.Client{ID: id, Disabled: id == "off"}, nil
}

func (b *books) VerifyBackchannel(c client.Client, compact string) (jsontext.Value, error) {
	return b.objects.VerifyBackchannel(c, compact)
}

func (b *books) Ask(context.Context, string, string, string) (time.Duration, bool) {
	return time.Minute, !b.full
}
func (b *books) Miss(string, string)        { b.misses++ }
func (b *books) Missed(string, string) bool { return b.misses >= 3 }

const issuer, bobID = "https://id.example", "usr_01m8nd8dcg21xe949mymfb71df"

func newBooks(t *testing.T) (*books, *Service, *token.Key) {
	t.Helper()
	key, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	set, err := token.NewKeySet(key)
	if err != nil {
		t.Fatal(err)
	}
	b := &books{keys: set}
	if b.objects, err = client.NewAssertions(client.AssertionsConfig{Issuer: func(string) string { return issuer }, TokenEndpoint: func(string) string { return issuer + "/token" }, Now: time.Now, Run: func(context.Context, func(context.Context, client.OnceTx) error) error { return nil },
		Fetched: func(client.Client) (client.Keys, error) { return nil, gatehouse.ErrNotFound }}); err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Questions: b, Users: b, Clients: b, Objects: b, Limits: b, Issuer: func(string) string { return issuer }, Keys: func(string) token.KeySource { return b.keys }, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return b, s, key
}

func bank(key *token.Key) client.Client {
	c := client.Client{Realm: "main", ID: "bank", Metadata: client.Metadata{Name: "Bank", AuthMethod: client.AuthBasic, GrantTypes: []string{client.GrantBackchannel}, Scope: "openid read", Backchannel: client.Backchannel{Delivery: client.DeliveryPoll}}}
	if key != nil {
		c.Metadata.JWKS, c.Metadata.BackchannelAlg = token.MarshalJWKSet([]*token.Key{key}), "ES256"
	}
	return c
}

func with(changes map[string]string) oauth.Parameters {
	p := oauth.Parameters{"scope": "openid read", "login_hint": "bob"}
	for name, value := range changes {
		if p[name] = value; value == "-" {
			delete(p, name)
		}
	}
	return p
}

// TestSteps: every request that is refused, and what is asked for by one that is not. What is wrong with the request is found before anybody is looked up.
func TestSteps(t *testing.T) {
	for name, c := range map[string]struct {
		change map[string]string
		want   string
		looked bool
	}{
		"good":                 {nil, "", true},
		"by the id":            {map[string]string{"login_hint": bobID}, "", true},
		"what nobody knows":    {map[string]string{"x": "y", "acr_values": "aal2", "user_code": "1"}, "", true},
		"a text":               {map[string]string{"binding_message": "Zahlung 4711: 10,50 € (Ümit) 品川"}, "", true},
		"a scope without":      {map[string]string{"scope": "read"}, "invalid_scope", false},
		"no scope":             {map[string]string{"scope": " "}, "backchannel_request", false},
		"what it may not":      {map[string]string{"scope": "openid nonsense"}, "invalid_scope", false},
		"of nobody, either":    {map[string]string{"scope": "openid nonsense", "login_hint": "amy"}, "invalid_scope", false},
		"an empty text":        {map[string]string{"binding_message": ""}, "invalid_binding_message", false},
		"a blank text":         {map[string]string{"binding_message": " "}, "invalid_binding_message", false},
		"an address":           {map[string]string{"binding_message": "evil.example/pay"}, "invalid_binding_message", false},
		"mail":                 {map[string]string{"binding_message": "x@evil.example"}, "invalid_binding_message", false},
		"markup":               {map[string]string{"binding_message": "<b>"}, "invalid_binding_message", false},
		"turned around":        {map[string]string{"binding_message": "\u202e4711"}, "invalid_binding_message", false},
		"no characters":        {map[string]string{"binding_message": "\xff"}, "backchannel_request", false},
		"64":                   {map[string]string{"binding_message": strings.Repeat("é", 64)}, "", true},
		"65":                   {map[string]string{"binding_message": strings.Repeat("e", 65)}, "invalid_binding_message", false},
		"at once":              {map[string]string{"requested_expiry": "0"}, "backchannel_request", false},
		"before":               {map[string]string{"requested_expiry": "-1"}, "backchannel_request", false},
		"a fraction":           {map[string]string{"requested_expiry": "1.5"}, "backchannel_request", false},
		"too large to be read": {map[string]string{"requested_expiry": "99999999999999999999"}, "backchannel_request", false},
		"nobody is meant":      {map[string]string{"login_hint": "-"}, "backchannel_request", false},
		"two are":              {map[string]string{"id_token_hint": "x"}, "backchannel_request", false},
		"a token of a hint":    {map[string]string{"login_hint": "-", "login_hint_token": "x"}, "backchannel_request", false},
		"no ID token":          {map[string]string{"login_hint": "-", "id_token_hint": "x"}, "backchannel_request", false},
		"nobody":               {map[string]string{"login_hint": "amy"}, "unknown_user_id", true},
		"a program":            {map[string]string{"login_hint": "robot"}, "unknown_user_id", true},
		"somebody disabled":    {map[string]string{"login_hint": "gone"}, "unknown_user_id", true},
		"somebody else's id":   {map[string]string{"login_hint": "usr_01m8nd8dcg21xe949mymfb71dg"}, "unknown_user_id", true},
		"a long name":          {map[string]string{"login_hint": strings.Repeat("b", 600)}, "unknown_user_id", false},
		"a request elsewhere":  {map[string]string{"request_uri": "https://app.example"}, "backchannel_request", false},
		"an object":            {map[string]string{"scope": "-", "login_hint": "-", "request": "e30.e30.e30"}, "backchannel_request", false},
	} {
		b, s, _ := newBooks(t)
		id, life, err := s.Ask(t.Context(), "main", bank(nil), &gatehouse.Principal{}, with(c.change))
		if (err != nil || c.want != "") && gatehouse.CodeOf(err) != c.want || (b.looked > 0) != c.looked {
			t.Errorf("%s: %v, want %q; %d looked up", name, err, c.want, b.looked)
		}
		if c.want == "" && (id == "" || life != grant.AskLife || len(b.asked) != 1 || b.asked[0].User != bobID || b.asked[0].Message != c.change["binding_message"] || strings.Join(b.orders[0].Scopes, " ") != "openid read") {
			t.Errorf("%s: %+v %+v", name, b.asked, b.orders)
		}
		if (b.misses == 1) != (c.want == "unknown_user_id") {
			t.Errorf("%s: %d misses", name, b.misses)
		}
	}
	for text, want := range map[string]time.Duration{"1": 10 * time.Second, "30": 30 * time.Second, "600": grant.MaxAskLife, "86400": grant.MaxAskLife} {
		b, s, _ := newBooks(t)
		if _, life, err := s.Ask(t.Context(), "main", bank(nil), nil, with(map[string]string{"requested_expiry": text})); err != nil || life != want || b.asked[0].Life != want {
			t.Errorf("%s: %v %v", text, life, err)
		}
	}
	b, s, _ := newBooks(t)
	b.full = true
	if _, _, err := s.Ask(t.Context(), "main", bank(nil), nil, with(nil)); gatehouse.CodeOf(err) != "rate_limited" || len(b.asked) != 0 {
		t.Errorf("too often: %v", err)
	}
	b.full = false
	for range 5 {
		_, _, _ = s.Ask(t.Context(), "main", bank(nil), nil, with(map[string]string{"login_hint": "amy"}))
	}
	if _, _, err := s.Ask(t.Context(), "main", bank(nil), nil, with(nil)); gatehouse.CodeOf(err) != "rate_limited" || b.misses != 3 || len(b.asked) != 0 {
		t.Errorf("a client that guesses learns who is here: %v", err)
	}
}

// TestObject: a client that is registered for it signs all that it asks for, and nothing counts beside that.
func TestObject(t *testing.T) {
	b, s, key := newBooks(t)
	now := time.Now()
	good := func() map[string]any {
		return map[string]any{"iss": "bank", "aud": issuer, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": "1", "scope": "openid read", "login_hint": "bob", "requested_expiry": 30}
	}
	for name, c := range map[string]struct {
		change map[string]any // nil takes away
		beside oauth.Parameters
		want   string
	}{
		"good":              {nil, nil, ""},
		"expiry as text":    {map[string]any{"requested_expiry": "30"}, nil, ""},
		"with client_id":    {map[string]any{"client_id": "bank"}, nil, ""},
		"another client_id": {map[string]any{"client_id": "other"}, nil, "backchannel_request_object"},
		"no iss":            {map[string]any{"iss": nil}, nil, "backchannel_request_object"},
		"another iss":       {map[string]any{"iss": "other"}, nil, "backchannel_request_object"},
		"no aud":            {map[string]any{"aud": nil}, nil, "backchannel_request_object"},
		"another aud":       {map[string]any{"aud": "https://other.example"}, nil, "backchannel_request_object"},
		"no iat":            {map[string]any{"iat": nil}, nil, "backchannel_request_object"},
		"no nbf":            {map[string]any{"nbf": nil}, nil, "backchannel_request_object"},
		"no exp":            {map[string]any{"exp": nil}, nil, "backchannel_request_object"},
		"no jti":            {map[string]any{"jti": nil}, nil, "backchannel_request_object"},
		"over":              {map[string]any{"exp": now.Add(-time.Minute).Unix()}, nil, "backchannel_request_object"},
		"for ever":          {map[string]any{"exp": now.Add(70 * time.Minute).Unix()}, nil, "backchannel_request_object"},
		"old":               {map[string]any{"nbf": now.Add(-70 * time.Minute).Unix()}, nil, "backchannel_request_object"},
		"not yet":           {map[string]any{"nbf": now.Add(10 * time.Minute).Unix()}, nil, "backchannel_request_object"},
		"null":              {map[string]any{"scope": jsontext.Value("null")}, nil, "backchannel_request_object"},
		"the proof itself":  {map[string]any{"sub": "bank"}, nil, "backchannel_request_object"},
		"a hint beside":     {nil, oauth.Parameters{"login_hint": "bob"}, "backchannel_request"},
		"a scope beside":    {nil, oauth.Parameters{"scope": "openid"}, "backchannel_request"},
		"two resources":     {map[string]any{"resource": []string{"a", "b"}}, nil, "backchannel_request"},
	} {
		claims := good()
		for k, v := range c.change {
			if claims[k] = v; v == nil {
				delete(claims, k)
			}
		}
		p := oauth.Parameters{"request": sign(t, key, claims)}
		for k, v := range c.beside {
			p[k] = v
		}
		b.asked = nil
		_, life, err := s.Ask(t.Context(), "main", bank(key), nil, p)
		if (err != nil || c.want != "") && gatehouse.CodeOf(err) != c.want || c.want == "" && (len(b.asked) != 1 || life != 30*time.Second) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	other, err := token.GenerateKey(token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ask(t.Context(), "main", bank(key), nil, oauth.Parameters{"request": sign(t, other, good())}); gatehouse.CodeOf(err) != "backchannel_request_object" {
		t.Errorf("by another key: %v", err)
	}
	if _, _, err := s.Ask(t.Context(), "main", bank(key), nil, with(nil)); gatehouse.CodeOf(err) != "backchannel_request" {
		t.Errorf("unsigned: %v", err)
	}
}

// TestDecides: a person with a session decides, and nobody else; what clients asked that are gone is not shown.
func TestDecides(t *testing.T) {
	b, s, _ := newBooks(t)
	who := gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: bobID, Scheme: gatehouse.SchemeSession, SessionID: "ses_1"}
	list, err := s.Waiting(t.Context(), &who)
	if err != nil || len(list) != 1 || list[0].ID != "1" || list[0].Of.ID != "bank" {
		t.Errorf("%+v %v", list, err)
	}
	for name, change := range map[string]func(p *gatehouse.Principal){"a token": func(p *gatehouse.Principal) { p.Scheme = gatehouse.SchemeJWT }, "a client": func(p *gatehouse.Principal) { p.Kind = gatehouse.KindClient },
		"of elsewhere": func(p *gatehouse.Principal) { p.Foreign = true }, "no session": func(p *gatehouse.Principal) { p.SessionID = "" }} {
		p := who
		change(&p)
		if err := s.Decide(t.Context(), &p, "1", true); err == nil || len(b.decided) != 0 {
			t.Errorf("%s decides", name)
		}
		if _, err := s.Waiting(t.Context(), &p); err == nil {
			t.Errorf("%s looks", name)
		}
	}
	if err := s.Decide(t.Context(), &who, "1", true); err != nil || len(b.decided) != 1 || b.decided[0].User != bobID || b.decided[0].Session != "ses_1" {
		t.Errorf("%+v %v", b.decided, err)
	}
}

func sign(t *testing.T, key *token.Key, claims map[string]any) string {
	t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.Sign(token.TypeRequest, b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
