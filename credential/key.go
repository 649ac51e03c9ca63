package credential

import (
	"net/netip"
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// KeyStatus tells whether a key may be used, and if not, why.
type KeyStatus string

// The statuses of a key. The zero value is none of them and allows nothing.
const (
	KeyActive  KeyStatus = "active"
	KeyExpired KeyStatus = "expired"
	KeyRevoked KeyStatus = "revoked"
	KeyLeaked  KeyStatus = "leaked"
	// KeyDisabled is the only one that can be taken back.
	KeyDisabled KeyStatus = "disabled"
)

// Status returns the status of k at now. A leak outranks a revocation, which
// outranks expiry, which outranks being disabled: the operator sees the gravest. Only [KeyActive] may be used.
func (k *Key) Status(now time.Time) KeyStatus {
	switch {
	case !k.LeakedAt.IsZero():
		return KeyLeaked
	case !k.RevokedAt.IsZero():
		return KeyRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return KeyExpired
	case !k.DisabledAt.IsZero():
		return KeyDisabled
	}
	return KeyActive
}

// AllowsAddress reports whether a key that is bound to nets may be used from
// addr. Without nets it may be used from anywhere; with nets never from an
// unknown address.
func AllowsAddress(nets []netip.Prefix, addr netip.Addr) bool {
	if len(nets) == 0 {
		return true
	}
	// ::ffff:192.0.2.1 is 192.0.2.1 that came in on an IPv6 socket; a zone is
	// the name of our own interface, not part of where the caller is.
	addr = addr.Unmap().WithZone("")
	for _, net := range nets {
		if net.Contains(addr) {
			return true
		}
	}
	return false
}

// MaxNets is the most networks that a key may list.
const MaxNets = 64

var errNets = gatehouse.E(gatehouse.Invalid, "key_nets_invalid",
	"Each allowed network is an address or a CIDR prefix such as 192.0.2.0/24; at most 64.")

// ParseNets reads the networks that a key is allowed from: addresses or CIDR
// prefixes, without host bits, at most [MaxNets]. Error: key_nets_invalid.
func ParseNets(list []string) ([]netip.Prefix, error) {
	if len(list) > MaxNets {
		return nil, errNets
	}
	var out []netip.Prefix
	for _, s := range list {
		if len(s) > 64 {
			return nil, errNets
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return nil, errNets
			}
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			if p.Bits() < 96 {
				return nil, errNets
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p != p.Masked() { // 192.0.2.7/24 is more likely a slip than a wish
			return nil, errNets
		}
		out = append(out, p)
	}
	return out, nil
}
