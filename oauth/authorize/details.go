package authorize

import (
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/rar"
)

// detailed reads what the client asks for beyond scopes.
func (in *reading) detailed() (err error) {
	in.Details, err = in.s.details.Read(in.realm.Settings.DetailTypes, in.Client.Metadata.DetailTypes, in.values.Get("authorization_details"))
	var e *gatehouse.Error
	if errors.As(err, &e) && e.Code == rar.ErrInvalid.Code {
		return fault{e.Code, e.Public}
	}
	return err
}

// kept are the details of r for which an answer of before counts.
func (r *Request) kept() gatehouse.Details { return rar.Kept(r.realm.Settings.DetailTypes, r.Details) }
