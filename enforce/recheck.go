package enforce

import (
	"fmt"
	"net/http"
	"runtime/debug"
)

// Recheck judges again a request that was allowed and is still being answered,
// such as an open WebSocket: by the credential that it came with, and by the
// routes, accounts, roles and policies of now. Any error, a panic included, means
// that it would not be let in again. Limits and record are left alone, and a body
// that decided is not read a second time.
//
// r is not changed; it may be served by another goroutine meanwhile.
func (p *Pipeline) Recheck(r *http.Request) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = errStepPanicked.With(fmt.Errorf("panic: %v\n%s", value, debug.Stack()))
		}
	}()
	x := p.Begin(r)
	x.table = p.routes.Load()
	x.ctx = x.Context(r)
	r = r.WithContext(x.ctx)
	for _, step := range [...]func(*Pipeline, *Exchange, *http.Request) error{
		(*Pipeline).match, (*Pipeline).extract, (*Pipeline).origin, (*Pipeline).authenticate, (*Pipeline).requirements} {
		if err := step(p, x, r); err != nil {
			return err
		}
	}
	if rule := x.route.Resource; rule != nil && rule.Source == sourceBody {
		return nil
	}
	if err := p.policies(x, r); err != nil {
		return err
	}
	if !x.decision.Allowed {
		return errDenied
	}
	return nil
}
