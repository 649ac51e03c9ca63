package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds how many forwarding elements are looked at, from the right.
const maxHops = 32

// ProxyConfig says which peers may speak for others.
type ProxyConfig struct {
	// Trusted are CIDR prefixes or single addresses, and "unix" for peers on a
	// Unix socket. Empty trusts nobody: then every forwarding header is noise.
	Trusted []string
	// Header is the one header that the proxies write: "X-Forwarded-For" (the
	// default; scheme from X-Forwarded-Proto) or "Forwarded" (RFC 7239). Only
	// one is read, because a proxy that writes one passes the other through
	// from the client untouched.
	Header string
	// Certificates has them say which certificate the client showed them, see [Proxies.Certificates]. They must remove those
	// lines where it showed none.
	Certificates bool
}

// Proxies finds the real client behind trusted proxies. A nil *Proxies trusts
// nobody. It is immutable.
type Proxies struct {
	nets      []netip.Prefix
	unix      bool
	forwarded bool
	// certificates: they pass on those of clients.
	certificates bool
}

// NewProxies checks cfg.
func NewProxies(cfg ProxyConfig) (*Proxies, error) {
	p := &Proxies{certificates: cfg.Certificates}
	switch strings.ToLower(cfg.Header) {
	case "", "x-forwarded-for":
	case "forwarded":
		p.forwarded = true
	default:
		return nil, fmt.Errorf("web: proxy header %q is neither X-Forwarded-For nor Forwarded", cfg.Header)
	}
	for _, s := range cfg.Trusted {
		if s == "unix" {
			p.unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			addr, aerr := netip.ParseAddr(s)
			if aerr != nil {
				return nil, fmt.Errorf("web: trusted proxy %q is neither an address nor a CIDR prefix", s)
			}
			addr = addr.WithZone("")
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		if prefix.Addr().Is4In6() {
			// ::ffff:10.0.0.0/104 means 10.0.0.0/8; addresses are compared unmapped.
			if prefix.Bits() < 96 {
				return nil, fmt.Errorf("web: trusted proxy %q covers all of IPv4; write 0.0.0.0/0 if that is meant", s)
			}
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		p.nets = append(p.nets, prefix.Masked())
	}
	return p, nil
}

// trusted reports whether addr belongs to a trusted proxy. The invalid address, of a hop
// that is not known, is in no network.
func (p *Proxies) trusted(addr netip.Addr) bool {
	for _, n := range p.nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// Peer is the address of the other end of the connection, unmapped and without
// port and zone; invalid on a Unix socket.
func Peer(r *http.Request) netip.Addr {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	if a, err := netip.ParseAddr(r.RemoteAddr); err == nil {
		return a.Unmap().WithZone("")
	}
	return netip.Addr{}
}

// Reads reports whether the named header, in canonical spelling, is the one that
// says where requests come from.
func (p *Proxies) Reads(name string) bool {
	if p == nil {
		return false
	}
	return p.forwarded == (name == "Forwarded") && (p.forwarded || name == "X-Forwarded-For")
}

// FromTrusted reports whether the peer of r is a trusted proxy, so that what it
// says about the original request may be believed.
func (p *Proxies) FromTrusted(r *http.Request) bool {
	if p == nil {
		return false
	}
	peer := Peer(r)
	if !peer.IsValid() {
		return p.unix && onUnixSocket(r)
	}
	return p.trusted(peer)
}

func onUnixSocket(r *http.Request) bool {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && a.Network() == "unix"
}

// Client returns the client's address: the peer's, unless the peer is a trusted
// proxy; then the forwarding header is walked from the right, the end our own
// proxies wrote, up to the first address that no trusted proxy has. Everything
// left of that was written by the client and is ignored. An element that is not
// an address ends the walk at the last hop that is known.
func (p *Proxies) Client(r *http.Request) netip.Addr {
	client := Peer(r)
	if !p.FromTrusted(r) {
		return client
	}
	for _, hop := range p.hops(r) {
		if !hop.addr.IsValid() {
			return client
		}
		client = hop.addr
		if !p.trusted(client) {
			return client
		}
	}
	return client
}

// Secure reports whether nobody on the way could read the request: every hop
// from the client used TLS, or the request never left this machine.
//
//   - A trusted proxy's word is taken for the hops before it, in both
//     directions: "http" makes a TLS connection from that proxy insecure.
//   - On a loopback connection that carries other forwarding headers, some proxy
//     stands in front that nobody configured: not secure.
func (p *Proxies) Secure(r *http.Request) bool {
	if p.FromTrusted(r) {
		said, https := p.saidHTTPS(r)
		if said {
			return https
		}
	}
	if r.TLS == nil && hasForwarding(r) {
		return false
	}
	return r.TLS != nil || local(r)
}

// Scheme is "https" or "http" as the client used it. Loopback does not count.
func (p *Proxies) Scheme(r *http.Request) string {
	https := r.TLS != nil
	if p.FromTrusted(r) {
		if said, yes := p.saidHTTPS(r); said {
			https = yes
		}
	}
	if https {
		return "https"
	}
	return "http"
}

// HostName is the name in a Host line, by which hosts are compared: in lower case, without port
// and final dot.
func HostName(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.Contains(s[i:], "]") {
		s = s[:i]
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// saidHTTPS returns what a trusted proxy said about the transport of the hops
// before it; https means nothing unless said. A proxy that forwards without saying it
// counts as saying "http".
func (p *Proxies) saidHTTPS(r *http.Request) (said, https bool) {
	if p.forwarded {
		https = true
		for _, hop := range p.hops(r) {
			said = true
			https = https && secureScheme(hop.proto)
			if !p.trusted(hop.addr) {
				break
			}
		}
		return said, https
	}
	if len(r.Header["X-Forwarded-Proto"]) == 0 {
		return len(r.Header["X-Forwarded-For"]) > 0, false
	}
	https = true
	for _, line := range r.Header["X-Forwarded-Proto"] {
		for v := range strings.SplitSeq(line, ",") {
			https = https && secureScheme(v)
		}
	}
	return true, https
}

// secureScheme reports the schemes that use TLS: proxies name a WebSocket by its own.
func secureScheme(s string) bool {
	s = strings.TrimSpace(s)
	return strings.EqualFold(s, "https") || strings.EqualFold(s, "wss")
}

// local reports whether both ends of the connection are on this machine.
func local(r *http.Request) bool {
	switch a := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback() && Peer(r).IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

func hasForwarding(r *http.Request) bool {
	for _, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-Ip", "Via"} {
		if len(r.Header[name]) > 0 {
			return true
		}
	}
	return false
}

// hop is one forwarding element; an invalid addr means unknown or obfuscated.
type hop struct {
	addr  netip.Addr
	proto string // Forwarded only, lower case
}

// hops returns the forwarding elements, nearest first, at most maxHops.
func (p *Proxies) hops(r *http.Request) []hop {
	name := "X-Forwarded-For"
	if p.forwarded {
		name = "Forwarded"
	}
	lines := r.Header[name]
	var out []hop
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more && len(out) < maxHops; {
			var elem string
			rest, elem, more = cutLast(rest, p.forwarded)
			if p.forwarded {
				out = append(out, parseForwarded(elem))
			} else {
				out = append(out, hop{addr: parseNode(strings.TrimSpace(elem))})
			}
		}
	}
	return out
}

// cutLast splits s at its last comma; with quoted, commas inside quoted strings
// do not count (RFC 7239 §4). A quoted string that never ends makes all of s
// unreadable: a client that opens one would swallow the element that our proxy
// writes behind it, and be read in its place.
func cutLast(s string, quoted bool) (before, last string, found bool) {
	at, in := -1, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && in && c == '\\':
			i++
		case quoted && c == '"':
			in = !in
		case c == ',' && !in:
			at = i
		}
	}
	if in {
		return "", "", false
	}
	if at < 0 {
		return "", s, false
	}
	return s[:at], s[at+1:], true
}

// parseForwarded reads one element of Forwarded: for and proto; a parameter
// that occurs twice spoils the element.
func parseForwarded(elem string) hop {
	var h hop
	var seenFor, seenProto bool
	for pair := range strings.SplitSeq(elem, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok {
			continue
		}
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		switch strings.ToLower(name) {
		case "for":
			if seenFor {
				return hop{}
			}
			seenFor, h.addr = true, parseNode(value)
		case "proto":
			if seenProto {
				return hop{}
			}
			seenProto, h.proto = true, strings.ToLower(value)
		}
	}
	return h
}

// parseNode reads an address with or without port, brackets and zone, and
// returns it unmapped; anything else is the invalid address.
func parseNode(s string) netip.Addr {
	if len(s) > 64 {
		return netip.Addr{}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone("")
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		if a, err := netip.ParseAddr(s[1 : len(s)-1]); err == nil && a.Is6() {
			return a.Unmap().WithZone("")
		}
	}
	return netip.Addr{}
}
