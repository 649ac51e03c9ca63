package gatehouse

import (
	"cmp"
	"regexp"
)

// Preset is what is known beforehand of a provider where many people have accounts, and in what it differs from
// OpenID Connect. The facts come from what each provider documents; docs/providers.md names where.
type Preset struct {
	Name, Title string
	// Issuer is who it is, unless an installation of one's own is named; "": there is one for each customer.
	Issuer string
	// IssuerForm is what an issuer of this provider looks like, Example one in words; nil: any will do.
	IssuerForm *regexp.Regexp
	Example    string
	Scopes     []string
	// Authorization, Token and Keys are its endpoints below the issuer where no metadata are asked for them;
	// "": the metadata name them (OpenID Connect Discovery 1.0).
	Authorization, Token, Keys string
	// API is where the program of the issuer in Issuer answers who somebody is, without an ID token; UserAPI is the
	// same on an installation of one's own, as a path of its host. Without them it is an OpenID provider.
	API, UserAPI string
	// Asks is the value of prompt that has it ask again who somebody is; "none known" is "".
	Asks string
	// FormPost: it answers by a form that the browser posts from its site (OAuth 2.0 Form Post Response Mode).
	FormPost bool
	// SignedSecret: its client secret is a JWT that is signed with a key of the operator's, which TeamID and KeyID name.
	SignedSecret bool
	// NoEmail: what it says of addresses counts for nothing, whatever stands beside it.
	NoEmail bool
}

// presets is the table of them.
var presets = [...]Preset{
	{Name: "google", Title: "Google", Issuer: "https://accounts.google.com", Asks: "select_account"}, // it knows no login
	// One issuer for each tenant. The metadata of common, organizations and consumers name none that could be compared.
	{Name: "microsoft", Title: "Microsoft", Asks: "login", NoEmail: true, Example: "https://login.microsoftonline.com/TENANT/v2.0, TENANT being the id of one (a GUID)",
		IssuerForm: regexp.MustCompile(`^https?://[^/]+/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/v2\.0$`)},
	{Name: "gitlab", Title: "GitLab", Issuer: "https://gitlab.com", Asks: "login"},
	{Name: "okta", Title: "Okta", Asks: "login", Example: "https://NAME.okta.com"},
	{Name: "github", Title: "GitHub", Issuer: "https://github.com/login/oauth", Scopes: []string{"user:email"}, Asks: "select_account",
		IssuerForm: regexp.MustCompile(`^https?://[^/]+/login/oauth$`), Example: "https://HOST/login/oauth",
		Authorization: "/authorize", Token: "/access_token", API: "https://api.github.com", UserAPI: "/api/v3"},
	// Its metadata named another issuer for some days, while its tokens did not: the documented endpoints are taken.
	{Name: "apple", Title: "Apple", Issuer: "https://appleid.apple.com", Scopes: []string{"name", "email"}, FormPost: true, SignedSecret: true,
		Authorization: "/auth/authorize", Token: "/auth/token", Keys: "/auth/keys"},
}

// openID is what holds of a provider that no preset was named for.
var openID = Preset{Asks: "login"}

// PresetNames are the names of all presets.
func PresetNames() (names []string) {
	for _, k := range presets {
		names = append(names, k.Name)
	}
	return names
}

// Known returns the preset of p; not ok: there is none of that name.
func (p Provider) Known() (k Preset, ok bool) {
	if p.Preset == "" {
		return openID, true
	}
	for _, k := range presets {
		if k.Name == p.Preset {
			return k, true
		}
	}
	return Preset{}, false
}

// OpenID reports whether it is an OpenID provider, and not one that knows OAuth 2.0 alone.
func (k Preset) OpenID() bool { return k.UserAPI == "" }

// Filled is p with what its preset says where p says nothing.
func (p Provider) Filled() Provider {
	k, _ := p.Known()
	p.Title, p.Issuer = cmp.Or(p.Title, k.Title), cmp.Or(p.Issuer, k.Issuer)
	if len(p.Scopes) == 0 {
		p.Scopes = k.Scopes
	}
	if len(p.Scopes) == 0 {
		p.Scopes = []string{"profile", "email"}
	}
	return p
}
