package server

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/personal"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/internal/secrets"
	"github.com/gatehouse-auth/gatehouse/store"
)

const settingPersonalKey = "audit.personal_key"

// maxPersonalKey bounds how long the event of a request waits for the key of its person, which is in memory unless it is
// the first one in a long time.
const maxPersonalKey = 2 * time.Second

// sealPersonal has db seal what events tell of people.
func sealPersonal(ctx context.Context, db *store.DB, box *seal.Box) (*personal.Keeper, error) {
	run, err := store.Run[secrets.Tx](db)
	if err != nil {
		return nil, err
	}
	secret, err := secrets.Keeper{Run: run, Box: box}.Get(ctx, settingPersonalKey, personal.SecretSize)
	if err != nil {
		return nil, err
	}
	return db.SealPersonal(secret)
}

// personKey is the key of a person for events outside of transactions; nil when it cannot be had.
func (s *Server) personKey(realm, subject string) *personal.Key {
	ctx, cancel := context.WithTimeout(context.Background(), maxPersonalKey)
	defer cancel()
	key, err := s.persons.Make(ctx, realm, subject)
	if err != nil {
		s.log.Warn("an event is recorded without name and address, because the key that they are sealed under cannot be read", "subject", subject, "error", err)
	}
	return key
}
