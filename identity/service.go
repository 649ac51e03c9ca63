package identity

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/internal/cache"
)

// Users is what the service reads of the store.
type Users interface {
	UserByKey(ctx context.Context, realm, usernameKey string) (User, error)
}

// Subjects tells who a user is now; *Directory does. Recent knows only what is in
// memory, User reads what is not.
type Subjects interface {
	Recent(realm, id string) (*User, bool)
	User(ctx context.Context, realm, id string) (*User, error)
}

// Tx is what the service writes in one transaction: a better hash of a password
// that was just verified, or the account of somebody whom a [Source] knows, and the event of it.
type Tx interface {
	User(ctx context.Context, realm, id string) (User, error)
	UserByKey(ctx context.Context, realm, usernameKey string) (User, error)
	UserByDirectoryID(ctx context.Context, realm, directoryID string) (User, error)
	InsertUser(ctx context.Context, u User) error
	UpdateUser(ctx context.Context, u User) error
	AppendEvents(ctx context.Context, events ...gatehouse.Event) error
}

// Recorder takes the events of attempts; audit.Recorder is one.
type Recorder interface{ Record(*gatehouse.Event) }

// Passwords hashes and verifies; *credential.Hasher does.
type Passwords interface {
	Hash(ctx context.Context, password gatehouse.Secret) (phc string, err error)
	Verify(ctx context.Context, phc string, password gatehouse.Secret) (ok, needsRehash bool, err error)
	VerifyDummy(ctx context.Context, password gatehouse.Secret) error
}

// BreachedList knows which passwords are known from data breaches; *breached.Filter does.
type BreachedList interface {
	Known(ctx context.Context, password gatehouse.Secret) (bool, error)
}

// Config configures a [Service]. All fields are required unless said otherwise.
type Config struct {
	Users     Users
	Run       gatehouse.Runner[Tx]
	Recorder  Recorder
	Passwords Passwords
	Policy    *credential.PasswordPolicy
	Throttle  *Throttle
	Now       func() time.Time
	Logger    *slog.Logger // nil discards

	// Online is asked about new passwords that no other list has; nil asks nobody.
	Online BreachedList

	// Source knows passwords that are not kept here; nil is none.
	Source Source

	// Subjects spares the store a read when a password is answered from the cache
	// of verified ones; nil reads the store for each attempt.
	Subjects Subjects

	// CacheTTL is how long a verified password is taken as verified without
	// hashing again: 60 s, which is also the most. Negative: never.
	CacheTTL time.Duration
	// CacheSize is how many verified passwords are kept: 10,000.
	CacheSize int
	// AccountKey keys the ids that stand for unknown usernames in events, so
	// that they can be compared across restarts: 32 bytes or more; nil makes one
	// for this process.
	AccountKey []byte
	// OnSignal is called at each signal of an attack, with its name, and must be quick; nil: nobody counts them.
	OnSignal func(signal string)
}

// Attempt is one try to log in with a password. Address is the client's, without
// port, as the trusted-proxy rules give it. Device is the text of the browser's device
// cookie, "" without one: where the account has signed in with it ([Service.SignedIn]),
// the attempt is counted by account and device alone, so that no attack from elsewhere
// slows it.
type Attempt struct {
	Realm    string
	Username string
	Password gatehouse.Secret
	Address  string
	Device   gatehouse.Secret
}

// caller is who makes an attempt at the account of u; nil or the zero User is not looked up yet, or nobody.
func (s *Service) caller(a Attempt, account accountID, u *User) caller {
	c := caller{realm: a.Realm, account: account, network: network(a.Address), device: s.cfg.Throttle.device(account, a.Device)}
	if u != nil {
		c.since = u.knownSince()
	}
	return c
}

// Stats counts what a [Service] did.
type Stats struct {
	CacheHits int64 // answered without hashing
	Verified  int64 // right after hashing
	Failed    int64 // wrong, unknown, disabled: one answer
	Throttled int64
	Errors    int64 // something broke; refused
	Rehashed  int64

	BreachedNew    int64 // new passwords that were refused for being known from a breach
	BreachedLogins int64 // logins with one
}

// Service verifies passwords and judges new ones. It is safe for concurrent use.
type Service struct {
	cfg     Config
	cache   *verified
	known   *cache.Cache[accountID, known] // who logged in lately: a hint, checked at each use
	flights singleflight.Group

	breached atomic.Pointer[BreachedList]
	signals  *signals

	hits, good, failed, throttled, broken, rehashed, breachedNew, breachedLogins atomic.Int64
}

var (
	errDirectory    = gatehouse.E(gatehouse.Unavailable, "directory_unavailable", "Users cannot be looked up at the moment.")
	errBreachedList = gatehouse.E(gatehouse.Unavailable, "breached_list_unreadable", "The list of breached passwords cannot be read, so no new password is taken.")

	errPassword = gatehouse.E(gatehouse.Unprocessable, "password_refused", "The new password breaks the rules for passwords.")
)

// How long a verification may go on when its caller has left: the queue of the
// hasher has its own, shorter limit.
const flightTimeout = 30 * time.Second

// NewService returns a Service, or an error that names what is missing.
func NewService(cfg Config) (*Service, error) {
	switch {
	case cfg.Users == nil, cfg.Run == nil, cfg.Recorder == nil, cfg.Passwords == nil, cfg.Policy == nil, cfg.Throttle == nil, cfg.Now == nil:
		return nil, errors.New("identity: users, runner, recorder, passwords, policy, throttle and clock are required")
	case cfg.CacheTTL > maxCacheTTL:
		return nil, errors.New("identity: a password is taken as verified for 60 s at most")
	case cfg.AccountKey != nil && len(cfg.AccountKey) < 32:
		return nil, errors.New("identity: the account key has less than 32 bytes")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.CacheTTL == 0 {
		cfg.CacheTTL = maxCacheTTL
	}
	if cfg.CacheSize <= 0 {
		cfg.CacheSize = 10_000
	}
	if cfg.AccountKey == nil {
		cfg.AccountKey = make([]byte, 32)
		_, _ = rand.Read(cfg.AccountKey)
	}
	return &Service{cfg: cfg, cache: newVerified(cfg.CacheSize, cfg.CacheTTL), known: cache.New[accountID, known](cfg.CacheSize),
		signals: newSignals(&cfg)}, nil
}

// Stats returns the counters.
func (s *Service) Stats() Stats {
	return Stats{CacheHits: s.hits.Load(), Verified: s.good.Load(), Failed: s.failed.Load(), Throttled: s.throttled.Load(),
		Errors: s.broken.Load(), Rehashed: s.rehashed.Load(), BreachedNew: s.breachedNew.Load(), BreachedLogins: s.breachedLogins.Load()}
}

// UseBreached has passwords looked up in list from now on; nil is none. New ones that are
// on it are refused, and logins with one are let in and recorded.
func (s *Service) UseBreached(list BreachedList) { s.breached.Store(&list) }

func (s *Service) breachedList() BreachedList {
	if list := s.breached.Load(); list != nil {
		return *list
	}
	return nil
}

// Reasons in events of refused attempts. They are for the operator: the caller
// gets invalid_credentials for all but the last three.
const (
	ReasonUnknownUser   = "unknown_user"
	ReasonWrongPassword = "wrong_password"
	ReasonDisabled      = "user_disabled"
	ReasonNoPassword    = "no_password"
	ReasonBadHash       = "password_hash_unusable"
	ReasonInitialOver   = "initial_password_over"
	ReasonThrottled     = "too_many_attempts"
	ReasonQueueFull     = "password_queue_full"
	ReasonBroken        = "internal"
)

// VerifyPassword returns the user of a right password. In this order: the
// throttle, the look-up, the cache of verified passwords, the hash.
//
// An unknown user, a wrong password, a disabled user and a user without a
// password give one answer, invalid_credentials, after the same work: one
// evaluation of the current hash function. Each attempt leaves one event, but
// for those answered from the cache, which repeat one that left an event less
// than a minute before.
//
// Errors: invalid_credentials, too_many_attempts (with RetryAfter),
// password_queue_full, directory_unavailable, and those of ctx. The user is
// zero then.
func (s *Service) VerifyPassword(ctx context.Context, a Attempt) (User, error) {
	key, account := s.account(a.Realm, a.Username)
	// Before anything that costs: a guesser pays first.
	if err := s.cfg.Throttle.peek(ctx, s.caller(a, account, nil)); err != nil {
		return User{}, s.refused(ctx, a, account, nil, err)
	}
	if u, ok := s.recall(a, key, account); ok {
		s.hits.Add(1)
		return u, nil
	}
	// Whoever is not answered from memory costs the same reads: a known name must
	// not be quicker to refuse than one that nobody has.
	var u User
	if key != "" {
		var err error
		u, err = s.cfg.Users.UserByKey(ctx, a.Realm, key)
		if err != nil && !errors.Is(err, gatehouse.NotFound) {
			return User{}, s.refused(ctx, a, account, nil, errDirectory.With(err))
		}
		if err != nil || u.Realm != a.Realm || u.UsernameKey != key {
			u = User{}
		}
	}
	proof := s.cache.key(account, &u, a.Password)
	if s.usable(&u) && s.cache.has(proof, s.cfg.Now()) {
		s.hits.Add(1)
		if s.cfg.Subjects != nil {
			// For recall next time: nobody else may ask for this user. That it fails
			// costs the next attempt a read, and this one nothing.
			_, _ = s.cfg.Subjects.User(ctx, u.Realm, u.ID)
		}
		return u, nil
	}
	// The same attempt many times at once, as a client starting up makes it, is
	// one attempt: one count, one hash, one event. From another network it is
	// another, and with another device. It ends and is recorded even when its callers
	// have left, so that nobody guesses unseen by hanging up.
	who := s.caller(a, account, &u)
	ch := s.flights.DoChan(string(proof[:])+string(who.device[:])+who.network.String(), func() (result any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		defer caught(&err)
		u, err := s.verify(ctx, a, account, u)
		if err != nil {
			return nil, s.refused(ctx, a, account, &u, err)
		}
		s.good.Add(1)
		s.record(ctx, a, audit.KindLoginSuccess, gatehouse.OutcomeSuccess, s.breachedLogin(ctx, a, &u), account, &u)
		return u, nil
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return User{}, r.Err
		}
		return r.Val.(User), nil
	case <-ctx.Done():
		return User{}, ctx.Err()
	}
}

// breachedLogin is the reason in the event of a login: that its right password is known
// from a breach, else none. It lets in all the same: that somebody somewhere had this
// password is no sign that this account was taken over, and whoever knew it would be the
// one to change it. A list that cannot be read is told, and keeps nobody out.
func (s *Service) breachedLogin(ctx context.Context, a Attempt, u *User) string {
	list := s.breachedList()
	if list == nil {
		return ""
	}
	known, err := list.Known(ctx, a.Password)
	if err != nil {
		s.cfg.Logger.ErrorContext(ctx, "the list of breached passwords cannot be read", "cause", err)
	}
	if !known {
		return ""
	}
	s.breachedLogins.Add(1)
	s.signals.breachedLogin(ctx, a, u)
	return string(credential.PasswordBreached)
}

// caught turns a panic into an error: in a goroutine of its own it would end the
// process, where in a request it ends the request.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = gatehouse.ErrInternal.With(fmt.Errorf("panic: %v", p))
	}
}

// usable reports whether u may log in with a password.
func (s *Service) usable(u *User) bool {
	if u.DirectoryID != "" {
		return u.ID != "" && !u.Disabled && s.cfg.Source != nil && s.cfg.Source.Serves(u.Realm)
	}
	until := u.InitialUntil()
	return u.ID != "" && !u.Disabled && u.PasswordHash != "" && (until.IsZero() || s.cfg.Now().Before(until))
}

// verify counts the attempt and evaluates exactly one password hash, whoever u
// is; only a right password of a usable user takes the count back. The user it
// returns with an error is for the record alone.
func (s *Service) verify(ctx context.Context, a Attempt, account accountID, u User) (_ User, err error) {
	defer caught(&err)
	ticket, err := s.cfg.Throttle.begin(ctx, s.caller(a, account, &u))
	if err != nil {
		return u, err
	}
	if ticket.pair.device != (deviceID{}) {
		ctx = credential.GoFirst(ctx)
	}
	if s.elsewhere(a, &u) {
		if u, err = s.verifyElsewhere(ctx, a, account, u, ticket); err == nil {
			s.remember(a, account, &u)
		}
		return u, err
	}
	ok, rehash := false, false
	if s.usable(&u) {
		ok, rehash, err = s.cfg.Passwords.Verify(ctx, u.PasswordHash, a.Password)
	}
	badHash := gatehouse.CodeOf(err) == "password_hash_invalid" || gatehouse.CodeOf(err) == "password_pepper_unknown"
	if badHash {
		// Nothing was evaluated, and nobody can log in: as if wrong.
		s.cfg.Logger.ErrorContext(ctx, "a stored password hash cannot be verified", "realm", u.Realm, "user", u.ID, "cause", gatehouse.CodeOf(err))
	}
	if !s.usable(&u) || badHash {
		err = s.cfg.Passwords.VerifyDummy(ctx, a.Password)
	}
	switch {
	case err != nil:
		ticket.abort() // neither right nor wrong
		return u, err
	case badHash, !ok:
		ticket.fail()
		if s.away(a.Realm) {
			return u, errSource
		}
		if badHash {
			return u, credential.ErrInvalidCredentials.With(errBadHash)
		}
		return u, credential.ErrInvalidCredentials
	}
	ticket.success(ctx)
	if rehash {
		u = s.rehash(ctx, a, u)
	}
	s.remember(a, account, &u)
	return u, nil
}

// remember takes the password of u as verified for the next attempts.
func (s *Service) remember(a Attempt, account accountID, u *User) {
	s.cache.put(s.cache.key(account, u, a.Password), s.cfg.Now())
	s.known.Set(account, known{u.ID, s.cfg.Now().Add(s.cfg.CacheTTL).UnixNano()})
}

// known is the ID that a name led to, for as long as its password is remembered.
type known struct {
	id    string
	until int64 // Unix nanoseconds
}

// recall answers without the store when a password was verified a moment ago and
// its user, as of now, is the one that it was verified for.
func (s *Service) recall(a Attempt, key string, account accountID) (User, bool) {
	k, _ := s.known.Get(account) // whoever is not in it was known until 1970
	if s.cfg.Subjects == nil || s.cfg.Now().UnixNano() >= k.until {
		return User{}, false
	}
	u, ok := s.cfg.Subjects.Recent(a.Realm, k.id)
	// Names are given up and taken over: it must still be this user's.
	if !ok || u.Realm != a.Realm || u.UsernameKey != key || !s.usable(u) {
		return User{}, false
	}
	return *u, s.cache.has(s.cache.key(account, u, a.Password), s.cfg.Now())
}

var errBadHash = errors.New(ReasonBadHash)

// rehash stores the password of u under the current parameters and returns u as
// stored. A failure is logged and no more: the password was right. PasswordAt
// stays: the password did not change, and grants end when it does.
func (s *Service) rehash(ctx context.Context, a Attempt, u User) User {
	// Whoever's password was right does not wait for others a second time.
	phc, err := s.cfg.Passwords.Hash(credential.GoFirst(ctx), a.Password)
	if err == nil {
		var stored User
		err = s.cfg.Run(ctx, func(ctx context.Context, tx Tx) error {
			stored = User{}
			cur, err := tx.User(ctx, u.Realm, u.ID)
			if err != nil {
				return err
			}
			if cur.PasswordHash != u.PasswordHash {
				return nil // changed meanwhile: the new one must not be overwritten
			}
			cur.PasswordHash = phc
			if err := tx.UpdateUser(ctx, cur); err != nil {
				return err
			}
			cur.Version++
			stored = cur
			return tx.AppendEvents(ctx, gatehouse.Event{Time: s.cfg.Now(), Realm: u.Realm, Kind: audit.KindUserRehash,
				Actor:  gatehouse.Actor{Kind: u.Kind, ID: u.ID, Name: u.Username, Scheme: gatehouse.SchemeBasic},
				Target: gatehouse.Target{Type: "user", ID: u.ID}, Outcome: gatehouse.OutcomeSuccess,
				RequestID: gatehouse.RequestIDFrom(ctx), Address: a.Address})
		})
		if err == nil && stored.ID != "" {
			s.rehashed.Add(1)
			return stored
		}
	}
	if err != nil {
		s.cfg.Logger.WarnContext(ctx, "a password could not be hashed anew", "realm", u.Realm, "user", u.ID, "cause", err)
	}
	return u
}

// refused counts and records a refused attempt and returns what the caller gets.
func (s *Service) refused(ctx context.Context, a Attempt, account accountID, u *User, err error) error {
	kind, outcome, reason := audit.KindLoginFailure, gatehouse.OutcomeFailure, ""
	switch code := gatehouse.CodeOf(err); {
	case errors.Is(err, gatehouse.RateLimited):
		kind, reason = audit.KindLoginThrottled, ReasonThrottled
		s.throttled.Add(1)
	case code != credential.ErrInvalidCredentials.Code:
		outcome, reason = gatehouse.OutcomeError, ReasonBroken
		if code == ReasonQueueFull || code == errDirectory.Code || code == errAttempts.Code || code == errSource.Code {
			reason = code
		}
		s.broken.Add(1)
		s.cfg.Logger.WarnContext(ctx, "a password could not be verified", "realm", a.Realm, "cause", err)
	default:
		s.failed.Add(1)
		no, elsewhere := errors.AsType[*ElsewhereRefused](err)
		switch {
		case elsewhere:
			reason = no.Reason
		case u == nil || u.ID == "":
			reason = ReasonUnknownUser
		case u.Disabled:
			reason = ReasonDisabled
		case u.PasswordHash == "":
			reason = ReasonNoPassword
		case u.DirectoryID == "" && !s.usable(u):
			reason = ReasonInitialOver
		case errors.Is(err, errBadHash):
			reason = ReasonBadHash
		default:
			reason = ReasonWrongPassword
		}
		err = credential.ErrInvalidCredentials // the same value for all of them
	}
	// Whoever is at home and mistypes is no attack.
	if outcome == gatehouse.OutcomeFailure && s.cfg.Throttle.stranger(s.caller(a, account, u)) {
		target := accountTarget(account)
		if u != nil && u.ID != "" {
			target = gatehouse.Target{Type: "user", ID: u.ID}
		}
		s.signals.failed(ctx, a, account, target)
	}
	s.record(ctx, a, kind, outcome, reason, account, u)
	return err
}

// record leaves the event of an attempt. An unknown username is often a password
// typed into the wrong field, so only its keyed hash is kept.
func (s *Service) record(ctx context.Context, a Attempt, kind string, outcome gatehouse.Outcome, reason string, account accountID, u *User) {
	e := &gatehouse.Event{Time: s.cfg.Now(), Realm: a.Realm, Kind: kind, Outcome: outcome, Reason: reason,
		RequestID: gatehouse.RequestIDFrom(ctx), Address: a.Address,
		Target: accountTarget(account)}
	if u != nil && u.ID != "" {
		e.Target = gatehouse.Target{Type: "user", ID: u.ID}
		if outcome != gatehouse.OutcomeSuccess { // the actor is nobody, so this alone names the account
			e.Detail = map[string]string{"username": u.Username}
		}
	}
	if outcome == gatehouse.OutcomeSuccess {
		e.Actor = gatehouse.Actor{Kind: u.Kind, ID: u.ID, Name: u.Username, Scheme: gatehouse.SchemeBasic}
	}
	s.cfg.Recorder.Record(e)
}

// account returns the look-up key of a username, "" when no account can have
// it, and what the throttle counts it under.
func (s *Service) account(realm, username string) (key string, id accountID) {
	_, key, err := NormalizeUsername(username)
	name := key
	if err != nil {
		// Not a username at all, so any spelling of it is one of its own. The
		// fixed prefix keeps it apart from every key: keys hold no blank.
		key, name = "", " "+username
	}
	mac := hmac.New(sha256.New, s.cfg.AccountKey)
	mac.Write(frame("gatehouse account", realm, name))
	copy(id[:], mac.Sum(nil))
	return key, id
}

// frame joins parts so that no two lists of parts give the same bytes.
func frame(parts ...string) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.BigEndian.AppendUint64(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}
