// Package system holds the use cases that are about no realm's contents: who the caller is, a backup of everything, and
// the configuration of the server.
package system

import (
	"context"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/policy"
)

var errBackupNone = gatehouse.E(gatehouse.Unprocessable, "backup_unsupported", "This database is backed up with its own tools.")

// ErrReloadNone says that there is no configuration to read anew.
var ErrReloadNone = gatehouse.E(gatehouse.Unprocessable, "reload_unsupported", "This server was not started from a configuration file.")

// Config is what a [Service] needs. Every field without a remark is required.
type Config struct {
	Kernel *kernel.Kernel
	Run    gatehouse.Runner[Tx]
	// Roles are those that p's directory entry and credential give at this
	// moment, inherited ones included.
	Roles func(ctx context.Context, p *gatehouse.Principal) ([]string, error)
	// Backup writes a copy of the database and returns its name and size. Nil:
	// the store has no backup of its own (code backup_unsupported).
	Backup func(ctx context.Context) (name string, size int64, err error)
	// Reload reads the configuration anew, and records e with what came of it. Nil: there
	// is none to read (code reload_unsupported).
	Reload func(ctx context.Context, e gatehouse.Event) (Reload, error)
}

// Tx is the transaction of the system use cases: what they do is done elsewhere, and told here.
type Tx interface{ kernel.Appender }

// New returns the use cases.
func New(c Config) *Service { return &Service{k: c.Kernel, c: c} }

// Service is the use cases. It holds no state of its own.
type Service struct {
	k *kernel.Kernel
	c Config
}

// Me tells the caller who he is. Every verified credential may ask.
func (s *Service) Me(ctx context.Context, actor *gatehouse.Principal) (Me, error) {
	if !actor.Authenticated() {
		return Me{}, authn.ErrNone
	}
	roles, err := s.c.Roles(ctx, actor)
	if err != nil {
		return Me{}, err
	}
	return Me{Realm: actor.Realm, ID: actor.ID, Kind: string(actor.Kind), Name: actor.Name, Scheme: string(actor.Scheme),
		Scopes: kernel.Some(actor.Scopes), Roles: kernel.Some(roles), CredentialID: actor.CredentialID, GrantID: actor.GrantID,
		ACR: actor.ACR, AMR: kernel.Some(actor.AMR), AuthTime: actor.AuthTime, ExpiresAt: actor.ExpiresAt}, nil
}

// Backup copies the database while it runs. The server chooses where: a path from
// outside would be a way to write anywhere.
func (s *Service) Backup(ctx context.Context, actor *gatehouse.Principal) (Backup, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminBackup, gatehouse.MainRealm, ""); err != nil {
		return Backup{}, err
	}
	if s.c.Backup == nil {
		return Backup{}, errBackupNone
	}
	name, size, err := s.c.Backup(ctx)
	if err != nil {
		return Backup{}, err
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	err = s.c.Run(ctx, func(ctx context.Context, tx Tx) error {
		return tx.AppendEvents(ctx, s.k.Event(ctx, actor, gatehouse.MainRealm, audit.KindBackupCreate, "backup", base))
	})
	return Backup{Name: name, Size: size}, err
}

// Reload makes the server read its configuration anew. The server knows where it is: a
// path from outside would be a way to read anything.
func (s *Service) Reload(ctx context.Context, actor *gatehouse.Principal) (Reload, error) {
	if err := s.k.Authorize(ctx, actor, policy.AdminManage, policy.AdminConfiguration, gatehouse.MainRealm, ""); err != nil {
		return Reload{}, err
	}
	if s.c.Reload == nil {
		return Reload{}, ErrReloadNone
	}
	out, err := s.c.Reload(ctx, s.k.Event(ctx, actor, gatehouse.MainRealm, audit.KindConfigReload, "configuration", ""))
	out.Changes, out.Restart, out.Warnings = kernel.Some(out.Changes), kernel.Some(out.Restart), kernel.Some(out.Warnings)
	return out, err
}
