package realms

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/contrast"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/keyring"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
	"github.com/gatehouse-auth/gatehouse/oauth/rar"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/token"
)

// checkSettings checks a realm's settings in the place of before; zero members take their
// defaults.
func checkSettings(f kernel.Faults, at string, s, before gatehouse.RealmSettings) {
	d := s.Defaults()
	in := func(member string, v, least, most time.Duration) { within(f, at+"."+member, v, least, most) }
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
		f.Add(at+".token_format", "must be signed or opaque")
	}
	if a, ok := token.ParseAlgorithm(d.SigningAlgorithm); !ok || a.Symmetric() {
		f.Add(at+".signing_algorithm", "is not an asymmetric algorithm that is supported here")
	}
	in("session_idle", d.SessionIdle, 5*time.Minute, 30*day) // at AAL1 NIST SP 800-63B-4 asks for 30 days at most
	in("session_ttl", d.SessionTTL, 5*time.Minute, 30*day)
	if d.ConsentTTL > 0 {
		in("consent_ttl", d.ConsentTTL, time.Minute, 400*day)
	}
	if d.MaxSessions < 1 || d.MaxSessions > 100 {
		f.Add(at+".max_sessions", "must be from 1 to 100")
	}
	checkFactors(f, at, s, before)
	f.Names(at+".scopes", slices.Collect(maps.Keys(s.Scopes)))
	for name, meaning := range s.Scopes {
		f.Text(at+".scopes", meaning, false)
		if name == gatehouse.ScopeAll || strings.HasPrefix(name, "admin:") {
			f.Add(at+".scopes", "must not hold * or a name that begins with admin:")
		}
	}
	checkDetailTypes(f, at+".authorization_details_types", s.DetailTypes)
	if len(s.BannedWords) > 1000 {
		f.Add(at+".banned_words", "has more than 1000 entries")
	}
	for _, w := range s.BannedWords {
		f.Text(at+".banned_words", w, true)
	}
	if s.Audience != "" && !kernel.NameForm(s.Audience) {
		f.Add(at+".audience", "must be at most 128 plain characters")
	}
	if d.AccessTokenType != token.TypeAccess && d.AccessTokenType != token.TypeJWT {
		f.Add(at+".access_token_type", "must be at+jwt or JWT")
	}
	if len(s.Audiences) > 50 {
		f.Add(at+".audiences", "has more than 50 entries")
	}
	for name, rules := range s.Audiences {
		if !kernel.NameForm(name) {
			f.Add(at+".audiences", "has a name that is not 1 to 128 plain characters")
		}
		for _, claim := range rules.Claims {
			if !slices.Contains(gatehouse.AudienceClaims(), claim) {
				f.Add(at+".audiences", "has a claim that is none of %s", strings.Join(gatehouse.AudienceClaims(), ", "))
			}
		}
	}
	checkIssuers(f, at+".trusted_issuers", s.TrustedIssuers)
	checkProviders(f, at+".providers", s.Providers)
	checkRegistration(f, at, s)
	checkClientRegistration(f, at, s)
	checkAuthorities(f, at, s)
	checkColour(f, at+".accent", s.Accent, contrast.Light)
	checkColour(f, at+".accent_dark", s.AccentDark, contrast.Dark)
	checkLink(f, at+".terms_url", s.TermsURL)
	checkLink(f, at+".privacy_url", s.PrivacyURL)
	switch {
	case s.TermsVersion != "" && (len(s.TermsVersion) > 64 || !kernel.NameForm(s.TermsVersion)):
		f.Add(at+".terms_version", "must be 1 to 64 plain characters")
	case s.TermsVersion != "" && s.TermsURL == "":
		f.Add(at+".terms_version", "needs terms_url: people must be able to read what they accept")
	}
}

// checkDetailTypes checks the types of authorization details.
func checkDetailTypes(f kernel.Faults, at string, types []gatehouse.DetailType) {
	if len(types) > 50 {
		f.Add(at, "has more than 50 entries")
		return
	}
	for i, t := range types {
		if err := rar.Check(t); err != nil {
			f.Add(at, "%s", err.Error())
		}
		if slices.ContainsFunc(types[:i], func(o gatehouse.DetailType) bool { return o.Type == t.Type }) {
			f.Add(at, "has a type twice")
		}
	}
}

// checkLink checks an address to which pages lead people.
func checkLink(f kernel.Faults, at, address string) {
	if address != "" && !gatehouse.WebAddress(address) {
		f.Add(at, "must be an https address of at most 512 visible ASCII characters, with a host and without user or password")
	}
}

const day = 24 * time.Hour

func within(f kernel.Faults, at string, v, least, most time.Duration) {
	if v < least || v > most {
		f.Add(at, "must be from %s to %s", least, most)
	}
}

// checkFactors checks what is demanded beside a password, and how long one must be.
func checkFactors(f kernel.Faults, at string, s, before gatehouse.RealmSettings) {
	if s.MFA != "" && s.MFA != "optional" && s.MFA != gatehouse.MFARequired {
		f.Add(at+".mfa", "must be optional or required")
	}
	f.Names(at+".mfa_roles", s.MFARoles)
	if s.AdminMFA != "" && s.AdminMFA != "optional" && s.AdminMFA != gatehouse.MFARequired {
		f.Add(at+".admin_mfa", "must be optional or required")
	}
	if s.AdminMaxAuthAge != 0 {
		within(f, at+".admin_max_auth_age", s.AdminMaxAuthAge, 5*time.Minute, 30*day)
		if !s.DemandsOfAdministrators() {
			f.Add(at+".admin_max_auth_age", "says something where admin_mfa is required only")
		}
	}
	// A password that stands alone has 15 characters, one beside a second factor 8 (NIST SP
	// 800-63B-4 §3.1.1.2). Realms of before this was so may have fewer, go on with them, and
	// raise them step by step; what was allowed beside a second factor ends with it.
	least := credential.DefaultMinPassword
	switch {
	case s.MFA == gatehouse.MFARequired:
		least = credential.LeastMinPassword
	case before.MFA != gatehouse.MFARequired:
		least = min(least, before.Defaults().PasswordMinLength)
	}
	if s.Defaults().PasswordMinLength < least || s.Defaults().PasswordMinLength > 128 {
		f.Add(at+".password_min_length", "must be from %d to 128", least)
	}
}

// checkClientRegistration checks which clients register themselves, and with what.
func checkClientRegistration(f kernel.Faults, at string, s gatehouse.RealmSettings) {
	switch s.ClientRegistration {
	case "", gatehouse.ClientRegistrationClosed, gatehouse.ClientRegistrationToken, gatehouse.ClientRegistrationOpen:
	default:
		f.Add(at+".client_registration", "must be closed, token or open")
	}
	checkDocumentHosts(f, at+".client_document_hosts", s.ClientDocumentHosts)
	f.Names(at+".client_registration_scopes", s.ClientRegistrationScopes)
	for _, name := range s.ClientRegistrationScopes {
		if _, known := s.Scopes[name]; !known && !client.IsPersonal(name) {
			f.Add(at+".client_registration_scopes", "%s is not in the realm's catalogue", kernel.Quoted(name))
		}
	}
}

// checkAuthorities checks who vouches for the certificates of clients.
func checkAuthorities(f kernel.Faults, at string, s gatehouse.RealmSettings) {
	if _, err := client.Authorities(s.CertificateAuthorities); err != nil {
		f.Add(at+".client_certificate_authorities", "is refused: %s", err)
	}
}

// maxDocumentHosts bounds how many hosts a realm names.
const maxDocumentHosts = 100

// checkDocumentHosts checks where clients may be described. A host is one that is named as DNS has it: what no client_id can have would be there for nothing.
func checkDocumentHosts(f kernel.Faults, at string, hosts []string) {
	if len(hosts) > maxDocumentHosts {
		f.Add(at, "must be at most %d", maxDocumentHosts)
	}
	for i, host := range hosts {
		named, ok := client.DocumentHost("https://"+host+"/client", true)
		switch {
		case slices.Contains(hosts[:i], host):
			f.Add(at, "must name each host once")
		case host != gatehouse.AnyHost && (!ok || named != host):
			f.Add(at, "%s is no host such as app.example or app.example:8443 in small letters, and not *", kernel.Quoted(host))
		}
	}
}

// checkRegistration checks who makes accounts for themselves.
func checkRegistration(f kernel.Faults, at string, s gatehouse.RealmSettings) {
	switch s.Registration {
	case "", gatehouse.RegistrationOff, gatehouse.RegistrationInvited, gatehouse.RegistrationOpen, gatehouse.RegistrationDomain:
	default:
		f.Add(at+".registration", "must be off, invitation, domain or open")
	}
	switch by := s.Registration == gatehouse.RegistrationDomain; {
	case by && len(s.RegistrationDomains) == 0:
		f.Add(at+".registration_domains", "is required where registration is domain")
	case !by && len(s.RegistrationDomains) > 0:
		f.Add(at+".registration_domains", "says something where registration is domain only")
	case len(s.RegistrationDomains) > 50:
		f.Add(at+".registration_domains", "has more than 50 entries")
	}
	for _, d := range s.RegistrationDomains {
		if a, err := mail.Address("a@" + d); err != nil || a != "a@"+d || d != strings.ToLower(d) || !strings.Contains(d, ".") {
			f.Add(at+".registration_domains", "must hold domains as example.com, in lower case, those in other letters as xn--…")
		}
	}
}

// checkColour checks a colour of the pages against what stands behind it at the worst.
func checkColour(f kernel.Faults, at, colour, ground string) {
	if colour == "" {
		return
	}
	switch ratio := contrast.Ratio(colour, ground); {
	case ratio == 0:
		f.Add(at, "must be a colour of the form #rrggbb")
	case ratio < contrast.Least:
		f.Add(at, "has a contrast of %.2f to 1 to %s, a ground of our pages; WCAG 2.2 AA asks for %.1f", ratio, ground, contrast.Least)
	}
}

// checkIssuers checks the rules for foreign tokens. Nothing may be left open: issuer,
// audience, algorithms and where the keys are.
func checkIssuers(f kernel.Faults, at string, list []gatehouse.TrustedIssuer) {
	if len(list) > 50 {
		f.Add(at, "has more than 50 entries")
		return
	}
	for i, t := range list {
		here := fmt.Sprintf("%s[%d]", at, i)
		if !issuerForm(t.Issuer, t.AllowPrivateAddress) {
			f.Add(here+".issuer", "must be an https URL without query and fragment")
		}
		if slices.ContainsFunc(list[:i], func(o gatehouse.TrustedIssuer) bool { return o.Issuer == t.Issuer }) {
			f.Add(here+".issuer", "is listed twice")
		}
		audiences := t.Accepts()
		if len(audiences) == 0 || len(audiences) > 20 || slices.ContainsFunc(audiences, func(a string) bool { return a == "" || len(a) > 512 }) {
			f.Add(here+".audience", "is required here or in audiences: 1 to 20, each of at most 512 characters")
		}
		if len(t.RequiredClaims) > 20 {
			f.Add(here+".required_claims", "has more than 20 entries")
		}
		for _, name := range t.RequiredClaims {
			f.Text(here+".required_claims", name, true)
		}
		if len(t.Algorithms) == 0 {
			f.Add(here+".algorithms", "needs at least one entry")
		}
		var algorithms []token.Algorithm
		for _, name := range t.Algorithms {
			a, ok := token.ParseAlgorithm(name)
			if !ok || a.Symmetric() {
				f.Add(here+".algorithms", "may hold asymmetric algorithms only")
			}
			algorithms = append(algorithms, a)
		}
		switch {
		case t.JWKSURL != "" && t.JWKS != "":
			f.Add(here, "takes one of jwks_url and jwks; without both, the issuer's metadata says where its keys are")
		case t.JWKSURL != "" && !addressForm(t.JWKSURL, t.AllowPrivateAddress):
			f.Add(here+".jwks_url", "must be an https URL without user name and fragment")
		case t.JWKS != "":
			if len(t.JWKS) > 64<<10 {
				f.Add(here+".jwks", "is longer than 64 KiB")
			} else if _, err := token.ParseJWKSet([]byte(t.JWKS), token.ParseOptions{Algorithms: algorithms}); err != nil {
				f.Add(here+".jwks", "is not a set of public keys")
			}
		}
		if t.CA != "" && (len(t.CA) > 64<<10 || !x509.NewCertPool().AppendCertsFromPEM([]byte(t.CA))) {
			f.Add(here+".ca", "must hold certificates in PEM, at most 64 KiB")
		}
		if t.CA != "" && t.JWKS != "" {
			f.Add(here+".ca", "has no use where jwks is given: nothing is fetched")
		}
		if len(t.RoleMap) > kernel.MaxList || len(t.AttributeClaims) > kernel.MaxList {
			f.Add(here, "has more than 200 entries in a map")
		}
		for _, role := range t.RoleMap {
			if policy.IsBuiltinRole(role) { // a foreign issuer must not make our administrators
				f.Add(here+".role_map", "must not give administrative roles")
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
