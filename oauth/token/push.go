package token

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Requests keeps the authorization requests that clients push; *authorize.Service does.
type Requests interface {
	Push(ctx context.Context, realm gatehouse.Realm, c client.Client, form url.Values, jkt string) (uri string, life time.Duration, err error)
}

// pushedBody is the answer to a request that was pushed (RFC 9126 §2.2).
type pushedBody struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
}

// push answers POST /par (RFC 9126): a client proves who it is, as everywhere here, and says before there is a browser what it
// will ask a person for. A DPoP proof with it binds the code to its key (RFC 9449 §10.1).
func (h *Handler) push(w http.ResponseWriter, r *http.Request) error {
	name, err := h.begin(w, r)
	if err != nil {
		return err
	}
	x := &request{h: h, w: w, r: r, order: grant.Order{Realm: name}}
	var form url.Values
	if x.params, form, err = oauth.ReadValues(w, r, "resource"); err != nil {
		return err
	}
	c, err := h.proved(x)
	if err != nil {
		return err
	}
	realm, err := h.c.Clients.Clients.Realm(r.Context(), name)
	if errors.Is(err, gatehouse.NotFound) || err == nil && realm.Disabled {
		return gatehouse.ErrRealmNotFound
	}
	if err == nil && len(r.Header["Dpop"]) > 0 {
		err = prove(x)
	}
	if err != nil {
		return err
	}
	for _, secret := range []string{"client_secret", "client_assertion", "client_assertion_type"} { // they proved what they prove, and are kept nowhere
		form.Del(secret)
	}
	uri, life, err := h.c.Requests.Push(r.Context(), realm, c, form, x.order.Confirmation.JKT)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, pushedBody{RequestURI: uri, ExpiresIn: int64(life / time.Second)})
}
