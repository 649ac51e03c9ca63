// Package secrets keeps the secrets of an installation that nobody chooses: random
// bytes, made at the first start and kept in the store, sealed under the master
// key. Whoever reads the database has nothing of them.
package secrets

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/seal"
)

// Tx is the transaction in which a secret is made or renewed.
type Tx interface {
	// Setting is gatehouse.NotFound when there is none of that name.
	Setting(ctx context.Context, name string) (string, error)
	// InsertSetting is gatehouse.Conflict when there is one already; the transaction
	// goes on and sees it.
	InsertSetting(ctx context.Context, name, value string) error
	// SwapSetting replaces the value if it is old, and tells whether it was.
	SwapSetting(ctx context.Context, name, old, value string) (swapped bool, err error)
}

// Keeper makes and opens secrets.
type Keeper struct {
	Run gatehouse.Runner[Tx]
	Box *seal.Box
}

// Get returns the secret of that name, n bytes. Of several servers that ask for the
// first time at once, all get the same one: whose insert came first. What an older
// master key sealed is sealed anew.
func (k Keeper) Get(ctx context.Context, name string, n int) ([]byte, error) {
	var out []byte
	err := k.Run(ctx, func(ctx context.Context, tx Tx) error {
		text, err := tx.Setting(ctx, name)
		if errors.Is(err, gatehouse.NotFound) {
			text, err = k.insert(ctx, tx, name, n)
		}
		if err != nil {
			return err
		}
		blob, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return err
		}
		place := seal.Place{Purpose: "setting", ID: name}
		if out, err = k.Box.Open(blob, place); err != nil || !k.Box.Stale(blob) {
			return err
		}
		next, err := k.Box.Seal(out, place)
		if err != nil {
			return err
		}
		// Not swapped: another server was faster and sealed the same secret.
		_, err = tx.SwapSetting(ctx, name, text, base64.RawURLEncoding.EncodeToString(next))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(out) != n {
		return nil, fmt.Errorf("%s: has %d bytes, not %d", name, len(out), n)
	}
	return out, nil
}

// insert stores a new secret, unless there is one by now, and returns what is
// stored.
func (k Keeper) insert(ctx context.Context, tx Tx, name string, n int) (string, error) {
	fresh := make([]byte, n)
	_, _ = rand.Read(fresh) // never fails: crypto/rand ends the program instead
	blob, err := k.Box.Seal(fresh, seal.Place{Purpose: "setting", ID: name})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(blob)
	err = tx.InsertSetting(ctx, name, text)
	if errors.Is(err, gatehouse.Conflict) {
		return tx.Setting(ctx, name)
	}
	return text, err
}
