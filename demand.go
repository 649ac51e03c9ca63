package gatehouse

import "slices"

// MFARequired demands a second factor of everybody.
const MFARequired = "required"

// DemandsSecondFactor reports whether a person with these roles, as they were assigned, must
// have a second factor. A value that is not known demands it.
func (s RealmSettings) DemandsSecondFactor(roles []string) bool {
	return s.MFA != "" && s.MFA != "optional" || slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(s.MFARoles, r) })
}
