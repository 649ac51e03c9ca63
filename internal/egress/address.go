package egress

import (
	"errors"
	"net/netip"
)

// never are the addresses that no configuration opens: this network, link-local
// and cloud metadata services, protocol assignments, multicast, reserved.
var never = prefixes("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "100.100.100.200/32", "224.0.0.0/4", "240.0.0.0/4",
	"::/128", "fe80::/10", "fec0::/10", "fd00:ec2::254/128", "ff00::/8")

// private are the addresses that AllowPrivate opens: loopback, private use
// (RFC 1918, RFC 4193) and shared address space (RFC 6598).
var private = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
	"::1/128", "fc00::/7")

// notPublic are the parts of the address space that look global and are not:
// documentation and benchmarking, and every form that carries an IPv4 address
// inside (6to4, Teredo), which would be a way around the lists above.
var notPublic = prefixes("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "192.88.99.0/24",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

// global is the only IPv6 space in use for global unicast (RFC 4291 §2.4). NAT64
// (64:ff9b::/96, 64:ff9b:1::/48) and IPv4-compatible addresses lie outside.
var global = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

var (
	errAddress = errors.New("address is not public")
	errPlain   = errors.New("plain http is only for private addresses")
)

// checkAddress says whether to connect to a. plain means without TLS.
func checkAddress(a netip.Addr, allowPrivate, plain bool) error {
	if !a.IsValid() || a.Zone() != "" {
		return errAddress
	}
	a = a.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1
	if contains(never, a) {
		return errAddress
	}
	if contains(private, a) {
		if !allowPrivate {
			return errAddress
		}
		return nil
	}
	if contains(notPublic, a) || (a.Is6() && !global.Contains(a)) {
		return errAddress
	}
	if plain {
		return errPlain
	}
	return nil
}
