package gatehouse

import "time"

// Grant is the authorization from which tokens come; ending it ends them all.
type Grant struct {
	ID    string // "grt_…"
	Realm string
	// Subject is a user, or, equal to ClientID, a client that acts for itself (RFC
	// 9068 §2.2).
	Subject   string
	ClientID  string
	SessionID string
	Scopes    []string
	Audience  []string
	AuthTime  time.Time
	AMR       []string
	ACR       string
	// Confirmation is what the refresh tokens are bound to: those of clients that cannot prove otherwise who they are.
	Confirmation Confirmation
	// Claims are those that the client asked for one by one.
	Claims Claims
	// Parent is the grant whose token was exchanged for this one (RFC 8693), with which it ends; "" for none.
	Parent string
	Act    *Act // who acts for the subject; nil for nobody but the client
	// MayAct is the one party that may act for the subject by tokens of this grant, where they are exchanged (RFC 8693 §4.4); "" says nothing of that.
	MayAct string
	// Details are what the client was given beyond scopes (RFC 9396).
	Details    Details
	StatusList int64 // revocation status list
	StatusIdx  int64
	CreatedAt  time.Time
	ExpiresAt  time.Time // absolute end
	EndedAt    time.Time
	EndReason  string
}

// OfClient reports whether the grant is a client's own, without a user.
func (g Grant) OfClient() bool { return g.Subject == g.ClientID }

// SubjectKind is KindClient for a client's own grant, else KindUser.
func (g Grant) SubjectKind() PrincipalKind {
	if g.OfClient() {
		return KindClient
	}
	return KindUser
}

// Claims are what a client asked to be told of a person, one by one (OpenID Connect Core §5.5), and may be told.
type Claims struct {
	IDToken  []string `json:"id_token,omitempty"`
	UserInfo []string `json:"userinfo,omitempty"`
}

// None reports whether nothing was asked for.
func (c Claims) None() bool { return len(c.IDToken) == 0 && len(c.UserInfo) == 0 }
