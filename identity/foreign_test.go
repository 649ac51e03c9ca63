package identity

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// elsewhereIs is a [Source] that knows one person.
type elsewhereIs struct {
	who   Foreign
	err   error
	asked int
	takes time.Duration
}

func (s *elsewhereIs) Serves(string) bool { return true }
func (s *elsewhereIs) Away(string) bool   { return false }
func (s *elsewhereIs) Authenticate(ctx context.Context, _, _ string, _ gatehouse.Secret) (Foreign, error) {
	s.asked++
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
	}
	return s.who, s.err
}

func newElsewhere(t *testing.T) (*house, *elsewhereIs) {
	s := &elsewhereIs{who: Foreign{ID: "entry-1", Username: "eve", DisplayName: "Eve", Email: "eve@example.com", Roles: []string{"ops"}, GovernedRoles: []string{"ops", "dev"}}}
	return newHouse(t, func(c *Config) { c.Source, c.CacheTTL = s, -1 }), s
}

// TestAdmit: the account of somebody whom a source knows follows what the source says, by what stays with the person:
// made once, renamed, with the roles that it governs and no others; and never that of whoever had the name before.
func TestAdmit(t *testing.T) {
	h, s := newElsewhere(t)
	u, err := h.try("eve", "right", "192.0.2.1")
	if err != nil || u.DirectoryID != "entry-1" || u.Username != "eve" || u.Email != "eve@example.com" || !slices.Equal(u.Roles, []string{"ops"}) || u.PasswordHash != "" {
		t.Fatalf("%+v %v", u, err)
	}
	first := u.ID
	u.Roles = []string{"dev", "given-here", "ops"}
	h.put(u)
	s.who.Roles = nil
	if u, err = h.try("eve", "right", "192.0.2.1"); err != nil || u.ID != first || !slices.Equal(u.Roles, []string{"given-here"}) {
		t.Errorf("out of the groups: %+v %v", u, err)
	}
	s.who.Username = "evelyn"
	if u, err = h.try("evelyn", "right", "192.0.2.1"); err != nil || u.ID != first || u.Username != "evelyn" {
		t.Errorf("renamed: %+v %v", u, err)
	}
	s.who.ID = "entry-2"
	if u, err = h.try("evelyn", "right", "192.0.2.1"); gatehouse.CodeOf(err) != "invalid_credentials" || h.last().Reason != ReasonOtherEntry {
		t.Errorf("who got the name afterwards: %+v %v %s", u, err, h.last().Reason)
	}
	s.who.Username = "eve2"
	if u, err = h.try("evelyn", "right", "192.0.2.1"); gatehouse.KindOf(err) != gatehouse.Internal && gatehouse.KindOf(err) != gatehouse.Unavailable {
		t.Errorf("an answer for another name: %+v %v", u, err)
	}
	asked := s.asked
	for _, name := range []string{"alice", "dora", "nora"} { // kept here
		if _, err = h.try(name, "right", "192.0.2.1"); gatehouse.CodeOf(err) != "invalid_credentials" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"me", "a b", ""} { // nobody's
		if _, err = h.try(name, "right", "192.0.2.2"); gatehouse.CodeOf(err) != "invalid_credentials" {
			t.Errorf("%q: %v", name, err)
		}
	}
	if s.asked != asked {
		t.Errorf("asked %d times about accounts that it does not have", s.asked-asked)
	}
}

// TestElsewhereIsThrottled: wrong passwords of people elsewhere are counted as any, and from then on nobody is asked.
func TestElsewhereIsThrottled(t *testing.T) {
	h, s := newElsewhere(t)
	s.err = &ElsewhereRefused{Reason: "wrong"}
	for range 40 {
		_, _ = h.try("eve", "wrong", "192.0.2.1")
	}
	s.err = nil
	asked := s.asked
	if _, err := h.try("eve", "right", "192.0.2.1"); gatehouse.KindOf(err) != gatehouse.RateLimited || s.asked != asked || asked > 20 {
		t.Errorf("%v after %d questions, and then %d", err, asked, s.asked-asked)
	}
}

// TestElsewhereHangs: who waits for a source holds up nobody whose password is here, and is not let in.
func TestElsewhereHangs(t *testing.T) {
	h, s := newElsewhere(t)
	synctest.Test(t, func(t *testing.T) {
		s.err, s.takes = errors.New("no answer"), 10*time.Second
		done := make(chan error, 1)
		go func() {
			_, err := h.try("eve", "right", "192.0.2.1")
			done <- err
		}()
		synctest.Wait()
		begun := time.Now()
		if _, err := h.try("alice", alicePassword, "192.0.2.1"); err != nil || time.Since(begun) > time.Second {
			t.Errorf("who is kept here: %v after %v", err, time.Since(begun))
		}
		if err := <-done; gatehouse.CodeOf(err) != "ldap_unavailable" {
			t.Error(err)
		}
	})
}
