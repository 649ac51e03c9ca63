// Package testrealm draws realms for property tests: files that every realm takes, made
// of what is hard to keep: names that are no words in YAML, texts with every kind of
// blank, numbers at the ends of their ranges, empty lists beside absent ones.
//
// It is for tests only; no other code may import it.
package testrealm

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/realmfile"
	"github.com/gatehouse-auth/gatehouse/admin/realms"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// hard are texts that a format may read as something else.
var hard = []string{"", "null", "~", "yes", "No", "on", "true", "0x1f", "007", "1e3", "1_000", ".inf", "2026-11-27", "<<", "=", "- a", "a: b", "a #b",
	"#", "{}", "[x]", "*a", "&a", "!t", "%d", "@x", "`", "'", `"`, `\n`, "|", ">", "?", ": ", " lead", "trail ", "\u00a0", "Zoë", "日本語", "🦊", "é", "e\u0301"}

// hardLines are texts over several lines, for what may hold them.
var hardLines = []string{"a\nb", "a\n\nb\n", "\na", "a\n", "a\r\nb", "\ttab", "a \nb", "  two\n one", "\u0085", "\u2028x", "\ufeffx", "---\n...\n", "a\n# b\n", "\x07", "\x7f"}

// names are of the form that scopes and groups have.
var names = []string{"a", "users:read", "{x}", "[y]", "a,b", "a#b", "-", "~", "null", "true", "0", "1e3", "0x1", "007", "*x", "&x", "!x", "%", "@", "`", "'", "|", ">", "?",
	"key:", ":", "a:b:c", "docs/{id}:read", "<<", "=", "on", "2026-11-27", "..", "a.b", "A", "/x", "~1"}

// plain are of the form that roles and policies have.
var plain = []string{"a", "b", "null", "true", "0", "1e3", "007", "0x1f", "on", "a.b", "x_y", "no", "2026-11-27", "_", "1.5", "Reader", "reader"}

// usernames are in the form in which they are kept.
var usernames = []string{"ada", "null", "true", "0", "1e3", "007", "0x1f", "Zoë", "мария", "日本語", "a@b.example", "a+b", "x.y", "~", "on", "2026-11-27", "-dash", "UPPER", "a'b", "#x", "%41"}

var texts = rapid.OneOf(rapid.SampledFrom(hard), rapid.StringOfN(rapid.RuneFrom([]rune("ab:-#'\"\\{}[]&*!|>%@` é🦊")), 0, 12, -1))

func text(t *rapid.T, what string) string { return texts.Draw(t, what) }

func some(t *rapid.T, from []string, most int, what string) []string {
	list := rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, most, rapid.ID[string]).Draw(t, what)
	slices.Sort(list)
	return list
}

// Draw draws the file of a realm that lists every section. Applied with prune, it is
// the file that the realm exports afterwards.
func Draw(t *rapid.T) realmfile.RealmFile {
	title := text(t, "title")
	schema, policies := policies(t)
	f := realmfile.RealmFile{Title: &title, Settings: settings(t), Scopes: map[string]string{}, TrustedIssuers: issuers(t), Schema: &schema,
		Roles: roles(t), Policies: policies}
	for _, name := range some(t, names, 5, "scopes") {
		f.Scopes[name] = text(t, "meaning")
	}
	f.Users = users(t, f.Roles)
	return f
}

func settings(t *rapid.T) *realms.RealmSettings {
	s := &realms.RealmSettings{
		TokenFormat:       rapid.SampledFrom([]string{"", "signed", "opaque"}).Draw(t, "token_format"),
		SigningAlgorithm:  rapid.SampledFrom([]string{"", "ES256", "EdDSA", "Ed25519", "RS256"}).Draw(t, "signing_algorithm"),
		AccessTokenTTL:    kernel.Duration(rapid.SampledFrom([]int64{0, 60e9, 90e9, 3600e9}).Draw(t, "access_token_ttl")),
		RefreshGrace:      kernel.Duration(rapid.SampledFrom([]int64{0, -1, 1e9, 30e9}).Draw(t, "refresh_grace")),
		KeyRotation:       kernel.Duration(rapid.SampledFrom([]int64{0, -1, 86400e9}).Draw(t, "key_rotation")),
		AccessTokenType:   rapid.SampledFrom([]string{"", "at+jwt", "JWT"}).Draw(t, "access_token_type"),
		PasswordMinLength: rapid.SampledFrom([]int{0, 15, 128}).Draw(t, "password_min_length"),
		SessionIdle:       kernel.Duration(rapid.SampledFrom([]int64{0, 300e9, 5400e9}).Draw(t, "session_idle")),
		ConsentTTL:        kernel.Duration(rapid.SampledFrom([]int64{0, -1, 60e9, 86400e9}).Draw(t, "consent_ttl")),
		MFA:               rapid.SampledFrom([]string{"", "optional", "required"}).Draw(t, "mfa"),
		MFARoles:          some(t, names, 2, "mfa_roles"),
		AdminMFA:          rapid.SampledFrom([]string{"", "optional", "required"}).Draw(t, "admin_mfa"),
		Providers: rapid.SampledFrom([][]gatehouse.Provider{nil, {{ID: "acme", Issuer: "https://acme.example", ClientID: "c", Scopes: []string{"email"}, CreateAccounts: true, Grants: []gatehouse.ClaimGrant{{Claim: "groups", Value: "on", Group: "a"}}}}}).
			Draw(t, "providers"),
		Accent:      rapid.SampledFrom([]string{"", "#786700", "#000000"}).Draw(t, "accent"),
		AccentDark:  rapid.SampledFrom([]string{"", "#ffde00"}).Draw(t, "accent_dark"),
		TermsURL:    rapid.SampledFrom([]string{"", "https://example.com/terms"}).Draw(t, "terms_url"),
		PrivacyURL:  rapid.SampledFrom([]string{"", "https://example.com/privacy?x=1"}).Draw(t, "privacy_url"),
		MaxSessions: rapid.SampledFrom([]int{0, 1, 100}).Draw(t, "max_sessions"),
		Audience:    rapid.SampledFrom(append([]string{""}, names...)).Draw(t, "audience"),
	}
	s.RequirePushed = rapid.Bool().Draw(t, "require_pushed_authorization_requests")
	if s.TermsURL != "" {
		s.TermsVersion = rapid.SampledFrom([]string{"", "2026-11"}).Draw(t, "terms_version")
	}
	if s.Registration = rapid.SampledFrom([]string{"", "off", "invitation", "domain", "open"}).Draw(t, "registration"); s.Registration == gatehouse.RegistrationDomain {
		s.RegistrationDomains = []string{"example.com", "xn--bcher-kva.example"}
	}
	if s.AdminMFA == gatehouse.MFARequired {
		s.AdminMaxAuthAge = kernel.Duration(rapid.SampledFrom([]int64{0, 300e9, 43200e9}).Draw(t, "admin_max_auth_age"))
	}
	for _, w := range some(t, hard, 3, "banned_words") {
		if w != "" {
			s.BannedWords = append(s.BannedWords, w)
		}
	}
	for _, name := range some(t, names, 2, "audiences") {
		if s.Audiences == nil {
			s.Audiences = map[string]gatehouse.AudienceRules{}
		}
		s.Audiences[name] = gatehouse.AudienceRules{Claims: some(t, gatehouse.AudienceClaims(), 2, "claims")}
	}
	return s
}

func issuers(t *rapid.T) map[string]gatehouse.TrustedIssuer {
	out := map[string]gatehouse.TrustedIssuer{}
	for _, host := range some(t, []string{"https://a.example", "https://a.example/x:y", "https://b.example:8443/~{z}", "https://c.example/%7e"}, 3, "issuers") {
		i := gatehouse.TrustedIssuer{Issuer: host, Audience: "us", Algorithms: []string{"ES256", "RS256"}}
		if rapid.Bool().Draw(t, "rich") {
			i.Audience, i.Audiences = "", []string{"z", "a", "null"}
			i.JWKSURL = "https://keys.example/jwks?v=1"
			i.RequiredClaims, i.ScopeClaim = []string{"jti"}, "scp"
			i.RoleMap = map[string]string{"on": "a", "{x}": "b"}
			i.AttributeClaims = map[string]string{"team": "urn:x:team"}
		}
		out[host] = i
	}
	return out
}

func roles(t *rapid.T) map[string]rules.RoleInput {
	out := map[string]rules.RoleInput{}
	var before []string
	for _, name := range some(t, plain, 6, "roles") {
		r := rules.RoleInput{Description: text(t, "description")}
		if len(before) > 0 {
			r.Parents = some(t, before, 2, "parents")
		}
		if rapid.Bool().Draw(t, "permitted") {
			r.Permissions = []policy.Permission{{Actions: []string{"read", "*"}, ResourceType: "Document"}, {Actions: []string{"a:b"}, ResourceType: policy.All}}
		}
		out[name], before = r, append(before, name)
	}
	return out
}

func policies(t *rapid.T) (schema string, out map[string]rules.PolicyInput) {
	out = map[string]rules.PolicyInput{}
	attribute := rapid.SampledFrom([]string{"team", "owner"}).Draw(t, "attribute")
	if rapid.Bool().Draw(t, "schema") {
		schema = fmt.Sprintf("// of %s\nentity Role;\nentity User in [Role];\n\nentity Document = {\n\t%s: String,\n};\naction \"read\", \"a:b\" appliesTo { principal: [User], resource: [Document] };\n", attribute, attribute)
	}
	for _, name := range some(t, plain, 4, "policies") {
		comment := strings.NewReplacer("\n", " ", "\r", " ").Replace(text(t, "comment"))
		end := rapid.SampledFrom([]string{"", "\n", "\n\n", "  \n", "\r\n"}).Draw(t, "end")
		out[name] = rules.PolicyInput{Disabled: rapid.Bool().Draw(t, "disabled"),
			Text: fmt.Sprintf("// %s\nforbid (principal, action == Action::\"read\", resource is Document)\n  when { resource.%s == \"x: #'{}\" };%s", comment, attribute, end)}
	}
	return schema, out
}

func users(t *rapid.T, roles map[string]rules.RoleInput) map[string]realmfile.FileUser {
	out := map[string]realmfile.FileUser{}
	var held []string
	for name := range roles {
		held = append(held, name)
	}
	slices.Sort(held)
	for _, name := range some(t, usernames, 6, "usernames") {
		kind := "user" // a name keeps its kind, so that one realm can become another
		if len(name)%2 == 0 {
			kind = "service"
		}
		u := realmfile.FileUser{Kind: kind, DisplayName: shown(t),
			Email:  rapid.SampledFrom([]string{"", "a@b.example", "null+x@b.example"}).Draw(t, "email"),
			Groups: some(t, names, 3, "groups"), Disabled: rapid.Bool().Draw(t, "disabled")}
		if len(held) > 0 {
			u.Roles = some(t, held, 3, "held")
		}
		if rapid.Bool().Draw(t, "attributed") {
			u.Attributes = object(t, 3)
		}
		out[name] = u
	}
	return out
}

// shown is a display name: a text that hides no part of itself.
func shown(t *rapid.T) string {
	s := text(t, "display_name")
	if identity.ValidateUser(&identity.User{Kind: gatehouse.KindUser, Username: "a", UsernameKey: "a", DisplayName: s}) != nil {
		return ""
	}
	return s
}

func object(t *rapid.T, depth int) map[string]any {
	out := map[string]any{}
	for _, k := range some(t, hard[1:], 4, "members") {
		out[k] = value(t, depth-1)
	}
	return out
}

func value(t *rapid.T, depth int) any {
	kinds := 5
	if depth <= 0 {
		kinds = 3
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom(append(slices.Clone(hard), hardLines...)).Draw(t, "text")
	case 1:
		return rapid.SampledFrom([]int64{0, -1, 7, math.MaxInt64, math.MinInt64, 1<<53 + 1, 1234567890123456789}).Draw(t, "number")
	case 2:
		return rapid.Bool().Draw(t, "truth")
	case 3:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, value(t, depth-1))
		}
		return list
	}
	return object(t, depth)
}
