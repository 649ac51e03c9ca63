package server

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/admin/users"
	"github.com/gatehouse-auth/gatehouse/pages"
	"github.com/gatehouse-auth/gatehouse/passkey"
)

// firstAdministrator is made on a page by the use case that makes him by a command, too.
type firstAdministrator struct{ s *Server }

func (f firstAdministrator) Missing(ctx context.Context) (bool, error) {
	return f.s.admin.Users.NoAdministrator(ctx)
}

func (f firstAdministrator) NewID() string { return users.NewID(gatehouse.KindUser, f.s.now()) }

func (f firstAdministrator) Offer(id, username, title string, browser []byte) (passkey.Offer, error) {
	return f.s.passkeys.OfferFirst(&gatehouse.Principal{Realm: gatehouse.MainRealm, Kind: gatehouse.KindUser, ID: id, Name: username}, title, browser)
}

// firstPasskey is what the passkey is called that comes with the account; its owner can change that.
const firstPasskey = "first passkey"

func (f firstAdministrator) Make(ctx context.Context, in pages.FirstForm) (gatehouse.Secret, error) {
	first := users.NewFirst{ID: in.ID, NewBootstrap: users.NewBootstrap{Secret: in.Secret, Username: in.Username, Email: in.Email, Password: in.Password}}
	if len(in.Answer) > 0 {
		first.Passkey = func(ctx context.Context, who *gatehouse.Principal) (*passkey.First, error) {
			return f.s.passkeys.First(ctx, who, firstPasskey, in.Browser, in.Answer)
		}
	}
	made, err := f.s.admin.Users.SetUp(ctx, first)
	return made.APIKey, err
}

// SetupURL is the page on which the first administrator is made, with the one-time secret behind the #, which browsers keep to
// themselves; "" when there is an administrator.
func (s *Server) SetupURL() string {
	if s.bootstrap == "" {
		return ""
	}
	return s.issuer + pages.Setup + "#" + s.bootstrap.Reveal()
}
