package gatehouse

// Act is who acts for the subject of a token (the claim act, RFC 8693 §4.1). The outermost counts in decisions; those inside
// acted before it, and are told for the record alone.
type Act struct {
	Subject string `json:"sub"`
	Act     *Act   `json:"act,omitempty"`
}

// Actor is the subject of the outermost one, "" where nobody acts.
func (a *Act) Actor() string {
	if a == nil {
		return ""
	}
	return a.Subject
}

// Subjects are all that acted, the last one first.
func (a *Act) Subjects() (list []string) {
	for ; a != nil; a = a.Act {
		list = append(list, a.Subject)
	}
	return list
}
