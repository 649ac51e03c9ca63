package store

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/personal"
)

// SealPersonal has what events tell of people sealed from now on, under keys that are derived from secret. It returns
// them, for who reads events. The keys of an account that is deleted are forgotten here and on other nodes.
func (db *DB) SealPersonal(secret []byte) (*personal.Keeper, error) {
	keys, err := personal.New(personal.Config{Secret: secret, Salts: db,
		Make: func(ctx context.Context, realm, subject string, salt []byte) (stored []byte, err error) {
			err = db.run(ctx, func(ctx context.Context, tx *Tx) error {
				stored, err = tx.makePersonalSalt(ctx, realm, subject, salt)
				return err
			})
			return stored, err
		}})
	if err != nil {
		return nil, err
	}
	db.Subscribe(keys.Apply)
	db.persons.Store(keys)
	return keys, nil
}

// PersonalSalt returns the salt of a person's key; NotFound when there is none.
func (q Queries) PersonalSalt(ctx context.Context, subject string) ([]byte, error) {
	return one(ctx, q.c, func(r row) (salt []byte, err error) {
		err = r.Scan(blob(&salt))
		return salt, err
	}, `SELECT salt FROM personal_salts WHERE user_id=$1`, subject)
}

// makePersonalSalt stores salt for a person who has none, and returns the one that is stored: NotFound when nobody has
// that id, in the realm or in the one that administers it.
func (t *Tx) makePersonalSalt(ctx context.Context, realm, subject string, salt []byte) ([]byte, error) {
	if _, err := exec(ctx, t.c, `INSERT INTO personal_salts (user_id, realm, salt)
		SELECT id, realm, $1 FROM users WHERE id=$2 AND realm IN ($3,$4) ON CONFLICT DO NOTHING`,
		salt, subject, realm, gatehouse.MainRealm); err != nil {
		return nil, err
	}
	return t.PersonalSalt(ctx, subject)
}

// personKeys gives the keys of those of whom events of this transaction tell; failed is why one could not be had.
func (t *Tx) personKeys(ctx context.Context) (keys audit.Persons, failed func() error) {
	var why error
	failed = func() error { return why }
	if t.persons == nil {
		return nil, failed
	}
	return func(realm, subject string) *personal.Key {
		if why != nil {
			return nil
		}
		// What is made here is remembered by nobody before it is stored.
		key := t.made[subject]
		if key != nil {
			return key
		}
		key, err := t.persons.Learn(ctx, subject, t.PersonalSalt)
		if errors.Is(err, gatehouse.NotFound) {
			var salt []byte
			if salt, err = t.makePersonalSalt(ctx, realm, subject, personal.NewSalt()); err == nil {
				key, err = t.persons.Derive(subject, salt)
			}
			if err == nil {
				if t.made == nil {
					t.made = map[string]*personal.Key{}
				}
				t.made[subject] = key
			}
		}
		if err != nil && !errors.Is(err, gatehouse.NotFound) {
			why = err
		}
		return key
	}, failed
}
