package server

import (
	"context"
	"encoding/base64"

	"github.com/gatehouse-auth/gatehouse/internal/seal"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/provider"
	"github.com/gatehouse-auth/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/store"
)

const (
	settingProviderKey = "provider.key"
	providerKeySize    = 32
)

// wireProviders makes what signs people in by accounts elsewhere. What it seals is under a key of its own, so that
// a new master key seals that one anew, and not each client secret.
func (s *Server) wireProviders(ctx context.Context) error {
	raw, err := s.secret(ctx, settingProviderKey, providerKeySize)
	if err != nil {
		return err
	}
	key, err := seal.ParseMasterKey("providers." + base64.RawURLEncoding.EncodeToString(raw))
	if err != nil {
		return err
	}
	box, err := seal.NewBox(key)
	if err != nil {
		return err
	}
	run, err := store.Run[provider.Tx](s.db)
	if err != nil {
		return err
	}
	s.providers, err = provider.New(provider.Config{Run: run, Secret: s.db.ProviderSecret, Box: box, Record: s.record.Record, Mail: s.mail, Fresh: session.Fresh, Logger: s.log, Now: s.now,
		Redirect: func(realm, id string) string { return s.realmIssuer(realm) + pages.ProviderBack(id) }})
	if err == nil {
		s.closers = append(s.closers, func(context.Context) { s.providers.Close() })
	}
	return err
}
