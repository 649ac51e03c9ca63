package admin

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/internal/exactjson"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// fileKind is one section of a file. Its changes are made by the use cases that make
// them one at a time: a file can do no more, and forgets no event.
type fileKind struct {
	name string
	// section is the part of a file: nil where the file has none.
	section func(f *RealmFile) any
	put     func(ctx context.Context, c fileChange) error
	remove  func(ctx context.Context, c fileChange) error // nil: it has nothing to remove
}

// fileChange is one change on its way into the realm.
type fileChange struct {
	s     *Service // works inside the file's transaction
	actor *gatehouse.Principal
	realm string
	file  *RealmFile
	RealmChange
}

// fileKinds are the sections in the order in which they are put; they are removed
// the other way round.
func fileKinds() []fileKind {
	return []fileKind{
		{"title", func(f *RealmFile) any { return single(f.Title) }, func(ctx context.Context, c fileChange) error {
			_, err := c.s.UpdateRealm(ctx, c.actor, c.realm, RealmPatch{Title: c.file.Title})
			return err
		}, nil},
		{"settings", func(f *RealmFile) any { return orNil(f.Settings) }, putSetting, putSetting},
		{"scopes", func(f *RealmFile) any { return f.Scopes }, putScope, putScope},
		{"trusted_issuers", func(f *RealmFile) any { return f.TrustedIssuers }, putIssuer, putIssuer},
		{"schema", func(f *RealmFile) any { return single(f.Schema) }, func(ctx context.Context, c fileChange) error {
			_, err := c.s.PutSchema(ctx, c.actor, c.realm, *c.file.Schema)
			return err
		}, nil},
		{"roles", func(f *RealmFile) any { return f.Roles }, func(ctx context.Context, c fileChange) error {
			_, err := c.s.PutRole(ctx, c.actor, c.realm, c.file.Roles[c.Name].role(c.Name))
			return err
		}, func(ctx context.Context, c fileChange) error { return c.s.DeleteRole(ctx, c.actor, c.realm, c.Name) }},
		{"policies", func(f *RealmFile) any { return f.Policies }, func(ctx context.Context, c fileChange) error {
			p := c.file.Policies[c.Name]
			_, err := c.s.PutPolicy(ctx, c.actor, c.realm, policy.Document{ID: c.Name, Text: p.Text, Disabled: p.Disabled})
			return err
		}, func(ctx context.Context, c fileChange) error { return c.s.DeletePolicy(ctx, c.actor, c.realm, c.Name) }},
		{"users", func(f *RealmFile) any { return f.Users }, putUser,
			func(ctx context.Context, c fileChange) error { return c.s.DeleteUser(ctx, c.actor, c.realm, c.Name) }},
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

func (c fileChange) patchSettings(ctx context.Context, name string, value any) error {
	b, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		return err
	}
	var p SettingsPatch
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	_, err = c.s.UpdateRealm(ctx, c.actor, c.realm, RealmPatch{Settings: &p})
	return err
}

func putSetting(ctx context.Context, c fileChange) error {
	value := c.New
	old, was := c.Old.(map[string]any)
	if new, is := value.(map[string]any); was && is {
		value = mergeDiff(old, new)
	}
	return c.patchSettings(ctx, c.Name, value)
}

func putScope(ctx context.Context, c fileChange) error {
	return c.patchSettings(ctx, "scopes", map[string]any{c.Name: c.New})
}

// putIssuer puts one issuer into the list, or takes it out.
func putIssuer(ctx context.Context, c fileChange) error {
	r, err := c.s.realm(ctx, c.realm)
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(slices.Clone(r.Settings.TrustedIssuers), func(t gatehouse.TrustedIssuer) bool { return t.Issuer == c.Name })
	if t, put := c.file.TrustedIssuers[c.Name]; put {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b gatehouse.TrustedIssuer) int {
		if a.Issuer < b.Issuer {
			return -1
		}
		return 1
	})
	return c.patchSettings(ctx, "trusted_issuers", list)
}

func putUser(ctx context.Context, c fileChange) error {
	u := c.file.Users[c.Name]
	if c.Action == "add" {
		made, err := c.s.CreateUser(ctx, c.actor, c.realm, NewUser{Username: c.Name, Kind: u.Kind, DisplayName: u.DisplayName,
			Email: u.Email, Roles: u.Roles, Groups: u.Groups, Attributes: u.Attributes})
		if err != nil || !u.Disabled {
			return err
		}
		_, err = c.s.UpdateUser(ctx, c.actor, c.realm, made.User.ID, UserPatch{Disabled: &u.Disabled})
		return err
	}
	before, err := c.s.User(ctx, c.actor, c.realm, c.Name)
	if err != nil {
		return err
	}
	patch := UserPatch{Version: &before.Version}
	old, new := c.Old.(map[string]any), c.New.(map[string]any)
	differs := func(member string) bool { return !same(old[member], new[member]) }
	if differs("display_name") {
		patch.DisplayName = &u.DisplayName
	}
	if differs("email") {
		patch.Email = &u.Email
	}
	if differs("roles") {
		patch.Roles = &u.Roles
	}
	if differs("groups") {
		patch.Groups = &u.Groups
	}
	if differs("disabled") {
		patch.Disabled = &u.Disabled
	}
	if differs("attributes") {
		now, _ := old["attributes"].(map[string]any)
		next, _ := new["attributes"].(map[string]any)
		attributes := mergeDiff(now, next)
		patch.Attributes = &attributes
	}
	_, err = c.s.UpdateUser(ctx, c.actor, c.realm, before.ID, patch)
	return err
}

func same(a, b any) bool {
	x, errX := json.Marshal(a, json.Deterministic(true))
	y, errY := json.Marshal(b, json.Deterministic(true))
	return errX == nil && errY == nil && string(x) == string(y)
}

// check finds what no kind would find.
func (f *RealmFile) check(now RealmFile) error {
	wrong := faults{}
	if f.Settings != nil && (f.Settings.Scopes != nil || f.Settings.TrustedIssuers != nil) {
		wrong.add("settings", "must not hold scopes or trusted_issuers: they are sections of their own")
	}
	for name, t := range f.TrustedIssuers {
		if t.Issuer != name {
			wrong.add("trusted_issuers", "%s must have the same issuer inside", quoted(name))
		}
	}
	for name, u := range f.Users {
		if have, there := now.Users[name]; there && have.Kind != u.Kind {
			wrong.add("users", "%s must stay a %s", quoted(name), have.Kind)
		}
	}
	if len(f.Users) > maxFileUsers {
		wrong.add("users", "has more than %d entries", maxFileUsers)
	}
	return wrong.err()
}

// plan compares the file with the realm as it is now.
func (s *Service) plan(ctx context.Context, actor *gatehouse.Principal, realm string, in *FileInput) (RealmPlan, error) {
	out := RealmPlan{Changes: []RealmChange{}, Unlisted: []RealmChange{}}
	now, err := s.file(ctx, actor, realm)
	if err != nil {
		return out, err
	}
	if out.Fingerprint, err = fingerprint(now); err != nil {
		return out, err
	}
	if in.Fingerprint != "" && in.Fingerprint != out.Fingerprint {
		return out, errRealmChanged
	}
	in.File = in.File.normal()
	if err := in.File.check(now); err != nil {
		return out, err
	}
	var removed []RealmChange
	for _, k := range fileKinds() {
		have, err := items(k.section(&now))
		if err != nil {
			return out, err
		}
		want, err := items(k.section(&in.File))
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
				out.Changes = append(out.Changes, RealmChange{Kind: k.name, Name: name, Action: "add", New: want[name]})
			case !same(old, want[name]):
				out.Changes = append(out.Changes, RealmChange{Kind: k.name, Name: name, Action: "change", Old: old, New: want[name]})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(have)) {
			if _, listed := want[name]; !listed && k.remove != nil {
				removed = append(removed, RealmChange{Kind: k.name, Name: name, Action: "remove", Old: have[name]})
			}
		}
	}
	slices.Reverse(removed) // users before the roles that they hold
	if in.Prune {
		out.Changes = append(out.Changes, removed...)
	} else {
		out.Unlisted = append(out.Unlisted, removed...)
	}
	return out, nil
}

// PlanRealm tells what a file would change. It takes the right to read each kind.
// Errors: input_invalid, realm_changed, realm_too_large.
func (s *Service) PlanRealm(ctx context.Context, actor *gatehouse.Principal, realm string, in FileInput) (RealmPlan, error) {
	return s.plan(ctx, actor, realm, &in)
}

// ApplyRealm makes a realm as a file says, all of it or nothing, and tells what it
// changed. Each change takes the right that it takes alone. Errors: those of
// [Service.PlanRealm], and those of the use cases.
func (s *Service) ApplyRealm(ctx context.Context, actor *gatehouse.Principal, realm string, in FileInput) (out RealmPlan, err error) {
	if err := s.authorize(ctx, actor, policy.AdminWrite, policy.AdminRealm, realm, realm); err != nil {
		return RealmPlan{}, err
	}
	err = s.c.Realms(ctx, func(ctx context.Context, tx RealmTx) error {
		one, err := oneTx(tx)
		if err != nil {
			return err
		}
		rules := &authz.Batch{}
		inside := s.within(one, rules)
		if out, err = inside.plan(ctx, actor, realm, &in); err != nil {
			return err
		}
		if err := inside.run(ctx, actor, realm, &in.File, out.Changes); err != nil {
			return err
		}
		return rules.Confirm(ctx, one.policies, realm)
	})
	return out, err
}

// within is the service whose use cases read and write in tx.
func (s *Service) within(tx fileTx, rules *authz.Batch) *Service {
	c := s.c
	c.Store, c.Prepare = tx.store, rules.Prepare
	c.Realms = func(ctx context.Context, fn func(context.Context, RealmTx) error) error { return fn(ctx, tx.realms) }
	c.Users = func(ctx context.Context, fn func(context.Context, UserTx) error) error { return fn(ctx, tx.users) }
	c.Policies = func(ctx context.Context, fn func(context.Context, PolicyTx) error) error { return fn(ctx, tx.policies) }
	return &Service{c: c}
}

// run makes the changes. One that only another one of the file makes possible (the
// new administrator before the last one goes) is tried again after the others.
func (s *Service) run(ctx context.Context, actor *gatehouse.Principal, realm string, f *RealmFile, todo []RealmChange) error {
	kinds := map[string]fileKind{}
	for _, k := range fileKinds() {
		kinds[k.name] = k
	}
	for len(todo) > 0 {
		var again []RealmChange
		var why error
		for _, ch := range todo {
			do := kinds[ch.Kind].put
			if ch.Action == "remove" {
				do = kinds[ch.Kind].remove
			}
			err := do(ctx, fileChange{s, actor, realm, f, ch})
			if errors.Is(err, errRoleInUse) || errors.Is(err, errLastAdmin) { // both before anything was written
				again, why = append(again, ch), err
				continue
			}
			if err != nil {
				return err
			}
		}
		if len(again) == len(todo) {
			return why
		}
		todo = again
	}
	return nil
}
