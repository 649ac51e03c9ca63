package realmfile

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
)

// The sections of a file, by their names in it.
const (
	sectionTitle    = "title"
	sectionSettings = "settings"
	sectionScopes   = "scopes"
	sectionIssuers  = "trusted_issuers"
	sectionSchema   = "schema"
	sectionRoles    = "roles"
	sectionPolicies = "policies"
	sectionUsers    = "users"
)

// fileSection is one section of a file.
type fileSection struct {
	name   string
	of     func(f *RealmFile) any // nil where the file has none
	single bool                   // it is one value, and has nothing to remove
}

// fileSections are in the order in which they are put: what others name comes first.
func fileSections() []fileSection {
	return []fileSection{
		{sectionTitle, func(f *RealmFile) any { return single(f.Title) }, true},
		{sectionSettings, func(f *RealmFile) any { return orNil(f.Settings) }, false},
		{sectionScopes, func(f *RealmFile) any { return f.Scopes }, false},
		{sectionIssuers, func(f *RealmFile) any { return f.TrustedIssuers }, false},
		{sectionSchema, func(f *RealmFile) any { return single(f.Schema) }, true},
		{sectionRoles, func(f *RealmFile) any { return f.Roles }, false},
		{sectionPolicies, func(f *RealmFile) any { return f.Policies }, false},
		{sectionUsers, func(f *RealmFile) any { return f.Users }, false},
	}
}

func orNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return p
}

// single is a section of one value without a name.
func single(p *string) any {
	if p == nil {
		return nil
	}
	return map[string]string{"": *p}
}

// items are the things of a section by name; nil where the file has none.
func items(section any) (map[string]any, error) {
	b, err := json.Marshal(section, json.Deterministic(true), json.FormatNilMapAsNull(true))
	if err != nil || string(b) == "null" {
		return nil, err
	}
	return exactjson.Object(b)
}

func same(a, b any) bool {
	x, errX := json.Marshal(a, json.Deterministic(true))
	y, errY := json.Marshal(b, json.Deterministic(true))
	return errX == nil && errY == nil && string(x) == string(y)
}

// normal is f as its realm would be exported: names and attributes in the form in which
// they are kept, sets in order. What has no such form is noted in wrong.
func (f RealmFile) normal(wrong *fileFaults) RealmFile {
	if len(f.Users) > maxFileUsers {
		wrong.say(sectionUsers, "", "has more than %d entries", maxFileUsers)
	}
	users, keys := make(map[string]FileUser, len(f.Users)), map[string]string{}
	for _, given := range slices.Sorted(maps.Keys(f.Users)) {
		u := f.Users[given]
		name, key, err := identity.NormalizeUsername(given)
		if err != nil {
			wrong.add(err, sectionUsers, given)
			continue
		}
		if other, twice := keys[key]; twice {
			wrong.say(sectionUsers, given, "is the same username as %s", kernel.Quoted(other))
		}
		keys[key] = given
		if u.Attributes, err = identity.NormalizeAttributes(u.Attributes); err != nil {
			wrong.add(err, sectionUsers, given, "attributes")
		}
		users[name] = u
	}
	if f.Users != nil {
		f.Users = users
	}
	f.Roles = maps.Clone(f.Roles)
	f.order()
	return f
}

// check finds what is wrong with a file beside a realm, before any use case sees it.
func (f *RealmFile) check(now *RealmFile, wrong *fileFaults) {
	if f.Settings != nil && (f.Settings.Scopes != nil || f.Settings.TrustedIssuers != nil) {
		wrong.say(sectionSettings, "", "must not hold scopes or trusted_issuers: they are sections of their own")
	}
	for name, t := range f.TrustedIssuers {
		if t.Issuer != name {
			wrong.say(sectionIssuers, name, "must have the same issuer inside")
		}
	}
	there := make(map[string]string, len(now.Users))
	for name := range now.Users {
		if _, key, err := identity.NormalizeUsername(name); err == nil {
			there[key] = name
		}
	}
	for name, u := range f.Users {
		_, key, _ := identity.NormalizeUsername(name)
		have, exists := there[key]
		switch {
		case exists && have != name:
			wrong.say(sectionUsers, name, "is there as %s, and usernames cannot be changed", kernel.Quoted(have))
		case exists && now.Users[name].Kind != u.Kind:
			wrong.say(sectionUsers, name, "must stay a %s", now.Users[name].Kind)
		}
	}
}

// compare compares the file with the realm as it is now.
func (s *Service) compare(ctx context.Context, actor *gatehouse.Principal, realm string, in *FileInput, wrong *fileFaults) (out RealmPlan, err error) {
	out = RealmPlan{Changes: []RealmChange{}, Unlisted: []RealmChange{}}
	users := usersIfFew
	if in.File.Users != nil {
		users = usersAll
	}
	now, err := s.file(ctx, actor, realm, users)
	if err != nil {
		return out, err
	}
	if out.Fingerprint, err = fingerprint(now); err != nil {
		return out, err
	}
	if in.Fingerprint != "" && in.Fingerprint != out.Fingerprint {
		return out, errRealmChanged
	}
	in.File = in.File.normal(wrong)
	in.File.check(&now, wrong)
	var removed []RealmChange
	for _, section := range fileSections() {
		have, err := items(section.of(&now))
		if err != nil {
			return out, err
		}
		want, err := items(section.of(&in.File))
		if err != nil {
			return out, err
		}
		if want == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			old, there := have[name]
			switch {
			case !there:
				out.Changes = append(out.Changes, RealmChange{Kind: section.name, Name: name, Action: "add", New: want[name]})
			case !same(old, want[name]):
				out.Changes = append(out.Changes, RealmChange{Kind: section.name, Name: name, Action: "change", Old: old, New: want[name]})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(have)) {
			if _, listed := want[name]; !listed && !section.single {
				removed = append(removed, RealmChange{Kind: section.name, Name: name, Action: "remove", Old: have[name]})
			}
		}
	}
	sortRemoved(removed, now.Roles)
	caller := s.callerIn(ctx, actor, realm)
	for _, ch := range removed {
		if in.Prune && !(ch.Kind == sectionUsers && ch.Name == caller) {
			out.Changes = append(out.Changes, ch)
		} else {
			out.Unlisted = append(out.Unlisted, ch)
		}
	}
	return out, nil
}

// callerIn is the username of who asks, when he is of the realm: a file that does not
// list him must not take his own way back from him.
func (s *Service) callerIn(ctx context.Context, actor *gatehouse.Principal, realm string) string {
	if !actor.Authenticated() || actor.Foreign || actor.Realm != realm {
		return ""
	}
	u, err := s.c.Stored.Users.User(ctx, realm, actor.ID)
	if err != nil {
		return ""
	}
	return u.Username
}

// sortRemoved brings removals into an order in which they can be made: users before
// the roles that they hold, roles before those that they inherit.
func sortRemoved(removed []RealmChange, roles map[string]rules.RoleInput) {
	slices.Reverse(removed)
	depth := map[string]int{}
	var of func(name string) int
	of = func(name string) int {
		if d, known := depth[name]; known {
			return d
		}
		depth[name] = 0 // ends a circle, which stored roles do not have
		d := 0
		for _, p := range roles[name].Parents {
			d = max(d, of(p)+1)
		}
		depth[name] = d
		return d
	}
	sorted.Slice(removed, func(a, b RealmChange) int {
		if a.Kind != sectionRoles || b.Kind != sectionRoles {
			return 0
		}
		return of(b.Name) - of(a.Name)
	})
}

// mergeDiff is the merge patch (RFC 7396) that makes to out of from.
func mergeDiff(from, to map[string]any) map[string]any {
	patch := map[string]any{}
	for name := range from {
		if _, stays := to[name]; !stays {
			patch[name] = nil
		}
	}
	for name, v := range to {
		old, was := from[name].(map[string]any)
		if new, is := v.(map[string]any); was && is {
			v = mergeDiff(old, new)
		}
		patch[name] = v
	}
	return patch
}

// differs tells whether a member of two objects does.
func differs(a, b any, member string) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	return !same(x[member], y[member])
}

// compareIssuers orders trusted issuers.
func compareIssuers(a, b gatehouse.TrustedIssuer) int { return strings.Compare(a.Issuer, b.Issuer) }
