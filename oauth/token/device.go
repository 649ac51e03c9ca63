package token

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

var errNoDeviceCode = gatehouse.E(gatehouse.Invalid, "device_code_missing", "The parameter device_code is required.")

// waitingBody is the answer to a device (RFC 8628 §3.2).
type waitingBody struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	ExpiresIn  int64  `json:"expires_in"` // seconds
	Interval   int64  `json:"interval"`
}

// device answers POST /device_authorization (RFC 8628 §3.1): a device without a browser wants something for a person, who
// says so in a browser elsewhere.
func (h *Handler) device(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	x := &request{h: h, w: w, r: r, order: grant.Order{Realm: realm}}
	if x.params, err = oauth.ReadForm(w, r); err != nil {
		return err
	}
	for _, phase := range [...]func(*request) error{h.deviceCode().client, readScope, readResource, readDetails} {
		if err := phase(x); err != nil {
			return err
		}
	}
	made, err := h.c.Grants.Ask(r.Context(), x.order)
	if err != nil {
		return h.challenge(err, realm, gatehouse.SchemeBasic)
	}
	at := h.c.DevicePage(realm)
	return web.WriteJSON(w, http.StatusOK, waitingBody{DeviceCode: made.DeviceCode.Reveal(), UserCode: made.UserCode,
		URI: at, Complete: at + "?" + url.Values{"user_code": {made.UserCode}}.Encode(),
		ExpiresIn: int64(grant.DeviceLife / time.Second), Interval: int64(grant.PollInterval / time.Second)})
}

// waiting is who asks whether the person has decided who was asked elsewhere.
type waiting struct {
	h         *Handler
	grant     string // its grant_type
	parameter string // in which it says what it was given
	missing   error  // where it does not
	redeem    func(ctx context.Context, o grant.Order, given gatehouse.Secret) (grant.Tokens, error)
}

// deviceCode is a device that asks (RFC 8628 §3.4).
func (h *Handler) deviceCode() waiting {
	return waiting{h, client.GrantDeviceCode, "device_code", errNoDeviceCode, h.c.Grants.RedeemDevice}
}

// asked is a client that asks about somebody whose browser it does not have (CIBA Core §10.1).
func (h *Handler) asked() waiting {
	return waiting{h, client.GrantBackchannel, "auth_req_id", errNoRequestID, h.c.Grants.RedeemAsked}
}

func (t waiting) client(x *request) error { return t.h.registered(x, t.grant) }

// read refuses a request without what it is about. The person decided about the scopes.
func (t waiting) read(x *request) error {
	if x.params[t.parameter] == "" {
		return t.missing
	}
	delete(x.params, "scope")
	return nil
}

func (t waiting) issue(x *request) (err error) {
	x.tokens, err = t.redeem(x.r.Context(), x.order, gatehouse.Secret(x.params[t.parameter]))
	return t.h.challenge(err, x.order.Realm, gatehouse.SchemeBasic)
}
