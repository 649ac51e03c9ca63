package authorize

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/grant"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Devices finds what waits with a code that a person typed, and takes what the person says (RFC 8628 §3.3); *grant.Service does.
type Devices interface {
	Find(ctx context.Context, who *gatehouse.Principal, typed string) (grant.Device, error)
	Decide(ctx context.Context, c grant.Code, typed string, allow bool) error
}

// DeviceRequest is what a device asks for, with the client that it says to be.
type DeviceRequest struct {
	grant.Device
	Of client.Client
}

// Device is what waits with a code that who typed. A client that is gone, or disabled, is as good as none.
func (s *Service) Device(ctx context.Context, who *gatehouse.Principal, typed string) (r DeviceRequest, err error) {
	if !decides(who) {
		return r, gatehouse.ErrInternal // whoever calls has looked
	}
	if r.Device, err = s.c.Devices.Find(ctx, who, typed); err != nil {
		return r, err
	}
	r.Of, err = s.c.Clients.Client(ctx, who.Realm, r.Client)
	if errors.Is(err, gatehouse.NotFound) || err == nil && r.Of.Disabled {
		err = errClient
	}
	return r, err
}

// DecideDevice lets the device that waits with a code have what it asks for, in the name of who, or nothing.
func (s *Service) DecideDevice(ctx context.Context, who *gatehouse.Principal, typed string, allow bool) error {
	if !decides(who) {
		return gatehouse.ErrInternal
	}
	return s.c.Devices.Decide(ctx, grant.Code{Realm: who.Realm, User: who.ID, Username: who.Name, Session: who.SessionID, SessionEnds: who.ExpiresAt,
		AuthTime: who.AuthTime, AMR: who.AMR, ACR: who.ACR}, typed, allow)
}

// decides reports whether who is a person with a session, who alone can say what a client may.
func decides(who *gatehouse.Principal) bool {
	return who.Authenticated() && !who.Foreign && who.Kind == gatehouse.KindUser && who.Scheme == gatehouse.SchemeSession && who.SessionID != ""
}
