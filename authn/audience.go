package authn

import (
	"context"
	"errors"
	"slices"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// verifyFor checks a signed access token that must be for one audience.
func (a *Authenticator) verifyFor(ctx context.Context, t *trust, text, audience string) (*gatehouse.Principal, error) {
	ti, err := t.issuerOf(text)
	if err != nil {
		return nil, err
	}
	var p *gatehouse.Principal
	var theirs []string
	if ti.foreign == nil {
		var in Inspected
		in, err = a.inspectSigned(ctx, t, text)
		p, theirs = in.Principal, in.Audience
	} else {
		var e *tokenEntry
		if e, err = a.verified(ctx, t, text); err == nil {
			theirs = e.audience
			p, err = a.standing(ctx, e)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !slices.Contains(theirs, audience):
		return nil, token.ErrWrongAudience.With(errors.New(audiences(theirs, []string{audience})))
	}
	return p, nil
}
