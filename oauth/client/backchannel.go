package client

import (
	"slices"

	"github.com/gatehouse-auth/gatehouse/oauth/openid"
	"github.com/gatehouse-auth/gatehouse/token"
)

// GrantBackchannel is for a person who is asked by this server, without a browser of the client's (CIBA Core §10.1).
const GrantBackchannel = "urn:openid:params:grant-type:ciba"

// How a client learns that the person has decided (CIBA Core §5). By push it would be sent its tokens, which does not exist here.
const DeliveryPoll = "poll" // it asks

// Deliveries are those that a registration can name.
func Deliveries() []string { return []string{DeliveryPoll} }

// Backchannel is what a registration says of how the client asks people without a browser of theirs (CIBA Core §4).
type Backchannel struct {
	// Delivery is one of Deliveries, for clients with GrantBackchannel.
	Delivery string `json:"backchannel_token_delivery_mode,omitempty" enum:"poll" doc:"How it learns that a person has decided, with the grant type of CIBA: poll, it asks"`
	// BackchannelAlg is that of requests that it signs; with it, it signs them all.
	BackchannelAlg string `json:"backchannel_authentication_request_signing_alg,omitempty" maxLength:"16" doc:"The one algorithm by which it signs its requests of CIBA, which then are refused unsigned"`
}

// SignsBackchannel reports whether the client has to sign what it asks people for (CIBA Core §7.1.1).
func (m Metadata) SignsBackchannel() bool { return m.BackchannelAlg != "" }

// backchannelAlgorithms are those by which it may.
func (m Metadata) backchannelAlgorithms() []token.Algorithm {
	if m.BackchannelAlg != "" {
		return []token.Algorithm{token.Algorithm(m.BackchannelAlg)}
	}
	return m.Algorithms()
}

func (m Metadata) checkBackchannel(fault func(member, text string)) {
	if !m.May(GrantBackchannel) {
		for member, given := range map[string]bool{"backchannel_token_delivery_mode": m.Delivery != "", "backchannel_authentication_request_signing_alg": m.BackchannelAlg != ""} {
			if given {
				fault(member, "is for clients with the grant type "+GrantBackchannel)
			}
		}
		return
	}
	if !slices.Contains(Deliveries(), m.Delivery) { // CIBA Core §4: it is required
		fault("backchannel_token_delivery_mode", "must be poll with the grant type "+GrantBackchannel)
	}
	if m.Public() { // whoever says to be it could have people asked
		fault("grant_types", "must not have "+GrantBackchannel+": a public client cannot prove who asks")
	}
	if !slices.Contains(m.Scopes(), openid.ScopeOpenID) { // CIBA Core §7.1: each request has it
		fault("scope", "must have openid with the grant type "+GrantBackchannel)
	}
}
