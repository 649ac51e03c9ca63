package grant

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
)

// claims of a signed access token (RFC 9068 §2.2). Times are whole seconds; the
// millisecond of the issue is inside jti, where cut-offs read it.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience []string `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	ID       string   `json:"jti"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	AuthTime int64    `json:"auth_time,omitzero"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Session  string   `json:"sid,omitempty"`
	Grant    string   `json:"gid"`
	Status   status   `json:"status"`
}

// status is the status claim of a referenced token
// (draft-ietf-oauth-status-list-21 §6.1).
type status struct {
	List statusList `json:"status_list"`
}

type statusList struct {
	Index int64  `json:"idx"`
	URI   string `json:"uri"`
}

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
	issuer := s.c.Issuer(o.realm.Name)
	body, err := json.Marshal(claims{
		Issuer: issuer, Subject: o.grant.Subject, Audience: o.grant.Audience,
		Expires: o.expiry().Unix(), Issued: o.now.Unix(), ID: gatehouse.NewID("tok", o.now),
		ClientID: o.grant.ClientID, Scope: strings.Join(o.scopes, " "),
		AuthTime: o.grant.AuthTime.Unix(), ACR: o.grant.ACR, AMR: o.grant.AMR, Session: o.grant.SessionID,
		Grant:  o.grant.ID,
		Status: status{statusList{Index: o.grant.StatusIdx, URI: StatusURI(issuer, o.grant.StatusList)}},
	})
	if err != nil {
		return Tokens{}, err
	}
	compact, err := s.c.Sign(ctx, o.realm.Name, body)
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

// StatusURI is where the status list with the given number is published.
func StatusURI(issuer string, list int64) string {
	return strings.TrimSuffix(issuer, "/") + "/status/" + strconv.FormatInt(list, 10)
}
