package server

import (
	"context"
	"runtime/debug"
	"time"
)

// ballastBytes moves the point at which the garbage collector starts from twice
// of what is alive, which is little, to twice of that and the ballast: under load
// it runs less often, for as much memory more. Nobody writes to the ballast, so the
// system gives it none.
const ballastBytes = 512 << 10

// settleAfter is when what was needed for the start alone is given back.
const settleAfter = 2 * time.Second

// settle returns the memory of the start to the system, once: garbage, and what
// the start touched of the program file, which is most of it.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(settleAfter):
	}
	debug.FreeOSMemory()
	// Memory is a courtesy here: a system that refuses it loses nothing.
	_ = releaseProgramFile()
	return nil
}
