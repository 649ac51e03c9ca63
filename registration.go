package gatehouse

import "slices"

// Which clients register themselves ([RealmSettings.ClientRegistration]).
const (
	ClientRegistrationClosed = "closed" // none: as without a setting
	ClientRegistrationToken  = "token"  // those with an initial access token
	ClientRegistrationOpen   = "open"   // all
)

// Who makes accounts for themselves in a realm ([RealmSettings.Registration]).
const (
	RegistrationOff     = "off"        // nobody
	RegistrationInvited = "invitation" // who was invited: as without a setting
	RegistrationDomain  = "domain"     // they, and who reads an address at a domain that is listed
	RegistrationOpen    = "open"       // they, and who reads an address
)

// OpenTo reports whether somebody who reads mail at an address of domain, in ASCII and lower case, makes an
// account without being invited. A setting that is not known opens nothing.
func (s RealmSettings) OpenTo(domain string) bool {
	switch s.Registration {
	case RegistrationOpen:
		return domain != ""
	case RegistrationDomain:
		return slices.Contains(s.RegistrationDomains, domain)
	}
	return false
}

// Open reports whether anybody makes an account without being invited.
func (s RealmSettings) Open() bool {
	return s.Registration == RegistrationOpen || s.Registration == RegistrationDomain && len(s.RegistrationDomains) > 0
}

// Invites reports whether invitations count. A setting that is not known lets nobody in.
func (s RealmSettings) Invites() bool {
	return s.Registration == "" || s.Registration == RegistrationInvited || s.Open()
}

// RegistersClients reports whether there are clients that register themselves. What is set to anything else than the two that allow it does not.
func (s RealmSettings) RegistersClients() bool {
	return s.ClientRegistration == ClientRegistrationToken || s.ClientRegistration == ClientRegistrationOpen
}

// AnyHost stands in [RealmSettings.ClientDocumentHosts] for every host that is the same in all networks.
const AnyHost = "*"

// TakesDocuments reports whether there are clients that are known by a document at their client_id.
func (s RealmSettings) TakesDocuments() bool { return len(s.ClientDocumentHosts) > 0 }

// TakesDocumentsOf reports whether a client_id may be the address of a document at host, in small letters and with its port where it is not 443.
func (s RealmSettings) TakesDocumentsOf(host string) bool {
	return slices.Contains(s.ClientDocumentHosts, host) || slices.Contains(s.ClientDocumentHosts, AnyHost)
}
