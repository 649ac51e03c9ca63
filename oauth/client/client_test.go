package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// one is a reader of one client.
type one client.Client

func (c one) Client(_ context.Context, realm, id string) (client.Client, error) {
	if realm != c.Realm || id != c.ID {
		return client.Client{}, gatehouse.ErrNotFound
	}
	return client.Client(c), nil
}

// TestAuthenticate: a client proves itself by a secret that counts now, by the method of its registration, in its realm.
func TestAuthenticate(t *testing.T) {
	now := time.Now()
	text, secret := client.NewSecret(now.Add(-time.Hour))
	old, former := client.NewSecret(now.Add(-2 * time.Hour))
	former.ExpiresAt = now.Add(time.Second)
	good := client.Client{Realm: "main", ID: "cli_1", Secret: secret, Former: former, Metadata: client.Metadata{Name: "R", AuthMethod: client.AuthBasic}}
	proof := client.Proof{Method: client.AuthBasic, ID: "cli_1", Secret: text}
	for name, c := range map[string]struct {
		realm  string
		change func(c *client.Client, p *client.Proof)
		code   string
	}{
		"good":               {"main", func(*client.Client, *client.Proof) {}, ""},
		"former":             {"main", func(_ *client.Client, p *client.Proof) { p.Secret = old }, ""},
		"former, over":       {"main", func(c *client.Client, p *client.Proof) { p.Secret, c.Former.ExpiresAt = old, now }, "invalid_client"},
		"over":               {"main", func(c *client.Client, _ *client.Proof) { c.Secret.ExpiresAt = now }, "invalid_client"},
		"ends later":         {"main", func(c *client.Client, _ *client.Proof) { c.Secret.ExpiresAt = now.Add(time.Second) }, ""},
		"disabled":           {"main", func(c *client.Client, _ *client.Proof) { c.Disabled = true }, "invalid_client"},
		"another realm":      {"acme", func(*client.Client, *client.Proof) {}, "invalid_client"},
		"another id":         {"main", func(_ *client.Client, p *client.Proof) { p.ID = "cli_2" }, "invalid_client"},
		"no secret":          {"main", func(_ *client.Client, p *client.Proof) { p.Secret = "" }, "invalid_client"},
		"no secret is kept":  {"main", func(c *client.Client, _ *client.Proof) { c.Secret, c.Former = client.Secret{}, client.Secret{} }, "invalid_client"},
		"another way":        {"main", func(_ *client.Client, p *client.Proof) { p.Method = client.AuthPost }, "client_auth_method"},
		"another way, wrong": {"main", func(c *client.Client, p *client.Proof) { p.Method, c.Secret.Hash = client.AuthPost, []byte{1} }, "invalid_client"},
	} {
		stored, p := good, proof
		c.change(&stored, &p)
		got, who, err := client.Authenticator{Clients: one(stored), Now: func() time.Time { return now }}.Authenticate(t.Context(), c.realm, p)
		if c.code != "" {
			if gatehouse.KindOf(err) != gatehouse.Unauthenticated || gatehouse.CodeOf(err) != c.code || who != nil || got.ID != "" {
				t.Errorf("%s: %v %v", name, who, err)
			}
			continue
		}
		if err != nil || who.Kind != gatehouse.KindClient || who.ID != "cli_1" || who.ClientID != "cli_1" || who.Realm != "main" || got.ID != "cli_1" || !stored.Has(who.IssuedAt, now) {
			t.Errorf("%s: %+v %v", name, who, err)
		}
	}
	down := errors.New("the database is away")
	if _, who, err := (client.Authenticator{Clients: failing{down}, Now: time.Now}).Authenticate(t.Context(), "main", proof); !errors.Is(err, down) || who != nil {
		t.Errorf("%v %v", who, err)
	}
}

type failing struct{ err error }

func (f failing) Client(context.Context, string, string) (client.Client, error) {
	return client.Client{}, f.err
}
