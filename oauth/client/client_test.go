package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// one is a reader of one client.
type one struct{ c client.Client }

func (o one) Client(_ context.Context, realm, id string) (client.Client, error) {
	if realm != o.c.Realm || id != o.c.ID {
		return client.Client{}, gatehouse.ErrNotFound
	}
	return o.c, nil
}

func (o one) Realm(_ context.Context, name string) (gatehouse.Realm, error) {
	if name == "none" {
		return gatehouse.Realm{}, gatehouse.ErrNotFound
	}
	return gatehouse.Realm{Name: name}, nil
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
		reason string // of the record
	}{
		"good":                 {"main", func(*client.Client, *client.Proof) {}, "", ""},
		"former":               {"main", func(_ *client.Client, p *client.Proof) { p.Secret = old }, "", ""},
		"former, over":         {"main", func(c *client.Client, p *client.Proof) { p.Secret, c.Former.ExpiresAt = old, now }, "invalid_client", "secret_wrong"},
		"over":                 {"main", func(c *client.Client, _ *client.Proof) { c.Secret.ExpiresAt = now }, "invalid_client", "secret_wrong"},
		"ends later":           {"main", func(c *client.Client, _ *client.Proof) { c.Secret.ExpiresAt = now.Add(time.Second) }, "", ""},
		"disabled":             {"main", func(c *client.Client, _ *client.Proof) { c.Disabled = true }, "invalid_client", "client_disabled"},
		"another realm":        {"acme", func(*client.Client, *client.Proof) {}, "invalid_client", "client_unknown"},
		"a realm that is none": {"none", func(*client.Client, *client.Proof) {}, "invalid_client", ""},
		"another id":           {"main", func(_ *client.Client, p *client.Proof) { p.ID = "cli_2" }, "invalid_client", "client_unknown"},
		"no secret":            {"main", func(_ *client.Client, p *client.Proof) { p.Secret = "" }, "invalid_client", "secret_malformed"},
		"no secret is kept":    {"main", func(c *client.Client, _ *client.Proof) { c.Secret, c.Former = client.Secret{}, client.Secret{} }, "invalid_client", "secret_wrong"},
		"another way":          {"main", func(_ *client.Client, p *client.Proof) { p.Method = client.AuthPost }, "client_auth_method", "client_auth_method"},
		"another way, wrong":   {"main", func(c *client.Client, p *client.Proof) { p.Method, c.Secret.Hash = client.AuthPost, []byte{1} }, "invalid_client", "secret_wrong"},
	} {
		stored, p := good, proof
		c.change(&stored, &p)
		var said []*gatehouse.Event
		got, who, err := client.Authenticator{Clients: one{stored}, Record: func(e *gatehouse.Event) { said = append(said, e) }, Now: func() time.Time { return now }}.Authenticate(t.Context(), c.realm, p)
		named := c.reason == "secret_wrong" || c.reason == "client_disabled" || c.reason == "client_auth_method"
		if (len(said) == 1) != (c.reason != "") || c.reason != "" && (said[0].Kind != audit.KindClientFailure || said[0].Realm != c.realm || said[0].Outcome != gatehouse.OutcomeFailure ||
			said[0].Reason != c.reason || (said[0].Target.ID == "cli_1") != named) {
			t.Errorf("%s: recorded %+v", name, said)
		}
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
	if _, who, err := (client.Authenticator{Clients: failing{down}, Record: func(*gatehouse.Event) { t.Error("an outage is recorded as a refusal") }, Now: time.Now}).Authenticate(t.Context(), "main", proof); !errors.Is(err, down) || who != nil {
		t.Errorf("%v %v", who, err)
	}
}

type failing struct{ err error }

func (f failing) Realm(context.Context, string) (gatehouse.Realm, error) {
	return gatehouse.Realm{}, f.err
}

func (f failing) Client(context.Context, string, string) (client.Client, error) {
	return client.Client{}, f.err
}
