package endpoint

import (
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
	"github.com/gatehouse-auth/gatehouse/keyring"
)

// document is the metadata of a realm, rendered for the realm as it was.
type document struct {
	of     gatehouse.Realm
	issuer string
	body   []byte
	etag   string
}

// documents are those of the realms that were asked for. Only realms that there are get one.
type documents struct {
	mu   sync.RWMutex
	made map[string]*document
}

// metadata answers with what a realm says of its authorization server (RFC 8414 §2).
func (h *Handler) metadata(w http.ResponseWriter, r *http.Request) error {
	rl, err := h.realm(r)
	if err != nil {
		return err
	}
	issuer := h.c.Issuer(rl.Name)
	if !metadataPath(r.URL.Path, rl.Name, issuer) {
		return gatehouse.ErrRealmNotFound
	}
	d, err := h.document(rl, issuer)
	if err != nil {
		return err
	}
	return web.Publish(w, r, "application/json", d.etag, keyring.KeySetMaxAge, d.body)
}

// document is rendered once for each state of a realm: its last change tells one from another.
func (h *Handler) document(r gatehouse.Realm, issuer string) (*document, error) {
	h.docs.mu.RLock()
	d := h.docs.made[r.Name]
	h.docs.mu.RUnlock()
	if d != nil && d.of.UpdatedAt.Equal(r.UpdatedAt) && d.of.CreatedAt.Equal(r.CreatedAt) && d.issuer == issuer {
		return d, nil
	}
	base := strings.TrimSuffix(issuer, "/")
	m := map[string]any{"issuer": issuer, "jwks_uri": base + "/.well-known/jwks.json",
		"response_types_supported": []string{}} // required, and of an authorization endpoint (RFC 8414 §2)
	for _, add := range h.c.Describe {
		add(m, r, base)
	}
	body, err := json.Marshal(m, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	d = &document{of: r, issuer: issuer, body: body, etag: web.TagOf(body)}
	h.docs.mu.Lock()
	defer h.docs.mu.Unlock()
	if h.docs.made == nil {
		h.docs.made = map[string]*document{}
	}
	h.docs.made[r.Name] = d
	return d, nil
}

// metadataPath reports whether path is where the metadata of issuer belongs: a well-known part between host and
// path (RFC 8414 §3.1), or behind the path (§5, OpenID Connect Discovery §4), where many checkers of tokens
// look and nowhere else. The document is the same everywhere: what we do not serve is absent from it. A client that
// compares the issuer would refuse it from elsewhere.
func metadataPath(path, realm, issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	base := strings.TrimSuffix(u.Path, "/")
	if base == "" && realm != gatehouse.MainRealm {
		base = "/realms/" + realm // of a realm at a host of its own, whose paths come with its name before them
	}
	switch path {
	case "/.well-known/oauth-authorization-server" + base, "/.well-known/openid-configuration" + base, base + "/.well-known/openid-configuration":
		return true
	}
	return false
}
