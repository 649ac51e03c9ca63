package gatehouse

// Subject is an account of a realm as it is now: whose a credential is, and about whom policies decide. Everybody who
// asks the directory sees the same; nothing of it may be changed.
type Subject struct {
	ID         string
	Kind       PrincipalKind // KindUser or KindService
	Name       string        // the username
	Email      string
	Roles      []string // as assigned, without what they inherit
	Groups     []string
	Attributes map[string]any // policies may read them
	Disabled   bool           // it may do nothing
	// SecondFactor: a password alone does not prove who it is.
	SecondFactor bool
}
