package token

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Backchannel brings what clients ask to people; *backchannel.Service does.
type Backchannel interface {
	Ask(ctx context.Context, realm string, c client.Client, by *gatehouse.Principal, params oauth.Parameters) (id gatehouse.Secret, life time.Duration, err error)
}

// pathAsk is the path of the endpoint.
const pathAsk = "backchannel-authentication"

var errNoRequestID = gatehouse.E(gatehouse.Invalid, "auth_req_id_missing", "The parameter auth_req_id is required.")

// askedBody is the answer to a client that waits for a person (CIBA Core §7.3).
type askedBody struct {
	ID        string `json:"auth_req_id"`
	ExpiresIn int64  `json:"expires_in"` // seconds
	Interval  int64  `json:"interval"`
}

// askPerson answers POST /backchannel-authentication (CIBA Core §7): a client has this server ask a person, who says so in a browser of
// theirs.
func (h *Handler) askPerson(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	x := &request{h: h, w: w, r: r, order: grant.Order{Realm: realm}}
	if x.params, err = oauth.ReadForm(w, r); err != nil {
		return err
	}
	c, err := h.proved(x)
	if err == nil && !c.Metadata.May(client.GrantBackchannel) {
		err = errMayNot
	}
	if err != nil {
		return err
	}
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} { // they proved what they prove
		delete(x.params, name)
	}
	id, life, err := h.c.Backchannel.Ask(r.Context(), realm, c, x.principal, x.params)
	if err != nil {
		return h.challenge(err, realm, gatehouse.SchemeBasic)
	}
	return web.WriteJSON(w, http.StatusOK, askedBody{ID: id.Reveal(), ExpiresIn: int64(life / time.Second), Interval: int64(grant.PollInterval / time.Second)})
}
