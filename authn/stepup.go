package authn

import (
	"errors"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// CodeStepUp is the code of who is known, and must sign in again: with more, or just now (RFC 9470 §3).
const CodeStepUp = "insufficient_user_authentication"

// stepUp is what a sign-in has to be like.
type stepUp struct{ parameters string }

func (s *stepUp) Error() string { return "the sign-in must be" + s.parameters }

// StepUp is the answer to a caller who did not sign in at the level acr ("" for any), or longer ago than maxAge
// (0 for whenever). [Reader.Challenges] says both to programs. acr must have no quotes.
func StepUp(acr string, maxAge time.Duration) *gatehouse.Error {
	s := &stepUp{}
	if acr != "" {
		s.parameters += `, acr_values="` + acr + `"`
	}
	if maxAge > 0 {
		s.parameters += `, max_age="` + strconv.FormatInt(int64(maxAge/time.Second), 10) + `"`
	}
	return gatehouse.E(gatehouse.Unauthenticated, CodeStepUp, "This takes a sign-in with more, or a more recent one.").With(s)
}

// stepUpParameters are those of a challenge that asks for another sign-in.
func stepUpParameters(err error) string {
	if s, ok := errors.AsType[*stepUp](err); ok {
		return s.parameters
	}
	return `, acr_values="` + gatehouse.AAL2 + `"` // a password alone, where there is a second factor
}
