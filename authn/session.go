package authn

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

var (
	errSessionUnknown = gatehouse.E(gatehouse.Unauthenticated, "session_unknown", "")
	errSessionEnded   = gatehouse.E(gatehouse.Unauthenticated, "session_ended", "")
	errSessionExpired = gatehouse.E(gatehouse.Unauthenticated, "session_expired", "")
	errSessionIdle    = gatehouse.E(gatehouse.Unauthenticated, "session_idle", "")
	errSessionHost    = gatehouse.E(gatehouse.Unauthenticated, "session_of_another_host", "")
	errSessionDevice  = gatehouse.E(gatehouse.Unauthenticated, "session_of_another_browser", "")
)

// MaxDeviceBytes bounds the text of a device cookie.
const MaxDeviceBytes = 256

// Session verifies the secret of a browser session and returns whose it is. text and device
// are the values of the session's cookie and of the device cookie beside it, "" where there
// is none. The session must be of the realm, and rule.Secure.
//
// It answers from memory, as for an API key, and waits for no write: the use is noted and
// written later, see [Authenticator.FlushSessions]. Errors are those of
// [Authenticator.Authenticate], [ErrNone] for no text.
func (a *Authenticator) Session(ctx context.Context, realm string, text, device gatehouse.Secret, rule Rule) (*gatehouse.Principal, error) {
	if text == "" {
		return nil, ErrNone
	}
	if !rule.Secure {
		return nil, ErrHTTPS.With(errNoTLS)
	}
	t, err := a.trust(ctx, realm)
	if err != nil {
		return nil, uniform(Kind{}, err)
	}
	k, err := credential.ParseKey(text.Reveal())
	if err != nil || !k.IsSession() || len(device) > MaxDeviceBytes {
		return nil, uniform(Kind{}, errSessionUnknown)
	}
	p, err := a.verifySession(ctx, t, k, text, device, "", rule)
	if err == nil {
		err = t.cutOff(p.IssuedAt)
	}
	if err != nil {
		return nil, uniform(Kind{}, err)
	}
	return p, nil
}

// verifyCookie verifies the session of which a host of the gateway has a cookie. A cookie of
// the host where people sign in is none of these: it counts beside that of the device.
func (a *Authenticator) verifyCookie(ctx context.Context, t *trust, p Presented, rule Rule) (*gatehouse.Principal, error) {
	if p.By != ByCookie || p.host == "" || !p.Key.IsSession() {
		return nil, errSessionUnknown
	}
	return a.verifySession(ctx, t, p.Key, p.Secret, "", p.host, rule)
}

// verifySession checks the secret that a session has at host, "" for the one where people
// sign in. k is what its text, which is in the form of one, says about itself.
func (a *Authenticator) verifySession(ctx context.Context, t *trust, k credential.ParsedKey, text, device gatehouse.Secret, host string, rule Rule) (*gatehouse.Principal, error) {
	e, err := lookup(ctx, a, a.sessions, k.ID, rule.Address, a.loadSession)
	switch {
	case errors.Is(err, gatehouse.NotFound):
		return nil, errSessionUnknown
	case err != nil:
		return nil, err
	case !credential.MatchKey(e.hash, text.Reveal()):
		return nil, a.missed(rule.Address, errSessionUnknown)
	case e.principal.Realm != t.realm.Name: // whose name is none of this realm's business
		return nil, errSessionUnknown
	case e.host != host:
		return nil, errSessionHost.With(errors.New("the cookie was given to " + cmp.Or(e.host, "the host where people sign in")))
	}
	now := a.cfg.Now()
	if e.idle(t, now) && now.Sub(e.read) >= sessionsEvery {
		// Another node may have seen it meanwhile, and has written that by now.
		a.sessions.drop(k.ID)
		e, err = a.sessions.fill(ctx, k.ID, a.loadSession)
		switch {
		case errors.Is(err, gatehouse.NotFound):
			return nil, errSessionUnknown
		case err != nil:
			return nil, err
		}
	}
	if err := e.refuses(t, device, now); err != nil {
		return nil, err
	}
	if revoked, reason := a.cfg.Revocations.Revoked(e.ref); revoked {
		return nil, errSessionEnded.With(errors.New("it was opened before a cut-off: " + reason))
	}
	p, err := a.local(ctx, e.principal)
	if err == nil && !rule.Uncounted {
		a.sessionUses.note(e, now)
	}
	return p, err
}

// sessionEntry is what is kept in memory of a browser session in use.
type sessionEntry struct {
	hash, device []byte
	host         string // of the gateway, to which the secret was given; "": where people sign in
	principal    *gatehouse.Principal
	ref          revocation.Ref
	ended        error // why it is good for nothing; nil for one that is
	read         time.Time
	// last is when it was used, as far as this node knows, and noted when a use was last
	// noted for the store: Unix microseconds.
	last, noted atomic.Int64
}

// refuses is why a session whose secret is right does not count.
func (e *sessionEntry) refuses(t *trust, device gatehouse.Secret, now time.Time) error {
	end := e.principal.ExpiresAt
	if at := e.principal.IssuedAt.Add(t.sessionTTL); at.Before(end) { // the setting was made shorter since
		end = at
	}
	switch {
	case e.ended != nil:
		return e.ended
	case !now.Before(end):
		return errSessionExpired.With(errors.New("it ended on " + instant(end)))
	case e.idle(t, now):
		return errSessionIdle.With(errors.New("it was last used on " + instant(fromMicro(e.last.Load()))))
	case e.device != nil && !credential.MatchKey(e.device, device.Reveal()):
		return errSessionDevice.With(errors.New("the device cookie is not that of the browser in which it was opened"))
	}
	return nil
}

func (e *sessionEntry) idle(t *trust, now time.Time) bool {
	return now.UnixMicro()-e.last.Load() >= t.sessionIdle.Microseconds()
}

func (a *Authenticator) loadSession(ctx context.Context, secretID string) (*sessionEntry, error) {
	read := a.cfg.Now()
	s, err := a.cfg.Store.Session(ctx, secretID)
	if err != nil {
		return nil, err
	}
	if s.SecretID != secretID {
		return nil, gatehouse.NotFound
	}
	e := &sessionEntry{hash: s.SecretHash, device: bytes.Clone(s.DeviceHash), host: s.Host, read: read,
		principal: &gatehouse.Principal{
			Realm: s.Realm, Kind: gatehouse.KindUser, ID: s.UserID, Scopes: []string{gatehouse.ScopeAll},
			Scheme: gatehouse.SchemeSession, Environment: gatehouse.EnvironmentLive,
			CredentialID: s.ID, SessionID: s.ID, Issuer: a.cfg.Issuer(s.Realm), IssuedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt,
			AuthTime: s.AuthTime, ACR: s.ACR, AMR: s.AMR,
		},
		ref: revocation.Ref{Realm: s.Realm, Subject: s.UserID, Session: s.ID, IssuedAt: s.CreatedAt},
	}
	if !s.EndedAt.IsZero() {
		e.ended = errSessionEnded.With(errors.New("on " + instant(s.EndedAt) + ": " + s.EndReason))
	}
	e.last.Store(max(toMicro(s.LastUsedAt), toMicro(s.CreatedAt), a.sessionUses.last(s.ID)))
	return e, nil
}

// SessionUse is when a session was last used.
type SessionUse struct {
	Realm, ID string
	At        time.Time
}

// SessionTx is what [Authenticator.FlushSessions] needs in its transaction.
type SessionTx interface {
	// UseSessions stores last uses that are later than those that are there.
	UseSessions(ctx context.Context, uses []SessionUse) error
}

// sessionsEvery is how often uses of sessions are written, and how often one session's.
const sessionsEvery = 10 * time.Second

// sessionUses are the sessions of which a use is to be written, by id. Only those that
// were verified get in.
type sessionUses struct {
	m *xsync.Map[string, *sessionEntry]
}

func newSessionUses() sessionUses { return sessionUses{xsync.NewMap[string, *sessionEntry]()} }

// note takes a use down. All but one in [sessionsEvery] cost two atomic reads and a write.
func (u sessionUses) note(e *sessionEntry, now time.Time) {
	at := now.UnixMicro()
	for old := e.last.Load(); old < at && !e.last.CompareAndSwap(old, at); old = e.last.Load() {
	}
	if noted := e.noted.Load(); at-noted >= sessionsEvery.Microseconds() && e.noted.CompareAndSwap(noted, at) {
		u.m.Store(strings.Clone(e.principal.SessionID), e)
	}
}

// last is when a session was used whose use is not written yet, 0 for none.
func (u sessionUses) last(id string) int64 {
	if e, ok := u.m.Load(id); ok {
		return e.last.Load()
	}
	return 0
}

// FlushSessions writes the last uses of sessions. What could not be written is kept for the
// next call. When the process is killed, those of twice [sessionsEvery] at most are lost.
func (a *Authenticator) FlushSessions(ctx context.Context, run gatehouse.Runner[SessionTx]) error {
	var batch []SessionUse
	var entries []*sessionEntry
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := run(ctx, func(ctx context.Context, tx SessionTx) error { return tx.UseSessions(ctx, batch) })
		for _, e := range entries {
			// It stays until it is written: whoever reads the record meanwhile asks here.
			a.sessionUses.m.Compute(e.principal.SessionID, func(now *sessionEntry, had bool) (*sessionEntry, xsync.ComputeOp) {
				if err != nil || !had || now != e {
					return now, xsync.CancelOp
				}
				return nil, xsync.DeleteOp
			})
		}
		batch, entries = nil, nil
		return err
	}
	for id, e := range a.sessionUses.m.AllRelaxed() {
		batch = append(batch, SessionUse{e.principal.Realm, id, fromMicro(e.last.Load())})
		entries = append(entries, e)
		if len(batch) == flushBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// RunSessions flushes last uses of sessions until ctx ends, and then once more. failed
// receives each error.
func (a *Authenticator) RunSessions(ctx context.Context, run gatehouse.Runner[SessionTx], failed func(error)) error {
	t := time.NewTicker(sessionsEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := a.FlushSessions(ctx, run); err != nil {
				failed(err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
			defer cancel()
			return a.FlushSessions(last, run)
		}
	}
}
