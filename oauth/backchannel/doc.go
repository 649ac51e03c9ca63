// Package backchannel judges what clients ask people for by OpenID Connect Client-Initiated Backchannel Authentication (CIBA Core 1.0):
// the client has no browser of the person's, says whom it means, and this server asks that person. It knows nothing of HTTP.
//
// A request goes through one ordered slice of steps (steps.go), each with its section. What is found good becomes a question
// of package grant, which keeps it, lists it for its person, and gives the tokens.
//
// # Threat model
//
// Whoever asks and whoever answers are not in one place: a client, or somebody who made one ask, has people allow what they did not
// begin (RFC 10027). So only registered clients ask that prove who they are; a person has few questions waiting and is asked a bounded number of
// times; what is shown beside the name of the client is a short text without anything that could be an address. Who is here a client
// learns, since the specification wants it told (unknown_user_id), and how often it may be wrong is bounded.
//
// It must never import net/http, or a package of pages, store or server.
package backchannel
