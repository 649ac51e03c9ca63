package token

import (
	"mime"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/token"
)

// mediaIntrospection is how an API asks for a signed answer (RFC 9701 §4).
const mediaIntrospection = "application/" + token.TypeIntrospection

// wantsSigned reports whether r asks by name for a signed answer; what takes anything gets JSON.
func wantsSigned(r *http.Request) bool {
	for _, line := range r.Header["Accept"] {
		for item := range strings.SplitSeq(line, ",") {
			if media, params, err := mime.ParseMediaType(item); err == nil && media == mediaIntrospection && params["q"] != "0" {
				return true
			}
		}
	}
	return false
}

// tell answers an introspection of c with what is said of a token: signed for c alone, where it asks for that (RFC 9701 §5).
func (h *Handler) tell(x *request, c client.Client, said []byte) error {
	media := "application/json"
	if wantsSigned(x.r) {
		alg := c.Metadata.SignsIntrospections()
		key, err := h.c.Signer(x.r.Context(), x.order.Realm, alg)
		if err != nil {
			return err
		}
		if key.Algorithm != alg { // the API would refuse it
			return gatehouse.ErrInternal
		}
		text, err := key.SignIntrospection(h.c.Issuer(x.order.Realm), c.ID, h.c.Clients.Now(), said)
		if err != nil {
			return err
		}
		media, said = mediaIntrospection, []byte(text)
	}
	x.w.Header()["Content-Type"] = []string{media}
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(said)
	return nil
}
