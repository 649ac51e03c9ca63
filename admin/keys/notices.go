package keys

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
)

// maker reads who makes a key for somebody else, to tell him too: it may be a thief of his
// credential. It is nobody when he has no account here, or no address.
func (s *Service) maker(ctx context.Context, actor *gatehouse.Principal, realm, ownerID string) identity.User {
	if !s.c.Mail.On() || actor.Realm == realm && actor.ID == ownerID {
		return identity.User{}
	}
	u, err := s.c.Owners.Find(ctx, actor.Realm, actor.ID)
	if err != nil {
		return identity.User{}
	}
	return u
}

// tell queues the notice of a new key to its owner and to whoever made it.
func (s *Service) tell(ctx context.Context, tx Tx, actor *gatehouse.Principal, k credential.Key, owner, maker identity.User) error {
	for _, to := range []identity.User{owner, maker} {
		if _, err := s.c.Mail.Put(ctx, tx, mail.Message{Kind: mail.KindKeyCreated, Realm: k.Realm, To: to.Email,
			Data: mail.Data{Account: owner.Username, By: actor.Name, Key: k.ID, KeyName: k.Name, At: k.CreatedAt, Ends: k.ExpiresAt}}); err != nil {
			return err
		}
	}
	return nil
}
