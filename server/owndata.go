package server

import (
	"context"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-auth/gatehouse"
)

// Export returns what is kept of who is signed in.
func (o ownAccount) Export(ctx context.Context, who *gatehouse.Principal) ([]byte, error) {
	out, err := o.admin.OwnData(ctx, who, who.Realm)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

// DeleteAccount removes the account of who is signed in.
func (o ownAccount) DeleteAccount(ctx context.Context, who *gatehouse.Principal) error {
	return o.admin.Users.DeleteOwn(ctx, who)
}
