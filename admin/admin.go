package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/adminhttp"
	"github.com/gatehouse-auth/gatehouse/admin/apps"
	"github.com/gatehouse-auth/gatehouse/admin/clients"
	"github.com/gatehouse-auth/gatehouse/admin/factors"
	"github.com/gatehouse-auth/gatehouse/admin/follow"
	"github.com/gatehouse-auth/gatehouse/admin/kernel"
	"github.com/gatehouse-auth/gatehouse/admin/keys"
	"github.com/gatehouse-auth/gatehouse/admin/mails"
	"github.com/gatehouse-auth/gatehouse/admin/nodes"
	"github.com/gatehouse-auth/gatehouse/admin/passkeys"
	"github.com/gatehouse-auth/gatehouse/admin/providers"
	"github.com/gatehouse-auth/gatehouse/admin/realmfile"
	"github.com/gatehouse-auth/gatehouse/admin/realms"
	"github.com/gatehouse-auth/gatehouse/admin/records"
	"github.com/gatehouse-auth/gatehouse/admin/rules"
	"github.com/gatehouse-auth/gatehouse/admin/sessions"
	"github.com/gatehouse-auth/gatehouse/admin/signing"
	"github.com/gatehouse-auth/gatehouse/admin/system"
	"github.com/gatehouse-auth/gatehouse/admin/tokens"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authz"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/factor"
	"github.com/gatehouse-auth/gatehouse/internal/mail"
	"github.com/gatehouse-auth/gatehouse/passkey"
	"github.com/gatehouse-auth/gatehouse/policy"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

// Config is what a [Service] needs. Every field without a remark is required.
type Config struct {
	Stored Stored
	Run    gatehouse.Runner[Tx]

	// Decide is the decision point for administration itself (authz.Decider.DecideAdmin).
	Decide func(ctx context.Context, p *gatehouse.Principal, action, resourceType, realm, id string) gatehouse.Decision
	// Roles are those that p has at this moment, inherited ones included (authz.Decider.Roles).
	Roles func(ctx context.Context, p *gatehouse.Principal) ([]string, error)
	// Explain answers what somebody may do, and why (authz.Decider.Explain).
	Explain func(ctx context.Context, r gatehouse.AccessRequest, documents ...policy.Document) (policy.Explanation, error)
	// Prepare tries a change of a realm's rules before it is stored (authz.Decider.Prepare).
	Prepare func(realm string, c authz.Candidate) (*authz.Prepared, error)

	Passwords Passwords
	// Codes proves codes of second factors (*factor.Service), and Vault seals what apps share.
	Codes factors.Codes
	Vault factor.Vault
	// Passkeys removes passkeys, and records it (*passkey.Service).
	Passkeys passkeys.Life
	// Providers knows the providers by whose accounts people sign in (*provider.Service).
	Providers providers.Life
	// Mail takes the notices of changes.
	Mail *mail.Queue
	// Links are what links by which a password is set are made of.
	Links   users.Links
	Signing Signing
	// Lenient is for clients.Config.
	Lenient bool
	// EndGrant ends a grant with all its tokens, and records it (grant.Service.End).
	EndGrant func(ctx context.Context, realm, id, reason string) (ended bool, err error)
	// Sessions ends browser sessions, and records it (*session.Service); Revoked tells whether a cut-off did.
	Sessions sessions.Life
	Revoked  func(ref revocation.Ref) (revoked bool, reason string)
	// Verify checks a credential as a request would, without the request.
	Verify func(ctx context.Context, realm string, token gatehouse.Secret) (*gatehouse.Principal, error)

	// Journal is what has changed in what is no longer valid (*revocation.Journal), Issuer the issuer identifier of a
	// realm, and Current why this node does not know that for sure, or is about to stop.
	Journal follow.Journal
	Issuer  func(realm string) string
	Current func() error

	// AuditKey gives the public half of the key that signs the checkpoints of a realm.
	AuditKey func(realm string) (audit.Key, error)
	// AuditHead is the newest checkpoint that the server signed, as it is kept apart
	// from the store. Nil: nothing is kept.
	AuditHead func(realm string) []byte
	// Backup writes a copy of the database and returns its name and size. Nil:
	// the store has no backup of its own (code backup_unsupported).
	Backup func(ctx context.Context) (name string, size int64, err error)
	// Reload reads the configuration anew, and records e with what came of it. Nil: there
	// is none to read (code reload_unsupported).
	Reload func(ctx context.Context, e gatehouse.Event) (system.Reload, error)
	// Record takes the events of refused attempts; it must not block for long.
	Record func(e *gatehouse.Event)
	// Counting returns the counts of refusals that are not recorded yet and that a
	// request which began at that time may be part of; nil when nothing is counted.
	Counting func(realm string, began time.Time) []gatehouse.Event

	// BootstrapKey is what the one-time secrets of first starts are made with: 32 random
	// bytes or more, the same on all nodes and over restarts.
	BootstrapKey []byte

	KeyPrefix string           // of API keys; "" is credential.PrefixKey
	Logger    *slog.Logger     // nil discards
	Now       func() time.Time // nil is time.Now
}

// Stored is what is read outside of transactions, each part as its subject declares it.
// One store has all of them.
type Stored struct {
	Realm    kernel.RealmReader
	Realms   realms.Reader
	Users    users.Reader
	Holders  users.Holders
	Keys     keys.Reader
	Clients  clients.Reader
	Rules    rules.Reader
	Entities rules.EntityReader
	Grants   tokens.Reader
	Sessions sessions.Reader
	Apps     apps.Reader
	Audit    audit.Reader
	Persons  audit.PersonKeys // of what is sealed in Audit
	Nodes    nodes.Reader
	Factors  factor.Reader
	Mails    mails.Reader
	Passkeys passkey.Reader
}

// Tx is the transaction of all subjects, each part as its subject declares it. One
// transaction of the store is all of them.
type Tx struct {
	Realms     realms.Tx
	Users      users.Tx
	Bootstraps users.BootstrapTx
	Keys       keys.Tx
	Clients    clients.Tx
	Rules      rules.Tx
	Tokens     tokens.Tx
	Apps       apps.Tx
	Records    records.Tx
	Nodes      nodes.Tx
	Mails      mails.Tx
	System     system.Tx
	Factors    factors.Tx
	Providers  providers.Tx
}

// Passwords is what administration needs of the house's passwords; *identity.Service has it.
type Passwords interface {
	users.Passwords
	factors.Passwords
}

// Signing is the key ring's side of administration; *keyring.Ring has it.
type Signing interface {
	realms.Signing
	clients.Signing
	signing.Ring
}

// Service is the subjects of administration, each with its use cases.
type Service struct {
	System    *system.Service
	Realms    *realms.Service
	Users     *users.Service
	Keys      *keys.Service
	Clients   *clients.Service
	Rules     *rules.Service
	Tokens    *tokens.Service
	Sessions  *sessions.Service
	Apps      *apps.Service
	Signing   *signing.Service
	Records   *records.Service
	Nodes     *nodes.Service
	Mails     *mails.Service
	Files     *realmfile.Service
	Follow    *follow.Service
	Factors   *factors.Service
	Passkeys  *passkeys.Service
	Providers *providers.Service

	now func() time.Time
}

// subjects are those that add operations to the management API.
func (s *Service) subjects() []adminhttp.Subject {
	return []adminhttp.Subject{s.System, s.Realms, s.Files, s.Users, s.Keys, s.Clients, s.Rules, s.Tokens, s.Sessions, s.Apps, s.Follow, s.Signing, s.Records, s.Nodes, s.Factors, s.Passkeys, s.Providers, s.Mails, ownData{s}}
}

// New checks c and returns the service.
func New(c Config) (*Service, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	k := &kernel.Kernel{Decide: c.Decide, Record: c.Record, Realms: c.Stored.Realm, Now: c.Now}
	forRealms := realms.Config{Kernel: k, Realms: c.Stored.Realms, Roles: c.Stored.Rules, Signing: c.Signing,
		Run: part(c.Run, func(tx Tx) realms.Tx { return tx.Realms })}
	forUsers := users.Config{Kernel: k, Users: c.Stored.Users, Holders: c.Stored.Holders, Passwords: c.Passwords, Mail: c.Mail, Links: c.Links, Vault: c.Vault, KeyPrefix: c.KeyPrefix, BootstrapKey: c.BootstrapKey,
		Run:        part(c.Run, func(tx Tx) users.Tx { return tx.Users }),
		Bootstraps: part(c.Run, func(tx Tx) users.BootstrapTx { return tx.Bootstraps })}
	people := users.New(forUsers)
	forRules := rules.Config{Kernel: k, Rules: c.Stored.Rules, Entities: c.Stored.Entities, Users: people,
		Prepare: c.Prepare, Explain: c.Explain, Run: part(c.Run, func(tx Tx) rules.Tx { return tx.Rules })}
	programs := clients.New(clients.Config{Kernel: k, Clients: c.Stored.Clients, Issuer: c.Issuer, Signing: c.Signing, Lenient: c.Lenient, Run: part(c.Run, func(tx Tx) clients.Tx { return tx.Clients })})
	apiKeys := keys.New(keys.Config{Kernel: k, Clients: programs, Keys: c.Stored.Keys, Owners: people, Mail: c.Mail, Prefix: c.KeyPrefix,
		Run: part(c.Run, func(tx Tx) keys.Tx { return tx.Keys })})
	endKey := func(ctx context.Context, actor *gatehouse.Principal, realm, id string) error {
		_, err := apiKeys.Revoke(ctx, actor, realm, id)
		return err
	}
	return &Service{now: c.Now,
		Realms: realms.New(forRealms), Users: people, Keys: apiKeys, Rules: rules.New(forRules),
		Clients: programs,
		Signing: signing.New(signing.Config{Kernel: k, Ring: c.Signing}),
		Tokens: tokens.New(tokens.Config{Kernel: k, Grants: c.Stored.Grants, Users: people, End: c.EndGrant, EndKey: endKey,
			Verify: c.Verify, Run: part(c.Run, func(tx Tx) tokens.Tx { return tx.Tokens })}),
		Sessions: sessions.New(sessions.Config{Kernel: k, Sessions: c.Stored.Sessions, Life: c.Sessions, Users: people, Revoked: c.Revoked}),
		Apps:     apps.New(apps.Config{Kernel: k, Apps: c.Stored.Apps, Users: people, Revoked: c.Revoked, Run: part(c.Run, func(tx Tx) apps.Tx { return tx.Apps })}),
		Records: records.New(records.Config{Kernel: k, Audit: c.Stored.Audit, Persons: c.Stored.Persons, Key: c.AuditKey, Head: c.AuditHead, Counting: c.Counting,
			Explain: c.Explain, Logger: c.Logger, Run: part(c.Run, func(tx Tx) records.Tx { return tx.Records })}),
		Follow: follow.New(follow.Config{Kernel: k, Journal: c.Journal, Issuer: c.Issuer, Current: c.Current}),
		Nodes:  nodes.New(nodes.Config{Kernel: k, Nodes: c.Stored.Nodes, Run: part(c.Run, func(tx Tx) nodes.Tx { return tx.Nodes })}),
		Factors: factors.New(factors.Config{Kernel: k, Factors: c.Stored.Factors, Users: people, Passwords: c.Passwords, Codes: c.Codes, Mail: c.Mail, Vault: c.Vault,
			Run: part(c.Run, func(tx Tx) factors.Tx { return tx.Factors })}),
		Passkeys:  passkeys.New(passkeys.Config{Kernel: k, Passkeys: c.Stored.Passkeys, Users: people, Life: c.Passkeys}),
		Providers: providers.New(providers.Config{Kernel: k, Providers: c.Providers, Users: people, Run: part(c.Run, func(tx Tx) providers.Tx { return tx.Providers })}),
		Mails:     mails.New(mails.Config{Kernel: k, Mails: c.Stored.Mails, Queue: c.Mail, Run: part(c.Run, func(tx Tx) mails.Tx { return tx.Mails })}),
		System: system.New(system.Config{Kernel: k, Roles: c.Roles, Backup: c.Backup, Reload: c.Reload,
			Run: part(c.Run, func(tx Tx) system.Tx { return tx.System })}),
		Files: realmfile.New(realmfile.Config{Kernel: k, Realms: forRealms, Users: forUsers, Rules: forRules,
			Stored: realmfile.Stored{Realms: c.Stored.Realm, Users: c.Stored.Users, Holders: c.Stored.Holders, Keys: c.Stored.Keys,
				Rules: c.Stored.Rules, Entities: c.Stored.Entities},
			Run: part(c.Run, func(tx Tx) realmfile.Tx {
				return realmfile.Tx{Realms: tx.Realms, Users: tx.Users, Rules: tx.Rules}
			})}),
	}, nil
}

// part is a runner of one subject's part of a transaction.
func part[T any](run gatehouse.Runner[Tx], of func(Tx) T) gatehouse.Runner[T] {
	return func(ctx context.Context, fn func(context.Context, T) error) error {
		return run(ctx, func(ctx context.Context, tx Tx) error { return fn(ctx, of(tx)) })
	}
}

// complete sets what is optional, and refuses when something is not there: a part that
// is missing must stop the start, not a check.
func (c *Config) complete() error {
	for _, missing := range []struct {
		name string
		nil  bool
	}{
		{"Stored.Realm", c.Stored.Realm == nil}, {"Stored.Realms", c.Stored.Realms == nil}, {"Stored.Users", c.Stored.Users == nil},
		{"Stored.Holders", c.Stored.Holders == nil}, {"Stored.Keys", c.Stored.Keys == nil}, {"Stored.Rules", c.Stored.Rules == nil},
		{"Stored.Entities", c.Stored.Entities == nil}, {"Stored.Grants", c.Stored.Grants == nil}, {"Stored.Sessions", c.Stored.Sessions == nil}, {"Stored.Apps", c.Stored.Apps == nil}, {"Stored.Audit", c.Stored.Audit == nil}, {"Stored.Persons", c.Stored.Persons == nil},
		{"Stored.Nodes", c.Stored.Nodes == nil}, {"Stored.Mails", c.Stored.Mails == nil}, {"Mail", c.Mail == nil},
		{"Run", c.Run == nil}, {"Decide", c.Decide == nil}, {"Roles", c.Roles == nil}, {"Explain", c.Explain == nil},
		{"Prepare", c.Prepare == nil}, {"Passwords", c.Passwords == nil}, {"Signing", c.Signing == nil}, {"EndGrant", c.EndGrant == nil},
		{"Sessions", c.Sessions == nil}, {"Revoked", c.Revoked == nil},
		{"Verify", c.Verify == nil}, {"Journal", c.Journal == nil}, {"Issuer", c.Issuer == nil}, {"Current", c.Current == nil}, {"AuditKey", c.AuditKey == nil}, {"Record", c.Record == nil},
		{"BootstrapKey", len(c.BootstrapKey) < 32},
		{"Stored.Clients", c.Stored.Clients == nil}, {"Stored.Factors", c.Stored.Factors == nil}, {"Stored.Passkeys", c.Stored.Passkeys == nil}, {"Passkeys", c.Passkeys == nil}, {"Providers", c.Providers == nil}, {"Codes", c.Codes == nil}, {"Vault", c.Vault.Box == nil},
		{"Links", c.Links.Find == nil || c.Links.Box == nil || c.Links.NewPassword == nil || c.Links.NewFactor == nil || c.Links.Verify == nil || c.Links.Register == nil},
	} {
		if missing.nil {
			return errors.New("admin: " + missing.name + " is required")
		}
	}
	if c.KeyPrefix == "" {
		c.KeyPrefix = credential.PrefixKey
	}
	if !credential.ValidKeyPrefix(c.KeyPrefix) {
		return errors.New("admin: KeyPrefix is not valid")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// API serves all subjects as the management API.
func (s *Service) API(c adminhttp.Config) (http.Handler, error) {
	return adminhttp.New(c, s.subjects()...)
}

// Document is the OpenAPI document of the management API of that version of the program.
func Document(version string) ([]byte, error) {
	return adminhttp.Document(version, new(Service).subjects()...)
}
