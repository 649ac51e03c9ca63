package authorize

import (
	"context"
	"testing"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
)

func (b *books) Find(_ context.Context, who *gatehouse.Principal, typed string) (grant.Device, error) {
	return grant.Device{Realm: who.Realm, Client: typed}, b.away
}

func (b *books) Decide(_ context.Context, c grant.Code, typed string, allow bool) error {
	if c.Client = typed; allow {
		b.allowed = append(b.allowed, c)
	} else {
		b.said = append(b.said, c)
	}
	return b.away
}

// TestDevice: a person by a session of the realm sees and decides what its device asks for; nobody else does, and not for a client that
// is gone or disabled.
func TestDevice(t *testing.T) {
	b, s := newBooks(t)
	bob := &gatehouse.Principal{Realm: "main", Kind: gatehouse.KindUser, ID: "usr_bob", Name: "bob", Scheme: gatehouse.SchemeSession, SessionID: "ses_1"}
	r, err := s.Device(t.Context(), bob, "app")
	if err != nil || r.Of.ID != "app" || r.Client != "app" {
		t.Errorf("%+v %v", r, err)
	}
	for _, id := range []string{"none", "off", "else"} {
		if _, err := s.Device(t.Context(), bob, id); gatehouse.CodeOf(err) != "client_id_unknown" {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, allow := range []bool{true, false} {
		if err := s.DecideDevice(t.Context(), bob, "app", allow); err != nil {
			t.Error(err)
		}
	}
	if len(b.allowed) != 1 || len(b.said) != 1 || b.allowed[0].User != "usr_bob" || b.allowed[0].Session != "ses_1" || b.allowed[0].Realm != "main" {
		t.Errorf("%+v %+v", b.allowed, b.said)
	}
	for name, change := range map[string]func(p *gatehouse.Principal){
		"a token": func(p *gatehouse.Principal) { p.Scheme = gatehouse.SchemeJWT }, "no session": func(p *gatehouse.Principal) { p.SessionID = "" },
		"a service": func(p *gatehouse.Principal) { p.Kind = gatehouse.KindService }, "a stranger": func(p *gatehouse.Principal) { p.Foreign = true },
	} {
		p := *bob
		change(&p)
		if _, err := s.Device(t.Context(), &p, "app"); err == nil {
			t.Errorf("%s looks", name)
		}
		if err := s.DecideDevice(t.Context(), &p, "app", true); err == nil {
			t.Errorf("%s decides", name)
		}
	}
}
