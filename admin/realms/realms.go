package realms

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var (
	errRealmTaken = gatehouse.E(gatehouse.Conflict, "realm_exists", "There is a realm of this name.")
	errRealmMain  = gatehouse.E(gatehouse.Conflict, "realm_main_needed", "The realm main cannot be disabled: nobody could turn it on again.")
)

var realmName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func realmView(r gatehouse.Realm) Realm {
	return Realm{Name: r.Name, Title: r.Title, Disabled: r.Disabled, Settings: settingsView(r.Settings),
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, CutOffAt: r.CutOffAt, Version: realmVersion(r)}
}

// realmVersion tells one state of a realm from every other: no two changes have the
// same time, to the microsecond that the store keeps.
func realmVersion(r gatehouse.Realm) int64 { return r.UpdatedAt.UnixMicro() }

func settingsView(s gatehouse.RealmSettings) RealmSettings {
	return RealmSettings{
		TokenFormat: s.TokenFormat, SigningAlgorithm: s.SigningAlgorithm,
		AccessTokenTTL: kernel.Duration(s.AccessTokenTTL), RefreshTokenTTL: kernel.Duration(s.RefreshTokenTTL),
		GrantTTL: kernel.Duration(s.GrantTTL), RefreshGrace: kernel.Duration(s.RefreshGrace), Audience: s.Audience,
		Audiences: s.Audiences, AccessTokenType: s.AccessTokenType, RequirePushed: s.RequirePushed,
		Scopes: s.Scopes, DetailTypes: s.DetailTypes, PasswordMinLength: s.PasswordMinLength, BannedWords: s.BannedWords,
		SessionIdle: kernel.Duration(s.SessionIdle), SessionTTL: kernel.Duration(s.SessionTTL), MaxSessions: s.MaxSessions, ConsentTTL: kernel.Duration(s.ConsentTTL), MFA: s.MFA, MFARoles: s.MFARoles,
		AdminMFA: s.AdminMFA, AdminMaxAuthAge: kernel.Duration(s.AdminMaxAuthAge),
		KeyRotation: kernel.Duration(s.KeyRotation), KeyPropagation: kernel.Duration(s.KeyPropagation), TrustedIssuers: s.TrustedIssuers, Providers: s.Providers,
		Registration: s.Registration, RegistrationDomains: s.RegistrationDomains, ClientRegistration: s.ClientRegistration, ClientRegistrationScopes: s.ClientRegistrationScopes, ClientDocumentHosts: s.ClientDocumentHosts, CertificateAuthorities: s.CertificateAuthorities,
		Accent: s.Accent, AccentDark: s.AccentDark, TermsURL: s.TermsURL, PrivacyURL: s.PrivacyURL, TermsVersion: s.TermsVersion,
	}
}

func (s RealmSettings) settings() gatehouse.RealmSettings {
	return gatehouse.RealmSettings{
		TokenFormat: s.TokenFormat, SigningAlgorithm: s.SigningAlgorithm,
		AccessTokenTTL: time.Duration(s.AccessTokenTTL), RefreshTokenTTL: time.Duration(s.RefreshTokenTTL),
		GrantTTL: time.Duration(s.GrantTTL), RefreshGrace: time.Duration(s.RefreshGrace), Audience: s.Audience,
		Audiences: s.Audiences, AccessTokenType: s.AccessTokenType, RequirePushed: s.RequirePushed,
		Scopes: s.Scopes, DetailTypes: s.DetailTypes, PasswordMinLength: s.PasswordMinLength, BannedWords: s.BannedWords,
		SessionIdle: time.Duration(s.SessionIdle), SessionTTL: time.Duration(s.SessionTTL), MaxSessions: s.MaxSessions, ConsentTTL: time.Duration(s.ConsentTTL), MFA: s.MFA, MFARoles: s.MFARoles,
		AdminMFA: s.AdminMFA, AdminMaxAuthAge: time.Duration(s.AdminMaxAuthAge),
		KeyRotation: time.Duration(s.KeyRotation), KeyPropagation: time.Duration(s.KeyPropagation), TrustedIssuers: s.TrustedIssuers, Providers: s.Providers,
		Registration: s.Registration, RegistrationDomains: s.RegistrationDomains, ClientRegistration: s.ClientRegistration, ClientRegistrationScopes: s.ClientRegistrationScopes, ClientDocumentHosts: s.ClientDocumentHosts, CertificateAuthorities: s.CertificateAuthorities,
		Accent: s.Accent, AccentDark: s.AccentDark, TermsURL: s.TermsURL, PrivacyURL: s.PrivacyURL, TermsVersion: s.TermsVersion,
	}
}

// List lists the realms that actor may read, by name.
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal) ([]Realm, error) {
	own := "" // the realm of nobody
	if actor != nil {
		own = actor.Realm
	}
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminRealm, own, ""); err != nil {
		return nil, err
	}
	all, err := s.c.Realms.Realms(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Realm, 0, len(all))
	for _, r := range all {
		if s.k.Decide(ctx, actor, policy.AdminRead, policy.AdminRealm, r.Name, r.Name).Allowed {
			out = append(out, realmView(r))
		}
	}
	sorted.Slice(out, func(a, b Realm) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Get reads one realm.
func (s *Service) Get(ctx context.Context, actor *gatehouse.Principal, name string) (Realm, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminRealm, name, name); err != nil {
		return Realm{}, err
	}
	r, err := s.k.Realm(ctx, name)
	return realmView(r), err
}

// Create makes a realm and its first signing key. Errors: realm_exists,
// input_invalid.
func (s *Service) Create(ctx context.Context, actor *gatehouse.Principal, in NewRealm) (Realm, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminRealm, in.Name, in.Name); err != nil {
		return Realm{}, err
	}
	f := kernel.Faults{}
	if !realmName.MatchString(in.Name) {
		f.Add("name", "must be lower-case letters, digits and '-', at most 63, not beginning with '-'")
	}
	f.Text("title", in.Title, false)
	settings := in.Settings.settings()
	settings.AdminMFA = cmp.Or(settings.AdminMFA, gatehouse.NewRealmSettings().AdminMFA)
	checkSettings(f, "settings", settings, gatehouse.RealmSettings{})
	checkRoles(f, "settings.providers", in.Name, nil, settings.Providers, nil)
	if err := f.Err(); err != nil {
		return Realm{}, err
	}
	now := s.k.Now()
	r := gatehouse.Realm{Name: in.Name, Title: in.Title, CreatedAt: now, UpdatedAt: now, Settings: settings}
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.InsertRealm(ctx, r); err != nil {
			return kernel.ConflictAs(err, errRealmTaken)
		}
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, r.Name, audit.KindRealmCreate, "realm", r.Name))
	})
	if err != nil {
		return Realm{}, err
	}
	// Outside of the transaction: the key is generated and sealed by the ring,
	// which makes it at the first need too, should this fail.
	return realmView(r), s.c.Signing.EnsureRealm(ctx, r.Name)
}

// Update changes a realm. Turning it off, and letting a trusted issuer's
// keys be fetched from private addresses, concern the whole installation and
// take the right to manage realms.
func (s *Service) Update(ctx context.Context, actor *gatehouse.Principal, name string, in RealmPatch) (Realm, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminRealm, name, name); err != nil {
		return Realm{}, err
	}
	if in.Disabled != nil || in.Settings != nil && in.Settings.inside {
		if err := s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminRealm, name, name); err != nil {
			return Realm{}, err
		}
	}
	var roles []policy.Role // those that there are, where some are to be given
	if in.Settings != nil && in.Settings.gives {
		var err error
		if roles, err = s.c.Roles.Roles(ctx, name); err != nil {
			return Realm{}, err
		}
	}
	if name == gatehouse.MainRealm && in.Disabled != nil && *in.Disabled {
		return Realm{}, errRealmMain
	}
	var out gatehouse.Realm
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		r, err := tx.HoldRealm(ctx, name)
		if err != nil {
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		if in.Version != nil && *in.Version != realmVersion(r) {
			return gatehouse.ErrVersionConflict
		}
		e := s.k.Event(ctx, actor, name, audit.KindRealmUpdate, "realm", name)
		e.Detail = kernel.Changes(e.Detail)
		f := kernel.Faults{} // its own: a transaction may run twice
		if in.Title != nil {
			f.Text("title", *in.Title, false)
			r.Title, e.Detail["title"] = *in.Title, "changed"
		}
		if in.Disabled != nil {
			r.Disabled, e.Detail["disabled"] = *in.Disabled, fmt.Sprint(*in.Disabled)
		}
		if in.Settings != nil {
			// Merged here, with what is stored: two changes of different members both last.
			before := r.Settings
			if r.Settings, err = in.Settings.apply(before); err != nil {
				return err
			}
			checkSettings(f, "settings", r.Settings, before)
			checkRoles(f, "settings.providers", name, roles, r.Settings.Providers, before.Providers)
			e.Detail["settings"] = in.Settings.names()
		}
		if err := f.Err(); err != nil {
			return err
		}
		changedAt(&r, e.Time)
		out = r
		if err := tx.UpdateRealm(ctx, r); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	return realmView(out), err
}

// changedAt notes when r was changed: later than before, also with two changes at once or a
// clock that was set back.
func changedAt(r *gatehouse.Realm, now time.Time) {
	next := r.UpdatedAt.Add(time.Microsecond)
	if r.UpdatedAt = now; r.UpdatedAt.Before(next) {
		r.UpdatedAt = next
	}
}

// reachesInside reports whether something of s may be fetched from private addresses.
func reachesInside(s RealmSettings) bool {
	return slices.ContainsFunc(s.TrustedIssuers, func(i gatehouse.TrustedIssuer) bool { return i.AllowPrivateAddress }) ||
		slices.ContainsFunc(s.Providers, func(p gatehouse.Provider) bool { return p.AllowPrivateAddress })
}
