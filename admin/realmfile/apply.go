package realmfile

import (
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/realms"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/internal/sorted"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// maxApplyAttempts bounds how often a file is judged anew because the realm changed
// between that and the transaction.
const maxApplyAttempts = 8

// filing is a file on its way into a realm, or into a draft of it. Its changes are made
// by the use cases that make them one at a time: a file can do no more, and forgets no
// event.
type filing struct {
	s      *Service // works in a transaction or in a draft
	actor  *gatehouse.Principal
	realm  string
	file   *RealmFile
	rights *fileRights
	wrong  *fileFaults
	ids    map[string]string // of new users, by username
}

// fileRights answers what the caller may. In a draft it asks, and remembers; in the
// transaction it answers from what it remembers, because the answer may need a
// connection while the transactions that wait for this one hold all of them.
type fileRights struct {
	ask      func(ctx context.Context, p *gatehouse.Principal, action, typ, realm, id string) gatehouse.Decision
	answers  map[fileQuestion]gatehouse.Decision
	planning bool // what is refused is noted and tried all the same
	inside   bool // in the transaction
	refusal  string
	unasked  bool
}

type fileQuestion struct{ action, typ, realm, id string }

func (r *fileRights) decide(ctx context.Context, p *gatehouse.Principal, action, typ, realm, id string) gatehouse.Decision {
	q := fileQuestion{action, typ, realm, id}
	d, known := r.answers[q]
	if r.inside {
		r.unasked = r.unasked || !known
		return d // the zero value denies
	}
	if !known {
		d = r.ask(ctx, p, action, typ, realm, id)
		r.answers[q] = d
	}
	if !d.Allowed {
		r.refusal = kernel.Refusal(action, d).Code
		if r.planning {
			return gatehouse.Decision{Allowed: true}
		}
	}
	return d
}

// Plan tells what a file would change, and with which of it the caller would be
// refused. What it shows, [Service.Apply] takes: it is judged by the same code. It
// takes the right to read each kind. Errors: realm_changed, realm_too_large,
// realm_file_invalid, and those of the use cases, each with its place in the file.
func (s *Service) Plan(ctx context.Context, actor *gatehouse.Principal, realm string, in FileInput) (RealmPlan, error) {
	out, _, err := s.tryFile(ctx, actor, realm, &in, true, map[string]string{})
	return out, err
}

// Apply makes a realm as a file says, all of it or nothing, and tells what it
// changed. Each change takes the right that it takes alone. Errors: those of
// [Service.Plan], and that a right is missing.
func (s *Service) Apply(ctx context.Context, actor *gatehouse.Principal, realm string, in FileInput) (RealmPlan, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminRealm, realm, realm); err != nil {
		return RealmPlan{}, err
	}
	ids := map[string]string{}
	for range maxApplyAttempts {
		judged, rights, err := s.tryFile(ctx, actor, realm, &in, false, ids)
		if err != nil {
			return RealmPlan{}, err
		}
		out, err := s.applyFile(ctx, actor, realm, in, judged, rights, ids)
		if !errors.Is(err, errFileMoved) {
			return out, err
		}
	}
	return RealmPlan{}, errRealmChanged
}

// errFileMoved says that the realm is no longer as it was when the file was judged.
var errFileMoved = errors.New("admin: the realm changed while a file was judged")

// tryFile makes the changes of a file in a draft of its realm.
func (s *Service) tryFile(ctx context.Context, actor *gatehouse.Principal, realm string, in *FileInput, planning bool,
	ids map[string]string) (out RealmPlan, rights *fileRights, err error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminRead, policy.AdminRealm, realm, realm); err != nil {
		return out, nil, err
	}
	d, err := newDraft(ctx, s.c.Stored, realm)
	if err != nil {
		return out, nil, err
	}
	rights = &fileRights{ask: s.k.Decide, answers: map[fileQuestion]gatehouse.Decision{}}
	wrong, batch := &fileFaults{}, &authz.Batch{}
	inside := s.within(d.tx(), batch, rights)
	if out, err = inside.compare(ctx, actor, realm, in, wrong); err != nil {
		return out, nil, err
	}
	rights.planning = planning
	f := filing{inside, actor, realm, &in.File, rights, wrong, ids}
	if err := f.run(ctx, out.Changes); err != nil {
		return out, nil, err
	}
	if err := batch.Confirm(ctx, d, realm); err != nil && !wrong.add(err, sectionPolicies, "") {
		return out, nil, err
	}
	return out, rights, wrong.err()
}

// applyFile makes the changes of a file that was judged in one transaction. When the
// realm is no longer as it was then, the error is errFileMoved.
func (s *Service) applyFile(ctx context.Context, actor *gatehouse.Principal, realm string, in FileInput, judged RealmPlan,
	asked *fileRights, ids map[string]string) (out RealmPlan, err error) {
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Realms.HoldRealm(ctx, realm); err != nil { // two files, one after the other
			return kernel.OrMissing(err, gatehouse.ErrRealmNotFound)
		}
		rights := &fileRights{answers: asked.answers, inside: true}
		wrong, batch := &fileFaults{}, &authz.Batch{}
		inside := s.within(tx, batch, rights)
		inside.k.Record = func(*gatehouse.Event) {} // what was refused was refused before
		if out, err = inside.compare(ctx, actor, realm, &in, wrong); err == nil {
			f := filing{inside, actor, realm, &in.File, rights, wrong, ids}
			err = f.run(ctx, out.Changes)
		}
		if rights.unasked {
			return errFileMoved
		}
		if err == nil {
			err = wrong.err()
		}
		if err != nil || out.Fingerprint == judged.Fingerprint { // its rules were judged already
			return err
		}
		return batch.Confirm(ctx, tx.Rules, realm)
	})
	return out, err
}

// run makes the changes, and notes in each that the caller would be refused with it.
// One that only another one of the file makes possible (the new administrator before
// the last one goes) is tried again after the others.
func (f *filing) run(ctx context.Context, changes []RealmChange) error {
	var roles, settings, todo []*RealmChange
	for i, ch := range changes {
		switch {
		case ch.Kind == sectionRoles && ch.Action == "add": // settings may name it
			roles = append(roles, &changes[i])
		case ch.Kind == sectionTitle, ch.Kind == sectionSettings, ch.Kind == sectionScopes, ch.Kind == sectionIssuers:
			settings = append(settings, &changes[i])
		default:
			todo = append(todo, &changes[i])
		}
	}
	if err := f.each(ctx, roles); err != nil {
		return err
	}
	if err := f.changeRealm(ctx, settings); err != nil {
		return err
	}
	return f.each(ctx, todo)
}

// each makes changes of rules and users.
func (f *filing) each(ctx context.Context, todo []*RealmChange) error {
	for len(todo) > 0 {
		var again []*RealmChange
		var why error
		for _, ch := range todo {
			err := f.change(ctx, ch)
			if errors.Is(err, rules.ErrRoleInUse) || errors.Is(err, users.ErrLastAdministrator) { // both before anything was written
				again, why = append(again, ch), err
				continue
			}
			if err := f.judge(err, []*RealmChange{ch}, func() bool { return f.wrong.add(err, ch.Kind, ch.Name) }); err != nil {
				return err
			}
		}
		if len(again) == len(todo) {
			for _, ch := range again {
				f.wrong.add(why, ch.Kind, ch.Name)
			}
			return nil
		}
		todo = again
	}
	return nil
}

// judge takes the outcome of a change. The error is one that ends the run.
func (f *filing) judge(err error, changes []*RealmChange, note func() bool) error {
	refused := f.rights.refusal
	if f.rights.refusal = ""; refused != "" {
		if err != nil && !f.rights.planning { // one refusal is told and recorded, not one for each change
			f.wrong = &fileFaults{}
			if note() {
				return f.wrong.err()
			}
			return err
		}
		for _, ch := range changes {
			ch.Refused = refused
		}
	}
	if err != nil && (f.rights.unasked || !note()) {
		return err
	}
	return nil
}

// change makes one change of rules or of a user.
func (f *filing) change(ctx context.Context, ch *RealmChange) (err error) {
	s, remove := f.s, ch.Action == "remove"
	switch ch.Kind {
	case sectionSchema:
		_, err = s.rules.PutSchema(ctx, f.actor, f.realm, *f.file.Schema)
	case sectionRoles:
		if remove {
			return s.rules.DeleteRole(ctx, f.actor, f.realm, ch.Name)
		}
		_, err = s.rules.PutRole(ctx, f.actor, f.realm, f.file.Roles[ch.Name].Role(ch.Name))
	case sectionPolicies:
		if remove {
			return s.rules.DeletePolicy(ctx, f.actor, f.realm, ch.Name)
		}
		p := f.file.Policies[ch.Name]
		_, err = s.rules.PutPolicy(ctx, f.actor, f.realm, policy.Document{ID: ch.Name, Text: p.Text, Disabled: p.Disabled})
	case sectionUsers:
		switch ch.Action {
		case "remove":
			return s.users.Delete(ctx, f.actor, f.realm, ch.Name)
		case "add":
			return f.addUser(ctx, ch.Name)
		}
		return f.changeUser(ctx, ch)
	}
	return err
}

// changeRealm makes what the realm's own record holds in one change: on the way from
// one set of scopes to another nothing must exceed a bound.
func (f *filing) changeRealm(ctx context.Context, changes []*RealmChange) error {
	if len(changes) == 0 {
		return nil
	}
	r, err := f.s.k.Realm(ctx, f.realm)
	if err != nil {
		return err
	}
	patch, members, scopes, issuers := realms.RealmPatch{}, map[string]any{}, map[string]any{}, slices.Clone(r.Settings.TrustedIssuers)
	for _, ch := range changes {
		switch ch.Kind {
		case sectionTitle:
			patch.Title = f.file.Title
		case sectionSettings:
			members[ch.Name] = ch.New // nil: its default
			old, was := ch.Old.(map[string]any)
			if new, is := ch.New.(map[string]any); was && is {
				members[ch.Name] = mergeDiff(old, new)
			}
		case sectionScopes:
			scopes[ch.Name], members[sectionScopes] = ch.New, scopes
		case sectionIssuers:
			issuers = slices.DeleteFunc(issuers, func(t gatehouse.TrustedIssuer) bool { return t.Issuer == ch.Name })
			if ch.Action != "remove" {
				issuers = append(issuers, f.file.TrustedIssuers[ch.Name])
			}
			sorted.Slice(issuers, compareIssuers)
			members[sectionIssuers] = issuers
		}
	}
	if len(members) > 0 {
		b, err := json.Marshal(members)
		if err != nil {
			return err
		}
		patch.Settings = &realms.SettingsPatch{}
		if err := json.Unmarshal(b, patch.Settings); err != nil {
			return err
		}
	}
	_, err = f.s.realms.Update(ctx, f.actor, f.realm, patch)
	return f.judge(err, changes, func() bool { return f.wrong.settings(err, issuers) })
}

// addUser makes a user with the same id in a draft and in the transaction: what was
// decided about him holds in both.
func (f *filing) addUser(ctx context.Context, name string) error {
	u := f.file.Users[name]
	if f.ids[name] == "" {
		f.ids[name] = users.NewID(gatehouse.PrincipalKind(u.Kind), f.s.k.Now())
	}
	made, err := f.s.users.Create(ctx, f.actor, f.realm, users.NewUser{Username: name, Kind: u.Kind, DisplayName: u.DisplayName,
		Email: u.Email, Roles: u.Roles, Groups: u.Groups, Attributes: u.Attributes, ID: f.ids[name]})
	if err != nil || !u.Disabled {
		return err
	}
	_, err = f.s.users.Update(ctx, f.actor, f.realm, made.User.ID, users.UserPatch{Disabled: &u.Disabled})
	return err
}

func (f *filing) changeUser(ctx context.Context, ch *RealmChange) error {
	u := f.file.Users[ch.Name]
	before, err := f.s.users.Find(ctx, f.realm, ch.Name)
	if err != nil {
		return err
	}
	patch := users.UserPatch{Version: &before.Version}
	differs := func(member string) bool { return differs(ch.Old, ch.New, member) }
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
		attributes := mergeDiff(before.Attributes, u.Attributes)
		patch.Attributes = &attributes
	}
	_, err = f.s.users.Update(ctx, f.actor, f.realm, before.ID, patch)
	return err
}
