package credential

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse-auth/gatehouse"
)

// MaxPasswordBytes bounds a password wherever it is read. Nothing longer is
// ever hashed, so nothing longer can be set.
const MaxPasswordBytes = 1024

const (
	saltBytes = 32
	sumBytes  = 32
)

// HasherConfig configures a [Hasher]. Zero fields take the defaults named.
type HasherConfig struct {
	// Time and MemoryKiB are Argon2id's passes and memory: 2 and 19456, the
	// OWASP row of equal strength that costs least memory bandwidth here.
	// Weaker ones are refused. Parallelism is 1.
	Time, MemoryKiB, Parallelism int
	// Slots is how many evaluations run at once: 2. Memory in use is at most
	// Slots × MemoryKiB (× the bounds of imported hashes).
	Slots int
	// Queue is how many callers may wait for a slot: 64, and as many of those who go
	// first ([GoFirst]); and QueueTimeout how long: 5 s. Beyond either the answer is
	// password_queue_full.
	Queue        int
	QueueTimeout time.Duration
	// Peppers are keys mixed in before hashing, kept outside the database. The
	// first is used for new hashes, the others only verify. Empty: none.
	Peppers []Pepper
	// Equalize lists sample hashes of the imported kinds, such as one line of
	// the imported file. Every failed verification then costs the sum of one
	// current hash and one of each sample, so that time does not tell which
	// accounts were imported and not used since. See [Hasher.VerifyDummy].
	Equalize []string
	// AfterBurst, when set, is called in a goroutine of its own once no password
	// has been evaluated for a second: each evaluation leaves its memory to the
	// garbage collector, which on a quiet server would keep it for minutes.
	AfterBurst func()
}

// burstEnd is how long after the last evaluation AfterBurst is called.
const burstEnd = time.Second

// Pepper is a key held outside the database: without it the stored hashes
// cannot be guessed against, even by somebody who has copied all of them.
type Pepper struct {
	ID  string // 1 to 8 of [a-z0-9]; written into each hash
	Key []byte // at least 32 bytes
}

// Hasher hashes and verifies passwords with bounded memory and concurrency. It
// is safe for concurrent use.
type Hasher struct {
	cfg     HasherConfig
	turns   *turns
	levels  []*StoredHash // evaluated on each failure; the first is current
	peppers map[string][]byte

	evaluations, work, refused atomic.Int64

	burst *time.Timer // runs AfterBurst; nil without one
}

// HasherStats counts what a [Hasher] did.
type HasherStats struct {
	Evaluations int64 // of any function
	Work        int64 // KiB × passes of Argon2id
	Waiting     int64 // now in the queue
	Refused     int64 // because the queue was full or too slow
}

var (
	errPasswordUnhashable = gatehouse.E(gatehouse.Invalid, "password_invalid_text",
		"The password is too long, or is not text that can be typed.")
	errPepperUnknown = gatehouse.E(gatehouse.Internal, "password_pepper_unknown", "")
)

// NewHasher returns a Hasher, or an error that says what is wrong with cfg.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	or := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	or(&cfg.Time, 2)
	or(&cfg.MemoryKiB, 19456)
	or(&cfg.Parallelism, 1)
	or(&cfg.Slots, 2)
	or(&cfg.Queue, 64)
	if cfg.QueueTimeout == 0 {
		cfg.QueueTimeout = 5 * time.Second
	}
	switch {
	// The OWASP rows of equal strength all lie above this line.
	case cfg.MemoryKiB < 7168 || cfg.MemoryKiB*cfg.Time < 35840:
		return nil, errors.New("credential: Argon2id parameters are weaker than m=19456 t=2 or its equals")
	case cfg.Slots < 1 || cfg.Queue < 1 || cfg.QueueTimeout < 0:
		return nil, errors.New("credential: slots, queue and its time-out must be positive")
	}
	h := &Hasher{cfg: cfg, turns: &turns{slots: cfg.Slots, room: cfg.Queue, longest: cfg.QueueTimeout}, peppers: map[string][]byte{}}
	for _, p := range cfg.Peppers {
		if len(p.ID) < 1 || len(p.ID) > 8 || strings.Trim(p.ID, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || len(p.Key) < 32 {
			return nil, errors.New("credential: a pepper needs an id of 1 to 8 of [a-z0-9] and 32 bytes or more of key")
		}
		if _, dup := h.peppers[p.ID]; dup {
			return nil, fmt.Errorf("credential: pepper %q is listed twice", p.ID)
		}
		h.peppers[p.ID] = p.Key
	}
	if cfg.AfterBurst != nil {
		h.burst = time.AfterFunc(burstEnd, cfg.AfterBurst)
		h.burst.Stop()
	}
	// The dummy: the current parameters, and a hash that belongs to no password.
	salt, sum := make([]byte, saltBytes), make([]byte, sumBytes)
	_, _ = rand.Read(salt)
	_, _ = rand.Read(sum)
	current, err := ParseHash(h.format(salt, sum))
	if err != nil {
		return nil, errors.New("credential: Argon2id parameters are out of bounds")
	}
	h.levels = []*StoredHash{current}
	for _, text := range cfg.Equalize {
		s, err := ParseHash(text)
		if err != nil {
			return nil, fmt.Errorf("credential: equalize: %w", err)
		}
		if h.level(s) < 0 {
			h.levels = append(h.levels, s)
		}
	}
	return h, nil
}

// Stats returns the counters.
func (h *Hasher) Stats() HasherStats {
	return HasherStats{Evaluations: h.evaluations.Load(), Work: h.work.Load(),
		Waiting: h.turns.waiting(), Refused: h.refused.Load()}
}

// Hash returns the PHC string of password under the current parameters and a
// new salt. It does not judge the password: [PasswordPolicy.Check] does. Errors:
// password_invalid_text, password_queue_full, and those of ctx.
func (h *Hasher) Hash(ctx context.Context, password gatehouse.Secret) (phc string, err error) {
	if !hashable(password) {
		return "", errPasswordUnhashable
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt)
	input := h.peppered(h.levels[0].keyID, norm.NFC.Bytes([]byte(password.Reveal())))
	err = h.run(ctx, func() {
		h.count(h.levels[0])
		sum := argon2.IDKey(input, salt, uint32(h.cfg.Time), uint32(h.cfg.MemoryKiB), uint8(h.cfg.Parallelism), sumBytes)
		phc = h.format(salt, sum)
	})
	return phc, err
}

// Verify reports whether password is the one that phc was made from, and
// whether it should be hashed anew (another kind, other parameters or another
// pepper than the current ones). needsRehash is false unless ok. A password
// that could never have been set does not match and costs nothing, whatever
// phc. Errors: password_hash_invalid, password_pepper_unknown,
// password_queue_full, and those of ctx; ok is then false.
func (h *Hasher) Verify(ctx context.Context, phc string, password gatehouse.Secret) (ok, needsRehash bool, err error) {
	s, err := ParseHash(phc)
	if err != nil {
		return false, false, err
	}
	if _, known := h.peppers[s.keyID]; s.keyID != "" && !known {
		return false, false, errPepperUnknown
	}
	if !hashable(password) {
		return false, false, nil
	}
	err = h.run(ctx, func() {
		if ok = h.matches(s, password); !ok && h.level(s) >= 0 {
			h.burn(password, s)
		}
	})
	return ok, ok && (s.class() != h.levels[0].class() || s.keyID != h.levels[0].keyID), err
}

// VerifyDummy takes as long as a failed [Hasher.Verify] of a current hash, and
// always fails: for an account that does not exist, has no password or is
// disabled. Errors are as for Verify.
//
// A hash of another kind or cost takes another time, and so tells somebody who
// measures that this account exists, was imported and was not used since. Where
// that matters, list a sample of each imported kind in
// [HasherConfig].Equalize: all failures then do the same work, in the same
// order but for the first, until the accounts are upgraded and the list can go.
func (h *Hasher) VerifyDummy(ctx context.Context, password gatehouse.Secret) error {
	if !hashable(password) {
		return nil
	}
	return h.run(ctx, func() { h.burn(password, nil) })
}

// burn evaluates every level but that of done.
func (h *Hasher) burn(password gatehouse.Secret, done *StoredHash) {
	skip := -1
	if done != nil {
		skip = h.level(done)
	}
	for i, s := range h.levels {
		if i != skip {
			_ = h.matches(s, password)
		}
	}
}

// matches evaluates s over each form of password in which it may have been hashed, until
// one matches: our own hashes were made of the NFC, those that others made of what they
// had received, of the NFC, or of the NFKC. A password of ASCII has one form, and how many
// another one has is the same for all accounts with this kind of hash.
func (h *Hasher) matches(s *StoredHash, password gatehouse.Secret) bool {
	text := []byte(password.Reveal())
	forms := [][]byte{norm.NFC.Bytes(text), text, norm.NFKC.Bytes(text)}
	switch {
	case s.keyID != "": // the pepper shows that it is ours
		forms = forms[:1]
	case s.kind == Argon2id: // may be ours, and in ours "①" is not "1"
		forms = forms[:2]
	}
	for i, form := range forms {
		if slices.ContainsFunc(forms[:i], func(b []byte) bool { return bytes.Equal(b, form) }) {
			continue
		}
		h.count(s)
		if s.match(h.peppered(s.keyID, form)) {
			return true
		}
	}
	return false
}

// level returns the index of the level that costs what s costs, or -1.
func (h *Hasher) level(s *StoredHash) int {
	for i, l := range h.levels {
		if l.class() == s.class() {
			return i
		}
	}
	return -1
}

func (h *Hasher) count(s *StoredHash) { h.evaluations.Add(1); h.work.Add(s.work()) }

// peppered mixes the pepper of this id into text; there may be none.
func (h *Hasher) peppered(keyID string, text []byte) []byte {
	key, ok := h.peppers[keyID]
	if !ok {
		return text
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

func (h *Hasher) format(salt, sum []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	keyID := ""
	if len(h.cfg.Peppers) > 0 {
		keyID = ",keyid=" + b64([]byte(h.cfg.Peppers[0].ID))
	}
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d%s$%s$%s",
		h.cfg.MemoryKiB, h.cfg.Time, h.cfg.Parallelism, keyID, b64(salt), b64(sum))
}

// run calls fn in one of the slots, waiting for one within the bounds.
func (h *Hasher) run(ctx context.Context, fn func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := h.turns.take(ctx); err != nil {
		if ctx.Err() == nil {
			h.refused.Add(1)
		}
		return err
	}
	began := time.Now()
	defer func() {
		h.turns.give(time.Since(began))
		if h.burst != nil {
			h.burst.Reset(burstEnd)
		}
	}()
	fn()
	return nil
}

// hashable reports whether password is within what can be set: bounded UTF-8
// text without control characters, which Basic could not carry (RFC 7617 §2).
func hashable(password gatehouse.Secret) bool {
	s := password.Reveal()
	return s != "" && len(s) <= MaxPasswordBytes && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
