package openapi

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

var (
	pathParam = regexp.MustCompile(`\{([^{}]*)\}`)
	identChar = regexp.MustCompile(`[^A-Za-z0-9_]`)
)

// pathPattern turns a path template into the path of a route's pattern.
func pathPattern(path string) (string, error) {
	if path == "" || path[0] != '/' {
		return "", errors.New("does not begin with /")
	}
	if strings.ContainsAny(path, "?#") {
		return "", errors.New("has a query or a fragment, which are no part of a path")
	}
	if strings.ContainsAny(pathParam.ReplaceAllString(path, ""), "{}") {
		return "", errors.New("has a brace that opens or closes nothing")
	}
	taken := map[string]bool{}
	out := pathParam.ReplaceAllStringFunc(path, func(param string) string {
		name := paramName(param[1 : len(param)-1])
		for taken[name] {
			name += "_"
		}
		taken[name] = true
		return "{" + name + "}"
	})
	if strings.HasSuffix(out, "/") {
		out += "{$}" // the path itself and not all below it
	}
	return strings.ReplaceAll(out, " ", "%20"), nil
}

// closedPattern is pathPattern for a path that may hold what no pattern can: a
// segment with braces becomes a parameter.
func closedPattern(path string) (string, error) {
	if path == "" || path[0] != '/' {
		return "", errors.New("does not begin with /")
	}
	path, _, _ = strings.Cut(path, "?")
	path, _, _ = strings.Cut(path, "#")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.ContainsAny(s, "{}*<>") || strings.HasPrefix(s, ":") {
			segments[i] = fmt.Sprintf("{p%d}", i)
		}
	}
	return pathPattern(strings.Join(segments, "/"))
}

// paramName makes a parameter's name one that patterns know: "doc-id" → "doc_id".
func paramName(s string) string {
	s = identChar.ReplaceAllString(s, "_")
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "p" + s
	}
	return s
}

// base is the path of the first server of an operation, of its path or of the
// document, whichever is the nearest that has one: clients put it before the path.
// A server of another host than the document's is not the API behind the gateway.
func (r *reader) base(item, op object) (string, error) {
	if r.opt.BasePath != "" {
		return strings.TrimRight(r.opt.BasePath, "/"), nil
	}
	all, err := firstServer(r.doc)
	if err != nil {
		return "", err
	}
	own, err := firstServer(op, item)
	if err != nil {
		return "", err
	}
	if own == nil {
		own = all
	}
	if own == nil {
		return "", nil
	}
	if all != nil && own.Host != "" && all.Host != "" && !strings.EqualFold(own.Host, all.Host) {
		return "", fmt.Errorf("its server is %s, not %s", own.Host, all.Host)
	}
	return strings.TrimRight(own.EscapedPath(), "/"), nil
}

// firstServer returns the URL of the first server of the first holder that has any,
// nil when there is none.
func firstServer(holders ...object) (*url.URL, error) {
	for _, h := range holders {
		list, _ := h["servers"].([]any)
		if len(list) == 0 {
			continue
		}
		server, _ := list[0].(object)
		text, ok := server["url"].(string)
		if !ok {
			return nil, errors.New("its server has no url")
		}
		variables, _ := server["variables"].(object)
		text = pathParam.ReplaceAllStringFunc(text, func(name string) string {
			v, _ := variables[name[1:len(name)-1]].(object)
			if value, ok := v["default"].(string); ok {
				return value
			}
			return name
		})
		if strings.ContainsAny(text, "{}") {
			return nil, fmt.Errorf("server %q has a variable without a default", text)
		}
		u, err := url.Parse(text)
		if err != nil || u.Opaque != "" {
			return nil, fmt.Errorf("server %q is no URL", text)
		}
		if u.Path != "" && u.Path[0] != '/' { // relative to the document, which is taken to be at the root
			u.Path, u.RawPath = "/"+strings.TrimPrefix(strings.TrimPrefix(u.Path, "."), "/"), ""
		}
		return u, nil
	}
	return nil, nil
}
