package server

import (
	"context"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/webauthn"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/store"
)

const settingPasskeyKey = "passkey.key"

// wirePasskeys makes what knows people's passkeys.
func (s *Server) wirePasskeys(ctx context.Context) error {
	key, err := s.secret(ctx, settingPasskeyKey, passkey.KeySize)
	if err != nil {
		return err
	}
	run, err := store.Run[passkey.Tx](s.db)
	if err != nil {
		return err
	}
	s.passkeys, err = passkey.New(passkey.Config{Run: run, Key: key, Site: s.passkeySite, Record: s.record.Record, Mail: s.mail, Now: s.now})
	return err
}

// passkeySite is the site that passkeys of a realm are bound to.
func (s *Server) passkeySite(realm string) webauthn.RelyingParty {
	return passkeySite(s.realmIssuer(realm))
}

// passkeySite is the site that passkeys are bound to: the host of the pages. Browsers know passkeys for
// names over TLS, and for localhost (WebAuthn L3 §5.1.3; Secure Contexts §3.1); elsewhere there are none.
func passkeySite(issuer string) webauthn.RelyingParty {
	u, err := url.Parse(strings.ToLower(issuer))
	if err != nil {
		return webauthn.RelyingParty{}
	}
	host := u.Hostname()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if _, err := netip.ParseAddr(host); err == nil || host == "" || u.Scheme != "https" && !local {
		return webauthn.RelyingParty{}
	}
	origin := u.Scheme + "://" + host // as browsers write it: without the port that is meant anyway
	if port := u.Port(); port != "" && port != map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		origin += ":" + port
	}
	return webauthn.RelyingParty{ID: host, Origins: []string{origin}}
}
