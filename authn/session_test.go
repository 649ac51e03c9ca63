package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/credential"
	"github.com/gatehouse-auth/gatehouse/revocation"
)

func (w *world) Session(_ context.Context, secretID string) (gatehouse.Session, error) {
	w.lookups.Add(1)
	return find(w, w.sessions, secretID)
}

const device = gatehouse.Secret("ghd-of-this-browser")

// signIn opens a session of alice in the store.
func (w *world) signIn(change func(*gatehouse.Session)) gatehouse.Secret {
	text, id, hash := credential.MintSession()
	sum := sha256.Sum256([]byte(device.Reveal()))
	s := gatehouse.Session{ID: "ses_" + id, Realm: "main", UserID: "usr_alice", SecretID: id, SecretHash: hash, CreatedAt: w.now, AuthTime: w.now.Add(-time.Second),
		AMR: []string{"pwd"}, ACR: "aal1", LastUsedAt: w.now, ExpiresAt: w.now.Add(24 * time.Hour), DeviceHash: sum[:]}
	if change != nil {
		change(&s)
	}
	w.putSession(s)
	return text
}

func (w *world) putSession(s gatehouse.Session) {
	w.mu.Lock()
	w.sessions[s.SecretID] = s
	w.mu.Unlock()
	w.a.Apply(gatehouse.Change{Topic: gatehouse.TopicSession, Realm: s.Realm, ID: s.SecretID})
}

func (w *world) session(text, device gatehouse.Secret) (*gatehouse.Principal, error) {
	return w.a.Session(context.Background(), "main", text, device, Rule{Secure: true, Address: netip.MustParseAddr("192.0.2.1")})
}

// TestSession: a session speaks for its person, from memory; and each of the reasons for
// which it does not is one.
//
// ASVS: 7.2.1, 7.2.3, 7.3.1, 7.3.2
func TestSession(t *testing.T) {
	w := newWorld(t)
	text := w.signIn(nil)
	for range 3 {
		p, err := w.session(text, device)
		if err != nil || p.ID != "usr_alice" || p.Name != "alice" || p.Scheme != gatehouse.SchemeSession || p.SessionID == "" || p.ACR != "aal1" || !p.AuthTime.Equal(w.now.Add(-time.Second)) {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if n := w.lookups.Load(); n != 1 {
		t.Errorf("%d look-ups for three requests", n)
	}
	other, _, _ := credential.MintSession()
	key, _, _ := credential.MintKey(credential.PrefixKey, gatehouse.EnvironmentLive)
	for name, c := range map[string]struct {
		text, device gatehouse.Secret
		change       func(*gatehouse.Session)
		world        func(w *world)
		code         string
	}{
		"nothing":                {code: "credential_missing"},
		"no session":             {text: other, code: "session_unknown"},
		"its id, another secret": {change: func(s *gatehouse.Session) { s.SecretHash = credential.HashKey(other.Reveal()) }, code: "session_unknown"},
		"a key":                  {text: key, code: "session_unknown"},
		"another browser":        {device: "ghd-of-another", change: func(*gatehouse.Session) {}, code: "session_of_another_browser"},
		"no device cookie":       {device: "-", change: func(*gatehouse.Session) {}, code: "session_of_another_browser"},
		"a long device cookie":   {device: gatehouse.Secret(make([]byte, MaxDeviceBytes+1)), change: func(*gatehouse.Session) {}, code: "session_unknown"},
		"another realm's":        {change: func(s *gatehouse.Session) { s.Realm = "other" }, code: "session_unknown"},
		"ended":                  {change: func(s *gatehouse.Session) { s.EndedAt = s.CreatedAt }, code: "session_ended"},
		"over":                   {change: func(s *gatehouse.Session) { s.ExpiresAt = s.CreatedAt }, code: "session_expired"},
		"unused": {change: func(s *gatehouse.Session) {
			s.LastUsedAt = s.LastUsedAt.Add(-30 * time.Minute)
			s.CreatedAt = s.LastUsedAt
		}, code: "session_idle"},
		"the setting is shorter": {change: func(s *gatehouse.Session) { s.CreatedAt = s.CreatedAt.Add(-24 * time.Hour) }, code: "session_expired"},
		"a disabled account":     {change: func(s *gatehouse.Session) { s.UserID = "usr_gone" }, code: "subject_disabled"},
		"no account":             {change: func(s *gatehouse.Session) { s.UserID = "usr_none" }, code: "subject_unknown"},
		"a cut-off": {change: func(*gatehouse.Session) {}, world: func(w *world) {
			w.revoked = func(r revocation.Ref) bool { return r.Session != "" && r.Subject == "usr_alice" }
		}, code: "session_ended"},
		"a panic of the realm":    {change: func(*gatehouse.Session) {}, world: func(w *world) { w.realms["main"] = gatehouse.Realm{Name: "main", CutOffAt: w.now} }, code: "credential_cut_off"},
		"too many unknown before": {text: other, world: func(w *world) { w.spent = true }, code: "rate_limited"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.change != nil {
				c.text = w.signIn(c.change)
			}
			if c.world != nil {
				c.world(w)
			}
			if c.device == "" {
				c.device = device
			} else if c.device == "-" {
				c.device = ""
			}
			if p, err := w.session(c.text, c.device); err == nil || Reason(err) != c.code {
				t.Errorf("%+v: %s, want %s (%v)", p, Reason(err), c.code, err)
			}
		})
	}
	if _, err := w.a.Session(t.Context(), "main", text, device, Rule{}); gatehouse.CodeOf(err) != "https_required" {
		t.Errorf("without TLS: %v", err)
	}
}

// TestSessionUses: a use is written once in a while and not at each request; what could not
// be written is kept; and a session that another node has seen is not idle here.
func TestSessionUses(t *testing.T) {
	w := newWorld(t)
	text := w.signIn(nil)
	k, _ := credential.ParseKey(text.Reveal())
	began := w.now
	var stored []SessionUse
	fail := errors.New("away")
	run := func(ctx context.Context, fn func(context.Context, SessionTx) error) error {
		if fail != nil {
			return fail
		}
		return fn(ctx, sessionTx(func(uses []SessionUse) { stored = append(stored, uses...) }))
	}
	use := func(after time.Duration) error {
		w.now = began.Add(after)
		_, err := w.session(text, device)
		return err
	}
	for i := range 5 {
		if err := use(time.Duration(i) * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.a.FlushSessions(t.Context(), run); !errors.Is(err, fail) {
		t.Fatalf("%v", err)
	}
	fail = nil
	for range 2 {
		if err := w.a.FlushSessions(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	if len(stored) != 1 || !stored[0].At.Equal(began.Add(4*time.Second)) || stored[0].Realm != "main" || stored[0].ID != "ses_"+k.ID {
		t.Fatalf("stored %v", stored)
	}
	if _, err := w.a.Session(t.Context(), "main", text, device, Rule{Secure: true, Uncounted: true}); err != nil {
		t.Fatal(err)
	}
	// Every 20 minutes: the limit without use is half an hour.
	for i := 1; i <= 3; i++ {
		if err := use(time.Duration(i) * 20 * time.Minute); err != nil {
			t.Fatalf("use %d: %v", i, err)
		}
	}
	// Another node sees it half an hour later, and has written that.
	w.mu.Lock()
	s := w.sessions[k.ID]
	s.LastUsedAt = began.Add(85 * time.Minute)
	w.sessions[k.ID] = s
	w.mu.Unlock()
	if err := use(90*time.Minute + time.Second); err != nil {
		t.Errorf("used elsewhere: %v", err)
	}
	before := w.lookups.Load()
	for range 3 {
		if err := use(121 * time.Minute); Reason(err) != "session_idle" {
			t.Errorf("unused for 31 minutes: %v", err)
		}
	}
	if n := w.lookups.Load() - before; n > 1 {
		t.Errorf("a session that is idle was looked up %d times for three requests", n)
	}
}

type sessionTx func([]SessionUse)

func (f sessionTx) UseSessions(_ context.Context, uses []SessionUse) error { f(uses); return nil }

// TestSessionEndBesideChecks: while many check a session it is ended. Nobody who begins to
// check it after the end was told is let in, whatever was read of it before.
func TestSessionEndBesideChecks(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		text := w.signIn(nil)
		if _, err := w.session(text, device); err != nil { // so that it is in memory
			t.Fatal(err)
		}
		var ended atomic.Bool
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for {
					after := ended.Load()
					_, err := w.session(text, device)
					switch {
					case err == nil && after:
						t.Error("let in after the end")
						return
					case err != nil && Reason(err) != "session_ended":
						t.Error(err)
						return
					case err != nil:
						return
					}
				}
			})
		}
		k, _ := credential.ParseKey(text.Reveal())
		w.mu.Lock()
		s := w.sessions[k.ID]
		w.mu.Unlock()
		s.EndedAt = w.now
		w.putSession(s)
		ended.Store(true)
		wg.Wait()
	}
}
