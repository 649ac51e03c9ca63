package gateway

import (
	"net/http"
	"net/url"
	"strings"
)

// outerReferences turns what an answer's header says about addresses of the upstream
// into what the caller can use: without the inner host, which is nobody's business,
// and without the upstream's base path, which the gateway puts before every path.
func (e *exchange) outerReferences(h http.Header) {
	for _, name := range [...]string{"Location", "Content-Location"} {
		for i, v := range h[name] {
			h[name][i] = e.outerReference(v)
		}
	}
	for i, v := range h["Link"] {
		h["Link"][i] = e.outerLinks(v)
	}
	for i, v := range h["Refresh"] { // "5; url=/next", as browsers read it
		if at := strings.Index(strings.ToLower(v), "url="); at >= 0 {
			head, ref := v[:at+len("url=")], v[at+len("url="):]
			quote := ""
			if ref != "" && (ref[0] == '"' || ref[0] == '\'') {
				quote = ref[:1]
			}
			h["Refresh"][i] = head + quote + e.outerReference(strings.Trim(ref, quote)) + quote
		}
	}
}

// outerReference rewrites one URL or path.
func (e *exchange) outerReference(ref string) string {
	scheme, authority, rest := splitReference(ref)
	prefix := ""
	switch {
	case authority == "" && scheme == "" && strings.HasPrefix(rest, "/"):
	case authority == "":
		return ref // relative to the request's own path, or of another kind
	case e.isInner(scheme, authority):
	case strings.EqualFold(authority, e.in.Host):
		prefix = ref[:len(ref)-len(rest)] // the API was told the outer host
	default:
		return ref
	}
	rest = cutBase(rest, e.up.path)
	if rest == "" || rest[0] != '/' && rest[0] != '\\' {
		rest = "/" + rest
	}
	if prefix == "" && len(rest) > 1 && (rest[1] == '/' || rest[1] == '\\') {
		rest = "/." + rest // "//evil.example" would lead to another host
	}
	return prefix + rest
}

// splitReference splits a URL of http or https, or one that begins with "//", at the
// end of its authority. Browsers take a backslash for a slash, so it ends one too.
func splitReference(ref string) (scheme, authority, rest string) {
	rest = ref
	for _, s := range [...]string{"http", "https"} {
		if len(ref) > len(s) && strings.EqualFold(ref[:len(s)], s) && ref[len(s)] == ':' {
			scheme, rest = s, ref[len(s)+1:]
			break
		}
	}
	if !strings.HasPrefix(rest, "//") {
		return scheme, "", rest
	}
	rest = rest[2:]
	end := strings.IndexAny(rest, "/\\?#")
	if end < 0 {
		end = len(rest)
	}
	return scheme, rest[:end], rest[end:]
}

// isInner reports whether an authority is the upstream's. The scheme does not count
// where the port is the same.
func (e *exchange) isInner(scheme, authority string) bool {
	host := authority[strings.LastIndexByte(authority, '@')+1:]
	if scheme == "" {
		scheme = e.up.base.Scheme
	}
	ours, its := e.up.base, &url.URL{Scheme: scheme, Host: host}
	return strings.EqualFold(strings.TrimSuffix(its.Hostname(), "."), strings.TrimSuffix(ours.Hostname(), ".")) && portOf(its) == portOf(ours)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// cutBase removes the base path from the front of a path.
func cutBase(path, base string) string {
	rest, ok := strings.CutPrefix(path, base)
	if ok && (rest == "" || strings.IndexByte("/?#", rest[0]) >= 0) {
		return rest
	}
	return path
}

// outerLinks rewrites the targets and anchors of a Link line (RFC 8288 §3).
func (e *exchange) outerLinks(v string) string {
	var out strings.Builder
	for v != "" {
		at := strings.IndexAny(v, `<"`)
		if at < 0 {
			break
		}
		before, closing := v[:at+1], byte('>')
		if v[at] == '"' {
			closing = '"'
		}
		out.WriteString(before)
		v = v[at+1:]
		end := 0
		for end < len(v) && v[end] != closing {
			if closing == '"' && v[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(v))
		inside := v[:end]
		if closing == '>' || strings.HasSuffix(strings.ToLower(strings.TrimRight(before[:at], " \t")), "anchor=") {
			inside = e.outerReference(inside)
		}
		out.WriteString(inside)
		v = v[end:]
		if v != "" {
			out.WriteByte(closing)
			v = v[1:]
		}
	}
	out.WriteString(v)
	return out.String()
}
