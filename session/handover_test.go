package session_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/once"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/testadmin"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

// TestHandOver: a ticket gives the secret of one host, once, in time, to the browser that left from there; and whatever ends
// the session ends what it gave.
//
// ASVS: 7.2.2, 7.2.3, 7.4.1
func TestHandOver(t *testing.T) {
	h := newHouse(t)
	now := time.Now()
	over, err := session.NewHandOver(session.HandOverConfig{Run: testadmin.Must(store.Run[session.HandOverTx](h.DB)), Find: h.DB.Once,
		Idle: func(context.Context, string) (time.Duration, error) { return 30 * time.Minute, nil },
		Box:  testadmin.Must(seal.NewBox(seal.GenerateMasterKey(now))), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	way := session.Way{To: "https://app.example/a", Origin: "https://app.example", Host: "app.example", Browser: strings.Repeat("b", 43)}
	text, s := h.SignIn(h.id, session.Browser{Device: "a-device"})
	bob, err := h.Session(text, "a-device")
	if err != nil {
		t.Fatal(err)
	}
	begin := func() gatehouse.Secret {
		t.Helper()
		ticket, err := over.Begin(t.Context(), bob, way)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	arrive := func(ticket gatehouse.Secret) (gatehouse.Secret, error) {
		text, to, opened, err := over.Arrive(t.Context(), ticket, "main", way.Origin, way.Browser)
		if err == nil && (to != way.To || opened.ID != s.ID || opened.UserID != h.id || !opened.ExpiresAt.Equal(s.ExpiresAt.Truncate(time.Microsecond)) || text == "") {
			t.Errorf("arrived at %s with %+v", to, opened)
		}
		return text, err
	}
	stored := func(text gatehouse.Secret) (gatehouse.Session, error) {
		k, err := credential.ParseKey(text.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return h.DB.Session(t.Context(), k.ID)
	}

	ticket := begin()
	invented, _, _ := credential.MintTicket()
	for name, c := range map[string]struct {
		ticket                 gatehouse.Secret
		realm, origin, browser string
	}{
		"another browser": {ticket, "main", way.Origin, strings.Repeat("c", 43)},
		"no browser":      {ticket, "main", way.Origin, ""},
		"another realm":   {ticket, "shop", way.Origin, way.Browser},
		"another origin":  {ticket, "main", "https://app.example:8443", way.Browser},
		"invented":        {invented, "main", way.Origin, way.Browser},
		"no ticket":       {"x", "main", way.Origin, way.Browser},
		"the session":     {text, "main", way.Origin, way.Browser},
	} {
		if text, _, _, err := over.Arrive(t.Context(), c.ticket, c.realm, c.origin, c.browser); text != "" || gatehouse.CodeOf(err) != "handover_refused" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// None of them has used it up. Of many at once, one does.
	var wg sync.WaitGroup
	got := make(chan gatehouse.Secret, 8)
	for range cap(got) {
		wg.Go(func() {
			if text, err := arrive(ticket); err == nil {
				got <- text
			} else if gatehouse.CodeOf(err) != "handover_refused" {
				t.Errorf("one of many: %v", err)
			}
		})
	}
	wg.Wait()
	close(got)
	if len(got) != 1 {
		t.Fatalf("%d of %d arrived", len(got), cap(got))
	}
	first := <-got
	if at, err := stored(first); err != nil || at.Host != "app.example" || at.ID != s.ID || at.DeviceHash != nil || strings.Contains(string(at.SecretHash), first.Reveal()) {
		t.Errorf("%+v, %v", at, err)
	}
	h.refused("the host's secret at the pages", first)
	if got := h.Events(h.root, "session.handover"); len(got) != 1 || got[0] != s.ID {
		t.Errorf("events: %q", got)
	}
	// The ticket is for no API, and stored as a hash.
	if r, err := h.DB.Once(t.Context(), once.KindTicket, credential.HashKey(begin().Reveal())); err == nil {
		t.Errorf("a hand-over is a ticket for an API: %+v", r)
	}

	late := begin()
	now = now.Add(credential.TicketLife)
	if _, err := arrive(late); gatehouse.CodeOf(err) != "handover_refused" {
		t.Errorf("late: %v", err)
	}
	second, err := arrive(begin()) // the same host once more: the secret of before is dead
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stored(first); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("two secrets of one host: %v", err)
	}

	ticket = begin()
	if err := h.Sessions.End(t.Context(), "main", h.id, s.ID, session.ReasonSignOut); err != nil {
		t.Fatal(err)
	}
	if _, err := stored(second); !errors.Is(err, gatehouse.NotFound) {
		t.Errorf("after the end of the session: %v", err)
	}
	if _, err := arrive(ticket); gatehouse.CodeOf(err) != "handover_refused" {
		t.Errorf("arrived in a session that has ended: %v", err)
	}
	key := *bob
	key.Scheme = gatehouse.SchemeAPIKey
	for name, p := range map[string]*gatehouse.Principal{"nobody": nil, "an API key": &key} {
		if _, err := over.Begin(t.Context(), p, way); err == nil {
			t.Errorf("%s hands a session over", name)
		}
	}
}
