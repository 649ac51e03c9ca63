package gateway

import "strings"

// ownCookie reports whether a cookie is one that our own pages give to browsers: a browser
// sends it to every port of the host, and so to the gateway where that has the same name. It
// may open a session, and no upstream is to see it.
func ownCookie(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	return strings.HasPrefix(strings.TrimPrefix(strings.TrimSpace(name), "__Host-"), "gatehouse-")
}

// upstreamCookies are Cookie lines without our own cookies: the lines themselves where there
// is none of ours, else what is left of them, byte for byte.
func upstreamCookies(lines []string) []string {
	ours := false
	for _, line := range lines {
		ours = ours || strings.Contains(line, "gatehouse-")
	}
	if !ours {
		return lines
	}
	var out []string
	for _, line := range lines {
		var rest []string
		for pair := range strings.SplitSeq(line, ";") {
			if !ownCookie(pair) {
				rest = append(rest, pair)
			}
		}
		if left := strings.TrimSpace(strings.Join(rest, ";")); left != "" {
			out = append(out, left)
		}
	}
	return out
}
