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
		var blob []byte
		if out, blob, err = open(k.Box, name, text); err != nil || !k.Box.Stale(blob) {
			return err
		}
		next, err := k.Box.Seal(out, placeOf(name))
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
	if err := size(name, out, n); err != nil {
		return nil, err
	}
	return out, nil
}

// Check fails when box does not open the secret of that name, n bytes, as Get would,
// and changes nothing. One that is not made yet is well.
func Check(ctx context.Context, setting func(ctx context.Context, name string) (string, error), box *seal.Box, name string, n int) error {
	text, err := setting(ctx, name)
	if errors.Is(err, gatehouse.NotFound) {
		return nil
	}
	var out []byte
	if err == nil {
		out, _, err = open(box, name, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return size(name, out, n)
}

func size(name string, secret []byte, n int) error {
	if len(secret) != n {
		return fmt.Errorf("%s: has %d bytes, not %d", name, len(secret), n)
	}
	return nil
}

func placeOf(name string) seal.Place { return seal.Place{Purpose: "setting", ID: name} }

// open returns a secret, and what it was sealed as.
func open(box *seal.Box, name, text string) (secret, blob []byte, err error) {
	if blob, err = base64.RawURLEncoding.DecodeString(text); err != nil {
		return nil, nil, err
	}
	secret, err = box.Open(blob, placeOf(name))
	return secret, blob, err
}

// insert stores a new secret, unless there is one by now, and returns what is
// stored.
func (k Keeper) insert(ctx context.Context, tx Tx, name string, n int) (string, error) {
	fresh := make([]byte, n)
	_, _ = rand.Read(fresh) // never fails: crypto/rand ends the program instead
	blob, err := k.Box.Seal(fresh, placeOf(name))
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
