package token

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
)

// revoke answers POST /revoke (RFC 7009): a client ends a grant of its own by one of the tokens, and with it all
// that came from it. What does not count, and what is another client's, is answered as if it were done (§2.2): who
// found a token does not learn whose it is.
func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) error {
	realm, err := h.begin(w, r)
	if err != nil {
		return err
	}
	x, c, err := h.about(w, r, realm)
	if err != nil {
		return err
	}
	ctx, text := gatehouse.WithPrincipal(r.Context(), x.principal), gatehouse.Secret(x.params["token"])
	if grant.IsRefresh(text) {
		err = h.c.Grants.Revoke(ctx, x.order.Realm, c.ID, text)
	} else {
		err = h.revokeAccess(ctx, x, c.ID, text)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (h *Handler) revokeAccess(ctx context.Context, x *request, id string, text gatehouse.Secret) error {
	t, err := h.c.Inspect(ctx, x.order.Realm, text, address(x.r))
	if err != nil {
		_, err = refused(err)
		return err
	}
	if t.Principal.ClientID != id {
		return nil
	}
	_, err = h.c.Grants.End(ctx, x.order.Realm, t.Principal.GrantID, grant.ReasonRevoked)
	return err
}
