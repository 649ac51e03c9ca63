package web

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Origin reports whether s is an origin of http or https as browsers write it
// (WHATWG HTML, serialization of an origin): scheme and host in lower case, a port
// where it is not the scheme's own, and nothing behind. Else meant is the origin that
// s seems to mean, or "".
func Origin(s string) (meant string, exact bool) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Opaque != "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", false
	}
	host := strings.ToLower(u.Hostname())
	if strings.HasPrefix(u.Host, "[") {
		a, err := netip.ParseAddr(host)
		if err != nil || a.Zone() != "" {
			return "", false
		}
		host = "[" + a.String() + "]"
	} else if !plainHostName(host) {
		return "", false
	}
	meant = u.Scheme + "://" + host
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", false
		}
		if own := map[string]uint64{"http": 80, "https": 443}; own[u.Scheme] != n {
			meant += ":" + strconv.FormatUint(n, 10)
		}
	}
	return meant, meant == s
}

// plainHostName is of [a-z0-9._-]: other scripts stand in an origin as "xn--…".
func plainHostName(host string) bool {
	for _, c := range []byte(host) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return host != "" && host[0] != '.'
}
