package session

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// FreshFor is how long after signing in somebody may change how to sign in without proving
// again who it is: what is changed then lasts, and a screen may have been left open.
const FreshFor = 5 * time.Minute

// Fresh reports whether p is a session that somebody opened within the last [FreshFor], or a
// password or a sign-in at a provider that was proved within it, with a second factor where the account has one. To be
// renewed makes nothing fresh: it goes by when somebody proved who it is.
func Fresh(p *gatehouse.Principal, secondFactor bool, now time.Time) bool {
	return p.Authenticated() && (p.Scheme == gatehouse.SchemeSession || p.Scheme == gatehouse.SchemeBasic || p.Scheme == gatehouse.SchemeProvider) && now.Sub(p.AuthTime).Abs() < FreshFor &&
		(!secondFactor || slices.Contains(p.AMR, gatehouse.AMRMultiFactor))
}
