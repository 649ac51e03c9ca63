package pages

import (
	"context"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
)

// Profile changes what the person who is signed in may change of the own account (admin/users).
type Profile interface {
	// Rename gives the account another display name, "" for none. One that cannot be is gatehouse.Unprocessable.
	Rename(ctx context.Context, who *gatehouse.Principal, name string) error
	// ChangePassword ends every login of the account, the session of who among them. A wrong current password is
	// credential.ErrInvalidCredentials, a new one that breaks rules has them in identity.ProblemsOf.
	ChangePassword(ctx context.Context, who *gatehouse.Principal, current, next gatehouse.Secret) error
	// AcceptTerms notes that the person accepts the terms in a version; one that does not count any more is a conflict.
	AcceptTerms(ctx context.Context, who *gatehouse.Principal, version string) error
}

// rename gives the person who is signed in another display name.
func (v *visit) rename(ctx context.Context) error {
	err := v.h.c.Profile.Rename(ctx, v.who, strings.TrimSpace(v.form["name"]))
	switch {
	case gatehouse.KindOf(err) == gatehouse.Unprocessable:
		return v.showAccountAs(http.StatusUnprocessableEntity, accountView{BadName: true})
	case gatehouse.CodeOf(err) == gatehouse.ErrVersionConflict.Code:
		return v.say("account.changed")
	case err != nil:
		return err
	}
	return v.say("account.renamed")
}
