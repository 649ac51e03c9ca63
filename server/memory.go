package server

import (
	"context"
	"runtime/debug"
	"time"
)

// ballastBytes moves the point at which the garbage collector starts from twice
// of what is alive, which is little, to twice of that and the ballast: under load
// it runs a third as often, for some megabytes more. Nobody writes to the
// ballast, so the system gives it no memory.
const ballastBytes = 8 << 20

// settleAfter is when what was needed for the start alone is given back.
const settleAfter = 2 * time.Second

// settle returns the memory of the start to the system, once.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-time.After(settleAfter):
		debug.FreeOSMemory()
	}
	return nil
}
