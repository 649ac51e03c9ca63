package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// ForwardAuthPath is the path below which a [ForwardAuth] is asked.
const ForwardAuthPath = "/.gatehouse/auth"

// dialect is how one sort of proxy asks and what it understands.
type dialect struct {
	// Names of the lines that describe the original request. Without them the
	// question has the method, the host and, behind the dialect's name, the target
	// of the original request.
	method, uri, host string
	plain             bool // knows only 2xx, 401, 403 and 500
	// answers: of a 200, it can hand further lines on to the client, such as RateLimit
	// and those of CORS. The others copy into the request and nowhere else.
	answers bool
	// noContent: 200 alone lets pass, so that a 204 is an answer for the caller.
	noContent bool
	// preflights: answers CORS preflights and nothing else. That tells no more than the
	// route's rule, so anybody may ask.
	preflights bool
	// writes are protected names of lines that such a proxy itself writes in place of
	// what the caller sent, beside X-Forwarded-For and -Proto.
	writes []string
}

var dialects = func() map[string]dialect {
	original := dialect{method: "X-Original-Method", uri: "X-Original-Uri", host: "X-Original-Host"}
	original.writes = []string{original.method, original.uri, original.host}
	forwarded := dialect{method: "X-Forwarded-Method", uri: "X-Forwarded-Uri", host: "X-Forwarded-Host"}
	forwarded.writes = []string{forwarded.method, forwarded.uri, forwarded.host}
	nginx, scripted, traefik := original, original, forwarded
	nginx.plain, nginx.answers = true, true
	scripted.answers, scripted.noContent = true, true
	// Its listener writes these for every request.
	traefik.writes = append(slices.Clone(forwarded.writes), "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-Ip")
	caddy := forwarded
	caddy.answers = true
	return map[string]dialect{"nginx": nginx, "haproxy": scripted, "apache": scripted, "caddy": caddy, "traefik": traefik,
		"envoy": {answers: true, noContent: true}, "preflight": {noContent: true, preflights: true}}
}()

// dialectOf returns the dialect in which r asks; the zero dialect, which is none,
// for an unknown one. target is what follows its name in the request line.
func dialectOf(r *http.Request) (d dialect, target string) {
	rest, ok := strings.CutPrefix(r.RequestURI, ForwardAuthPath+"/")
	if !ok {
		return dialect{}, ""
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	return dialects[rest[:end]], rest[end:]
}

func (d *dialect) known() bool { return d.method != "" || d.noContent }

// original builds the request that the proxy asks about.
func (f *ForwardAuth) original(r *http.Request, d dialect, target string) (*http.Request, *gatehouse.Error) {
	if !d.known() || d.method != "" && target != "" && target[0] != '?' {
		return nil, gatehouse.ErrNotFound
	}
	if !d.preflights && !f.cfg.Proxies.FromTrusted(r) {
		return nil, errUntrustedProxy.With(fmt.Errorf("%s is not among trusted_proxies", r.RemoteAddr))
	}
	method, uri, host := r.Method, target, r.Host
	if d.method != "" {
		var ok1, ok2, ok3 bool
		method, ok1 = single(r.Header, d.method)
		uri, ok2 = single(r.Header, d.uri)
		host, ok3 = single(r.Header, d.host)
		if !ok1 || !ok2 || !ok3 {
			return nil, errOriginal.With(fmt.Errorf("the lines %s, %s and %s must each be there once", d.method, d.uri, d.host))
		}
	}
	if !validMethod(method) || !validHost(host) || len(r.Header["X-Forwarded-Proto"]) > 1 {
		return nil, errOriginal.With(errors.New("the method or the host is none, or X-Forwarded-Proto is there twice"))
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil || uri[0] != '/' || web.AmbiguousURL(u, true) {
		return nil, errOriginal.With(errors.New("the path can be read in more than one way"))
	}
	out := r.WithContext(r.Context()) // a copy
	out.Method, out.URL, out.Host, out.RequestURI = method, u, host, uri
	// The proxy kept the body, and what describes it.
	out.Body, out.ContentLength, out.TransferEncoding, out.Trailer = http.NoBody, 0, nil, nil
	out.Form, out.PostForm, out.MultipartForm, out.Pattern = nil, nil, nil, ""
	if err := f.ownLines(out.Header, &d); err != nil && !d.preflights {
		return nil, err
	}
	return out, nil
}

// ownLines refuses a header with a line that only the proxy may write and did not,
// and removes those of the question itself: nothing after us reads them.
func (f *ForwardAuth) ownLines(h http.Header, d *dialect) *gatehouse.Error {
	for name := range h {
		switch name {
		case "X-Http-Method", "X-Http-Method-Override", "X-Method-Override": // the pipeline refuses them
			continue
		case "X-Forwarded-For", "X-Forwarded-Proto": // for the client's address and scheme
			continue
		case "Forwarded":
			if f.cfg.Proxies.Reads(name) {
				continue
			}
		case web.HeaderClientCert, web.HeaderClientCertChain: // the pipeline compares tokens with it
			if f.cfg.Proxies.ReadsCertificates() {
				continue
			}
		case "Upgrade": // the pipeline tells the opening of a WebSocket by it
			continue
		case "Content-Length", "Connection", "Trailer", "Te", "Transfer-Encoding", "Expect":
			delete(h, name)
			continue
		}
		switch {
		case !identityName(name, f.own):
			if folded(name) && credentialName(name) {
				return errNameFolds.With(fmt.Errorf("%.80q", name))
			}
		case folded(name):
			return errNameFolds.With(fmt.Errorf("%.80q", name))
		case f.answered[name] || slices.Contains(d.writes, name):
			delete(h, name)
		default:
			e := errNameReserved.With(fmt.Errorf("%.80q", name))
			e.Fields = map[string]string{name: "only the proxy may write it; let it be removed there before Gatehouse is asked"}
			return e
		}
	}
	return nil
}

// folded reports names with a sign that CGI-like programs take for a dash. A proxy
// that removes or sets a line by its name leaves one of these where it is.
func folded(name string) bool {
	for _, c := range []byte(name) {
		if c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return true
		}
	}
	return false
}

// single returns the one value of a header. Two lines are a caller's line beside
// the proxy's: which of them is the truth cannot be told.
func single(h http.Header, name string) (string, bool) {
	lines := h[name]
	if len(lines) != 1 || lines[0] == "" || len(lines[0]) > 16<<10 {
		return "", false
	}
	for _, c := range []byte(lines[0]) {
		if c <= ' ' || c >= 0x7f {
			return "", false
		}
	}
	return lines[0], true
}

// validMethod is [A-Z][A-Z-]{0,31}.
func validMethod(m string) bool {
	if m == "" || len(m) > 32 || m[0] == '-' {
		return false
	}
	for _, c := range []byte(m) {
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}

// validHostName is [A-Za-z0-9][A-Za-z0-9._-]{0,252}(:[0-9]{1,5})?
func validHostName(h string) bool {
	name, port, withPort := strings.Cut(h, ":")
	if name == "" || len(name) > 253 || withPort && (port == "" || len(port) > 5) {
		return false
	}
	for i, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	for _, c := range []byte(port) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func validHost(h string) bool {
	if validHostName(h) {
		return true
	}
	if ap, err := netip.ParseAddrPort(h); err == nil {
		return ap.IsValid()
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(h, "["), "]"))
	return err == nil && a.Is6() && h[0] == '['
}
