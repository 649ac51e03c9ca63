package keys

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/identity"
	"github.com/gatehouse-auth/gatehouse/internal/peers"
	"github.com/gatehouse-auth/gatehouse/policy"
)

// aDay is the unit of the usage counters.
const aDay = 24 * time.Hour

// maxOverlap bounds how long an old key goes on working beside its successor.
const (
	maxOverlap     = 90 * aDay
	defaultOverlap = aDay
)

// maxKeyLife bounds the end of a key: what lies beyond is a slip of the pen.
const maxKeyLife = 36_500 * aDay

var (
	errKeyUnknown  = gatehouse.E(gatehouse.NotFound, "key_not_found", "There is no such API key.")
	errKeyInactive = gatehouse.E(gatehouse.Conflict, "key_not_active", "The key has expired, was revoked or was reported as leaked.")
	errKeyRotated  = gatehouse.E(gatehouse.Conflict, "key_already_rotated", "The key has a successor already.")
	errOwner       = gatehouse.E(gatehouse.Unprocessable, "key_owner_unknown", "The owner is not an enabled user or service of this realm.")
	errKeyRole     = gatehouse.E(gatehouse.Unprocessable, "key_role_unknown", "The key may use only roles that its owner has, and no more than the credential that makes it.")
	errKeyScope    = gatehouse.E(gatehouse.Unprocessable, "scope_unknown", "A scope is not in the realm's catalogue.")
	errWider       = gatehouse.E(gatehouse.Unprocessable, "key_cannot_widen", "A key can only be narrowed; make a new one for more.")
)

func (s *Service) keyView(k credential.Key) Key {
	nets := make([]string, 0, len(k.AllowedNets))
	for _, n := range k.AllowedNets {
		nets = append(nets, n.String())
	}
	return Key{ID: k.ID, Realm: k.Realm, Name: k.Name, Owner: k.OwnerID, RoleLimit: k.RoleLimit, Scopes: kernel.Some(k.Scopes),
		Environment: string(k.Environment), AllowedNets: nets, Status: string(k.Status(s.k.Now())),
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, LeakedAt: k.LeakedAt,
		LastUsedAt: k.LastUsedAt, RotatedTo: k.RotatedTo, DisabledAt: k.DisabledAt,
		Metadata: k.Metadata, QuotaDay: k.QuotaDay, QuotaMonth: k.QuotaMonth, Imported: k.Imported, Prefix: k.Prefix, Version: k.Version}
}

// List lists the API keys of a realm, or of one owner (id, username, "me").
func (s *Service) List(ctx context.Context, actor *gatehouse.Principal, realm, owner, after string, limit int) (kernel.Page[Key], error) {
	if owner != "" {
		owner = s.c.Owners.Resolve(ctx, actor, realm, owner)
	}
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminRead, policy.AdminKey, realm, owner, ""); err != nil {
		return kernel.Page[Key]{}, err
	}
	limit = kernel.Limit(limit)
	rl, err := s.k.Realms.Realm(ctx, realm)
	if err != nil && !errors.Is(err, gatehouse.NotFound) { // a realm that is not there has no keys
		return kernel.Page[Key]{}, err
	}
	list, err := s.c.Keys.Keys(ctx, realm, owner, after, limit+1)
	if err != nil {
		return kernel.Page[Key]{}, err
	}
	if len(list) == 0 && owner != "" { // an empty list would say that he has none
		if _, err := s.c.Owners.Find(ctx, realm, owner); err != nil {
			return kernel.Page[Key]{}, err
		}
	}
	names := map[string]string{}
	return kernel.Paged(list, limit, func(k credential.Key) string { return k.ID }, func(k credential.Key) Key {
		v := s.keyView(counted(k, rl))
		if _, seen := names[k.OwnerID]; !seen {
			u, err := s.c.Owners.Find(ctx, realm, k.OwnerID)
			if err != nil {
				u.Username = "" // deleted meanwhile: the id remains
			}
			names[k.OwnerID] = u.Username
		}
		v.OwnerName = names[k.OwnerID]
		return v
	}), nil
}

// key reads a key of the realm and authorizes the action on it. Somebody who
// may not see a key learns nothing about whether there is one.
func (s *Service) key(ctx context.Context, actor *gatehouse.Principal, action, realm, id string) (credential.Key, error) {
	k, err := s.c.Keys.Key(ctx, id)
	missing := errors.Is(err, gatehouse.NotFound) || err == nil && k.Realm != realm
	if err != nil && !missing {
		return k, err
	}
	owner := k.OwnerID
	if missing {
		owner = ""
	}
	if err := s.k.AuthorizeOwn(ctx, actor, action, policy.AdminKey, realm, owner, id); err != nil {
		return k, err
	}
	if missing {
		return k, errKeyUnknown
	}
	rl, err := s.k.Realm(ctx, realm)
	return counted(k, rl), err
}

// counted is k as it is judged: what a panic of its realm has ended was revoked then.
func counted(k credential.Key, rl gatehouse.Realm) credential.Key {
	if k.RevokedAt.IsZero() && rl.CutOff(k.CreatedAt) {
		k.RevokedAt = rl.CutOffAt
	}
	return k
}

// stored reads a key in the transaction that changes it, as it is judged.
func stored(ctx context.Context, tx Tx, id string) (credential.Key, error) {
	k, err := tx.Key(ctx, id)
	if err != nil {
		return k, err
	}
	rl, err := kernel.ReadRealm(ctx, tx, k.Realm)
	return counted(k, rl), err
}

// Get reads one API key.
func (s *Service) Get(ctx context.Context, actor *gatehouse.Principal, realm, id string) (Key, error) {
	k, err := s.key(ctx, actor, policy.AdminRead, realm, id)
	if err != nil {
		return Key{}, err
	}
	return s.keyView(k), nil
}

// Usage reads the uses per day of one key, over the last days (31 by
// default, at most 400).
func (s *Service) Usage(ctx context.Context, actor *gatehouse.Principal, realm, id string, days int) ([]KeyUsage, error) {
	if _, err := s.key(ctx, actor, policy.AdminRead, realm, id); err != nil {
		return nil, err
	}
	if days <= 0 {
		days = 31
	}
	from := s.k.Now().Add(-time.Duration(min(days, 400)) * aDay).UTC().Format(time.DateOnly)
	list, err := s.c.Keys.KeyUsage(ctx, id, from)
	if err != nil {
		return nil, err
	}
	out := make([]KeyUsage, 0, len(list))
	for _, u := range list {
		out = append(out, KeyUsage{Day: u.Day, Count: u.Count, LastUsedAt: u.LastUsedAt})
	}
	return out, nil
}

// Create makes an API key and shows its text once. For oneself it takes a
// login of a moment ago ([Service.recent]); for others the right to write keys, and for owners with administrative
// roles the right to give those.
func (s *Service) Create(ctx context.Context, actor *gatehouse.Principal, realm string, in NewKey) (CreatedKey, error) {
	if in.Owner == "" {
		in.Owner = "me"
	}
	ownerID := s.c.Owners.Resolve(ctx, actor, realm, in.Owner)
	if err := s.k.AuthorizeOwn(ctx, actor, policy.AdminWrite, policy.AdminKey, realm, ownerID, ""); err != nil {
		return CreatedKey{}, err
	}
	if err := s.recent(ctx, actor, realm, ownerID, ""); err != nil {
		return CreatedKey{}, err
	}
	k, err := s.newKey(in)
	if err != nil {
		return CreatedKey{}, err
	}
	if err := s.k.MayGive(ctx, actor, policy.AdminKey, realm, "scopes", in.Scopes); err != nil {
		return CreatedKey{}, err
	}
	text, id, hash := credential.MintKey(s.c.Prefix, k.Environment)
	k.ID, k.Hash, k.Realm, k.OwnerID, k.Version = id, hash, realm, ownerID, 1
	maker := s.maker(ctx, actor, realm, ownerID)
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		owner, err := s.keyOwner(ctx, tx, actor, &k)
		if err != nil {
			return err
		}
		if err := s.fitsKey(ctx, tx, k, owner); err != nil {
			return err
		}
		if err := tx.InsertKey(ctx, k); err != nil {
			return err
		}
		e := s.k.Event(ctx, actor, realm, audit.KindKeyCreate, "key", k.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["owner"], e.Detail["scopes"] = owner.ID, strings.Join(k.Scopes, " ")
		if err := s.tell(ctx, tx, actor, k, owner, maker); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return CreatedKey{}, err
	}
	return CreatedKey{Key: s.keyView(k), Text: text}, nil
}

// newKey validates what does not depend on the realm.
func (s *Service) newKey(in NewKey) (credential.Key, error) {
	now := s.k.Now()
	f := kernel.Faults{}
	f.Text("name", in.Name, true)
	f.Names("scopes", in.Scopes)
	f.Names("role_limit", in.RoleLimit)
	env := gatehouse.Environment(in.Environment)
	switch env {
	case "":
		env = gatehouse.EnvironmentLive
	case gatehouse.EnvironmentLive, gatehouse.EnvironmentTest:
	default:
		f.Add("environment", "must be live or test")
	}
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(now) {
		f.Add("expires_at", "must be in the future")
	} else if in.ExpiresAt.After(now.Add(maxKeyLife)) {
		f.Add("expires_at", "must be within 100 years; without it, the key does not end")
	}
	nets, err := credential.ParseNets(in.AllowedNets)
	if err != nil {
		f.Add("allowed_nets", "must be addresses or CIDR prefixes without host bits, at most 64")
	}
	checkMetadata(f, in.Metadata)
	checkQuota(f, "quota_day", in.QuotaDay)
	checkQuota(f, "quota_month", in.QuotaMonth)
	return credential.Key{Metadata: in.Metadata, QuotaDay: in.QuotaDay, QuotaMonth: in.QuotaMonth, Name: in.Name, Scopes: in.Scopes, RoleLimit: in.RoleLimit, Environment: env,
		AllowedNets: nets, CreatedAt: now, ExpiresAt: in.ExpiresAt}, f.Err()
}

// fitsKey checks a new key against the realm's catalogue and its owner's roles.
func (s *Service) fitsKey(ctx context.Context, tx Tx, k credential.Key, owner identity.User) error {
	rl, err := kernel.ReadRealm(ctx, tx, k.Realm)
	if err != nil {
		return err
	}
	for _, sc := range k.Scopes {
		if _, ok := rl.Settings.Scopes[sc]; !ok && sc != gatehouse.ScopeAll && !slices.Contains(authz.AdminScopes(), sc) {
			return kernel.Naming(errKeyScope, "scopes", sc)
		}
	}
	for _, r := range k.RoleLimit {
		if !slices.Contains(owner.Roles, r) {
			return kernel.Naming(errKeyRole, "role_limit", r)
		}
	}
	return nil
}

// keyOwner reads the owner in the transaction and keeps the key within the roles
// of a credential that is itself limited to some.
func (s *Service) keyOwner(ctx context.Context, tx Tx, actor *gatehouse.Principal, k *credential.Key) (identity.User, error) {
	owner, err := tx.User(ctx, k.Realm, k.OwnerID)
	if errors.Is(err, gatehouse.NotFound) || err == nil && owner.Disabled {
		return owner, errOwner
	}
	if err != nil {
		return owner, err
	}
	if !kernel.IsSelf(actor, k.Realm, owner.ID) || actor.RoleLimit == nil {
		return owner, nil
	}
	if k.RoleLimit == nil {
		k.RoleLimit = actor.RoleLimit
	}
	for _, r := range k.RoleLimit {
		if !slices.Contains(actor.RoleLimit, r) {
			return owner, errKeyRole
		}
	}
	return owner, nil
}

// Update renames or narrows a key.
func (s *Service) Update(ctx context.Context, actor *gatehouse.Principal, realm, id string, in KeyPatch) (Key, error) {
	before, err := s.key(ctx, actor, policy.AdminWrite, realm, id)
	if err != nil {
		return Key{}, err
	}
	if in.loosens(before) { // the limits of a customer's key are not the customer's to lift
		if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminKey, realm, before.OwnerID); err != nil {
			return Key{}, err
		}
	}
	f := kernel.Faults{}
	if in.Name != nil {
		f.Text("name", *in.Name, true)
	}
	if in.Scopes != nil {
		f.Names("scopes", *in.Scopes)
	}
	if in.AllowedNets != nil {
		if _, err := credential.ParseNets(*in.AllowedNets); err != nil {
			f.Add("allowed_nets", "must be addresses or CIDR prefixes without host bits, at most 64")
		}
	}
	if in.ExpiresAt != nil && !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(s.k.Now()) {
		f.Add("expires_at", "must be in the future; to end the key now, revoke it")
	}
	for name, quota := range map[string]*int64{"quota_day": in.QuotaDay, "quota_month": in.QuotaMonth} {
		if quota != nil {
			checkQuota(f, name, *quota)
		}
	}
	if err := f.Err(); err != nil {
		return Key{}, err
	}
	loosening := in.loosens(before)
	return s.changeKey(ctx, actor, realm, id, in.Version, audit.KindKeyUpdate, func(k *credential.Key, e *gatehouse.Event) error {
		if status := k.Status(e.Time); status != credential.KeyActive && status != credential.KeyDisabled {
			return errKeyInactive
		}
		if in.loosens(*k) && !loosening {
			return gatehouse.ErrVersionConflict // what was authorized was another change
		}
		return in.apply(k, e)
	})
}

// changeKey reads a key, changes it and writes the event, in one transaction.
func (s *Service) changeKey(ctx context.Context, actor *gatehouse.Principal, realm, id string, version *int64, kind string,
	change func(*credential.Key, *gatehouse.Event) error) (Key, error) {
	var out credential.Key
	err := s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		k, err := stored(ctx, tx, id)
		if errors.Is(err, gatehouse.NotFound) || err == nil && k.Realm != realm {
			return errKeyUnknown
		}
		if err != nil {
			return err
		}
		if version != nil && *version != k.Version {
			return gatehouse.ErrVersionConflict
		}
		e := s.k.Event(ctx, actor, realm, kind, "key", k.ID)
		if err := change(&k, &e); err != nil {
			return err
		}
		if err := tx.UpdateKey(ctx, k); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		k.Version++
		out = k
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return Key{}, err
	}
	return s.keyView(out), nil
}

// Revoke ends a key at once. Revoking an ended key is no error.
func (s *Service) Revoke(ctx context.Context, actor *gatehouse.Principal, realm, id string) (Key, error) {
	if k, err := s.key(ctx, actor, policy.AdminRevoke, realm, id); err != nil {
		return Key{}, err
	} else if !k.RevokedAt.IsZero() {
		return s.keyView(k), nil
	}
	return s.changeKey(ctx, actor, realm, id, nil, audit.KindKeyRevoke, func(k *credential.Key, e *gatehouse.Event) error {
		if k.RevokedAt.IsZero() {
			k.RevokedAt = e.Time
		}
		return nil
	})
}

// Panic ends a key as [Service.Revoke] does; the one that actor asks with only when the
// order says so. Errors: panic_including_me.
func (s *Service) Panic(ctx context.Context, actor *gatehouse.Principal, realm, id string, in kernel.PanicOrder) (Key, error) {
	k, err := s.key(ctx, actor, policy.AdminRevoke, realm, id)
	if err != nil {
		return Key{}, err
	}
	if err := in.Refuse(actor.Realm == k.Realm && actor.CredentialID == k.ID); err != nil {
		return Key{}, err
	}
	out, err := s.Revoke(ctx, actor, realm, id)
	if err == nil {
		kernel.Ask(ctx, peers.Question{Realm: realm, Kind: peers.KindKey, ID: id})
	}
	return out, err
}

// Rotate makes a successor with the same rights and shows its text once; of one's own key, as [Service.Create]
// makes one. The old key stops after the overlap, or when it would have expired anyway.
func (s *Service) Rotate(ctx context.Context, actor *gatehouse.Principal, realm, id string, in KeyRotation) (CreatedKey, error) {
	old, err := s.key(ctx, actor, policy.AdminWrite, realm, id)
	if err == nil {
		err = s.recent(ctx, actor, realm, old.OwnerID, id)
	}
	if err != nil {
		return CreatedKey{}, err
	}
	overlap := defaultOverlap
	if in.Overlap != nil {
		overlap = time.Duration(*in.Overlap)
	}
	if overlap < 0 || overlap > maxOverlap {
		f := kernel.Faults{}
		f.Add("overlap", "must be from 0 to %s", maxOverlap)
		return CreatedKey{}, f.Err()
	}
	if err := s.k.MayGive(ctx, actor, policy.AdminKey, realm, "scopes", old.Scopes); err != nil {
		return CreatedKey{}, err
	}
	text, newID, hash := credential.MintKey(s.c.Prefix, old.Environment)
	var next credential.Key
	maker := s.maker(ctx, actor, realm, old.OwnerID)
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		k, err := stored(ctx, tx, id)
		if err != nil {
			return err
		}
		now := s.k.Now()
		switch {
		case k.Status(now) != credential.KeyActive:
			return errKeyInactive
		case k.RotatedTo != "":
			return errKeyRotated
		case !slices.Equal(k.Scopes, old.Scopes):
			return gatehouse.ErrVersionConflict
		}
		next = k
		next.ID, next.Hash, next.CreatedAt, next.LastUsedAt, next.Version = newID, hash, now, time.Time{}, 1
		owner, err := s.keyOwner(ctx, tx, actor, &next)
		if err != nil {
			return err
		}
		if !k.ExpiresAt.IsZero() { // as long a life as the old one had
			next.ExpiresAt = now.Add(k.ExpiresAt.Sub(k.CreatedAt))
		}
		if end := now.Add(overlap); k.ExpiresAt.IsZero() || end.Before(k.ExpiresAt) {
			k.ExpiresAt = end
		}
		k.RotatedTo = newID
		if err := tx.InsertKey(ctx, next); err != nil {
			return err
		}
		if err := tx.UpdateKey(ctx, k); err != nil {
			return kernel.ConflictAs(err, gatehouse.ErrVersionConflict)
		}
		e := s.k.Event(ctx, actor, realm, audit.KindKeyRotate, "key", id)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["successor"], e.Detail["old_ends"] = newID, k.ExpiresAt.UTC().Format(time.RFC3339)
		if err := s.tell(ctx, tx, actor, next, owner, maker); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return CreatedKey{}, err
	}
	return CreatedKey{Key: s.keyView(next), Text: text}, nil
}

// ReportLeaked disables the key that text is, or ends the secret of a client that it is. Whoever holds it may: a secret
// scanner, or the thief. It takes no other credential, and answers key_not_found
// for anything else.
func (s *Service) ReportLeaked(ctx context.Context, text gatehouse.Secret) error {
	if found, err := s.c.Clients.EndLeaked(ctx, text); found || err != nil {
		return err
	}
	p, err := credential.ParseKey(text.Reveal())
	ours := err == nil && p.IsAPIKey(s.c.Prefix)
	if !ours && !credential.ImportableKey(text.Reveal()) {
		return errKeyUnknown
	}
	return s.c.Run(ctx, func(ctx context.Context, tx Tx) (err error) {
		var found []credential.Key
		if ours {
			found = make([]credential.Key, 1)
			found[0], err = tx.Key(ctx, p.ID)
		} else { // several realms may have taken it over
			found, err = tx.ImportedKeys(ctx, credential.HashKey(text.Reveal()))
		}
		switch {
		case errors.Is(err, gatehouse.NotFound), err == nil && len(found) == 0:
			return errKeyUnknown
		case err != nil:
			return err
		}
		for _, k := range found {
			if !credential.MatchKey(k.Hash, text.Reveal()) {
				return errKeyUnknown
			}
			if err := s.leaked(ctx, tx, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// leaked ends a key that was reported; once is enough.
func (s *Service) leaked(ctx context.Context, tx Tx, k credential.Key) error {
	if !k.LeakedAt.IsZero() {
		return nil
	}
	e := s.k.Event(ctx, nil, k.Realm, audit.KindKeyLeaked, "key", k.ID)
	k.LeakedAt = e.Time
	if err := tx.UpdateKey(ctx, k); err != nil {
		return err
	}
	e.Detail = map[string]string{"owner": k.OwnerID}
	return tx.AppendEvents(ctx, e)
}
