package grant

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/token"
)

// expiry of an access token issued now: never beyond its grant.
func (o *issue) expiry() time.Time {
	exp := o.now.Add(o.realm.Settings.Defaults().AccessTokenTTL)
	if exp.After(o.grant.ExpiresAt) {
		return o.grant.ExpiresAt
	}
	return exp
}

// answer signs the access token and puts the response together, after the
// commit: what was not stored is never handed out.
func (s *Service) answer(ctx context.Context, o *issue) (Tokens, error) {
	t := Tokens{TokenType: "Bearer", ExpiresIn: o.expiry().Sub(o.now), RefreshToken: o.refresh,
		AccessToken: o.opaque, Scopes: o.scopes, GrantID: o.grant.ID}
	if o.opaque != "" {
		return t, nil
	}
	compact, err := s.c.Sign(ctx, o.realm.Name, &token.Access{
		Issuer: s.c.Issuer(o.realm.Name), Subject: o.grant.Subject, Audience: o.grant.Audience, ClientID: o.grant.ClientID,
		Scope: strings.Join(o.scopes, " "), ID: gatehouse.NewID("tok", o.now), IssuedAt: o.now, ExpiresAt: o.expiry(),
		AuthTime: o.grant.AuthTime, ACR: o.grant.ACR, AMR: o.grant.AMR, SessionID: o.grant.SessionID,
		GrantID: o.grant.ID, StatusList: o.grant.StatusList, StatusIndex: o.grant.StatusIdx,
	})
	if err != nil {
		return Tokens{}, err
	}
	t.AccessToken = gatehouse.Secret(compact)
	return t, nil
}

// insertRefresh stores r as the sequence-th refresh token of the grant.
func (s *Service) insertRefresh(ctx context.Context, tx Tx, o *issue, r minted, sequence int64) error {
	exp := o.now.Add(o.realm.Settings.Defaults().RefreshTokenTTL)
	if exp.After(o.grant.ExpiresAt) {
		exp = o.grant.ExpiresAt
	}
	o.refresh = r.text
	return tx.InsertRefresh(ctx, Refresh{Hash: r.hash, GrantID: o.grant.ID, Realm: o.grant.Realm,
		Sequence: sequence, IssuedAt: o.now, ExpiresAt: exp})
}

// storeOpaque mints and stores the access token when the realm wants opaque ones.
func (s *Service) storeOpaque(ctx context.Context, tx Tx, o *issue) error {
	if o.realm.Settings.Defaults().TokenFormat != "opaque" {
		return nil
	}
	m := mint(credential.PrefixAccess)
	o.opaque = m.text
	return tx.InsertOpaqueToken(ctx, credential.OpaqueToken{
		Hash: m.hash, ID: gatehouse.NewID("tok", o.now), Realm: o.grant.Realm, GrantID: o.grant.ID,
		Subject: o.grant.Subject, Scopes: o.scopes, Audience: o.grant.Audience,
		IssuedAt: o.now, ExpiresAt: o.expiry(),
	})
}
