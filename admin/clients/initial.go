package clients

import (
	"context"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// Bounds of a token by which clients register themselves.
const (
	maxInitialUses  = 1000
	maxInitialLife  = 90 * aDay
	initialLifetime = aDay
)

// InitialToken is a token by which clients register themselves, without its text.
type InitialToken struct {
	ID        string    `json:"id"`
	Note      string    `json:"note,omitempty"`
	Left      int       `json:"uses_left" doc:"How many clients may still register by it"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// NewInitialToken makes one.
type NewInitialToken struct {
	Note      string          `json:"note,omitempty" doc:"What it is for"`
	Uses      int             `json:"uses,omitzero" doc:"How many clients may register by it, 1 to 1000; 1 by default"`
	ExpiresIn kernel.Duration `json:"expires_in,omitzero" doc:"1m to 90d, 24h by default"`
}

// CreatedInitialToken is one with its text.
type CreatedInitialToken struct {
	InitialToken
	Token gatehouse.Secret `json:"token" doc:"Shown this once"`
}

var errNoToken = gatehouse.E(gatehouse.NotFound, "registration_token_not_found", "There is no such token to register clients by in this realm.")

func viewToken(t client.InitialToken) InitialToken {
	return InitialToken{ID: t.ID, Note: t.Note, Left: t.Left, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt}
}

// ListTokens lists the tokens by which clients register themselves.
func (s *Service) ListTokens(ctx context.Context, actor *gatehouse.Principal, realm, after string, limit int) (kernel.Page[InitialToken], error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminClient, realm, ""); err != nil {
		return kernel.Page[InitialToken]{}, err
	}
	if _, err := s.k.Realm(ctx, realm); err != nil {
		return kernel.Page[InitialToken]{}, err
	}
	limit = kernel.Limit(limit)
	list, err := s.c.Clients.InitialTokens(ctx, realm, after, limit+1)
	return kernel.Paged(list, limit, func(t client.InitialToken) string { return t.ID }, viewToken), err
}

// CreateToken makes a token by which clients register themselves, and shows it once.
func (s *Service) CreateToken(ctx context.Context, actor *gatehouse.Principal, realm string, in NewInitialToken) (CreatedInitialToken, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminClient, realm, ""); err != nil {
		return CreatedInitialToken{}, err
	}
	if in.Uses == 0 {
		in.Uses = 1
	}
	life := time.Duration(in.ExpiresIn)
	if life == 0 {
		life = initialLifetime
	}
	f := kernel.Faults{}
	f.Text("note", in.Note, false)
	if in.Uses < 1 || in.Uses > maxInitialUses {
		f.Add("uses", "must be from 1 to %d", maxInitialUses)
	}
	if life < time.Minute || life > maxInitialLife {
		f.Add("expires_in", "must be from 1m to 90d")
	}
	if err := f.Err(); err != nil {
		return CreatedInitialToken{}, err
	}
	now := s.k.Now()
	t := client.InitialToken{Realm: realm, ID: gatehouse.NewID("crt", now), Note: in.Note, Left: in.Uses, CreatedAt: now, ExpiresAt: now.Add(life)}
	var text gatehouse.Secret
	text, t.Hash = client.NewRegistrationToken()
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.HoldRealm(ctx, realm); err != nil {
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		if err := tx.InsertInitialToken(ctx, t); err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, realm, audit.KindInitialToken, "registration_token", t.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["uses"] = strconv.Itoa(t.Left)
		return tx.AppendEvents(ctx, e)
	})
	return CreatedInitialToken{viewToken(t), text}, err
}

// DeleteToken removes such a token; what registered by it stays.
func (s *Service) DeleteToken(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminClient, realm, ""); err != nil {
		return err
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.DeleteInitialToken(ctx, realm, id); err != nil {
			return kernel.OrMissing(err, errNoToken)
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, realm, audit.KindInitialTokenEnd, "registration_token", id))
	})
}
