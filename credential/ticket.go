package credential

import (
	"time"

	"github.com/gatehouse-auth/gatehouse"
)

// PrefixTicket begins the text of a one-time ticket.
const PrefixTicket = "gho"

// TicketLife is how long a ticket may be used.
const TicketLife = 30 * time.Second

// MintTicket makes a random ticket: the text, shown once; the public id inside it; and
// the hash to store.
func MintTicket() (text gatehouse.Secret, id string, hash []byte) {
	return MintKey(PrefixTicket, gatehouse.EnvironmentLive)
}

// IsTicket reports whether the text was a one-time ticket.
func (p ParsedKey) IsTicket() bool { return p.Prefix == PrefixTicket }
