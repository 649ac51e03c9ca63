// Package oauth is the vocabulary of OAuth 2: how parameters are read, and how
// errors are answered. The endpoints are in the packages below it.
//
// # Errors
//
// One error has one answer, which both readers understand. It is a problem (RFC
// 9457), as everywhere in Gatehouse. A client that asks for application/json and
// not for problems gets the same members under that media type, with error and
// error_description as RFC 6749 §5.2 has them.
//
// # Threat model
//
// Parameters are the caller's: a body is bounded before it is read, and read once.
// A parameter that comes twice is refused, and so is a query: URLs end up in logs
// (RFC 6749 §3.2). What was sent is never in an answer.
package oauth
