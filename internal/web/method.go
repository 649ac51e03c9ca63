package web

import "net/http"

// maxMethod bounds a method's name; the longest registered one has 17 bytes.
const maxMethod = 32

// ServableMethod reports whether a request with this method may be judged at all.
// A method is upper-case letters and dashes, as every registered one is (RFC 9110
// §16.1.1): "delete" is another method than DELETE (§9.1), yet many frameworks
// take it for the same, so a route for DELETE would not see it. TRACE shows the
// request to scripts, credentials included; CONNECT has no path to judge.
func ServableMethod(method string) bool {
	if method == "" || len(method) > maxMethod || method == http.MethodTrace || method == http.MethodConnect {
		return false
	}
	for i := range len(method) {
		if c := method[i]; (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}
