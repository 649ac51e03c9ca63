package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// PageOrigins knows from which pages clients call.
type PageOrigins interface {
	// HasOrigin reports whether a client of the realm that may have tokens has pages of an origin. Where that is not known, it has not.
	HasOrigin(ctx context.Context, realm, origin string) bool
}

// preflightAge is how long a browser remembers what it was told: an origin that is registered no more is out soon.
const preflightAge = 10 * time.Minute

// ForPages lets the scripts of pages call next by methods, where a client of the realm has pages of their origin. Nothing
// that browsers add by themselves counts at such an endpoint, so credentials are never allowed.
func ForPages(of PageOrigins, next http.Handler, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" {
			if _, exact := web.Origin(origin); !exact || !of.HasOrigin(r.Context(), realmOf(r), origin) {
				origin = ""
			}
			if asked, _, ok := web.Preflight(r); ok {
				if !slices.Contains(methods, asked) {
					origin = ""
				}
				web.AnswerPreflight(w, origin, strings.Join(methods, ", "), false, []string{"Authorization", "Content-Type", "DPoP"}, preflightAge)
				return
			}
			if origin != "" {
				web.Readable(w.Header(), origin, false)
			}
		}
		w.Header()["Vary"] = []string{"Origin"}
		next.ServeHTTP(w, r)
	})
}

// realmOf is the realm that the path of r names.
func realmOf(r *http.Request) string {
	if name := r.PathValue("realm"); name != "" {
		return name
	}
	return gatehouse.MainRealm
}
