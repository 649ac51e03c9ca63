package client

import (
	"slices"
	"strings"
)

// Exchange is a rule by which a client may exchange tokens (RFC 8693). Nothing is exchanged without one.
type Exchange struct {
	From []string `json:"from" maxItems:"20" doc:"The clients whose tokens it may exchange, by their client_id; its own for those that were issued to itself, gatehouse-first-party for those of POST /tokens"`
	// Audiences are whom tokens may be for that are had by this rule; the first is the default.
	Audiences []string `json:"audiences" maxItems:"20" doc:"Audiences of the realm for which it may have tokens; the first is the default"`
	Scope     string   `json:"scope,omitempty" doc:"The scopes that such tokens may have at most, of the client's own, separated by spaces"`
	// IDTokens lets ID tokens of the client itself be exchanged, too.
	IDTokens bool `json:"id_tokens,omitempty" doc:"ID tokens that were issued to it may be exchanged as well as access tokens"`
	// Impersonate leaves the client out of the token: nobody sees that it is not the person who calls (RFC 8693 §1.1).
	Impersonate bool `json:"impersonate,omitempty" doc:"The tokens do not say that the client acts for the person (no claim act)"`
	// MayAct is who may exchange these tokens in turn (RFC 8693 §4.4).
	MayAct string `json:"may_act,omitempty" maxLength:"128" doc:"The one party that may act by exchanging these tokens in turn: a client_id, or a user's id"`
}

// Scopes are those of r, one by one.
func (r Exchange) Scopes() []string { return strings.Fields(r.Scope) }

// String is r as the record has it.
func (r Exchange) String() string {
	s := strings.Join(r.From, ",") + " to " + strings.Join(r.Audiences, ",") + " with " + strings.Join(r.Scopes(), ",")
	if r.IDTokens {
		s += " by ID token"
	}
	if r.Impersonate {
		s += " as the person"
	}
	return s
}

// ExchangesIDTokens reports whether the client may exchange ID tokens that it is given, which then say of which grant they are.
func (m Metadata) ExchangesIDTokens() bool {
	return m.May(GrantTokenExchange) && slices.ContainsFunc(m.Exchanges, func(r Exchange) bool { return r.IDTokens })
}

// Exchange returns the rule by which the client may exchange a token of another one, or of itself, for one for audience; "" is the default of
// the first rule. known says whether there is a rule for such tokens at all.
func (m Metadata) Exchange(from string, idToken bool, audience string) (r Exchange, ok, known bool) {
	if m.Public() || !m.May(GrantTokenExchange) {
		return r, false, false
	}
	for _, r := range m.Exchanges {
		if !slices.Contains(r.From, from) || idToken && !r.IDTokens || len(r.Audiences) == 0 {
			continue
		}
		if known = true; audience == "" || slices.Contains(r.Audiences, audience) {
			return r, true, true
		}
	}
	return Exchange{}, false, known
}

// Most of what a registration holds of exchanges.
const (
	maxExchanges = 20
	maxParties   = 20 // of one rule
)

// checkExchanges gives fault what is wrong with the rules of m.
func (m Metadata) checkExchanges(fault func(member, text string)) {
	if m.Public() && m.May(GrantTokenExchange) { // it cannot prove that a token was given to it
		fault("grant_types", "must not have "+GrantTokenExchange+": a public client cannot prove who it is")
	}
	switch {
	case len(m.Exchanges) > 0 && !m.May(GrantTokenExchange):
		fault("token_exchange", "has no use without the grant type "+GrantTokenExchange)
	case len(m.Exchanges) > maxExchanges:
		fault("token_exchange", "must have at most 20 rules")
	}
	for _, r := range m.Exchanges {
		for member, list := range map[string][]string{"from": r.From, "audiences": r.Audiences} {
			if len(list) == 0 || len(list) > maxParties || slices.ContainsFunc(list, func(s string) bool { return s == "" || len(s) > maxAddress }) {
				fault("token_exchange", "must have 1 to 20 entries in each "+member)
				return
			}
		}
		for _, s := range r.Scopes() {
			if !slices.Contains(m.Scopes(), s) || IsPersonal(s) {
				fault("token_exchange", "must have in each scope only scopes of the client, and none of OpenID Connect")
				return
			}
		}
	}
}
