package enforce

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/gatehouse-auth/gatehouse"
)

// Recheck judges again a request that was allowed and is still being answered,
// such as an open WebSocket: by the credential that it came with, and by the
// routes, accounts, roles and policies of now. Any error, a panic included, means
// that it would not be let in again. Limits and record are left alone, and what a
// body decided stands: it is not there a second time.
//
// Neither x nor r is changed; another goroutine may serve the request meanwhile.
func (x *Exchange) Recheck(r *http.Request) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = gatehouse.ErrInternal.With(fmt.Errorf("panic: %v\n%s", value, debug.Stack()))
		}
	}()
	if !x.allowed {
		return errDenied
	}
	p := x.p
	y := p.Begin(x.point, r)
	y.before, y.presented = x, x.presented
	y.ctx = y.Context(r)
	for i := range steps {
		if !steps[i].again {
			continue
		}
		if err := steps[i].run(p, y, r); err != nil {
			return err
		}
	}
	if !y.decision.Allowed {
		return errDenied
	}
	return nil
}
