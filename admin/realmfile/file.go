package realmfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/realms"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
)

const (
	// MaxRealmFile bounds a realm's file, in bytes of JSON.
	MaxRealmFile = 8 << 20
	// maxFileUsers bounds the users of a realm that a file can hold.
	maxFileUsers = 5000
)

var (
	errRealmChanged = gatehouse.E(gatehouse.Conflict, "realm_changed", "The realm was changed after the plan was made; plan again.")
	errRealmLarge   = gatehouse.E(gatehouse.Unprocessable, "realm_too_large", "The realm is larger than a file can be: it has more than 5000 users, or 8 MiB. Leave the users out.")
)

// RealmFile is what a realm consists of, without secrets. A section that is absent is
// not touched; what a section lists is so, entirely, after the file was applied.
type RealmFile struct {
	Title    *string               `json:"title,omitzero"`
	Settings *realms.RealmSettings `json:"settings,omitzero" doc:"Without scopes and trusted_issuers, which have sections of their own"`
	// Scopes, Roles and the others are listed by name.
	Scopes         map[string]string                  `json:"scopes,omitzero" doc:"Catalogue: scope name to meaning"`
	TrustedIssuers map[string]gatehouse.TrustedIssuer `json:"trusted_issuers,omitzero" doc:"By issuer, as each says it again inside"`
	Schema         *string                            `json:"schema,omitzero" doc:"Cedar schema; empty for none"`
	Roles          map[string]rules.RoleInput         `json:"roles,omitzero"`
	Policies       map[string]rules.PolicyInput       `json:"policies,omitzero"`
	Users          map[string]FileUser                `json:"users,omitzero" doc:"By username"`
}

// FileUser is a user or service in a file. A password is never in it: a new account
// has none until it is reset, and one that exists keeps its own.
type FileUser struct {
	Kind        string         `json:"kind,omitempty" enum:"user,service" doc:"user by default; it cannot be changed later"`
	DisplayName string         `json:"display_name,omitempty"`
	Email       string         `json:"email,omitempty"`
	Roles       []string       `json:"roles,omitempty"`
	Groups      []string       `json:"groups,omitempty"`
	Attributes  map[string]any `json:"attributes,omitempty"`
	Disabled    bool           `json:"disabled,omitempty"`
}

// RealmExport is a realm's file, and the fingerprint of what it says.
type RealmExport struct {
	File        RealmFile `json:"file"`
	Fingerprint string    `json:"fingerprint" doc:"Changes with everything that a file can hold"`
}

// FileInput asks what a file would change, or to change it.
type FileInput struct {
	File        RealmFile `json:"file"`
	Prune       bool      `json:"prune,omitempty" doc:"Remove what a section of the file does not list; without it nothing is removed"`
	Fingerprint string    `json:"fingerprint,omitempty" maxLength:"64" doc:"When present, the file is refused unless the realm is still as the plan saw it"`
}

// RealmPlan is what a file changes.
type RealmPlan struct {
	Fingerprint string        `json:"fingerprint" doc:"Of the realm before the changes"`
	Changes     []RealmChange `json:"changes"`
	Unlisted    []RealmChange `json:"unlisted" doc:"What the realm has and a section of the file does not list: left as it is, removed with prune"`
}

// RealmChange is the change of one thing.
type RealmChange struct {
	Kind   string `json:"kind" doc:"Section of the file"`
	Name   string `json:"name,omitempty"`
	Action string `json:"action" enum:"add,change,remove"`
	// Refused is for plans alone: to apply such a change is refused.
	Refused string `json:"refused,omitempty" doc:"In a plan: code of the error with which the caller would be refused, because he may not make this change"`
	Old     any    `json:"old,omitempty" doc:"As a file has it; absent when it is added"`
	New     any    `json:"new,omitempty" doc:"As a file has it; absent when it is removed"`
}

// Export writes a realm as a file, without its users where they are left out. It
// takes the right to read each of its kinds. Errors: realm_too_large.
func (s *Service) Export(ctx context.Context, actor *gatehouse.Principal, realm string, withoutUsers bool) (RealmExport, error) {
	users := usersAll
	if withoutUsers {
		users = usersNone
	}
	f, err := s.file(ctx, actor, realm, users)
	if err != nil {
		return RealmExport{}, err
	}
	if b, err := json.Marshal(f); err != nil {
		return RealmExport{}, err
	} else if len(b) > MaxRealmFile {
		return RealmExport{}, errRealmLarge
	}
	print, err := fingerprint(f)
	return RealmExport{File: f, Fingerprint: print}, err
}

// fileUsers says which users a file is to have.
type fileUsers int

const (
	usersAll   fileUsers = iota
	usersIfFew           // none when there are more than a file can hold
	usersNone
)

func (s *Service) file(ctx context.Context, actor *gatehouse.Principal, realm string, users fileUsers) (f RealmFile, err error) {
	r, err := s.realms.Get(ctx, actor, realm)
	if err != nil {
		return f, err
	}
	settings := r.Settings
	f.Title, f.Settings, f.Scopes = &r.Title, &settings, map[string]string{}
	for name, meaning := range settings.Scopes {
		f.Scopes[name] = meaning
	}
	f.TrustedIssuers = map[string]gatehouse.TrustedIssuer{}
	for _, t := range settings.TrustedIssuers {
		f.TrustedIssuers[t.Issuer] = t
	}
	settings.Scopes, settings.TrustedIssuers = nil, nil
	schema, err := s.rules.Schema(ctx, actor, realm)
	if err != nil {
		return f, err
	}
	f.Schema = &schema.Text
	roles, err := s.rules.Roles(ctx, actor, realm)
	if err != nil {
		return f, err
	}
	f.Roles = map[string]rules.RoleInput{}
	for _, r := range roles {
		if !r.BuiltIn {
			f.Roles[r.Name] = rules.RoleInput{Description: r.Description, Parents: r.Parents, Permissions: r.Permissions}
		}
	}
	policies, err := s.rules.Policies(ctx, actor, realm)
	if err != nil {
		return f, err
	}
	f.Policies = map[string]rules.PolicyInput{}
	for _, d := range policies {
		f.Policies[d.ID] = rules.PolicyInput{Text: d.Text, Disabled: d.Disabled}
	}
	f.Users, err = s.fileUsers(ctx, actor, realm, users)
	f.order()
	return f, err
}

// fileUsers reads the users of a file; nil when it has none.
func (s *Service) fileUsers(ctx context.Context, actor *gatehouse.Principal, realm string, which fileUsers) (map[string]FileUser, error) {
	if which == usersNone {
		return nil, nil
	}
	out := map[string]FileUser{}
	for after := ""; ; {
		page, err := s.users.List(ctx, actor, realm, after, kernel.MaxPage)
		if err != nil {
			return nil, err
		}
		for _, u := range page.Items {
			out[u.Username] = FileUser{Kind: u.Kind, DisplayName: u.DisplayName, Email: u.Email,
				Roles: u.Roles, Groups: u.Groups, Attributes: u.Attributes, Disabled: u.Disabled}
		}
		switch after = page.Next; {
		case len(out) > maxFileUsers && which == usersIfFew:
			return nil, nil
		case len(out) > maxFileUsers:
			return nil, errRealmLarge
		case after == "":
			return out, nil
		}
	}
}

// order brings each list that is a set into order, so that the same realm is the same
// file.
func (f *RealmFile) order() {
	for name, u := range f.Users {
		if u.Kind == "" {
			u.Kind = string(gatehouse.KindUser)
		}
		u.Roles, u.Groups = slices.Sorted(slices.Values(u.Roles)), slices.Sorted(slices.Values(u.Groups))
		f.Users[name] = u
	}
	for name, r := range f.Roles {
		r.Parents = slices.Sorted(slices.Values(r.Parents))
		f.Roles[name] = r
	}
}

// fingerprint is the SHA-256 of the file in one form.
func fingerprint(f RealmFile) (string, error) {
	b, err := json.Marshal(f, json.Deterministic(true))
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), err
}
