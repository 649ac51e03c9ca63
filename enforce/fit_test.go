package enforce

import (
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/authn"
	"github.com/gatehouse-auth/gatehouse/authz"
)

// The parts that the server puts together fit.
var (
	_ Authenticator = (*authn.Authenticator)(nil)
	_ Decider       = (*authz.Decider)(nil)
	_ Recorder      = (*audit.Recorder)(nil)
)
