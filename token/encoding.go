package token

import (
	"encoding/base64"
	"strings"
)

// b64 refuses padding and non-zero tail bits, so that a text has one decoding
// and an octet sequence one text (RFC 7515 §2).
var b64 = base64.RawURLEncoding.Strict()

// decodeSegment decodes one part of a token or one member of a key.
func decodeSegment(s string) ([]byte, bool) {
	// encoding/base64 skips line breaks even when strict; they would make a
	// second spelling of the same signature.
	if hasLineBreak(s) {
		return nil, false
	}
	out, err := b64.DecodeString(s)
	return out, err == nil
}

func hasLineBreak(s string) bool {
	return strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0
}

// maxDepth bounds the nesting of every JSON text this package reads.
const maxDepth = 16

// shallow reports whether JSON text b nests at most maxDepth deep. It looks at
// brackets outside strings only; whether b is JSON at all is the parser's
// question.
func shallow(b []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString:
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}
