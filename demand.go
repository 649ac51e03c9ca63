package gatehouse

import "slices"

// MFARequired demands a second factor of everybody; of who administers, in [RealmSettings.AdminMFA].
const MFARequired = "required"

// The built-in roles, by name. What they may do is package policy's.
const (
	RoleAdmin      = "gatehouse-admin"
	RoleOperator   = "gatehouse-operator"
	RoleAuditor    = "gatehouse-auditor"
	RoleBackup     = "gatehouse-backup"
	RoleRealmAdmin = "realm-admin"
	RoleGuard      = "gatehouse-guard"
)

// IsBuiltinRole reports whether a role's name is reserved for Gatehouse.
func IsBuiltinRole(name string) bool {
	switch name {
	case RoleAdmin, RoleOperator, RoleAuditor, RoleBackup, RoleRealmAdmin, RoleGuard:
		return true
	}
	return false
}

// DemandsSecondFactor reports whether a person with these roles, as they were assigned, must
// have a second factor. A value that is not known demands it.
func (s RealmSettings) DemandsSecondFactor(roles []string) bool {
	return demanded(s.MFA) || slices.ContainsFunc(roles, func(r string) bool {
		return slices.Contains(s.MFARoles, r) || s.DemandsOfAdministrators() && IsBuiltinRole(r)
	})
}

// DemandsOfAdministrators reports whether who administers must have a second factor, and use it. A value
// that is not known demands it.
func (s RealmSettings) DemandsOfAdministrators() bool { return demanded(s.AdminMFA) }

// NewRealmSettings are the settings of a realm that somebody makes now. They are stored, so a realm that is there already
// keeps what it has: nobody is locked out by a new version.
func NewRealmSettings() RealmSettings { return RealmSettings{AdminMFA: MFARequired} }

func demanded(mfa string) bool { return mfa != "" && mfa != "optional" }
