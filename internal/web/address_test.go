package web

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// proxies makes a *Proxies that trusts these, and fails the test where it cannot.
func proxies(t *testing.T, header string, trusted ...string) *Proxies {
	t.Helper()
	p, err := NewProxies(ProxyConfig{Trusted: trusted, Header: header})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// on says which of our own addresses a request came in at.
func on(r *http.Request, local net.Addr) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
}

var (
	loopback   = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	unixSocket = &net.UnixAddr{Name: "/run/gatehouse.sock", Net: "unix"}
)

func TestTrustedNetworks(t *testing.T) {
	for _, c := range []struct{ trusted, peer string }{
		{"10.0.0.0/8", "10.255.255.255:1"},
		{"10.1.2.3/8", "10.9.9.9:1"}, // the bits behind the prefix say nothing
		{"::ffff:0:0/96", "203.0.113.9:1"},
		{"::ffff:10.0.0.0/104", "10.9.9.9:1"},
		{"::ffff:10.0.0.1", "10.0.0.1:1"},
		{"10.0.0.1", "[::ffff:10.0.0.1]:1"},
		{"fe80::1%eth0", "[fe80::1%eth1]:1"},
		{"2001:db8::/32", "[2001:db8:ffff::1]:1"},
		{"0.0.0.0/0", "203.0.113.9:1"},
	} {
		if !proxies(t, "", c.trusted).FromTrusted(request(c.peer, nil)) {
			t.Errorf("%s does not trust %s", c.trusted, c.peer)
		}
	}
	for _, c := range []struct{ trusted, peer string }{
		{"10.0.0.0/8", "11.0.0.0:1"},
		{"10.0.0.1", "10.0.0.2:1"},
		{"::ffff:10.0.0.0/104", "11.0.0.1:1"},
		{"::ffff:10.0.0.1", "10.0.0.2:1"},
		{"::/0", "203.0.113.9:1"}, // IPv6 alone
		{"0.0.0.0/0", "[2001:db8::1]:1"},
		{"10.0.0.0/8", "not an address"},
		{"0.0.0.0/0", ""},
		{"::/0", "@"},
	} {
		if proxies(t, "", c.trusted).FromTrusted(request(c.peer, nil)) {
			t.Errorf("%s trusts %s", c.trusted, c.peer)
		}
	}
	// A prefix that covers all of IPv4 by way of IPv6 is meant by nobody who writes it.
	for _, s := range []string{"::ffff:0:0/95", "::ffff:10.0.0.0/8", "::ffff:0.0.0.0/0"} {
		if _, err := NewProxies(ProxyConfig{Trusted: []string{s}}); err == nil {
			t.Errorf("%s is accepted", s)
		}
	}
}

// Programs on a Unix socket speak for others only where "unix" was said, and a peer
// without an address that is on none never does.
func TestTrustedUnixSocket(t *testing.T) {
	in := http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"}}
	for _, c := range []struct {
		name    string
		trusted []string
		local   net.Addr
		remote  string
		want    bool
	}{
		{"a socket that is trusted", []string{"unix"}, unixSocket, "@", true},
		{"beside networks", []string{"10.0.0.0/8", "unix"}, unixSocket, "", true},
		{"a network behind it", []string{"unix", "10.0.0.0/8"}, loopback, "10.0.0.1:1", true},
		{"a socket that is not", []string{"127.0.0.1"}, unixSocket, "@", false},
		{"no address, and no socket", []string{"unix"}, loopback, "@", false},
		{"no local address known", []string{"unix"}, nil, "", false},
		{"an address is judged as one", []string{"unix"}, unixSocket, "127.0.0.1:1", false},
	} {
		p := proxies(t, "", c.trusted...)
		r := on(request(c.remote, in), c.local)
		if p.FromTrusted(r) != c.want {
			t.Errorf("%s: FromTrusted = %v", c.name, !c.want)
		}
		if got := p.Client(r); (got == netip.MustParseAddr("1.2.3.4")) != c.want {
			t.Errorf("%s: Client = %s", c.name, got)
		}
		if got := p.Scheme(r); (got == "https") != c.want {
			t.Errorf("%s: Scheme = %s", c.name, got)
		}
	}
}

func TestPeer(t *testing.T) {
	for remote, want := range map[string]string{
		"203.0.113.9:80": "203.0.113.9", "203.0.113.9": "203.0.113.9", "[2001:db8::1]:80": "2001:db8::1", "2001:db8::1": "2001:db8::1",
		"[::ffff:203.0.113.9]:80": "203.0.113.9", "::ffff:203.0.113.9": "203.0.113.9", "[fe80::1%eth0]:80": "fe80::1", "fe80::1%eth0": "fe80::1",
		"": "invalid IP", "@": "invalid IP", "host:80": "invalid IP",
	} {
		if got := Peer(request(remote, nil)).String(); got != want {
			t.Errorf("%q: %s, want %s", remote, got, want)
		}
	}
}

// The gateway takes the header that was read away from what it forwards: exactly that one.
func TestReads(t *testing.T) {
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", ""} {
		if (*Proxies)(nil).Reads(name) {
			t.Errorf("nobody is trusted, and %q is read", name)
		}
		if got := proxies(t, "").Reads(name); got != (name == "X-Forwarded-For") {
			t.Errorf("X-Forwarded-For is configured: Reads(%q) = %v", name, got)
		}
		if got := proxies(t, "forwarded").Reads(name); got != (name == "Forwarded") {
			t.Errorf("Forwarded is configured: Reads(%q) = %v", name, got)
		}
	}
}

// The client is looked for in the last 32 elements, over all lines together.
func TestHopsAtTheBound(t *testing.T) {
	p := proxies(t, "", "10.0.0.0/8")
	ours := slices.Repeat([]string{"10.0.0.2"}, maxHops-1)
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"the 32nd from the right", []string{"1.2.3.4," + strings.Join(ours, ",")}, "1.2.3.4"},
		{"the 33rd", []string{"1.2.3.4,10.0.0.3," + strings.Join(ours, ",")}, "10.0.0.3"},
		{"the 32nd line", append([]string{"1.2.3.4"}, ours...), "1.2.3.4"},
		{"the 33rd line", append([]string{"1.2.3.4", "10.0.0.3"}, ours...), "10.0.0.3"},
		{"the 32nd, on the first of two lines", []string{"9.9.9.9,1.2.3.4,10.0.0.5", strings.Join(ours[1:], ",")}, "1.2.3.4"},
	} {
		if got := p.Client(request("10.0.0.1:1", http.Header{"X-Forwarded-For": c.lines})).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestCutLast(t *testing.T) {
	for _, c := range []struct {
		in           string
		quoted       bool
		before, last string
		found        bool
	}{
		{"", false, "", "", false},
		{"a", false, "", "a", false},
		{"a,b", false, "a", "b", true},
		{"a,b,c", false, "a,b", "c", true},
		{",b", false, "", "b", true},
		{"a,", false, "a", "", true},
		{`"a,b"`, false, `"a`, `b"`, true}, // X-Forwarded-For has no quoted strings
		{`a\,b`, false, `a\`, "b", true},
		{`a"`, false, "", `a"`, false},
		{"a,b", true, "a", "b", true},
		{`"a,b"`, true, "", `"a,b"`, false},
		{`x="a,b",c`, true, `x="a,b"`, "c", true},
		{`x="a\",b",c`, true, `x="a\",b"`, "c", true}, // an escaped quote ends no string
		{`x="a\\",b`, true, `x="a\\"`, "b", true},     // an escaped backslash escapes nothing
		{`a\,b`, true, `a\`, "b", true},               // a backslash is special inside of strings alone
		{`a\",b"`, true, "", `a\",b"`, false},
		{`x="a,b`, true, "", "", false}, // a string without end spoils all
		{`a,x="b`, true, "", "", false},
		{`x="a\"`, true, "", "", false},
		{`x="a\`, true, "", "", false},
	} {
		before, last, found := cutLast(c.in, c.quoted)
		if before != c.before || last != c.last || found != c.found {
			t.Errorf("cutLast(%q, %v) = %q, %q, %v", c.in, c.quoted, before, last, found)
		}
	}
}

func TestParseForwarded(t *testing.T) {
	for in, want := range map[string]struct{ addr, proto string }{
		"for=1.2.3.4;proto=https":            {"1.2.3.4", "https"},
		"proto=HTTPS;by=10.0.0.1;FOR=::1":    {"::1", "https"},
		` for="[2001:db8::7]:99" ; proto=x`:  {"2001:db8::7", "x"},
		`for="1.2.3.4";proto="https"`:        {"1.2.3.4", "https"},
		";for=1.2.3.4;;proto=https;":         {"1.2.3.4", "https"}, // RFC 7239 §4: pairs may be empty
		"secret;for=1.2.3.4":                 {"1.2.3.4", ""},
		"proto=https":                        {"", "https"},
		"for=;proto=":                        {"", ""},
		`for="";proto=""`:                    {"", ""},
		`for=";proto="`:                      {"", `"`},
		`for="1.2.3.4`:                       {"", ""}, // a quote on one side is part of the value
		`for=11.2.3.4"`:                      {"", ""},
		`for=_hidden;proto=https`:            {"", "https"},
		"for=1.2.3.4;for=1.2.3.4":            {"", ""}, // twice spoils all of it
		"for=1.2.3.4;proto=https;proto=http": {"", ""},
		"for=1.2.3.4;For=;proto=https":       {"", ""},
		"host=for;for=1.2.3.4;x=for":         {"1.2.3.4", ""},
	} {
		h := parseForwarded(in)
		if addr := h.addr.String(); addr != want.addr && !(want.addr == "" && !h.addr.IsValid()) || h.proto != want.proto {
			t.Errorf("%s: %s %q, want %s %q", in, addr, h.proto, want.addr, want.proto)
		}
	}
}

func TestParseNode(t *testing.T) {
	long := "fe80::1%" + strings.Repeat("z", 56)
	for in, want := range map[string]string{
		"1.2.3.4": "1.2.3.4", "1.2.3.4:80": "1.2.3.4", "2001:db8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "[2001:db8::1]:80": "2001:db8::1",
		"::ffff:1.2.3.4": "1.2.3.4", "[::ffff:1.2.3.4]": "1.2.3.4", "[::ffff:1.2.3.4]:80": "1.2.3.4",
		"fe80::1%eth0": "fe80::1", "[fe80::1%eth0]": "fe80::1", "[fe80::1%eth0]:80": "fe80::1",
		long: "fe80::1", long + "z": "", // 64 characters and one more
		"": "", "[]": "", "[": "", "]": "", "[1.2.3.4]": "", "[2001:db8::1": "", "x::1]": "", "2001:db8::1]": "", "[[::1]]": "",
		"1.2.3": "", "1.2.3.4.5": "", "01.2.3.4": "", "1.2.3.4:99999": "", "unknown": "", "_hidden": "", "host.example": "", " 1.2.3.4": "",
	} {
		got := parseNode(in)
		if want == "" && got.IsValid() || want != "" && got.String() != want {
			t.Errorf("parseNode(%q) = %s, want %q", in, got, want)
		}
	}
}

func TestSecureOnThisMachine(t *testing.T) {
	lan := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}
	for _, c := range []struct {
		name   string
		remote string
		local  net.Addr
		want   bool
	}{
		{"loopback", "127.0.0.1:1", loopback, true},
		{"loopback, IPv6", "[::1]:1", &net.TCPAddr{IP: net.IPv6loopback}, true},
		{"a Unix socket", "@", unixSocket, true},
		{"a stranger at a loopback address", "203.0.113.9:1", loopback, false},
		{"a loopback peer at another address", "127.0.0.1:1", lan, false},
		{"nothing known of our side", "127.0.0.1:1", nil, false},
	} {
		if got := proxies(t, "").Secure(on(request(c.remote, nil), c.local)); got != c.want {
			t.Errorf("%s: Secure = %v", c.name, got)
		}
		if got := (*Proxies)(nil).Secure(on(request(c.remote, nil), c.local)); got != c.want {
			t.Errorf("%s, nobody trusted: Secure = %v", c.name, got)
		}
	}
	// Each of these lines says that a proxy stands in front, which nobody configured.
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-Ip", "Via"} {
		for remote, local := range map[string]net.Addr{"127.0.0.1:1": loopback, "@": unixSocket} {
			r := on(request(remote, http.Header{name: {"https"}}), local)
			if (*Proxies)(nil).Secure(r) {
				t.Errorf("secure behind an unknown proxy that sends %s", name)
			}
			// TLS to us cannot be read by anybody, whatever a caller writes.
			r.TLS = &tls.ConnectionState{}
			if !(*Proxies)(nil).Secure(r) {
				t.Errorf("a TLS connection is insecure for %s", name)
			}
		}
	}
}

// Scheme follows a trusted proxy in both directions, and nobody else.
func TestScheme(t *testing.T) {
	const proxy, stranger = "10.0.0.1:1", "203.0.113.9:1"
	proto := func(v ...string) http.Header { return http.Header{"X-Forwarded-Proto": v} }
	fwd := func(v ...string) http.Header { return http.Header{"Forwarded": v} }
	for _, c := range []struct {
		name, header, remote string
		tls                  bool
		in                   http.Header
		want                 string
	}{
		{"plain", "", stranger, false, nil, "http"},
		{"TLS", "", stranger, true, nil, "https"},
		{"a stranger claims https", "", stranger, false, proto("https"), "http"},
		{"a stranger claims http", "", stranger, true, proto("http"), "https"},
		{"a proxy says https", "", proxy, false, proto("https"), "https"},
		{"a proxy says http, over TLS", "", proxy, true, proto("http"), "http"},
		{"a proxy says nothing at all", "", proxy, true, nil, "https"},
		{"a proxy says nothing at all, plain", "", proxy, false, nil, "http"},
		{"a proxy forwards and does not say it", "", proxy, true, http.Header{"X-Forwarded-For": {"1.2.3.4"}}, "http"},
		{"Forwarded says https", "Forwarded", proxy, false, fwd("for=1.2.3.4;proto=https"), "https"},
		{"Forwarded says nothing at all", "Forwarded", proxy, true, nil, "https"},
		{"Forwarded says nothing at all, plain", "Forwarded", proxy, false, nil, "http"},
		{"Forwarded, and another header", "Forwarded", proxy, false, proto("https"), "http"},
		{"X-Forwarded-Proto, and another header", "", proxy, false, fwd("for=1.2.3.4;proto=https"), "http"},
		{"what the client itself wrote does not count against it", "Forwarded", proxy, false,
			fwd("for=9.9.9.9;proto=http, for=1.2.3.4;proto=https"), "https"},
		{"nor on another line", "Forwarded", proxy, false, fwd("for=9.9.9.9;proto=http", "for=1.2.3.4;proto=https"), "https"},
		{"each hop of ours counts", "Forwarded", proxy, true, fwd("for=1.2.3.4;proto=http, for=10.0.0.2;proto=https"), "http"},
		{"an element that says two things", "Forwarded", proxy, true, fwd("for=1.2.3.4;proto=https;proto=https"), "http"},
	} {
		r := request(c.remote, c.in)
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		p := proxies(t, c.header, "10.0.0.0/8")
		if got := p.Scheme(r); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := p.Secure(r); got != (c.want == "https") { // no loopback here
			t.Errorf("%s: Secure = %v", c.name, got)
		}
	}
	if got := (*Proxies)(nil).Scheme(request(stranger, proto("https"))); got != "http" {
		t.Errorf("nobody trusted: %s", got)
	}
}
