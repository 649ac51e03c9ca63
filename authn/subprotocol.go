package authn

import (
	"maps"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/token"
)

// fieldSubprotocol lists the subprotocols that a WebSocket's client offers (RFC 6455
// §11.3.4): the one line of the opening handshake that a page can write.
const fieldSubprotocol = "Sec-Websocket-Protocol"

// offers are the subprotocols of a handshake, taken apart.
type offers struct {
	credentials []string // elements that carry one: "gatehouse.bearer.ghk_live_…"
	named       bool     // the bare name was offered too
	others      []string
}

// offered takes the list apart, which may stand in several lines (RFC 9110 §5.3).
func (rd *Reader) offered(h http.Header) (o offers) {
	for _, line := range h[fieldSubprotocol] {
		for element := range strings.SplitSeq(line, ",") {
			element = strings.Trim(element, " \t")
			n := len(rd.subprotocol)
			switch {
			case element == "":
			case len(element) > n && element[n] == '.' && strings.EqualFold(element[:n], rd.subprotocol):
				o.credentials = append(o.credentials, element)
			case element == rd.subprotocol:
				o.named = true
			default:
				o.others = append(o.others, element)
			}
		}
	}
	return o
}

// readSubprotocol returns the credential among the subprotocols, or none.
func (rd *Reader) readSubprotocol(h http.Header) (Presented, error) {
	list := rd.offered(h).credentials
	switch len(list) {
	case 0:
		return Presented{}, nil
	case 1:
	default:
		return Presented{}, ErrConflict
	}
	text := list[0][len(rd.subprotocol)+1:]
	if len(text) > MaxTokenBytes {
		return Presented{}, token.ErrTooLarge
	}
	p, err := rd.parseBearer(text)
	if gatehouse.CodeOf(err) == errMalformed.Code {
		err = errUnknown
	}
	return by(BySubprotocol)(p, err)
}

// TakeSubprotocol takes the credential and the bare name out of the subprotocols that
// r offers, so that neither r's header nor its list shows them any more; the header
// that others may hold stays as it is. It returns what to answer the client when the
// API selects none of the rest, "" for nothing: browsers give up a connection whose
// answer selects none of what they offered, so something has to be selected. It is the
// bare name where it was offered, and the credential's own element only when there is
// nothing else.
func (rd *Reader) TakeSubprotocol(r *http.Request) (answer string) {
	rd = rd.orStandard()
	if rd.subprotocol == "" || len(r.Header[fieldSubprotocol]) == 0 {
		return ""
	}
	o := rd.offered(r.Header)
	r.Header = maps.Clone(r.Header)
	if len(o.others) > 0 {
		r.Header[fieldSubprotocol] = []string{strings.Join(o.others, ", ")}
	} else {
		delete(r.Header, fieldSubprotocol)
	}
	switch {
	case o.named:
		return rd.subprotocol
	case len(o.others) == 0 && len(o.credentials) > 0:
		return o.credentials[0]
	}
	return ""
}
