package grant

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/token"
)

// wantsOpaque reports whether the realm's access tokens are random ones.
func (i *issue) wantsOpaque() bool { return i.realm.Settings.Defaults().TokenFormat == "opaque" }

// expiry of an access token issued now: never beyond its grant.
func (i *issue) expiry() time.Time {
	return earlier(i.now.Add(i.realm.Settings.Defaults().AccessTokenTTL), i.grant.ExpiresAt)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// newRefresh makes r the sequence-th refresh token of the grant.
func (s *Service) newRefresh(i *issue, r minted, sequence int64) *Refresh {
	i.refresh = r.text
	return &Refresh{Hash: r.hash, GrantID: i.grant.ID, Realm: i.grant.Realm, Sequence: sequence, IssuedAt: i.now, ExpiresAt: i.refreshEnds()}
}

// refreshEnds is when a refresh token ends that nobody uses from now on: never beyond its grant.
func (i *issue) refreshEnds() time.Time {
	return earlier(i.now.Add(i.realm.Settings.Defaults().RefreshTokenTTL), i.grant.ExpiresAt)
}

// store writes what was made, and an opaque access token beside it when the realm
// wants those.
func (s *Service) store(ctx context.Context, tx Tx, i *issue, made Issued) error {
	if i.wantsOpaque() {
		m := mint(credential.PrefixAccess)
		i.opaque = m.text
		made.Opaque = &credential.OpaqueToken{
			Hash: m.hash, ID: gatehouse.NewID("tok", i.now), Realm: i.grant.Realm, GrantID: i.grant.ID,
			Subject: i.grant.Subject, Scopes: i.scopes, Audience: []string{i.audience},
			IssuedAt: i.now, ExpiresAt: i.expiry(), Confirmation: i.order.Confirmation, Details: i.details,
		}
	}
	return tx.InsertIssued(ctx, made)
}

// answer signs the access token and puts the answer together, after the commit.
func (s *Service) answer(ctx context.Context, i *issue) (Tokens, error) {
	t := Tokens{TokenType: tokenType(i.order.Confirmation), ExpiresIn: i.expiry().Sub(i.now), RefreshToken: i.refresh,
		AccessToken: i.opaque, Scopes: i.scopes, Details: i.details, GrantID: i.grant.ID}
	if i.opaque == "" {
		compact, err := s.c.Sign(ctx, i.realm.Name, s.claims(i))
		if err != nil {
			return Tokens{}, err
		}
		t.AccessToken = gatehouse.Secret(compact)
	}
	if !i.openID() {
		return t, nil
	}
	compact, err := s.c.SignID(ctx, i.realm.Name, i.client.Metadata.SignsID(), s.idToken(i, t.AccessToken))
	if err != nil {
		return Tokens{}, err
	}
	t.IDToken = gatehouse.Secret(compact)
	return t, nil
}

// claims is what an access token says.
func (s *Service) claims(i *issue) *token.Access {
	proved := i.grant.AuthTime
	if i.grant.OfClient() {
		proved = time.Time{} // nobody signed in (RFC 9068 §2.2.1)
	}
	return &token.Access{
		Type:   i.realm.Settings.Defaults().AccessTokenType,
		Issuer: s.c.Issuer(i.realm.Name), Subject: i.grant.Subject, Audience: []string{i.audience}, ClientID: i.grant.ClientID,
		Scope: strings.Join(i.scopes, " "), ID: gatehouse.NewID("tok", i.now), IssuedAt: i.now, ExpiresAt: i.expiry(),
		AuthTime: proved, ACR: i.grant.ACR, AMR: i.grant.AMR, SessionID: i.grant.SessionID,
		GrantID: i.grant.ID, StatusList: i.grant.StatusList, StatusIndex: i.grant.StatusIdx,
		JKT: i.order.Confirmation.JKT, X5T: i.order.Confirmation.X5T, Act: i.grant.Act, MayAct: i.grant.MayAct,
		Details: i.details.JSON(),
		More:    i.wanted(),
	}
}

// tokenType says how the token is to be presented (RFC 6750 §4, RFC 9449 §5): one that is bound to a certificate as Bearer
// (RFC 8705 §3).
func tokenType(c gatehouse.Confirmation) string {
	if c.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// wanted are the claims that the realm adds for this audience. Those that the
// subject does not have are empty, and left out by [token.Access].
func (i *issue) wanted() []token.Claim {
	var out []token.Claim
	for _, name := range i.realm.Settings.Audiences[i.audience].Claims {
		c := token.Claim{Name: name}
		switch name {
		case "preferred_username":
			c.Text = i.user.Username
		case "name":
			c.Text = i.user.DisplayName
		case "email":
			c.Text = i.user.Email
		case "roles": // RFC 9068 §2.2.3.1
			c.List = i.user.Roles
		case "groups":
			c.List = i.user.Groups
		}
		out = append(out, c)
	}
	return out
}
