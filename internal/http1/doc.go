// Package http1 is an HTTP/1.1 client for simple requests: GET, HEAD or OPTIONS without
// a body, over a connection without TLS, with nothing in them that is meant for the
// connection. The goroutine that forwards such a request writes it and reads the answer
// itself, with net/http's own parser; http.Transport has two more goroutines for each
// connection and hands over to them four times a request, which is a quarter of what
// forwarding costs (ADR 7). Every other request goes to a transport of net/http.
//
// A caller that forwards has no need of an *http.Request of its own: [Message] appends
// the lines from where they are, and [AppendLine] refuses what could end one.
//
// # Threats
//
// Header lines that end early (request splitting); answers that come unasked, or longer
// than they say, and would be taken for the next one (response splitting); headers
// without end; a connection that is given to two requests.
package http1
