package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
	"github.com/gatehouse-auth/gatehouse/revocation"
	"github.com/gatehouse-auth/gatehouse/token"
)

// Rule is what a route lets pass, beside what is always required.
type Rule struct {
	// Schemes that are accepted; empty accepts every one that is configured.
	Schemes []gatehouse.Scheme
	// Environment of API keys; "" is live.
	Environment gatehouse.Environment
	// Secure says that nobody on the way could read the request, see
	// web.Proxies.Secure. Basic is refused without it.
	Secure bool
	// Address of the client; invalid when unknown.
	Address netip.Addr
	// Audience is for whom a token must be, one of the realm's; "": the issuer, or the realm's default. What is no token is for nobody
	// in particular.
	Audience string
	// Target of the request, see [TicketTarget]; it is needed for tickets alone.
	Target string
	// Uncounted: the credential is looked at, not used anew: a request that is judged
	// again while it is answered, or an operator's question. It is no use of a key and
	// takes nothing from its quota, and a quota that is used up does not refuse it.
	Uncounted bool
	// Proves: the caller checks the proof that a bound token needs, by the principal's Confirmation. Without it no bound
	// token is accepted.
	Proves bool
	// Tells: the caller tells what the token is and lets nobody in by it, so no proof is asked for (RFC 9449 §6.2).
	Tells bool
	// FirstFactor: the caller asks for the second factor itself, where there is one. Without it, the password of who
	// has one is not enough.
	FirstFactor bool
}

// PasswordAttempt is one try with a username and a password.
type PasswordAttempt struct {
	Realm    string
	Username string
	Password gatehouse.Secret
	Address  netip.Addr
}

// Store is where records are read from when they are not in memory. An absent
// record is an error that matches gatehouse.NotFound.
type Store interface {
	Realm(ctx context.Context, name string) (gatehouse.Realm, error)
	Key(ctx context.Context, id string) (credential.Key, error)
	// ImportedKey finds a realm's key that another system made by the hash of its text.
	ImportedKey(ctx context.Context, realm string, hash []byte) (credential.Key, error)
	HasImportedKeys(ctx context.Context, realm string) (bool, error)
	OpaqueToken(ctx context.Context, hash []byte) (credential.OpaqueToken, error)
	// Session finds a browser session by the public part of its secret.
	Session(ctx context.Context, secretID string) (gatehouse.Session, error)
	KeyUsage(ctx context.Context, keyID, fromDay string) ([]credential.KeyUsage, error)
}

// Revocations is the in-memory view of what is no longer valid.
type Revocations interface {
	Revoked(ref revocation.Ref) (revoked bool, reason string)
}

// Config of an [Authenticator]. Every field without a default is required.
type Config struct {
	Store       Store
	Revocations Revocations
	// gatehouse.Subject finds the owner of a credential, from memory where it can: it is
	// asked at each request.
	Subject func(ctx context.Context, realm, id string) (gatehouse.Subject, error)
	// gatehouse.Grant finds the grant of an opaque token.
	Grant func(ctx context.Context, realm, id string) (gatehouse.Grant, error)
	// Password verifies a password in bounded time and memory and throttles
	// guessing; it fails with one error for unknown users, wrong passwords and
	// disabled accounts. set is when the password that was right was set.
	Password func(ctx context.Context, a PasswordAttempt) (s gatehouse.Subject, set time.Time, err error)
	// Issuer is the issuer URL of a realm's own tokens.
	Issuer func(realm string) string
	// Realms lists all realms, so that tokens of their issuers are told from those
	// of others ([Authenticator.Recognizes]). Nil: every signed token counts as ours.
	Realms func(ctx context.Context) ([]gatehouse.Realm, error)
	// Keys is the live key source of a realm's own tokens.
	Keys func(realm string) token.KeySource
	// ForeignKeys makes the key source for an issuer that a realm trusts. It is
	// called once for each change of the realm.
	ForeignKeys func(realm string, issuer gatehouse.TrustedIssuer) (token.KeySource, error)
	// Tickets keeps one-time tickets; nil: there are none.
	Tickets *TicketConfig
	// Misses limits how many keys and tokens that do not exist an address may try.
	Misses Misses

	// Nodes is how many processes use the keys of the same database, and share their quotas,
	// this one among them; nil: it has them to itself. It must be quick.
	Nodes func() int
	// Shared counts quotas for all nodes, exactly, while it is there; nil: each counts its
	// share.
	Shared Shared
	// CountWith is whose counts of uses these are, too; nil: they are its own.
	CountWith *Authenticator

	KeyPrefix string        // of API keys; "" is credential.PrefixKey
	Leeway    time.Duration // for token times; at most 60 s
	// CacheSize bounds each cache: 32,768 entries when 0.
	CacheSize int
	Now       func() time.Time // nil: time.Now
}

// Authenticator verifies presented credentials. It is safe for concurrent use.
type Authenticator struct {
	cfg    Config
	trusts *records[*trust]
	// issuers of all realms; nil: to be read. realmChanges tells a late reader.
	issuers      atomic.Pointer[map[string]bool]
	realmChanges atomic.Uint64
	keys         *records[*keyEntry]
	imports      *records[bool] // realms that have imported keys
	rights       *cache.Cache[string, *keyRights]
	opaque       *records[*opaqueEntry]
	tokens       *tokenCache
	inspected    *inspections
	sessions     *records[*sessionEntry]
	sessionUses  sessionUses
	suspects     turnstile
	usage        usageCounter
	quotas       quotas
}

// ErrNone says that nothing was presented where something must be. It is the
// only error after which a caller may be taken for anonymous.
var ErrNone = gatehouse.E(gatehouse.Unauthenticated, "credential_missing", "This needs a credential.")

var (
	ErrInvalidToken = gatehouse.E(gatehouse.Unauthenticated, "invalid_token", "The credential is not accepted.")
	ErrUnavailable  = gatehouse.E(gatehouse.Unavailable, "authentication_unavailable", "The credential cannot be checked at the moment.")
	ErrHTTPS        = gatehouse.E(gatehouse.Invalid, "https_required", "Basic credentials are accepted over HTTPS only. Treat the password as exposed and change it.")
	ErrNotAccepted  = gatehouse.E(gatehouse.Unauthenticated, "scheme_not_accepted", "This kind of credential is not accepted here.")

	errRealmUnknown    = gatehouse.E(gatehouse.Unauthenticated, "realm_unknown", "")
	errRealmDisabled   = gatehouse.E(gatehouse.Unauthenticated, "realm_disabled", "")
	errSubjectUnknown  = gatehouse.E(gatehouse.Unauthenticated, "subject_unknown", "")
	errSubjectDisabled = gatehouse.E(gatehouse.Unauthenticated, "subject_disabled", "")
	errRevoked         = gatehouse.E(gatehouse.Unauthenticated, "token_revoked", "")
	errCutOff          = gatehouse.E(gatehouse.Unauthenticated, "credential_cut_off", "")
)

const (
	defaultCacheSize = 1 << 15
	// recordAge is the longest that a record is used without asking the store
	// again; changes are pushed, so this only heals what a lost push would leave.
	recordAge = 5 * time.Minute
	// trustAge is longer: a new trust makes every cached token verified again.
	trustAge = 24 * time.Hour
)

// New checks cfg and returns an authenticator. Subscribe its Apply to the store
// after the revocation view and the key source, so that it drops what was
// cached once they know better.
func New(cfg Config) (*Authenticator, error) {
	switch {
	case cfg.Store == nil, cfg.Revocations == nil, cfg.Subject == nil, cfg.Grant == nil, cfg.Password == nil,
		cfg.Issuer == nil, cfg.Keys == nil, cfg.ForeignKeys == nil, cfg.Misses == nil:
		return nil, errors.New("authn: every part of the configuration is required")
	case cfg.KeyPrefix != "" && !credential.ValidKeyPrefix(cfg.KeyPrefix):
		return nil, errors.New("authn: the key prefix is not valid")
	case cfg.Leeway < 0 || cfg.Leeway > token.MaxLeeway:
		return nil, errors.New("authn: leeway must be between 0 and 60 seconds")
	}
	if cfg.CacheSize <= 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Authenticator{cfg: cfg,
		trusts:    newRecords[*trust](4096, trustAge, cfg.Now),
		keys:      newRecords[*keyEntry](cfg.CacheSize, recordAge, cfg.Now),
		imports:   newRecords[bool](4096, recordAge, cfg.Now),
		rights:    cache.New[string, *keyRights](1024),
		opaque:    newRecords[*opaqueEntry](cfg.CacheSize, recordAge, cfg.Now),
		tokens:    newTokenCache(cfg.CacheSize),
		inspected: cache.New[tokenKey, *inspectedEntry](cfg.CacheSize),
		sessions:  newRecords[*sessionEntry](cfg.CacheSize, recordAge, cfg.Now),
		suspects:  make(turnstile, suspectSlots),
	}
	a.usage.init()
	a.quotas = newQuotas()
	a.sessionUses = newSessionUses()
	if other := cfg.CountWith; other != nil {
		a.usage, a.quotas, a.sessionUses = other.usage, other.quotas, other.sessionUses
	}
	return a, nil
}

// Supports reports whether credentials of scheme s can be verified.
func (a *Authenticator) Supports(s gatehouse.Scheme) bool {
	k, known := KindOf(s)
	return known && (k.verify != nil || k.StandIn && a.cfg.Tickets != nil)
}

// Authenticate verifies what was presented against realm and rule.
//
// Errors are *gatehouse.Error: [ErrNone] when nothing was presented;
// "second_factor_required" (401) for a right password that is not enough;
// "invalid_token" or "invalid_credentials" (401) for anything that was not
// accepted, whatever the reason, which [Reason] tells the record;
// "scheme_not_accepted" (401) and "https_required" (400), which are the same
// for every credential; 429 from throttles; "authentication_unavailable" (503)
// when a part failed. No error of any kind means "anonymous".
func (a *Authenticator) Authenticate(ctx context.Context, realm string, p Presented, rule Rule) (*gatehouse.Principal, error) {
	if p.None() {
		return nil, ErrNone
	}
	k, _ := KindOf(p.Scheme)
	if k.StandIn {
		inner, err := a.standsFor(ctx, realm, p, rule)
		if err != nil {
			return nil, uniform(k, err)
		}
		p = inner
		k, _ = KindOf(p.Scheme)
	}
	switch {
	case k.verify == nil, !k.accepted(rule.Schemes):
		return nil, ErrNotAccepted.With(fmt.Errorf("this is %s; accepted here: %s", p.Scheme, a.accepted(rule)))
	case k.NeedsTLS && !rule.Secure:
		return nil, ErrHTTPS.With(errNoTLS)
	}
	t, err := a.trust(ctx, realm)
	if err != nil {
		return nil, uniform(k, err)
	}
	principal, err := k.verify(a, ctx, t, p, rule)
	if err == nil { // of every kind, a password and what another issuer made among them
		err = t.takes(p, principal, rule)
	}
	if err != nil {
		return nil, uniform(k, err)
	}
	return principal, nil
}

var errNoTLS = errors.New("it came without TLS, or a proxy that is not among trusted_proxies said that it came with TLS")

// accepted lists for an operator what a rule accepts.
func (a *Authenticator) accepted(rule Rule) string {
	list := rule.Schemes
	if len(list) == 0 {
		list = Schemes(func(k Kind) bool { return a.Supports(k.Scheme) && !k.Named })
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// uniform hides from the caller why a credential was refused.
func uniform(k Kind, err error) error {
	if code := gatehouse.CodeOf(err); code == gatehouse.ErrSecondFactor.Code || code == gatehouse.ErrNoSecondFactor.Code || code == gatehouse.ErrInitialPassword.Code {
		return err // the password was right: it tells whoever knows it nothing new
	}
	switch gatehouse.KindOf(err) {
	case gatehouse.Unauthenticated, gatehouse.NotFound, gatehouse.Denied,
		gatehouse.Invalid, gatehouse.TooLarge, gatehouse.HeaderTooLarge, gatehouse.Unprocessable:
		if k.Login {
			return credential.ErrInvalidCredentials.With(err)
		}
		return ErrInvalidToken.With(err)
	case gatehouse.RateLimited:
		return err
	default: // a broken part is not the caller's fault, and never its advantage
		e := ErrUnavailable.With(err)
		var inner *gatehouse.Error
		if errors.As(err, &inner) {
			e.RetryAfter = inner.RetryAfter
		}
		return e
	}
}

// Reason returns the precise code behind an error of this package, for the
// record: the innermost code of the chain, never for the caller.
func Reason(err error) string {
	code := gatehouse.CodeOf(err)
	for {
		var e *gatehouse.Error
		if !errors.As(err, &e) || e.Cause == nil {
			return code
		}
		var inner *gatehouse.Error
		if !errors.As(e.Cause, &inner) || inner.Code == "" {
			return code
		}
		code, err = inner.Code, inner
	}
}

// Detail returns what is behind the code of [Reason], for an operator: the claim
// that is missing, the audiences that are accepted. It never quotes a credential;
// "" when there is nothing to add.
func Detail(err error) string {
	var e *gatehouse.Error
	for errors.As(err, &e) {
		var inner *gatehouse.Error
		if e.Cause == nil || !telling(e) {
			return ""
		}
		if errors.As(e.Cause, &inner) {
			err = e.Cause
			continue
		}
		var fetch *url.Error // its text repeats the URL, which may hold more than its path
		if errors.As(e.Cause, &fetch) {
			return fetch.Err.Error()
		}
		var kind gatehouse.Kind
		if errors.As(e.Cause, &kind) && e.Cause.Error() == kind.Error() {
			return "" // "not_found" says nothing new
		}
		return e.Cause.Error()
	}
	return ""
}

// telling: the cause is about the request and what it was judged by, not about the
// inside of the server, whose errors may name databases, hosts and files.
func telling(e *gatehouse.Error) bool {
	return e.Kind != gatehouse.Internal && !strings.HasPrefix(e.Code, "store_")
}

// Apply drops what a committed change has made stale. It must be subscribed to
// the store, which calls it before the writer is told of the commit.
func (a *Authenticator) Apply(c gatehouse.Change) {
	switch c.Topic {
	case gatehouse.TopicKey:
		a.applyKey(c)
	case gatehouse.TopicRealm, gatehouse.TopicSigningKey:
		a.realmChanges.Add(1)
		a.issuers.Store(nil)
		// A new trust makes every token verified under the old one unknown.
		a.trusts.drop(c.Realm)
	case gatehouse.TopicSession:
		a.sessions.drop(c.ID)
	case gatehouse.TopicGrant:
		a.opaque.drop("") // ids are hashes; grants end rarely, look-ups are cheap
	}
}

// subject returns an owner that exists and is not disabled.
func (a *Authenticator) subject(ctx context.Context, realm, id string) (gatehouse.Subject, error) {
	s, err := a.cfg.Subject(ctx, realm, id)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return gatehouse.Subject{}, errSubjectUnknown.With(errors.New("account " + id))
	case err != nil:
		return gatehouse.Subject{}, err
	case s.ID != id || s.Kind == "" || s.Kind == gatehouse.KindAnonymous:
		return gatehouse.Subject{}, errSubjectUnknown
	case s.Disabled:
		return gatehouse.Subject{}, errSubjectDisabled.With(fmt.Errorf("account %s (%s)", s.Name, id))
	}
	return s, nil
}
