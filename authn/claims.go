package authn

import (
	"cmp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// FromClaims is the principal that verified claims speak for, before anything that
// depends on whose token it is: the one place where claims become a principal. A
// subject that is its own client is a client without a user (RFC 9068 §2.2, §5).
func FromClaims(realm string, c *token.Claims) *gatehouse.Principal {
	p := &gatehouse.Principal{
		Realm: realm, Kind: gatehouse.KindUser, ID: c.Subject,
		Scopes: strings.Fields(c.Scope), Scheme: gatehouse.SchemeJWT, Environment: gatehouse.EnvironmentLive,
		CredentialID: c.GrantID, GrantID: c.GrantID, ClientID: c.ClientID, SessionID: c.SessionID, TokenID: c.ID,
		Issuer: c.Issuer, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt, AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR,
		Confirmation: confirmation(c.Confirmation), Act: actOf(c.Act), Details: string(c.Details),
	}
	if c.ClientID != "" && c.ClientID == c.Subject {
		p.Kind = gatehouse.KindClient
	}
	return p
}

// ownPrincipal is the principal of a token of ours, which holds the millisecond of
// its issue, for cut-offs.
func ownPrincipal(realm string, c *token.Claims) *gatehouse.Principal {
	p := FromClaims(realm, c)
	if at, ok := gatehouse.IDTime(c.ID); ok {
		p.IssuedAt = at
	}
	return p
}

// wireAct is an act claim as others write it (RFC 8693 §4.1).
type wireAct struct {
	Iss string   `json:"iss"`
	Sub string   `json:"sub"`
	Act *wireAct `json:"act"`
}

// actOf reads who acts. Where that cannot be read, somebody acts whom nobody can name: it is not as if nobody did.
func actOf(raw jsontext.Value) *gatehouse.Act {
	w, out := readAct(raw), (*gatehouse.Act)(nil)
	for to := &out; w != nil; w = w.Act {
		*to = &gatehouse.Act{Subject: w.Sub}
		to = &(*to).Act
	}
	return out
}

func readAct(raw jsontext.Value) *wireAct {
	if raw == nil {
		return nil
	}
	w := &wireAct{}
	if raw.Kind() != '{' || json.Unmarshal(raw, w) != nil {
		return &wireAct{}
	}
	return w
}

// foreignAct is [actOf] with the ids that subjects of issuer have here. One that names another issuer is of that.
func foreignAct(issuer string, raw jsontext.Value) *gatehouse.Act {
	w, out := readAct(raw), (*gatehouse.Act)(nil)
	for to := &out; w != nil; w = w.Act {
		*to = &gatehouse.Act{Subject: foreignID(cmp.Or(w.Iss, issuer), w.Sub)}
		to = &(*to).Act
	}
	return out
}
