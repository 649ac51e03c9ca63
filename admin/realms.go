package admin

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/token"
)

var (
	errRealmTaken = gatehouse.E(gatehouse.Conflict, "realm_exists", "There is a realm of this name.")
	errRealmMain  = gatehouse.E(gatehouse.Conflict, "realm_main_needed", "The realm main cannot be disabled: nobody could turn it on again.")
)

func realmView(r gatehouse.Realm) Realm {
	return Realm{Name: r.Name, Title: r.Title, Disabled: r.Disabled, Settings: settingsView(r.Settings),
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Version: realmVersion(r)}
}

// realmVersion tells one state of a realm from every other: no two changes have the
// same time, to the microsecond that the store keeps.
func realmVersion(r gatehouse.Realm) int64 { return r.UpdatedAt.UnixMicro() }

func settingsView(s gatehouse.RealmSettings) RealmSettings {
	return RealmSettings{
		TokenFormat: s.TokenFormat, SigningAlgorithm: s.SigningAlgorithm,
		AccessTokenTTL: Duration(s.AccessTokenTTL), RefreshTokenTTL: Duration(s.RefreshTokenTTL),
		GrantTTL: Duration(s.GrantTTL), RefreshGrace: Duration(s.RefreshGrace), Audience: s.Audience,
		Audiences: s.Audiences, AccessTokenType: s.AccessTokenType,
		Scopes: s.Scopes, PasswordMinLength: s.PasswordMinLength, BannedWords: s.BannedWords,
		KeyRotation: Duration(s.KeyRotation), KeyPropagation: Duration(s.KeyPropagation), TrustedIssuers: s.TrustedIssuers,
	}
}

func (s RealmSettings) settings() gatehouse.RealmSettings {
	return gatehouse.RealmSettings{
		TokenFormat: s.TokenFormat, SigningAlgorithm: s.SigningAlgorithm,
		AccessTokenTTL: time.Duration(s.AccessTokenTTL), RefreshTokenTTL: time.Duration(s.RefreshTokenTTL),
		GrantTTL: time.Duration(s.GrantTTL), RefreshGrace: time.Duration(s.RefreshGrace), Audience: s.Audience,
		Audiences: s.Audiences, AccessTokenType: s.AccessTokenType,
		Scopes: s.Scopes, PasswordMinLength: s.PasswordMinLength, BannedWords: s.BannedWords,
		KeyRotation: time.Duration(s.KeyRotation), KeyPropagation: time.Duration(s.KeyPropagation), TrustedIssuers: s.TrustedIssuers,
	}
}

// realm reads a realm that exists, after the actor was found to be allowed.
func (s *Service) realm(ctx context.Context, name string) (gatehouse.Realm, error) {
	return readRealm(ctx, s.c.Store, name)
}

func readRealm(ctx context.Context, from interface {
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
}, name string) (gatehouse.Realm, error) {
	r, err := from.Realm(ctx, name)
	if errors.Is(err, gatehouse.NotFound) {
		return r, gatehouse.ErrRealmNotFound
	}
	return r, err
}

// Realms lists the realms that actor may read, by name.
func (s *Service) Realms(ctx context.Context, actor *gatehouse.Principal) ([]Realm, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminRealm, realmOf(actor), ""); err != nil {
		return nil, err
	}
	all, err := s.c.Store.Realms(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Realm, 0, len(all))
	for _, r := range all {
		if s.c.Decide(ctx, actor, policy.AdminRead, policy.AdminRealm, r.Name, r.Name).Allowed {
			out = append(out, realmView(r))
		}
	}
	slices.SortFunc(out, func(a, b Realm) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Realm reads one realm.
func (s *Service) Realm(ctx context.Context, actor *gatehouse.Principal, name string) (Realm, error) {
	if err := s.authorize(ctx, actor, policy.AdminRead, policy.AdminRealm, name, name); err != nil {
		return Realm{}, err
	}
	r, err := s.realm(ctx, name)
	return realmView(r), err
}

// CreateRealm makes a realm and its first signing key. Errors: realm_exists,
// input_invalid.
func (s *Service) CreateRealm(ctx context.Context, actor *gatehouse.Principal, in NewRealm) (Realm, error) {
	if err := s.authorize(ctx, actor, policy.AdminManage, policy.AdminRealm, in.Name, in.Name); err != nil {
		return Realm{}, err
	}
	f := faults{}
	if !realmName.MatchString(in.Name) {
		f.add("name", "must be lower-case letters, digits and '-', at most 63, not beginning with '-'")
	}
	f.text("title", in.Title, false)
	settings := in.Settings.settings()
	f.settings("settings", settings)
	if err := f.err(); err != nil {
		return Realm{}, err
	}
	now := s.c.Now()
	r := gatehouse.Realm{Name: in.Name, Title: in.Title, CreatedAt: now, UpdatedAt: now, Settings: settings}
	err := s.c.Realms(ctx, func(ctx context.Context, tx RealmTx) error {
		if err := tx.InsertRealm(ctx, r); err != nil {
			return conflictAs(err, errRealmTaken)
		}
		return tx.AppendEvents(ctx, s.event(ctx, actor, r.Name, audit.KindRealmCreate, "realm", r.Name))
	})
	if err != nil {
		return Realm{}, err
	}
	// Outside of the transaction: the key is generated and sealed by the ring,
	// which makes it at the first need too, should this fail.
	return realmView(r), s.c.Signing.EnsureRealm(ctx, r.Name)
}

// UpdateRealm changes a realm. Turning it off, and letting a trusted issuer's
// keys be fetched from private addresses, concern the whole installation and
// take the right to manage realms.
func (s *Service) UpdateRealm(ctx context.Context, actor *gatehouse.Principal, name string, in RealmPatch) (Realm, error) {
	if err := s.authorize(ctx, actor, policy.AdminWrite, policy.AdminRealm, name, name); err != nil {
		return Realm{}, err
	}
	if in.Disabled != nil || in.Settings != nil && reachesInside(in.Settings.issuers) {
		if err := s.authorize(ctx, actor, policy.AdminManage, policy.AdminRealm, name, name); err != nil {
			return Realm{}, err
		}
	}
	if name == gatehouse.MainRealm && in.Disabled != nil && *in.Disabled {
		return Realm{}, errRealmMain
	}
	var out gatehouse.Realm
	err := s.c.Realms(ctx, func(ctx context.Context, tx RealmTx) error {
		r, err := tx.HoldRealm(ctx, name)
		if err != nil {
			return orMissing(err, gatehouse.ErrRealmNotFound)
		}
		if in.Version != nil && *in.Version != realmVersion(r) {
			return gatehouse.ErrVersionConflict
		}
		e := s.event(ctx, actor, name, audit.KindRealmUpdate, "realm", name)
		e.Detail = changes(e.Detail)
		f := faults{} // its own: a transaction may run twice
		if in.Title != nil {
			f.text("title", *in.Title, false)
			r.Title, e.Detail["title"] = *in.Title, "changed"
		}
		if in.Disabled != nil {
			r.Disabled, e.Detail["disabled"] = *in.Disabled, fmt.Sprint(*in.Disabled)
		}
		if in.Settings != nil {
			// Merged here, with what is stored: two changes of different members both last.
			if r.Settings, err = in.Settings.apply(r.Settings); err != nil {
				return err
			}
			f.settings("settings", r.Settings)
			e.Detail["settings"] = in.Settings.names()
		}
		if err := f.err(); err != nil {
			return err
		}
		next := r.UpdatedAt.Add(time.Microsecond) // two changes at once, or a clock set back
		if r.UpdatedAt = e.Time; r.UpdatedAt.Before(next) {
			r.UpdatedAt = next
		}
		out = r
		if err := tx.UpdateRealm(ctx, r); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	return realmView(out), err
}

func reachesInside(issuers []gatehouse.TrustedIssuer) bool {
	return slices.ContainsFunc(issuers, func(i gatehouse.TrustedIssuer) bool { return i.AllowPrivateAddress })
}

// changes returns a map to note changes in, keeping what is there.
func changes(m map[string]string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	return m
}

// settings checks a realm's settings; zero members take their defaults.
func (f faults) settings(at string, s gatehouse.RealmSettings) {
	d := s.Defaults()
	in := func(member string, v, least, most time.Duration) {
		if v < least || v > most {
			f.add(at+"."+member, "must be from %s to %s", least, most)
		}
	}
	const day = 24 * time.Hour
	in("access_token_ttl", d.AccessTokenTTL, time.Minute, time.Hour)
	in("refresh_token_ttl", d.RefreshTokenTTL, 5*time.Minute, 400*day)
	in("grant_ttl", d.GrantTTL, 5*time.Minute, gatehouse.MaxGrantTTL)
	if d.RefreshGrace > 0 {
		in("refresh_grace", d.RefreshGrace, 0, 30*time.Second)
	}
	if d.KeyRotation > 0 {
		in("key_rotation", d.KeyRotation, day, 400*day)
	}
	in("key_propagation", d.KeyPropagation, keyring.KeySetMaxAge, 30*day)
	if d.TokenFormat != "signed" && d.TokenFormat != "opaque" {
		f.add(at+".token_format", "must be signed or opaque")
	}
	if a, ok := token.ParseAlgorithm(d.SigningAlgorithm); !ok || a.Symmetric() {
		f.add(at+".signing_algorithm", "is not an asymmetric algorithm that is supported here")
	}
	if d.PasswordMinLength < 8 || d.PasswordMinLength > 128 {
		f.add(at+".password_min_length", "must be from 8 to 128")
	}
	f.names(at+".scopes", slices.Collect(maps.Keys(s.Scopes)))
	for name, meaning := range s.Scopes {
		f.text(at+".scopes", meaning, false)
		if name == gatehouse.ScopeAll || strings.HasPrefix(name, "admin:") {
			f.add(at+".scopes", "must not hold * or a name that begins with admin:")
		}
	}
	if len(s.BannedWords) > 1000 {
		f.add(at+".banned_words", "has more than 1000 entries")
	}
	for _, w := range s.BannedWords {
		f.text(at+".banned_words", w, true)
	}
	if s.Audience != "" && !nameForm(s.Audience) {
		f.add(at+".audience", "must be at most 128 plain characters")
	}
	if d.AccessTokenType != token.TypeAccess && d.AccessTokenType != token.TypeJWT {
		f.add(at+".access_token_type", "must be at+jwt or JWT")
	}
	if len(s.Audiences) > 50 {
		f.add(at+".audiences", "has more than 50 entries")
	}
	for name, rules := range s.Audiences {
		if !nameForm(name) {
			f.add(at+".audiences", "has a name that is not 1 to 128 plain characters")
		}
		for _, claim := range rules.Claims {
			if !slices.Contains(gatehouse.AudienceClaims(), claim) {
				f.add(at+".audiences", "has a claim that is none of %s", strings.Join(gatehouse.AudienceClaims(), ", "))
			}
		}
	}
	f.issuers(at+".trusted_issuers", s.TrustedIssuers)
}

// issuers checks the rules for foreign tokens. Nothing may be left open: issuer,
// audience, algorithms and where the keys are.
func (f faults) issuers(at string, list []gatehouse.TrustedIssuer) {
	if len(list) > 50 {
		f.add(at, "has more than 50 entries")
		return
	}
	for i, t := range list {
		here := fmt.Sprintf("%s[%d]", at, i)
		if !issuerForm(t.Issuer, t.AllowPrivateAddress) {
			f.add(here+".issuer", "must be an https URL without query and fragment")
		}
		if slices.ContainsFunc(list[:i], func(o gatehouse.TrustedIssuer) bool { return o.Issuer == t.Issuer }) {
			f.add(here+".issuer", "is listed twice")
		}
		audiences := t.Accepts()
		if len(audiences) == 0 || len(audiences) > 20 || slices.ContainsFunc(audiences, func(a string) bool { return a == "" || len(a) > 512 }) {
			f.add(here+".audience", "is required here or in audiences: 1 to 20, each of at most 512 characters")
		}
		if len(t.RequiredClaims) > 20 {
			f.add(here+".required_claims", "has more than 20 entries")
		}
		for _, name := range t.RequiredClaims {
			f.text(here+".required_claims", name, true)
		}
		if len(t.Algorithms) == 0 {
			f.add(here+".algorithms", "needs at least one entry")
		}
		var algorithms []token.Algorithm
		for _, name := range t.Algorithms {
			a, ok := token.ParseAlgorithm(name)
			if !ok || a.Symmetric() {
				f.add(here+".algorithms", "may hold asymmetric algorithms only")
			}
			algorithms = append(algorithms, a)
		}
		switch {
		case t.JWKSURL != "" && t.JWKS != "":
			f.add(here, "takes one of jwks_url and jwks; without both, the issuer's metadata says where its keys are")
		case t.JWKSURL != "" && !addressForm(t.JWKSURL, t.AllowPrivateAddress):
			f.add(here+".jwks_url", "must be an https URL without user name and fragment")
		case t.JWKS != "":
			if len(t.JWKS) > 64<<10 {
				f.add(here+".jwks", "is longer than 64 KiB")
			} else if _, err := token.ParseJWKSet([]byte(t.JWKS), token.ParseOptions{Algorithms: algorithms}); err != nil {
				f.add(here+".jwks", "is not a set of public keys")
			}
		}
		if t.CA != "" && (len(t.CA) > 64<<10 || !x509.NewCertPool().AppendCertsFromPEM([]byte(t.CA))) {
			f.add(here+".ca", "must hold certificates in PEM, at most 64 KiB")
		}
		if t.CA != "" && t.JWKS != "" {
			f.add(here+".ca", "has no use where jwks is given: nothing is fetched")
		}
		if len(t.RoleMap) > maxList || len(t.AttributeClaims) > maxList {
			f.add(here, "has more than 200 entries in a map")
		}
		for _, role := range t.RoleMap {
			if policy.IsBuiltinRole(role) { // a foreign issuer must not make our administrators
				f.add(here+".role_map", "must not give administrative roles")
			}
		}
	}
}

// issuerForm accepts the address form without a query (RFC 8414 §2).
func issuerForm(s string, private bool) bool {
	return addressForm(s, private) && !strings.Contains(s, "?")
}

// addressForm accepts absolute https URLs; http only where private addresses were
// allowed on purpose, which is for trying things out.
func addressForm(s string, private bool) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 512 && u.Host != "" && u.User == nil && !strings.Contains(s, "#") &&
		(u.Scheme == "https" || private && u.Scheme == "http")
}
