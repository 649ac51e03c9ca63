package authorize

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/oauth"
	"github.com/gatehouse-auth/gatehouse/oauth/client"
)

// Objects verifies the requests that clients sign; *client.Assertions does.
type Objects interface {
	VerifyRequest(c client.Client, compact string) (jsontext.Value, error)
}

var errObject = gatehouse.E(gatehouse.Invalid, "invalid_request_object", "The program that sent you here made a request whose signature cannot be relied on.")

// object puts what the client signed in the place of what came beside that: of it, client_id alone counts (RFC 9101 §6.3).
func (in *reading) object() error {
	given := in.values["request"]
	switch {
	case len(given) == 0 || in.pushed != nil:
		return nil
	case len(given) > 1:
		return objectFault{text: "There are two."}
	case strings.Count(given[0], ".") == 4:
		return objectFault{text: "It is encrypted, which is not supported: sign it, and push it where nobody shall read it."}
	}
	claims, err := in.s.c.Objects.VerifyRequest(in.Client, given[0])
	if gatehouse.KindOf(err) == gatehouse.Unauthenticated {
		return refusedObject(err)
	}
	if err != nil {
		return err
	}
	if in.values, err = oauth.ClaimedParameters(claims); err != nil {
		return objectFault{"A parameter in it is none: it is null, is named request or request_uri, or has a form that it cannot have.", err}
	}
	in.signed = true
	return in.text()
}

// objectFault is what is wrong with a request object: of people it is none of their business, and whoever pushed it is told.
type objectFault struct {
	text  string
	cause error
}

func (f objectFault) Error() string { return f.text }

func (f objectFault) Unwrap() error { return errObject.With(f.cause) }

// refusedObject is the fault that a verifier of tokens finds.
func refusedObject(err error) error {
	f := objectFault{cause: err}
	var e *gatehouse.Error
	if errors.As(err, &e) {
		f.text = e.Public
	}
	return f
}

// signs holds a client to signing its requests where that is asked of it (RFC 9101 §10.5).
func (in *reading) signs() error {
	if in.Client.Metadata.RequireSignedRequest && !in.signed {
		return fault{"invalid_request", "Requests of this client have to be signed (JAR, RFC 9101): the parameter request."}
	}
	return nil
}
