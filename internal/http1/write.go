package http1

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// plainHost reports whether host can be written as it is. Zones, other scripts
// and the like are left to net/http.
func plainHost(host string) bool {
	return host != "" && visible(host) && !strings.Contains(host, "%") && httpguts.ValidHostHeader(host)
}

// visible reports whether s is visible ASCII without spaces.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// ValidTarget reports whether s stays one word on the request line. Bytes beyond
// ASCII are let through: clients send them in queries.
func ValidTarget[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return len(s) > 0
}

// appendRequest appends r, which [Client.sends], as HTTP/1.1 without a body. It
// writes what http.Request.Write does in one pass, but refuses what could end a
// line instead of changing it.
func appendRequest(b []byte, r *http.Request) ([]byte, error) {
	host, target := r.Host, r.URL.RequestURI()
	if host == "" {
		host = r.URL.Host
	}
	if !ValidTarget(target) {
		return nil, fmt.Errorf("http1: the request target %q cannot be sent", target)
	}
	b = append(append(b, r.Method...), ' ')
	b = append(append(b, target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, host...), "\r\n"...)
	for name, values := range r.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue // said by the line above and by the lack of a body
		}
		var err error
		if b, err = AppendLines(b, name, values); err != nil {
			return nil, err
		}
	}
	return append(b, "\r\n"...), nil
}

// AppendLines appends a header line for each of values. As in net/http there is
// one User-Agent at most, and an empty one means none. A name or value that could end
// the line is an error.
func AppendLines(b []byte, name string, values []string) ([]byte, error) {
	if name == "User-Agent" && len(values) > 0 {
		if values = values[:1]; values[0] == "" {
			return b, nil
		}
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return nil, fmt.Errorf("http1: header name %q is not valid", name)
	}
	for _, v := range values {
		var err error
		if b, err = AppendLine(b, name, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// AppendLine appends a header line whose name is valid.
func AppendLine(b []byte, name, value string) ([]byte, error) {
	if !validValue(value) {
		return nil, fmt.Errorf("http1: the value of header %q is not valid", name)
	}
	b = append(append(b, name...), ": "...)
	return append(append(b, textproto.TrimString(value)...), "\r\n"...), nil
}

// validValue is field-value of RFC 9110 §5.5: no control characters but the tab.
func validValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
