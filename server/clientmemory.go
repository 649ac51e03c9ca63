package server

import (
	"context"
	"errors"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/document"
	"github.com/gatehouse-auth/gatehouse/store"
)

// clientMemory finds clients, those in use without the database. What is issued is judged again by the
// record that the transaction reads.
type clientMemory struct {
	known     *authn.Memory[client.Client]
	stored    *authn.Memory[client.Client] // of those that a document describes; zero for one that is not stored: nobody is to be counted for it
	documents *document.Source             // set before anybody asks
	origins   *authn.Memory[struct{}]      // of which some client has pages
	realms    *realmCache
}

func newClientMemory(a *authn.Authenticator, db *store.DB) *clientMemory {
	m := &clientMemory{realms: newRealmCache(db), known: authn.NewMemory(a, func(ctx context.Context, name string) (client.Client, error) {
		realm, id, _ := strings.Cut(name, "\x00")
		return db.Client(ctx, realm, id)
	}), stored: authn.NewMemory(a, func(ctx context.Context, name string) (client.Client, error) {
		realm, id, _ := strings.Cut(name, "\x00")
		c, err := db.Client(ctx, realm, id)
		if errors.Is(err, gatehouse.NotFound) {
			return client.Client{}, nil
		}
		return c, err
	}), origins: authn.NewMemory(a, func(ctx context.Context, name string) (struct{}, error) {
		realm, origin, _ := strings.Cut(name, "\x00")
		has, err := db.HasClientOrigin(ctx, realm, origin)
		if err == nil && !has {
			err = gatehouse.ErrNotFound
		}
		return struct{}{}, err
	})}
	db.Subscribe(m.apply)
	return m
}

// clientName is that of a record; no name of a realm has the sign between the two.
func clientName(realm, id string) string { return realm + "\x00" + id }

func (m *clientMemory) apply(c gatehouse.Change) {
	if c.Topic != gatehouse.TopicClient {
		return
	}
	m.origins.Drop("") // of which it had pages, and has now, the change does not say
	switch {
	case c.ID == "":
		m.known.Drop("")
		m.stored.Drop("")
	default:
		m.known.Drop(clientName(c.Realm, c.ID))
		m.stored.Drop(clientName(c.Realm, c.ID))
	}
}

// maxClientID is longer than the id of any client; what is longer is nobody's, and not kept.
const maxClientID = 512

// Client implements client.Reader.
func (m *clientMemory) Client(ctx context.Context, realm, id string) (client.Client, error) {
	if len(id) > maxClientID || strings.ContainsRune(realm+id, 0) {
		return client.Client{}, gatehouse.ErrNotFound
	}
	if client.IsDocument(id) {
		return m.documents.Client(ctx, realm, id)
	}
	return m.known.Get(ctx, clientName(realm, id))
}

// Keep implements authorize.Clients.
func (m *clientMemory) Keep(ctx context.Context, c client.Client) error {
	return m.documents.Keep(ctx, c)
}

// HasOrigin implements oauth.PageOrigins.
func (m *clientMemory) HasOrigin(ctx context.Context, realm, origin string) bool {
	if len(origin) > maxClientID || strings.ContainsRune(realm+origin, 0) {
		return false
	}
	_, err := m.origins.Get(ctx, clientName(realm, origin))
	return err == nil
}

// Realm implements client.Reader.
func (m *clientMemory) Realm(ctx context.Context, name string) (gatehouse.Realm, error) {
	return m.realms.Realm(ctx, name)
}
