package keys

import (
	"context"
	"strconv"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var errKeyImported = gatehouse.E(gatehouse.Conflict, "key_already_imported", "A key with this hash was imported into this realm before.")

// Import takes over a key that another system made, by the SHA-256 of its text. It
// takes the right to write keys, for oneself too: how much chance is in the key is known
// from the importer's word alone. Errors: those of [Service.Create], key_import_invalid,
// key_already_imported (also of one that was revoked since, which stays so).
func (s *Service) Import(ctx context.Context, actor *gatehouse.Principal, realm string, in ImportedKey) (Key, error) {
	if in.Owner == "" {
		in.Owner = "me"
	}
	ownerID := s.c.Owners.Resolve(ctx, actor, realm, in.Owner)
	if err := s.k.Authorize(ctx, actor, policy.AdminWrite, policy.AdminKey, realm, ""); err != nil {
		return Key{}, err
	}
	k, err := s.newKey(in.NewKey)
	if err != nil {
		return Key{}, err
	}
	hash, err := credential.ParseImportedHash(in.SHA256, in.Bits, in.Prefix)
	if err != nil {
		return Key{}, err
	}
	if err := s.k.MayGive(ctx, actor, policy.AdminKey, realm, "scopes", in.Scopes); err != nil {
		return Key{}, err
	}
	_, id, _ := credential.MintKey(s.c.Prefix, k.Environment) // for its id: the text belongs to nobody
	k.ID, k.Hash, k.Realm, k.OwnerID, k.Version = id, hash, realm, ownerID, 1
	k.Imported, k.Prefix = true, in.Prefix
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
			return kernel.ConflictAs(err, errKeyImported)
		}
		e := s.k.Event(ctx, actor, realm, audit.KindKeyCreate, "key", k.ID)
		e.Detail = kernel.Changes(e.Detail)
		e.Detail["owner"], e.Detail["scopes"] = owner.ID, strings.Join(k.Scopes, " ")
		e.Detail["imported"] = strings.TrimSpace(k.Prefix + " " + strconv.Itoa(in.Bits) + " bits")
		if err := s.tell(ctx, tx, actor, k, owner, maker); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, e)
	})
	if err != nil {
		return Key{}, err
	}
	return s.keyView(k), nil
}
