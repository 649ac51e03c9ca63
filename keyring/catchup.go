package keyring

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

const (
	// maxWaiting is how many may wait to catch up at a time: anybody can name a key that
	// does not exist.
	maxWaiting = 256
	// behindMaxAge is how long a key set may be kept that may lack a key.
	behindMaxAge = 5 * time.Second
)

var (
	errKeyUnsure = gatehouse.E(gatehouse.Unavailable, "signing_key_unsure", "Whether the token's key exists cannot be told at the moment.")
	errManyWait  = errors.New("too many wait for the changes of other nodes")
)

// catchUp returns once the ring has every key that another node made before, and none
// that one removed. Who is refused because of others that wait was told nothing
// about his key.
func (r *Ring) catchUp(ctx context.Context) error {
	if r.cfg.CatchUp == nil {
		return nil
	}
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	default:
		return errManyWait
	}
	_, err := r.cfg.CatchUp(ctx)
	return err
}
