package grant

import (
	"context"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth/rar"
)

// readDetails are the details that the order of i asks for, of types that its client may have.
func (s *Service) readDetails(i *issue) (gatehouse.Details, error) {
	return s.details.Read(i.realm.Settings.DetailTypes, i.client.Metadata.DetailTypes, i.order.Details)
}

// chooseDetails is phase 6: all details that there are, or others that are no wider than they (RFC 9396 §6). A client that asks for itself
// is given what it asks for, of the types of its registration.
func (s *Service) chooseDetails(_ context.Context, _ Tx, i *issue) (err error) {
	types := i.realm.Settings.DetailTypes
	i.details = rar.Still(types, i.client.Metadata.DetailTypes, i.given)
	if i.order.Details == "" {
		return nil
	}
	asked, err := s.readDetails(i)
	if err != nil {
		return err
	}
	if !i.own && !rar.Within(types, asked, i.details) {
		return errWider
	}
	i.details = asked
	return nil
}

// errWider refuses details that nobody gave.
var errWider = &gatehouse.Error{Kind: rar.ErrInvalid.Kind, Code: rar.ErrInvalid.Code, Public: "A detail is asked for that is wider than what was given, by the rules of its type."}
