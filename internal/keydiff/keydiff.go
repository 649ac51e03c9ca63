// Package keydiff names what differs between two configurations, key by key.
package keydiff

// KeyChange is a key of a configuration that has another value than before.
type KeyChange struct {
	Key  string `json:"key" doc:"As in gatehouse.yaml; a route by its id: routes[GET /a]"`
	What string `json:"what" enum:"changed,added,removed"`
	// Old and New are the values of single keys and of lists of texts. Where a value may
	// be a secret, there is none.
	Old string `json:"old,omitempty" doc:"Value before, of a single key"`
	New string `json:"new,omitempty" doc:"Value now, of a single key"`
}

// What happened to a key.
const (
	Changed = "changed"
	Added   = "added"
	Removed = "removed"
)

// String is the change as it stands in the record: "log.level info → debug", "routes[GET /a] added".
func (c KeyChange) String() string {
	switch {
	case c.Old != "" && c.New != "":
		return c.Key + " " + c.Old + " → " + c.New
	case c.New != "":
		return c.Key + " " + c.What + ": " + c.New
	}
	return c.Key + " " + c.What
}
