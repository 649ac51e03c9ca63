package personal

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// Salts is where the salts of people lie.
type Salts interface {
	// PersonalSalt returns the salt of a person; gatehouse.NotFound when there is none.
	PersonalSalt(ctx context.Context, subject string) ([]byte, error)
}

// Config is what a [Keeper] needs.
type Config struct {
	Secret []byte // of the installation, [SecretSize]
	Salts  Salts
	// Make stores salt for the person where there is none yet, and returns the one that is stored;
	// gatehouse.NotFound when nobody has that id, in that realm or in the one that administers it.
	Make func(ctx context.Context, realm, subject string, salt []byte) ([]byte, error)
}

// Bounds of what is remembered: two generations of keys, some 600 bytes each.
const (
	maxKeys = 4096
	// absentFor is how long it is believed that an id is nobody's: whoever was deleted is refused many times.
	absentFor = time.Minute
)

// Keeper gives the keys of people, and remembers those that were used lately. It is safe for concurrent use.
type Keeper struct {
	c Config

	mu         sync.Mutex
	young, old map[string]known
	turn       uint64 // of what was told to be forgotten
}

// known is the key of a person, or, without one, until when nobody is believed to have that id.
type known struct {
	key    *Key
	absent time.Time
}

// New returns a keeper that knows nobody yet.
func New(c Config) (*Keeper, error) {
	if len(c.Secret) != SecretSize || c.Salts == nil || c.Make == nil {
		return nil, errors.New("personal: a keeper needs a secret, salts and a way to make them")
	}
	return &Keeper{c: c, young: map[string]known{}}, nil
}

func (k *Keeper) find(subject string) known {
	v, ok := k.young[subject]
	if ok {
		return v
	}
	if v, ok = k.old[subject]; ok {
		k.put(subject, v)
	}
	return v
}

func (k *Keeper) put(subject string, v known) {
	if len(k.young) >= maxKeys/2 {
		k.old, k.young = k.young, make(map[string]known, maxKeys/2)
	}
	k.young[subject] = v
}

// Derive returns the key of a person for a salt, which is in no memory afterwards.
func (k *Keeper) Derive(subject string, salt []byte) (*Key, error) {
	return newKey(k.c.Secret, salt, subject)
}

// Key returns the key of a person; nil when the person was deleted, or never was. It reads the salt where the key is
// not in memory.
func (k *Keeper) Key(ctx context.Context, subject string) (*Key, error) {
	key, err := k.Learn(ctx, subject, k.c.Salts.PersonalSalt)
	if errors.Is(err, gatehouse.NotFound) {
		return nil, nil
	}
	return key, err
}

// Make is [Keeper.Key], and gives a salt to somebody who has none yet.
func (k *Keeper) Make(ctx context.Context, realm, subject string) (*Key, error) {
	k.mu.Lock()
	v := k.find(subject)
	k.mu.Unlock()
	if v.key != nil || time.Now().Before(v.absent) {
		return v.key, nil
	}
	key, err := k.Learn(ctx, subject, func(ctx context.Context, subject string) ([]byte, error) {
		salt, err := k.c.Salts.PersonalSalt(ctx, subject)
		if errors.Is(err, gatehouse.NotFound) {
			salt, err = k.c.Make(ctx, realm, subject, NewSalt())
		}
		return salt, err
	})
	if errors.Is(err, gatehouse.NotFound) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.put(subject, known{absent: time.Now().Add(absentFor)})
		return nil, nil
	}
	return key, err
}

// NewSalt makes a salt.
func NewSalt() []byte {
	salt := make([]byte, SaltSize)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return salt
}

// Learn returns the key of a person, and remembers it: of the salt that read returns, where it is not in memory. What
// read returns must be stored for good, and read after the call began.
func (k *Keeper) Learn(ctx context.Context, subject string, read func(context.Context, string) ([]byte, error)) (*Key, error) {
	k.mu.Lock()
	v, turn := k.find(subject), k.turn
	k.mu.Unlock()
	if v.key != nil {
		return v.key, nil
	}
	salt, err := read(ctx, subject)
	if err != nil {
		return nil, err
	}
	if v.key, err = k.Derive(subject, salt); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if turn == k.turn { // else what was read may be gone by now
		k.put(subject, known{key: v.key})
	}
	return v.key, nil
}

// Apply forgets the key of an account that changed: it may be gone. It goes with the store's Subscribe.
func (k *Keeper) Apply(c gatehouse.Change) {
	if c.Topic != gatehouse.TopicUser || c.Value != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.turn++
	if c.ID == "" {
		k.young, k.old = map[string]known{}, nil
		return
	}
	delete(k.young, c.ID)
	delete(k.old, c.ID)
}
