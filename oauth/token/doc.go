// Package token is the token endpoint of a realm: it reads who asks for what,
// hands the order to package grant, and writes the answer. Beside it are those at
// which clients show tokens that there are.
//
// Paths (for the realm "main"; other realms have them under /realms/{realm}):
//
//	POST   /token           a registered client, by a grant type (RFC 6749 §3.2)
//	POST   /device_authorization  a device without a browser begins to wait for a person (RFC 8628 §3.1)
//	POST   /backchannel-authentication  a client has a person asked, and begins to wait (CIBA Core §7)
//	POST   /par             a client says what it will ask a person for (RFC 9126)
//	POST   /introspect      what a token stands for (RFC 7662)
//	POST   /revoke          a client ends a grant of its own (RFC 7009)
//	POST   /tokens          Basic → access token and refresh token
//	POST   /tokens/refresh  refresh token → new access token, next refresh token
//	DELETE /tokens          access token → its grant ends, with all that came from it
//
// # Phases
//
// Every grant type goes through the same phases, in this order (handler.go has
// them as one list). A type is one file that says what differs in the first two:
//
//	1 client      who asks, and how he proves it
//	2 grant type  what he asks by: the type's own parameters
//	3 scope       what he asks for (RFC 6749 §3.3)
//	4 resource    for whom (RFC 8707)
//	5 binding     to what the tokens will be bound: the client, and the key that it proves to have (RFC 9449)
//	6 issue       package grant decides and stores, in one transaction
//	7 record      the event was written in that transaction; the answer is sent
//
// # Threat model
//
// A password or a token is taken from the header or the body, never from the URL,
// and is limited by the caller's address before it is looked at. A renewal takes
// the refresh token alone: another credential beside it would make it unclear who
// asks. The checks of package grant cannot be passed by from here.
//
// It must never import admin, gateway, guard, oauth/endpoint, store or server.
package token
